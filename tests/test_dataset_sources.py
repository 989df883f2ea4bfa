"""Every source passes one conformance test on a tiny collection in its own folder format."""

import shutil

import dataset_folders as folders
import numpy as np
import pytest

from restem.dataset.record import SPLITS, STEMS, AudioRef
from restem.dataset.sources import KINDS, open_source
from restem.dataset.sources.reading import read_mix, read_reference, read_stems
from restem.errors import UserError

# kind -> (what makes the collection, songs, entries without audio)
COLLECTIONS = {
    "musdb18": (folders.musdb_hq, 3, 0),
    "slakh2100": (folders.slakh, 3, 0),
    "moisesdb": (folders.moisesdb, 2, 0),
    "stems": (folders.stem_folders, 2, 1),
    "musiccaps": (folders.musiccaps, 2, 1),
    "magnatagatune": (folders.magnatagatune, 3, 1),
    "songs": (folders.song_folder, 3, 0),
    "rendered": (folders.rendered, 3, 0),
}


def conforms(kind, path, count, missing):
    """What holds for every source."""
    source = open_source(f"{kind}={path}")
    songs = list(source.songs())
    assert len(songs) == count and len(source.missing) == missing
    assert songs == list(source.songs()), "the order or the content changed"
    assert source.kind == kind and source.licence and source.citation
    assert len({song.key for song in songs}) == len(songs)
    splits = {}
    for song in songs:
        assert song.source == kind and song.split in SPLITS
        assert splits.setdefault(song.group, song.split) == song.split, "a group is split apart"
        assert set(song.stems) <= set(STEMS)
        mix = read_mix(song)
        assert mix.dtype == np.float32 and mix.ndim == 2 and mix.shape[1] == 2
        assert len(mix) >= 44100 and np.abs(mix).max() > 0.01
        if song.stems:
            assert "drums" in song.stems and len(song.stems) >= 2
            total = np.sum(list(read_stems(song).values()), axis=0)
            assert np.abs(total - mix).max() < 1e-6
    return songs


def test_every_kind_has_a_collection():
    assert set(COLLECTIONS) == set(KINDS)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_source_conforms(kind, tmp_path):
    make, count, missing = COLLECTIONS[kind]
    make(tmp_path / "in")
    conforms(kind, tmp_path / "in", count, missing)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg to make .stem.mp4 files")
def test_musdb_streams_conform(tmp_path):
    folders.musdb_mp4(tmp_path, shutil.which("ffmpeg"))
    songs = conforms("musdb18", tmp_path, 2, 0)
    stems = read_stems(songs[0])
    # stream 1 is the drums: the sound of seed 1, up to the codec
    truth = folders.sound(2.0, 1)[:, 0]
    heard = stems["drums"][: len(truth), 0]
    assert np.corrcoef(heard, truth[: len(heard)])[0, 1] > 0.9
    assert abs(np.corrcoef(heard, folders.sound(2.0, 2)[: len(heard), 0])[0, 1]) < 0.5


def test_musdb_mix_is_the_sum_and_splits_are_the_customary_ones(tmp_path):
    folders.musdb_hq(tmp_path)
    by_id = {song.id: song for song in open_source(f"musdb18={tmp_path}").songs()}
    assert by_id["train/Leaf - Summerghost"].split == "validation"
    assert by_id["test/B - Two"].split == "test"
    total = sum(folders.sound(3.0, place) for place in range(4))
    assert np.abs(read_mix(by_id["train/A - One"]) - total).max() < 4 / 32768


def test_a_musdb_song_without_one_stem_is_named_and_left_out(tmp_path):
    folders.musdb_hq(tmp_path)
    (tmp_path / "train" / "A - One" / "bass.wav").unlink()
    source = open_source(f"musdb18={tmp_path}")
    assert len(list(source.songs())) == 2
    assert source.missing == ["train/A - One: no bass.wav"]


