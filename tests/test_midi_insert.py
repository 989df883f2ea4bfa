"""From rolls to files: networks whose answers are known by construction replace trained ones."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import mido
import numpy as np
import pytest
from known_networks import Known
from midi_builders import band, events_of, name, note, save, to_bytes
from mido import Message, MetaMessage
from PIL import Image

from restem import cli
from restem.errors import UserError
from restem.symbolic import cells
from restem.symbolic.arrange import complete, fill
from restem.symbolic.inserting import (
    MidiInserter,
    MidiInsertion,
    inside_bars,
    without_overlaps,
)
from restem.symbolic.midi_files import song_from_bytes
from restem.symbolic.model import TEXT_VALUES
from restem.symbolic.parts import find_parts, planes_of
from restem.symbolic.performance import FEATURES, Touch, accents, features, play
from restem.symbolic.roll_picture import draw_rolls
from restem.symbolic.rolls import ONSET, flat, notes_from_roll, roll_from_notes
from restem.symbolic.wishes import Wishes
from restem.text import EMBEDDING_SIZE, TextEncoder

FORTY = np.array([(i * 48, 48, 4, 4) for i in range(40)])
PLAIN = Touch((np.zeros((4, FEATURES), np.float32),), (np.array([0.5, -5, 0, -5], np.float32),))


class FollowsBass(Known):
    """A kick with each onset of the bass, and nothing else."""

    def log_odds(
        self,
        x: np.ndarray,
        context: np.ndarray,
        place: np.ndarray,
        text: np.ndarray,
        survival: float,
    ) -> np.ndarray:
        self.__dict__["seen"].append((x, context, place, text))
        low, high = cells.RANGES["bass"]
        bass = context[..., : cells.values_of("bass")].reshape(*x.shape[:2], 2, 6, high - low)
        out = np.full((*x.shape[:2], 6, 47), -9.0)
        out[..., 36 - 35][bass[..., ONSET, :, :].any(axis=-1)] = 9.0
        return out.reshape(x.shape)


class Copycat(Known):
    """Whatever the given tokens of the window hold at the same place of the bar, in most bars."""

    def log_odds(
        self,
        x: np.ndarray,
        context: np.ndarray,
        place: np.ndarray,
        text: np.ndarray,
        survival: float,
    ) -> np.ndarray:
        self.__dict__["seen"].append((x, context, place, text))
        given = place[0, :, cells.PLACE_KNOWN] > 0
        out = np.full(x.shape, -9.0)
        for token in range(x.shape[1]):
            same = given & (np.arange(x.shape[1]) % 8 == token % 8)
            if same.any():
                out[0, token][x[0, same].mean(axis=0) > 0.5] = 9.0
        return out


class Steady(Known):
    """A kick, or a bass's third lowest note, on every half beat, whatever is there."""

    def log_odds(
        self,
        x: np.ndarray,
        context: np.ndarray,
        place: np.ndarray,
        text: np.ndarray,
        survival: float,
    ) -> np.ndarray:
        out = np.full(x.shape, -9.0)
        out[..., 1 if self.stem == "drums" else 2] = 9.0
        return out


def planes(notes: list, steps: int) -> np.ndarray:
    return flat(roll_from_notes(np.array(notes).reshape(-1, 3), steps))


def test_every_window_follows_its_own_context() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.choice(40 * 48, 300, replace=False))
    bass = planes([[s, s + 1, 40] for s in starts], 40 * 48)
    made = fill(FollowsBass("drums"), {"bass": bass}, FORTY, Wishes(steps=4))
    notes = notes_from_roll(made[None])
    assert np.array_equal(notes[:, 0], starts) and set(notes[:, 2]) == {36}


def test_odd_metres_are_filled_to_the_step() -> None:
    bars = np.array(
        [(0, 42, 7, 8), (42, 15, 5, 16), (57, 9, 3, 16), (66, 48, 4, 4), (114, 36, 3, 4)]
    )
    bass = planes([[s, s + 1, 40] for s in range(0, 150, 3)], 150)
    made = fill(FollowsBass("drums"), {"bass": bass}, bars, Wishes(steps=4))
    assert notes_from_roll(made[None])[:, 0].tolist() == list(range(0, 150, 3))


