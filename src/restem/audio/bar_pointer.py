"""Hidden Markov model of tempo and bar: log-odds of beat and downbeat per frame in, beats out.

The state space follows Krebs, Böck and Widmer, "An Efficient State-Space Model for Joint Tempo and
Meter Tracking" (ISMIR 2015): a position in the bar and a tempo that may change at beats only. As
nothing is decided between beats, the search steps from beat to beat (a segmental Viterbi search).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FRAMES_PER_SECOND = 50.0
# The search runs on a grid this much finer, so that hardly a tempo suffers from whole frames.
FINER = 2
METRES = (2, 3, 4)
# Metres that a person may name, with their beats in a bar; those of eighths in dotted quarters.
NAMED_METRES = {"2/4": 2, "3/4": 3, "4/4": 4, "6/8": 2, "9/8": 3, "12/8": 4}
NO_BEAT_BEFORE = -1  # back-pointer of a path's first beat


@dataclass(frozen=True)
class BeatPath:
    """The best path: `frames` (beat,) in halves, `positions` (beat,) from 1, and its metre."""

    frames: NDArray[np.float64]
    positions: NDArray[np.int64]
    beats_per_bar: int


@dataclass(frozen=True)
class BarPointer:
    """The model's priors and the search; the values were tuned on songs kept out of training."""

    low_bpm: float = 55.0
    high_bpm: float = 215.0
    tempi: int = 60  # log-spaced, so one step is 2.3 %
    most_steps: int = 6  # tempo steps from one beat to the next
    change_penalty: float = 250.0  # nats for a change by the factor e, linear below
    jitter_frames: float = 0.5  # standard deviation of a beat about the tempo, fine frames
    centre_bpm: float = 120.0
    tempo_octaves: float = 0.6  # standard deviation of the log-normal tempo prior
    tempo_weight: float = 0.5  # nats of tempo prior a second
    beat_weight: float = 2.0
    beat_offset: float = 0.0  # log-odds above which a beat pays
    most_log_odds: float = 3.0  # no frame counts for more than this
    downbeat_weight: float = 1.0
    downbeat_offset: float = 1.0  # log-odds above which a beat is rather a downbeat
    third_like_first: float = 0.0  # share of a bar's third beats that may be heard as its first
    metre_penalty: tuple[float, ...] = (4.0, 1.0, 0.0)  # nats a song for each of METRES

    @classmethod
    def of_metre(cls, metre: str) -> BarPointer:
        """One that hears no other metre than this of NAMED_METRES.

        Of eighths, which the network hears as beats too, and two of them even more, it looks for
        every third: dotted quarters are slow, and the bar tells them from all else. Its values were
        tuned on 37 songs in 6/8, 36 of which the network was trained on. 12/8 is often heard as
        twice 6/8; without `third_like_first` the eighths beside the beats may fit better.
        """
        penalty = tuple(0.0 if n == NAMED_METRES[metre] else np.inf for n in METRES)
        if not metre.endswith("/8"):
            return cls(metre_penalty=penalty)
        return cls(
            low_bpm=36.0,
            tempi=78,
            centre_bpm=75.0,
            tempo_weight=6.0,
            beat_offset=1.0,
            downbeat_weight=4.0,
            third_like_first=0.3,
            metre_penalty=penalty,
        )

    @property
    def likeliest_metre(self) -> int:
        """Beats in a bar where nothing is heard."""
        return METRES[int(np.argmin(self.metre_penalty))]

    @cached_property
    def _period(self) -> NDArray[np.float64]:
        """(tempo,) fine frames a beat."""
        seconds = np.geomspace(60.0 / self.high_bpm, 60.0 / self.low_bpm, self.tempi)
        return seconds * FRAMES_PER_SECOND * FINER

    @cached_property
    def _durations(self) -> NDArray[np.int64]:
        """(choice, tempo) whole fine frames to the next beat: one less, nearest, one more."""
        return np.rint(self._period).astype(np.int64) + np.arange(-1, 2)[:, None]

    @cached_property
    def _tempo_prior(self) -> NDArray[np.float64]:
        """(tempo,) log-normal prior in nats, 0 at its centre."""
        bpm = 60.0 * FRAMES_PER_SECOND * FINER / self._period
        return -0.5 * (np.log2(bpm / self.centre_bpm) / self.tempo_octaves) ** 2

    @cached_property
    def _duration_score(self) -> NDArray[np.float32]:
        """(choice, tempo) jitter, and the tempo prior for as long as the beat lasts."""
        score = -0.5 * ((self._durations - self._period) / self.jitter_frames) ** 2
        seconds = self._durations / (FRAMES_PER_SECOND * FINER)
        score += self.tempo_weight * self._tempo_prior * seconds
        return score.astype(np.float32)

    @cached_property
    def _step_score(self) -> NDArray[np.float32]:
        """(step,) log-probability of a tempo step: exponential in the change."""
        step = np.arange(-self.most_steps, self.most_steps + 1)
        size = np.log(self.high_bpm / self.low_bpm) / (self.tempi - 1)
        score = -self.change_penalty * size * np.abs(step)
        return (score - np.log(np.exp(score).sum())).astype(np.float32)

    def _emission(self, log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
        """(frame, lane) score of a beat here at this place in the bar."""
        most = self.most_log_odds
        beat = self.beat_weight * (np.clip(log_odds[:, 0], -most, most) - self.beat_offset)
        # log-odds of downbeat given beat, from P(downbeat) / P(beat)
        ratio = np.logaddexp(0, -log_odds[:, 0]) - np.logaddexp(0, -log_odds[:, 1])
        ratio = np.minimum(ratio, -0.02)
        down = np.clip(ratio - np.log(-np.expm1(ratio)), -most, most) - self.downbeat_offset
        is_down, is_not = -np.logaddexp(0, -down), -np.logaddexp(0, down)
        share = np.where(LANE_POSITION == 3, self.third_like_first, LANE_POSITION == 1)
        place = share * is_down[:, None] + (1 - share) * is_not[:, None]
        return (beat[:, None] + self.downbeat_weight * place).astype(np.float32)

    def decode(self, log_odds: NDArray[np.floating]) -> BeatPath:
        """The most likely beats.

        `log_odds`: (frame, 2) log-odds of beat and of downbeat, 50 frames a second. All METRES run
        side by side, and the best score wins. The path has no or one beat if the sound is shorter
        than two. The work buffers do not grow with the song; back-pointers take 2 kB a frame.
        """
        emission = self._emission(_finer(np.asarray(log_odds, dtype=np.float32)))
        durations, frames, lanes = self._durations, len(emission), len(LANE_POSITION)
        # beats inside one block cannot follow each other, so a block is searched at once
        block, memory = int(durations.min()), int(durations.max())
        score = np.full((memory + block, lanes, self.tempi), -np.inf, dtype=np.float32)
        metre_penalty = np.repeat(np.array(self.metre_penalty), METRES)
        start = (self._tempo_prior - metre_penalty[:, None]).astype(np.float32)
        longest_lead = durations[1]
        duration_choice = np.empty((frames, lanes, self.tempi), dtype=np.int8)
        step_choice = np.empty_like(duration_choice)
        for first in range(0, frames, block):
            now = slice(first, min(first + block, frames))
            size = now.stop - now.start
            best, duration_choice[now] = self._best_durations(score, size, memory)
            arrived, steps = self._best_steps(best)
            # a path may begin at any beat that lies within one interval of the song's start
            may_begin = np.arange(now.start, now.stop)[:, None] < longest_lead
            fresh = np.where(may_begin[:, None, :], start, np.float32(-np.inf))
            step_choice[now] = np.where(fresh > arrived, NO_BEAT_BEFORE, steps)
            current = np.maximum(arrived, fresh) + emission[now, :, None]
            score[memory : memory + size] = current
            score[:memory] = score[size : memory + size].copy()
        # row i of the memory is frame `frames - memory + i`; the last beat lies near the end
        near_end = memory - np.arange(memory)[:, None] <= longest_lead
        final = np.where(near_end[:, None, :], score[:memory], -np.inf)
        if frames == 0 or not np.isfinite(final).any():
            return BeatPath(np.zeros(0), np.zeros(0, np.int64), self.likeliest_metre)
        row, lane, tempo = (int(i) for i in np.unravel_index(final.argmax(), final.shape))
        return self._trace_back((frames - memory + row, lane, tempo), step_choice, duration_choice)

    def _best_durations(
        self, score: NDArray[np.float32], size: int, memory: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Best score (frame, lane, tempo) of having come from the beat before, and the choice."""
        rows = memory + np.arange(size)[:, None]
        tempi = np.arange(self.tempi)
        best = np.full((size, len(LANE_POSITION), self.tempi), -np.inf, dtype=np.float32)
        chosen = np.zeros(best.shape, dtype=np.int8)
        for choice, durations in enumerate(self._durations):
            # two index arrays parted by a slice: numpy answers (frame, tempo, lane)
            came = score[rows - durations, :, tempi].transpose(0, 2, 1)[:, LANE_BEFORE]
            came = came + self._duration_score[choice]
            chosen[came > best] = choice
            best = np.maximum(best, came)
        return best, chosen

    def _best_steps(
        self, score: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Best score (frame, lane, tempo) over the tempi before, and the index of the step."""
        reach = ((0, 0), (0, 0), (self.most_steps, self.most_steps))
        padded = np.pad(score, reach, constant_values=-np.inf)
        stepped = sliding_window_view(padded, 2 * self.most_steps + 1, axis=2) + self._step_score
        choice = stepped.argmax(axis=3)
        best = np.take_along_axis(stepped, choice[..., None], axis=3)[..., 0]
        return best, choice.astype(np.int8)

    def _trace_back(
        self,
        last: tuple[int, int, int],
        step_choice: NDArray[np.int8],
        duration_choice: NDArray[np.int8],
    ) -> BeatPath:
        frame, lane, tempo = last
        frames, lanes = [frame], [lane]
        while step_choice[frame, lane, tempo] != NO_BEAT_BEFORE:
            tempo += int(step_choice[frame, lane, tempo]) - self.most_steps
            frame -= int(self._durations[duration_choice[frame, lane, tempo], tempo])
            lane = int(LANE_BEFORE[lane])
            frames.append(frame)
            lanes.append(lane)
        positions = LANE_POSITION[lanes[::-1]]
        return BeatPath(np.array(frames[::-1]) / FINER, positions, int(LANE_METRE[lane]))


def _finer(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frame, 2) -> (FINER * (frame - 1) + 1, 2) by straight lines."""
    if len(log_odds) == 0:
        return log_odds
    coarse = np.arange(len(log_odds))
    fine = np.arange(FINER * (len(log_odds) - 1) + 1) / FINER
    columns = [np.interp(fine, coarse, column) for column in log_odds.T]
    return np.stack(columns, axis=1).astype(np.float32)


# One lane for every beat of every metre: 1 2 | 1 2 3 | 1 2 3 4.
LANE_METRE = np.repeat(METRES, METRES)
LANE_POSITION = np.concatenate([np.arange(1, metre + 1) for metre in METRES])
LANE_BEFORE = np.arange(len(LANE_POSITION)) - 1
LANE_BEFORE[LANE_POSITION == 1] += np.array(METRES)
