"""Guitar Pro files (gp3, gp4, gp5) in; songs, played out bar by bar, with their MIDI bytes out.

A tablature is a score: repeats and endings are unrolled, ties lengthen the note before them, a
dead note has no pitch and is left out of pitched parts, the capo raises every note of its track,
and triplet feel is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import mido
import numpy as np

from restem.errors import UserError
from restem.symbolic.midi_files import as_stored, chunk_of, file_of, track_bytes
from restem.symbolic.parts import DRUM_CHANNEL
from restem.symbolic.song import NO_NOTES, Song, Track, by_tick, checked
from restem.symbolic.triplet_feel import swung

QUARTER = 960  # ticks, as Guitar Pro counts
_EXPORT = "open it in Guitar Pro and export it as MIDI or as Guitar Pro 5 (.gp5)"


def read_guitar_pro(path: str | Path, name: str | None = None) -> Song:
    """The song of a Guitar Pro 3 to 5 file; UserError for newer or damaged ones, under the file's
    name or another that its owner knows."""
    path = Path(path)
    name = name or path.name
    try:
        import guitarpro
    except ImportError:
        raise UserError(
            "Reading Guitar Pro files needs pyguitarpro; install it with "
            "pip install 'restem[midi]'."
        ) from None
    try:
        score = guitarpro.parse(str(path))
    except OSError as error:
        raise UserError(f"Could not read {name}: {error.strerror or error}.") from None
    except Exception as error:  # a damaged file fails wherever its bytes stop making sense
        raise UserError(f"{name} is a damaged Guitar Pro file ({error}); {_EXPORT}.") from None
    return song_from_score(score, name)


def refuse_newer(name: str, first_bytes: bytes) -> None:
    """UserError if the file is of Guitar Pro 6 (gpx) or 7 and later (gp), which are not read."""
    ending = Path(name).suffix.lower()
    zipped = first_bytes[:2] == b"PK" and ending in (".gp", ".gp3", ".gp4", ".gp5", ".gp7", ".gp8")
    if first_bytes[:4] in (b"BCFZ", b"BCFS") or ending == ".gpx" or zipped:
        raise UserError(f"{name} is a Guitar Pro 6 or later file, which is not read; {_EXPORT}.")


def song_from_score(score: Any, name: str) -> Song:
    """The song of a pyguitarpro score."""
    order = playing_order(score.measureHeaders)
    starts, metres, now = [], [], 0
    for index in order:
        above, below = _metre(score.measureHeaders[index].timeSignature, name)
        starts.append(now)
        metres.append((now, above, below))
        now += QUARTER * 4 * above // below
    players = [_Player(track) for track in score.tracks]
    for player in players:
        for index, start in zip(order, starts, strict=True):
            player.play(index, start)
    tempos: list[tuple[int, ...]] = [
        (tick, round(6e7 / bpm)) for player in players for tick, bpm in player.tempos if bpm > 0
    ]
    tempo_map = by_tick(tempos, (0, round(6e7 / max(score.tempo, 1))))
    metre_map = _changes_only(np.array(metres or [(0, 4, 4)], dtype=np.int64))
    tracks = _tracks(players)
    chunks = [_conductor(name, tempo_map, metre_map)]
    chunks += [track_bytes(t.name, t.channel, t.program, t.notes) for t in tracks]
    return checked(
        Song(
            name,
            QUARTER,
            tuple(tracks),
            tempo_map,
            metre_map,
            frozenset(t.channel for t in tracks),
            file_of(chunks, QUARTER),
            _notices(score, name, order),
        )
    )


def _metre(signature: Any, name: str) -> tuple[int, int]:
    """Numerator and denominator; UserError for what no bar has and only a damaged file says."""
    above, below = signature.numerator, signature.denominator.value
    if not 1 <= above <= 255 or below not in (1, 2, 4, 8, 16, 32, 64):
        raise UserError(
            f"{name} is a damaged Guitar Pro file (a bar of {above}/{below}); {_EXPORT}."
        )
    return above, below


@dataclass
class _Ending:
    """Bars first..last-1, played on the passes whose bits are set in `passes`."""

    first: int
    last: int
    passes: int


def playing_order(headers: Sequence[Any]) -> list[int]:
    """Indices of the bars as they are played, repeats and endings unrolled."""
    order: list[int] = []
    start = bar = 0
    while bar < len(headers):
        if headers[bar].isRepeatOpen and bar > start:
            order += range(start, bar)  # what came before was no repeat
            start = bar
        if headers[bar].repeatAlternative > 0:
            start = bar = _play_endings(headers, start, bar, order)
        elif headers[bar].repeatClose > 0:
            order += [*range(start, bar + 1)] * (headers[bar].repeatClose + 1)
            start = bar = bar + 1
        else:
            bar += 1
    return [*order, *range(start, len(headers))]


def _play_endings(headers: Sequence[Any], start: int, bar: int, order: list[int]) -> int:
    """Append the passes of a repeat from `start` whose endings begin at `bar`; the bar after it."""
    body, endings, passes = range(start, bar), [], 1
    while bar < len(headers) and headers[bar].repeatAlternative > 0:
        first, mask = bar, headers[bar].repeatAlternative
        while not headers[bar].repeatClose > 0:
            follower = headers[bar + 1] if bar + 1 < len(headers) else None
            if (
                follower is None
                or follower.isRepeatOpen
                or follower.repeatAlternative not in (0, mask)
            ):
                break
            # The bracket of an ending without a repeat sign covers the bars that are marked.
            if follower.repeatAlternative == 0 and not _closes(headers, bar + 1):
                break
            bar += 1
        passes = max(passes, headers[bar].repeatClose + 1, mask.bit_length())
        bar += 1
        endings.append(_Ending(first, bar, mask))
        if bar < len(headers) and headers[bar].isRepeatOpen:
            break
    for number in range(passes):
        order += body
        for ending in endings:
            if ending.passes & (1 << number):
                order += range(ending.first, ending.last)
    return bar


def _closes(headers: Sequence[Any], bar: int) -> bool:
    """Whether the next sign from `bar` on is a repeat's end."""
    for header in headers[bar:]:
        if header.isRepeatOpen or header.repeatAlternative > 0:
            return False
        if header.repeatClose > 0:
            return True
    return False