def test_bars_longer_than_a_window_are_filled() -> None:
    bars = np.array([(0, 12 * 255, 255, 4), (12 * 255, 48, 4, 4)])
    bass = planes([[s, s + 1, 40] for s in range(0, 12 * 259, 24)], 12 * 259)
    made = fill(FollowsBass("drums"), {"bass": bass}, bars, Wishes(steps=2))
    assert notes_from_roll(made[None])[:, 0].tolist() == list(range(0, 12 * 259, 24))


def test_a_song_goes_on_from_the_users_bars_without_a_seam() -> None:
    pattern = [[0, 1, 36], [12, 13, 38], [21, 22, 36], [24, 25, 36], [36, 37, 38]]
    first = planes([[s + 48 * b, e + 48 * b, p] for b in range(2) for s, e, p in pattern], 40 * 48)
    model = Copycat("drums")
    made = fill(model, {"drums": first}, FORTY, Wishes(steps=8), region=(2, 40))
    expected = [[s + 48 * b, e + 48 * b, p] for b in range(2, 40) for s, e, p in pattern]
    assert notes_from_roll(made[None]).tolist() == expected
    assert all(x.shape[1] == cells.WINDOW for x, *_ in model.seen)


def test_a_region_is_filled_and_nothing_else_and_both_sides_are_seen() -> None:
    first = planes([[48 * b, 48 * b + 1, 36] for b in range(40) if b not in (5, 6)], 40 * 48)
    model = Copycat("drums")
    made = fill(model, {"drums": first}, FORTY, Wishes(steps=4), region=(5, 7))
    assert notes_from_roll(made[None])[:, 0].tolist() == [240, 288]
    place = model.seen[-1][2][0, :, cells.PLACE_KNOWN]
    assert place[:8].all() and not place[32:48].any() and place[48:].all()


def test_a_region_without_an_old_part_is_not_told_of_silence() -> None:
    model = FollowsBass("drums")
    bass = planes([[s, s + 1, 40] for s in range(0, 40 * 48, 12)], 40 * 48)
    made = fill(model, {"bass": bass}, FORTY, Wishes(steps=4), region=(8, 9))
    assert notes_from_roll(made[None])[:, 0].tolist() == [384, 396, 408, 420]
    assert not any(place[..., cells.PLACE_KNOWN].any() for _, _, place, _ in model.seen)


def test_parts_are_made_one_after_the_other_each_hearing_the_last() -> None:
    models = {stem: FollowsBass(stem) if stem == "drums" else Known(stem) for stem in cells.RANGES}
    heard: dict[str, np.ndarray] = {}

    class Listens(Known):
        def log_odds(
            self,
            x: np.ndarray,
            context: np.ndarray,
            place: np.ndarray,
            text: np.ndarray,
            survival: float,
        ) -> np.ndarray:
            heard[self.stem] = place[0, 0, cells.PLACE_KNOWN + 1 :]
            return np.full(x.shape, 0.5)

    models["bass"], models["guitar"] = Listens("bass"), Listens("guitar")
    made = complete(models, {}, FORTY[:2], ["guitar", "drums", "bass"], Wishes(steps=2))
    assert list(made) == ["drums", "bass", "guitar"]
    assert heard["bass"].tolist() == [1, 0, 0] and heard["guitar"].tolist() == [1, 1, 0]


def test_style_and_guidance_reach_the_network() -> None:
    model, bass = FollowsBass("drums"), {"bass": planes([[0, 1, 40]], 96)}
    fill(model, bass, FORTY[:2], Wishes(steps=2))
    fill(model, bass, FORTY[:2], Wishes(steps=2, style="bossa nova"))
    plain, styled = model.seen[0][3], model.seen[-1][3]
    assert not np.allclose(plain[0, :384], styled[0, :384])
    fill(model, bass, FORTY[:2], Wishes(steps=2, guidance=2.0))
    x, context, place, _ = model.seen[-1]
    assert len(x) == 2 and context[0].any() and not context[1].any()
    assert place[0, 0, -3:].any() and not place[1, 0, -3:].any()
    for wrong in ({"density": "dense"}, {"temperature": 0.0}, {"guidance": -1.0}):
        with pytest.raises(UserError):
            Wishes(**wrong)