def test_names_are_mapped(tmp_path):
    folders.slakh(tmp_path / "slakh")
    song = next(open_source(f"slakh2100={tmp_path / 'slakh'}").songs())
    assert {name: len(parts) for name, parts in song.stems.items()} == {
        "bass": 1, "drums": 1, "guitar": 2}  # fmt: skip
    folders.stem_folders(tmp_path / "own")
    song = next(open_source(f"stems={tmp_path / 'own'}").songs())
    assert set(song.stems) == {"drums", "bass", "vocals", "other"}
    folders.moisesdb(tmp_path / "moises")
    song = next(open_source(f"moisesdb={tmp_path / 'moises'}").songs())
    assert song.facts == {"genre": "singer songwriter"} and len(song.stems["drums"]) == 2


def test_songs_called_by_instruments_are_not_merged(tmp_path):
    for song in ("train/Piano Man", "train/Voice of Love", "train/Keys", "test/2 Guitars"):
        for place, stem in enumerate(("drums", "strings")):
            folders.write(tmp_path / song / f"{stem}.wav", folders.sound(1.0, place))
    for place, stem in enumerate(("drums", "Bass 2", "Lead Vox", "other", "Öl bass")):
        folders.write(tmp_path / "mine" / stem / "take.wav", folders.sound(1.0, place))
    folders.write(tmp_path / "train" / "preview.wav", folders.sound(1.0, 9))
    source = open_source(f"stems={tmp_path}")
    found = {song.id: song for song in source.songs()}
    assert list(found) == [
        "mine", "test/2 Guitars", "train/Keys", "train/Piano Man", "train/Voice of Love",
    ]  # fmt: skip
    assert set(found["mine"].stems) == {"drums", "bass", "vocals", "other"} and not source.missing
    assert all(
        set(song.stems) == {"drums", "other"} for song in found.values() if song.id != "mine"
    )


def test_a_song_in_two_formats_is_in_one_split(tmp_path):
    (tmp_path / "album").mkdir()
    for number in range(40):
        for ending in ("flac", "MP3", "wav"):
            (tmp_path / "album" / f"Song {number}.{ending}").touch()
    songs = list(open_source(f"songs={tmp_path}").songs())
    splits = {}
    for song in songs:
        splits.setdefault(song.group, set()).add(song.split)
    assert len(songs) == 120 and len(splits) == 40 and len({song.key for song in songs}) == 120
    assert all(len(split) == 1 for split in splits.values())
    (tmp_path / "best").symlink_to(tmp_path / "album", target_is_directory=True)
    assert list(open_source(f"songs={tmp_path}").songs()) == songs, "a song is offered once"


def test_linked_folders_are_read_and_links_that_lead_back_are_not_followed(tmp_path):
    folders.stem_folders(tmp_path / "away")
    real = tmp_path / "away" / "song1"
    song = tmp_path / "in" / "song"
    (song / "drums").parent.mkdir(parents=True)
    for path in real.iterdir():
        if "Drums" in path.name:
            (tmp_path / "kit").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "kit")
        else:
            shutil.copy(path, song)
    (song / "drums").symlink_to(tmp_path / "kit", target_is_directory=True)
    (song / "round").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "other").symlink_to(real, target_is_directory=True)
    songs = {song.id: song for song in open_source(f"stems={tmp_path / 'in'}").songs()}
    assert set(songs) == {"song", "other"}
    assert all("drums" in song.stems and len(song.stems) > 1 for song in songs.values())


def test_full_mixes_are_left_out_by_any_word(tmp_path):
    names = ("drum mix", "Bass", "full mix", "MySong_mix", "Artist - Song (Master)", "mixture")
    for place, name in enumerate(names):
        folders.write(tmp_path / "song" / f"{name}.wav", folders.sound(1.0, place))
    (song,) = open_source(f"stems={tmp_path}").songs()
    assert {stem: len(parts) for stem, parts in song.stems.items()} == {"drums": 1, "bass": 1}


def test_musiccaps_cuts_whole_recordings_only(tmp_path):
    folders.musiccaps(tmp_path)
    first, second = open_source(f"musiccaps={tmp_path}").songs()
    assert (first.mix.start_s, second.mix.start_s, second.split) == (0.0, 5.0, "test")
    assert first.facts == {"caption": "A jazz song, it swings.", "tags": ["jazz", "drums"]}
    assert abs(len(read_mix(second)) - 441_000) <= 1