@dataclass
class _Player:
    """Plays the bars of one track in any order and remembers what sounds on each string."""

    track: Any
    notes: list[list[int]] = field(default_factory=list)  # start, end, pitch, velocity
    tempos: list[tuple[int, int]] = field(default_factory=list)
    strings: dict[int, list[int]] = field(default_factory=dict)  # string -> its latest note

    def play(self, bar: int, start: int) -> None:
        measure, timed = self.track.measures[bar], []
        for voice in measure.voices:
            durations = [beat.duration for beat in voice.beats]
            ends = list(accumulate(map(_length, durations)))
            written = list(zip([Fraction(0), *ends], ends, strict=False))
            times = swung(written, durations, measure.tripletFeel.name)
            timed += [
                (start + t[0], start + t[1], b) for t, b in zip(times, voice.beats, strict=True)
            ]
        for first, last, beat in sorted(timed, key=lambda item: item[0]):
            change = beat.effect.mixTableChange
            if change is not None and change.tempo is not None:
                self.tempos.append((round(first), change.tempo.value))
            for note in beat.notes:
                self._note(note, round(first), round(last))

    def _note(self, note: Any, start: int, end: int) -> None:
        kind, drums = note.type.name, self.track.isPercussionTrack
        if kind == "tie":
            if note.string in self.strings:
                self.strings[note.string][1] = end
            return
        if kind == "rest" or (kind == "dead" and not drums):
            self.strings.pop(note.string, None)
            return
        pitch = note.value if drums else note.realValue + self.track.offset
        if 0 <= pitch <= 127:
            played = [start, max(end, start + 1), pitch, int(np.clip(note.velocity, 1, 127))]
            self.notes.append(played)
            self.strings[note.string] = played


def _length(duration: Any) -> Fraction:
    """Ticks of a written duration: dot and tuplet counted, without rounding."""
    ticks = Fraction(QUARTER * 4, duration.value)
    if duration.isDotted:
        ticks *= Fraction(3, 2)
    return ticks * Fraction(duration.tuplet.times, duration.tuplet.enters)


def _tracks(players: list[_Player]) -> list[Track]:
    """A Track with notes for each player, on a channel of its own as long as there are any."""
    free = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    tracks = []
    for number, player in enumerate(players, 1):
        wanted = player.track.channel.channel % 16
        if player.track.isPercussionTrack:
            channel = DRUM_CHANNEL
        else:
            channel = wanted if wanted in free else (free[0] if free else 15)
            free = [other for other in free if other != channel]
        notes = np.array(sorted(player.notes), dtype=np.int64) if player.notes else NO_NOTES
        program = (
            None
            if channel == DRUM_CHANNEL
            else int(np.clip(player.track.channel.instrument, 0, 127))
        )
        tracks.append(Track(number, channel, player.track.name.strip(), program, notes))
    return tracks


def _conductor(name: str, tempos: np.ndarray, metres: np.ndarray) -> bytes:
    """The track of tempi and metres."""
    events = [
        (int(tick), 0, mido.MetaMessage("set_tempo", tempo=min(int(tempo), 2**24 - 1)))
        for tick, tempo in tempos
    ]
    events += [
        (int(tick), 0, mido.MetaMessage("time_signature", numerator=int(n), denominator=int(d)))
        for tick, n, d in metres
    ]
    title = mido.MetaMessage("track_name", name=as_stored(name))
    return chunk_of([(0, 0, title), *sorted(events, key=lambda event: event[0])])


def _changes_only(metres: np.ndarray) -> np.ndarray:
    same = np.all(metres[1:, 1:] == metres[:-1, 1:], axis=1)
    return metres[np.concatenate([[True], ~same])]


def _notices(score: Any, name: str, order: Sequence[int]) -> tuple[str, ...]:
    written, said = len(score.measureHeaders), []
    if any(header.fromDirection is not None for header in score.measureHeaders):
        said.append(f"{name} has signs such as Da Capo or Coda, which are not followed.")
    if list(order) != list(range(written)):
        said.append(
            f"Repeats are written out, so that the {written} bars of {name} are {len(order)} here; "
            "--bars counts them as they are played."
        )
    return tuple(said)