def test_a_network_that_loses_notes_on_its_way_makes_as_many_as_it_first_expected() -> None:
    class Fading(Known):
        """Expects a twentieth of the cells; asked again, finds a twenty-fifth likelier than not."""

        def log_odds(self, x: np.ndarray, *_: object) -> np.ndarray:
            first = len(self.__dict__["seen"]) < 2  # with the style's words and without
            self.__dict__["seen"].append(x)
            ranks = np.random.default_rng(0).permutation(x.size).reshape(x.shape) / x.size
            return np.full(x.shape, np.log(1 / 19)) if first else 80 * (0.04 - ranks)

    for density, times in ((None, 1), ("sparse", 0.5), ("busy", 1.5), (1.0, 0.5)):
        made = fill(Fading("drums"), {}, FORTY[:8], Wishes(guidance=1, steps=16, density=density))
        assert made[ONSET].sum() == pytest.approx(times * 8 * 48 * 47 / 20, rel=0.1)
    half = Fading("drums")  # one whose description says that it expects too much
    half.__dict__["description"] = {**half.description, "fullness": 0.5}
    made = fill(half, {}, FORTY[:8], Wishes(guidance=1, steps=16))
    assert made[ONSET].sum() == pytest.approx(0.5 * 8 * 48 * 47 / 20, rel=0.1)


def test_words_that_lead_astray_are_believed_half() -> None:
    class Misled(Known):
        """Expects a fortieth of the cells with words, a tenth without."""

        def log_odds(self, x: np.ndarray, *rest: np.ndarray) -> np.ndarray:
            self.__dict__["seen"].append(x)
            wordless = np.allclose(rest[2], nothing)
            chance = np.random.default_rng(0).permutation(x.size).reshape(x.shape) / x.size
            return np.log(np.where(wordless, 1 / 9, 1 / 39) * (0.999 + 0.002 * chance))

    nothing = np.zeros((1, TEXT_VALUES), np.float32)
    nothing[0, :EMBEDDING_SIZE] = TextEncoder.load().encode([""])[0]
    for style, share in (("bossa nova", 1 / 20), ("", 1 / 10)):
        made = fill(Misled("drums"), {}, FORTY[:8], Wishes(style, guidance=1, steps=16))
        assert made[ONSET].sum() == pytest.approx(share * 8 * 48 * 47, rel=0.1)


def test_many_small_chances_become_the_notes_that_they_add_up_to() -> None:
    class Unsure(Known):
        """Gives every cell about one chance in twenty, some a little more, to the end."""

        def log_odds(self, x: np.ndarray, *_: object) -> np.ndarray:
            self.__dict__["seen"].append(x)
            return np.random.default_rng(1).normal(-3, 0.2, x.shape)

    made = fill(Unsure("drums"), {}, FORTY[:8], Wishes(guidance=1, steps=16))
    chance = 1 / (1 + np.exp(-np.random.default_rng(1).normal(-3, 0.2, 64 * 282)))
    assert made[ONSET].sum() == round(chance.sum()) > 800


def inserter() -> MidiInserter:
    return MidiInserter({"drums": FollowsBass("drums"), "bass": Known("bass")}, PLAIN)


def test_the_new_track_is_the_only_change_and_says_how_it_was_made() -> None:
    data = band(4)
    made = inserter().insert(song_from_bytes(data, "song.mid"), ["drums"], Wishes(steps=4, seed=3))
    before, after = events_of(data), events_of(made.data)
    assert after[:-1] == before
    new = after[-1]
    assert {m.channel for m in new if not m.is_meta} == {9}
    assert new[0].name == "restem drums"
    assert json.loads(new[1].text if new[1].type == "text" else new[2].text)["restem"]["seed"] == 3
    starts = np.cumsum([m.time for m in new])[[m.type == "note_on" for m in new]]
    assert starts.tolist() == [480 * i for i in range(16)]
    again = inserter().insert(song_from_bytes(data, "song.mid"), ["drums"], Wishes(steps=4, seed=3))
    assert again.data == made.data