def test_magnatagatune_keeps_the_clips_of_a_track_in_one_split(tmp_path):
    folders.magnatagatune(tmp_path)
    songs = list(open_source(f"magnatagatune={tmp_path}").songs())
    assert [song.split for song in songs] == ["train", "validation", "train"]
    assert songs[0].group == songs[2].group
    folders.magnatagatune(tmp_path / "plain", zipped=False)
    plain = next(open_source(f"magnatagatune={tmp_path / 'plain'}").songs())
    assert plain.mix.member is None and songs[0].mix.member == plain.id
    assert np.array_equal(read_reference(songs[0].mix), read_reference(plain.mix))


@pytest.mark.parametrize("text, says", [
    ("songs", "KIND=PATH"), ("nonsense=/tmp", "kinds are"), ("songs=/no/such", "There is no"),
])  # fmt: skip
def test_bad_sources_are_refused(text, says):
    with pytest.raises(UserError, match=says):
        open_source(text)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_folder_of_another_kind_is_refused(kind, tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(UserError):
        list(open_source(f"{kind}={tmp_path}").songs())


def test_a_table_without_its_columns_is_refused(tmp_path):
    folders.musiccaps(tmp_path, folders.MUSICCAPS[:4])
    with pytest.raises(UserError, match="lacks the columns aspect_list, caption"):
        list(open_source(f"musiccaps={tmp_path}").songs())


def test_damaged_tables_are_user_errors_and_damaged_rows_are_left_out(tmp_path):
    folders.musiccaps(tmp_path / "caps")
    table = tmp_path / "caps" / "musiccaps-public.csv"
    text = table.read_text()
    table.write_text(text.replace(",30,40,", ",soon,40,") + "ddddddddddd\n")
    source = open_source(f"musiccaps={tmp_path / 'caps'}")
    assert [song.id for song in source.songs()] == ["bbbbbbbbbbb"]
    assert (
        source.missing[0] == "aaaaaaaaaaa: no start_s before an end_s" and len(source.missing) == 3
    )
    table.write_bytes(text.encode() + b"\xff")
    with pytest.raises(UserError, match="cannot be read as a table"):
        list(source.songs())
    folders.magnatagatune(tmp_path / "tags")
    table = tmp_path / "tags" / "annotations_final.csv"
    table.write_text(table.read_text() + "7\n")
    assert len(list(open_source(f"magnatagatune={tmp_path / 'tags'}").songs())) == 3
    folders.slakh(tmp_path / "slakh")
    (tmp_path / "slakh" / "test" / "Track00002" / "metadata.yaml").write_bytes(b"\xff")
    source = open_source(f"slakh2100={tmp_path / 'slakh'}")
    assert len(list(source.songs())) == 2 and "Track00002" in source.missing[0]


def test_a_slakh_track_without_its_folder_of_stems_is_named(tmp_path):
    folders.slakh(tmp_path)
    track = next(tmp_path.rglob("metadata.yaml")).parent
    shutil.rmtree(track / "stems")
    source = open_source(f"slakh2100={tmp_path}")
    assert len(list(source.songs())) == 2 and len(source.missing) == 1
    assert track.name in source.missing[0]


def test_what_slakh_sets_aside_is_left_out(tmp_path):
    folders.slakh(tmp_path)
    shutil.copytree(tmp_path / "test", tmp_path / "omitted")
    source = open_source(f"slakh2100={tmp_path}")
    assert not any("omitted" in song.id for song in source.songs())
    assert len(list(source.songs())) == 3
    assert source.missing and all("omitted" in name for name in source.missing)


def test_damaged_archives_and_rows_are_user_errors(tmp_path):
    folders.magnatagatune(tmp_path)
    song = next(open_source(f"magnatagatune={tmp_path}").songs())
    with pytest.raises(UserError, match="cannot be taken out"):
        read_reference(AudioRef(song.mix.path, member="f/none.mp3"))
    (tmp_path / "mp3.zip.003").unlink()
    from restem.dataset.sources import reading

    reading._archive.cache_clear()
    with pytest.raises(UserError, match="no whole zip"):
        list(open_source(f"magnatagatune={tmp_path}").songs())
    (tmp_path / "x.npy").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="rendered audio"):
        read_reference(AudioRef(str(tmp_path / "x.npy"), row=0))
