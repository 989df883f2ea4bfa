"""A bass plays the roots of a song that has them itself, and is free where none is heard."""

import numpy as np
import pytest

from restem.composing import FOLDER, TEMPERATURES
from restem.symbolic import cells
from restem.symbolic.arrange import fill
from restem.symbolic.model import RollModel
from restem.symbolic.roots import LOWEST, UNHEARD, leaning
from restem.symbolic.wishes import Wishes

BAR, BEAT = 48, 12  # steps
CHORDS = {"Am": (45, 52, 57, 60, 64), "F": (41, 48, 53, 57, 60), "C": (48, 52, 55, 60, 64),
          "G": (43, 47, 50, 55, 59)}  # fmt: skip
LOW, HIGH = cells.RANGES["bass"]


def _bars(count):
    return np.array([[BAR * i, BAR, 4, 12] for i in range(count)])


def _strummed(chords):
    planes = np.zeros((2, BAR * len(chords), 128), bool)
    for bar, chord in enumerate(chords):
        for beat in range(4):
            first = BAR * bar + BEAT * beat
            planes[0, first, list(CHORDS[chord])] = True
            planes[1, first : first + 11, list(CHORDS[chord])] = True
    return planes


def _of_pitches(lean, token):
    shaped = lean[token].reshape(2, cells.TOKEN_STEPS, HIGH - LOW)
    assert (shaped == shaped[0, 0]).all()
    return dict(zip(range(LOW, HIGH), shaped[0, 0].tolist(), strict=True))


def test_the_lowest_note_is_likelier_and_classes_that_are_not_heard_less_likely():
    grid = cells.token_grid(_bars(2))
    lean = leaning({"other": _strummed(["Am", "F"])}, _bars(2), grid)
    assert lean.shape == (len(grid), cells.values_of("bass"))
    first, second = _of_pitches(lean, 0), _of_pitches(lean, len(grid) // 2)
    assert first[33] == first[45] == LOWEST and first[28] == first[36] == 0.0
    assert first[29] == first[31] == -UNHEARD
    assert second[29] == LOWEST and second[33] == 0.0 and second[28] == -UNHEARD


def test_the_next_chord_of_a_bar_tells_nothing_of_the_beat_before():
    grid, planes = cells.token_grid(_bars(1)), _strummed(["Am"])
    planes[:, 2 * BEAT :] = _strummed(["F"])[:, 2 * BEAT :]
    lean = leaning({"other": planes}, _bars(1), grid)
    at = [_of_pitches(lean, token) for token in range(len(grid))]
    assert [pitches[33] == LOWEST for pitches in at] == [True] * 4 + [False] * 4
    assert [pitches[29] == LOWEST for pitches in at] == [False] * 4 + [True] * 4


def test_high_notes_tell_no_root_and_silence_and_drums_nothing():
    grid = cells.token_grid(_bars(1))
    high = np.roll(_strummed(["C"]), 24, axis=2)
    lean = _of_pitches(leaning({"other": high}, _bars(1), grid), 0)
    assert lean[36] == lean[28] == 0.0 and lean[37] == -UNHEARD
    for parts in ({"other": np.zeros_like(high)}, {"drums": high}, {}):
        assert not leaning(parts, _bars(1), grid).any()


@pytest.mark.parametrize("words", ["walking bass", "country bass, root and fifth, half notes"])
def test_a_bass_beside_a_guitar_alone_begins_its_bars_with_their_roots(words):
    chords = ["Am", "F", "C", "G"] * 2
    model = RollModel.load("bass", FOLDER, heard=True)
    asked = Wishes(words, temperature=TEMPERATURES["bass"], second_look=True)
    made = fill(model, {"other": _strummed(chords)}, _bars(len(chords)), asked)
    first = [np.flatnonzero(made[0, BAR * bar : BAR * bar + 6].any(axis=0)) for bar in range(8)]
    roots = [
        len(pitches) > 0 and pitches[0] % 12 == CHORDS[chord][0] % 12
        for pitches, chord in zip(first, chords, strict=True)
    ]
    assert sum(roots) >= 7