def test_a_kit_that_the_user_chose_is_left_alone_and_channels_do_not_clash() -> None:
    class Long(Known):
        def log_odds(self, x: np.ndarray, *_: object) -> np.ndarray:
            return np.where(np.arange(x.shape[2]) == 20, 9.0, -9.0) + np.zeros(x.shape)

    tracks = [
        [(0, Message("program_change", channel=c, program=c)), *note(c, 60, 0, 7680)]
        for c in range(9)
    ]
    tracks.append([(0, Message("program_change", channel=9, program=25)), *note(9, 36, 0, 60)])
    song = song_from_bytes(to_bytes(tracks), "song")
    made = MidiInserter({"drums": Long("drums"), "bass": Long("bass")}, PLAIN)
    drums = events_of(made.insert(song, ["drums"], Wishes(steps=2), force=True).data)[-1]
    assert not [m for m in drums if m.type == "program_change"]
    bass = events_of(made.insert(song, ["bass"], Wishes(steps=2)).data)[-1]
    assert [(m.channel, m.program) for m in bass if m.type == "program_change"] == [(10, 33)]
    # Files that set up all channels leave those free on which nothing plays, and 11 least of all.
    setup = [(0, Message("control_change", channel=c, control=7, value=90)) for c in range(10, 15)]
    bass = events_of(
        made.insert(song_from_bytes(to_bytes([*tracks, setup]), "song"), ["bass"]).data
    )[-1]
    assert {m.channel for m in bass if not m.is_meta} == {15}
    setup.append((0, Message("control_change", channel=15, control=7, value=90)))
    bass = events_of(
        made.insert(song_from_bytes(to_bytes([*tracks, setup]), "song"), ["bass"]).data
    )[-1]
    assert {m.channel for m in bass if not m.is_meta} == {10}
    full = [*tracks, *[note(c, 60, 0, 480) for c in range(10, 16)]]
    with pytest.raises(UserError, match="channels"):
        made.insert(song_from_bytes(to_bytes(full), "song"), ["bass"], Wishes(steps=2))


def test_a_part_that_is_there_and_bars_that_are_not() -> None:
    song = song_from_bytes(band(4), "song")
    for arguments, words in (
        ({"stems": ["bass"]}, "has bass already"),
        ({"stems": ["drums"], "bars": (3, 5)}, "bars 1 to 4"),
        ({"stems": ["drums"], "bars": (0, 2)}, "bars 1 to 4"),
        ({"stems": ["drums"], "bars": (3, 2)}, "bars 1 to 4"),
    ):
        with pytest.raises(UserError, match=words):
            inserter().insert(song, **arguments)  # type: ignore[arg-type]
    tracks = [
        note(9, 36, 0, 60),
        [name("Bass"), *note(1, 40, 0, 60)],
        [name("Guitar"), *note(2, 60, 0, 60)],
    ]
    with pytest.raises(UserError, match="drums, bass and guitar already"):
        inserter().insert(song_from_bytes(to_bytes(tracks), "song"), [])
    made = inserter().insert(song, ["drums"], Wishes(steps=2), bars=(2, 3))
    assert made.notes["drums"][:, 0].tolist() == [480 * i for i in range(4, 12)]


def test_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model of drums"):
        MidiInserter(tmp_path).insert(song_from_bytes(band(1), "song"), ["drums"])


def test_metres_of_a_real_file_place_the_notes() -> None:
    metres = [(0, 7, 8), (1680, 3, 4), (3120, 12, 8)]
    head = [(t, MetaMessage("time_signature", numerator=n, denominator=d)) for t, n, d in metres]
    bass = [name("Bass")]
    for start in range(0, 6000, 240):
        bass += note(1, 40, start, start + 100)
    made = inserter().insert(
        song_from_bytes(to_bytes([head, bass]), "song"), ["drums"], Wishes(steps=2)
    )
    assert made.notes["drums"][:, 0].tolist() == list(range(0, 6000, 240))


def test_touch_plays_within_bounds_and_on_the_grid_if_asked() -> None:
    drums = planes([[s, s + 1, p] for s in range(0, 96, 3) for p in (36, 42)], 96)
    wild = Touch((np.zeros((4, FEATURES), np.float32),), (np.array([0.6, 1, 0.5, 1], np.float32),))
    strokes = play(wild, drums, FORTY[:2], 1)
    assert len(strokes) == 64 and strokes[:, 2].min() >= 1 and strokes[:, 2].max() <= 127
    assert np.abs(strokes[:, 3]).max() <= 0.5 / 12 and strokes[:, 2].std() > 10
    assert np.array_equal(strokes, play(wild, drums, FORTY[:2], 1))
    assert not np.array_equal(strokes, play(wild, drums, FORTY[:2], 2))
    assert (strokes[:, 2] >= 126).mean() < 0.2 and (np.abs(strokes[:, 3]) > 0.48 / 12).mean() < 0.1
    still = play(wild, drums, FORTY[:2], 1, amount=0.0)
    assert not still[:, 3].any() and set(still[:, 2]) == {76}
    assert len(play(wild, np.zeros((2, 96, 128), bool), FORTY[:2], 1)) == 0


@pytest.mark.parametrize("ticks", [24, 100, 480])
def test_strokes_are_read_again_on_the_steps_that_were_meant(ticks: int) -> None:
    wild = Touch((np.zeros((4, FEATURES), np.float32),), (np.array([0.6, 1, 0.0, 2], np.float32),))
    song = song_from_bytes(band(8, ticks), "song")
    made = MidiInserter({"drums": Steady("drums")}, touch=wild).insert(song, ["drums"])
    again = find_parts(song_from_bytes(made.data, "again"))["drums"]
    steps = made.made["drums"].shape[1]
    read = planes_of(again, song_from_bytes(made.data, "again"), steps)
    assert np.array_equal(read[ONSET], made.made["drums"][ONSET]) and read[ONSET].any()
    starts = made.notes["drums"][:, 0]
    assert (starts % (ticks // 12 or 1)).any(), "the drummer is not on the grid"


def test_touch_features_are_local() -> None:
    drums = planes([[0, 1, 36], [24, 25, 38], [90, 91, 42]], 96)
    steps, pitches = np.nonzero(drums[ONSET])
    seen = features(drums, FORTY[:2], steps, pitches)
    assert seen.shape == (3, FEATURES)
    alone = planes([[24, 25, 38]], 96)
    assert np.array_equal(features(alone, FORTY[:2], np.array([24]), np.array([38]))[0], seen[1])


def test_accents_and_overlaps() -> None:
    assert accents(np.array([0, 3, 12, 48, 60, 61]), FORTY).tolist() == [100, 84, 92, 100, 92, 84]
    six = np.array([(i * 36, 36, 6, 8) for i in range(4)])
    assert accents(np.array([0, 12, 18, 24, 36, 54]), six).tolist() == [100, 84, 92, 84, 100, 92]
    strokes = np.array([[470, 490, 36, 9], [960, 999, 38, 9], [1930, 1950, 36, 9]])
    kept = inside_bars(strokes, FORTY, (0, 1), 480)[:, 0].tolist()
    assert kept == [470, 960, 1919] and inside_bars(strokes, FORTY, None, 480) is strokes
    assert inside_bars(strokes - 5, FORTY, (1, 2), 480)[-1, 0] == 1925
    assert inside_bars(strokes - 20, FORTY, (1, 2), 480)[-1, 0] == 1920
    notes = np.array([[0, 50, 36, 9], [10, 60, 38, 9], [40, 90, 36, 9], [40, 80, 36, 8]])
    fixed = without_overlaps(notes)
    for pitch in (36, 38):
        own = fixed[fixed[:, 2] == pitch]
        assert (own[:, 1] > own[:, 0]).all() and (own[1:, 0] >= own[:-1, 1]).all()


def test_the_picture_outlines_new_notes_only() -> None:
    bass = planes([[s, s + 12, 40] for s in range(0, 96, 24)], 96)
    drums = planes([[s, s + 1, 36] for s in range(0, 96, 24)], 96)
    old = np.asarray(draw_rolls({"bass": bass, "drums": drums}, {}, FORTY[:2], "song"))
    new = np.asarray(draw_rolls({"bass": bass}, {"drums": drums}, FORTY[:2], "song"))
    assert old.shape == new.shape and old.shape[1] > 600
    black = [(np.all(image == 0, axis=2)).sum() for image in (old, new)]
    assert black[0] == 0 and black[1] > 4 * 4


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setitem(cli.OTHER_VERBS, "midi", ("restem.symbolic.commands", "parts for MIDI"))
    return cli.main(["midi", "insert", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bars", "x"], "form 9-16"),
        (["--bars", "9-"], "form 9-16"),
        (["-o", "out.wav"], "end in .mid"),
        (["--steps", "0"], "--steps"),
        (["--track-map", "1=violin"], "2=drums"),
        (["--stem", "bass"], "has bass already"),
        (["--bars", "3-99"], "bars 1 to 4"),
        (["--model", "nowhere"], "no model of drums"),
        (["--soundfont", "none.sf2", "--render"], "SoundFont"),
    ],
)
def test_wrong_words_exit_with_2_and_leave_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    message: str,
) -> None:
    if "--render" in words and shutil.which("fluidsynth") is None:
        message = "FluidSynth"
    song = save(tmp_path, band(4))
    monkeypatch.chdir(tmp_path)
    arguments = [song, "-o", "new/out.mid", *words]
    if "--stem" not in words:
        arguments += ["--stem", "drums"]
    assert run(monkeypatch, *arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert message in errors[-1] and len([e for e in errors if "error" in e]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["song.mid"]


def test_outputs_are_not_overwritten_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    song, old = save(tmp_path, band(4)), save(tmp_path, b"mine", "old.mid")
    assert run(monkeypatch, song, "-o", old) == 2 and "--force" in capsys.readouterr().err
    assert run(monkeypatch, song, "-o", song, "--force") == 2
    assert "itself the input" in capsys.readouterr().err and old.read_bytes() == b"mine"


def test_words_of_the_style_say_how_hard_each_part_is_played() -> None:
    inserter = MidiInserter({stem: Steady(stem) for stem in ("drums", "bass")}, PLAIN)
    song = song_from_bytes(band(8), "song.mid")

    def made(style: str, *stems: str) -> MidiInsertion:
        return inserter.insert(song, stems or ["drums"], Wishes(style), force=True)

    usual = made("rock").notes["drums"][:, 3]
    quiet, loud = (made(f"rock, played {how}").notes["drums"] for how in ("quietly", "very loud"))
    assert np.array_equal(quiet[:, 3], (usual - 20).clip(1))
    assert np.array_equal(loud[:, 3], (usual + 20).clip(None, 127))
    both, plain_both = (made(w, "drums", "bass").notes for w in ("loud drums, bass", "drums, bass"))
    assert both["drums"][:, 3].mean() > plain_both["drums"][:, 3].mean() + 10
    assert np.array_equal(both["bass"], plain_both["bass"]), "each word for the part that it names"
    assert made("jazz piano").notices[-1] == "The style names keys, but this part is drums."
    for style in ("jazz", "synth-pop", "drum and bass", "brushed jazz"):
        assert made(style).notices == made("rock").notices, style


def lone_piano(folder: Path) -> Path:
    """Eight bars of a piano that holds triads."""
    chords = [
        event
        for bar in range(8)
        for pitch in (60, 64, 67)
        for event in note(0, pitch, bar * 960, bar * 960 + 900)
    ]
    return save(folder, to_bytes([[name("Piano"), *chords]]))


def notes_over_a_piano(out: Path) -> dict[str, int]:
    made = mido.MidiFile(file=io.BytesIO(out.read_bytes()))
    return {t.name: sum(m.type == "note_on" for m in t) for t in made.tracks[1:]}


def test_the_packaged_models_make_all_three_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, outs = lone_piano(tmp_path), [tmp_path / f"out{number}.mid" for number in range(2)]
    for out in outs:
        assert run(monkeypatch, song, "-o", out, "--picture", "--seed", 5, "--style", "rock") == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    made = notes_over_a_piano(outs[0])
    assert list(made) == ["restem drums", "restem bass", "restem guitar"]
    assert made["restem drums"] > 8 and made["restem bass"] > 8
    assert Image.open(tmp_path / "out0.png").size[0] > 600


def test_the_guitar_plays_over_a_lone_piano(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mid"
    assert run(monkeypatch, lone_piano(tmp_path), "-o", out, "--seed", 5, "--style", "rock") == 0
    assert notes_over_a_piano(out)["restem guitar"] > 8


def test_no_more_than_six_strings_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.mid"
    words = ["--stem", "guitar", "--seed", 2, "--density", "busy"]
    assert run(monkeypatch, lone_piano(tmp_path), "-o", out, *words) == 0
    sounding, most = 0, 0
    for message in mido.MidiFile(file=io.BytesIO(out.read_bytes())).tracks[-1]:
        if message.type in ("note_on", "note_off"):
            sounding += 1 if message.type == "note_on" and message.velocity else -1
            most = max(most, sounding)
    assert sounding == 0 and 2 < most <= 6


def test_words_of_the_style_say_how_many_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, counts = lone_piano(tmp_path), []
    for called, words in (
        ("sparse", ["--style", "sparse rock"]),
        ("plain", ["--style", "rock"]),
        ("busy", ["--style", "busy rock"]),
        ("asked", ["--style", "busy rock", "--density", "medium"]),
    ):
        out = tmp_path / f"{called}.mid"
        assert run(monkeypatch, song, "-o", out, "--stem", "drums", *words) == 0
        counts.append(notes_over_a_piano(out)["restem drums"])
    assert 1.3 * counts[0] < counts[1] < counts[2] / 1.3, counts
    assert counts[3] < counts[2] / 1.3, "the option counts"


def test_a_bass_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):
        out = tmp_path / f"{seed}.mid"
        words = ["--stem", "bass", "--style", "rock", "--seed", seed]
        assert run(monkeypatch, lone_piano(tmp_path), "-o", out, *words) == 0
        track = mido.MidiFile(file=io.BytesIO(out.read_bytes())).tracks[-1]
        pitches = [m.note for m in track if m.type == "note_on" and m.velocity]
        sounding = 0
        for message in track:
            if message.type in ("note_on", "note_off"):
                begins = message.type == "note_on" and message.velocity > 0
                sounding += 1 if begins else -1
                assert sounding in (0, 1)
        assert pitches and max(pitches) <= 55


def test_the_guitar_plays_as_much_as_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, counts = lone_piano(tmp_path), []
    for density in ("sparse", "medium", "busy"):
        out = tmp_path / f"{density}.mid"
        words = ["--stem", "guitar", "--style", "rock", "--density", density]
        assert run(monkeypatch, song, "-o", out, *words) == 0
        counts.append(notes_over_a_piano(out)["restem guitar"])
    assert 1.3 * counts[0] < counts[1] and 1.3 * counts[1] < counts[2], counts


def test_a_part_does_not_play_on_where_a_last_note_is_only_held() -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    for number in range(16):  # four bars of quarters, the last one held into the fifth bar
        track.append(mido.Message("note_on", note=60, velocity=90, time=0))
        length = 480 if number < 15 else 480 + 720
        track.append(mido.Message("note_off", note=60, velocity=0, time=length))
    file.tracks.append(track)
    data = io.BytesIO()
    file.save(file=data)
    song = song_from_bytes(data.getvalue(), "song.mid")
    assert len(song.bars()) == 5
    steady = MidiInserter({"drums": Steady("drums")}, touch=PLAIN)
    made = steady.insert(song, ["drums"], Wishes(steps=4), amount=0.0)
    starts = made.notes["drums"][:, 0]
    assert starts.max() < 16 * 480 + 720 and (starts >= 15 * 480).any()
    short = song_from_bytes(band(4), "song.mid")  # whose last note ends before its bar does
    filled = steady.insert(short, ["drums"], Wishes(steps=4), amount=0.0).notes["drums"][:, 0]
    assert filled.max() >= 15.4 * 480
