"""How a long stem is made of windows, with a network whose answer is known."""

import numpy as np
import pytest

from restem.generation import GUIDED_ABOVE, NEW, generate, rescaled
from restem.manner import Wish
from restem.tokens import CONTROLS, MARKS, PHASES, TokenConfig, control_features

CONFIG = TokenConfig()
TEXT, NULL = np.ones(384, np.float32), np.zeros(384, np.float32)
ASKED = Wish(TEXT, NULL)


class Network:
    """Answers with the first number of the context in every cell, and keeps what it was shown."""

    tokens, controls, distilled = CONFIG, 0, False

    def __init__(self):
        self.description = {"logits": [6.0, -2.0]}
        self.calls = []

    def predict(self, stem, context, phase, text, t):
        self.calls.append((stem.copy(), context.copy(), phase.copy(), t))
        return np.repeat(context[:, :, :1], CONFIG.stem_values, axis=2)


def _made(length, guidance=2.0, silent=0, network=None):
    network = network or Network()
    level = np.linspace(0, 1, length, dtype=np.float32)
    level[:silent] = CONFIG.silence
    context = np.repeat(level[:, None], CONFIG.context_values, axis=1)
    phase = np.arange(length, dtype=np.float32)[:, None].repeat(PHASES, axis=1)
    stem = generate(network, context, phase, ASKED, seed=1, steps=3, guidance=guidance)
    return stem, level, network


@pytest.mark.parametrize("length", [128, 129, 191, 192, 193, 500])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_token_is_made_from_its_own_context(length, guidance):
    stem, level, network = _made(length, guidance)
    assert stem.shape == (length, CONFIG.stem_values)
    np.testing.assert_allclose(stem[:, 0], level, atol=1e-6)
    assert all(
        len(call[0]) == (2 if guidance != 1 and call[3] > GUIDED_ABOVE else 1)
        for call in network.calls
    )
    assert {len(call[0]) for call in network.calls} == ({1} if guidance == 1 else {1, 2})
    assert all(call[0].shape[1] == CONFIG.window for call in network.calls)


class Listener(Network):
    """Answers with what it hears and the first number of its words; keeps the words too."""

    def predict(self, stem, context, phase, text, t):
        super().predict(stem, context, phase, text, t)
        self.calls[-1] += (text.copy(),)
        answer = context[:, :, :1] * (1 + text[:, None, :1])
        return np.repeat(answer, CONFIG.stem_values, axis=2)


def _context():
    return np.linspace(-1, 1, 128, dtype=np.float32)[:, None].repeat(CONFIG.context_values, 1)


def test_guidance_leads_away_from_nothing():
    network, context = Listener(), _context()
    phase = np.ones((128, PHASES), np.float32)
    seen = []
    generate(
        network, context, phase, ASKED, seed=1, steps=4, guidance=2.0,
        glimpse=lambda first, made: seen.append(made[:, 0].copy()),
    )  # fmt: skip
    _, heard, place, t, words = network.calls[0]
    assert t == 1.0
    np.testing.assert_array_equal(words[:, 0], [1, 0])
    np.testing.assert_array_equal(heard[0], context)
    assert (heard[1] == CONFIG.silence).all()
    np.testing.assert_array_equal(place[:, 0, 0], [1, 0])
    # The answer to nothing is even, so what is led away from it keeps its shape and is rescaled.
    np.testing.assert_allclose(seen[0], 2 * context[:, 0], atol=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 8.0])
def test_a_distilled_network_is_asked_once_and_told_all(guidance):
    network = Listener()
    network.controls, network.distilled = CONTROLS, True
    asked = Wish(TEXT, NULL, density=0.4, loudness=None)
    phase = np.ones((128, PHASES), np.float32)
    generate(network, _context(), phase, asked, seed=1, steps=4, guidance=guidance)
    assert len(network.calls) == 4
    for call in network.calls:
        (words,) = call[4]
        told = control_features(0.4, None, None if guidance == 1 else guidance)
        np.testing.assert_allclose(words, np.append(TEXT, told))
    assert told[4] == (guidance != 1) and told[5] == pytest.approx(0.9 if guidance == 8 else 0)


def test_guidance_neither_raises_nor_sharpens_what_is_new():
    rng = np.random.default_rng(0)
    plain, led = rng.uniform(-1.5, 0.7, (128, 9)), rng.normal(0.3, 2.0, (128, 9))
    led[40:] = 0.3 + 2 * np.tanh(led[40:])  # of less range than the plain answer's
    led[:40] = 0.1 * plain[:40]
    made = rescaled(led, plain, slice(32, None))
    assert made[32:].mean() == pytest.approx(plain[32:].mean())
    assert made[32:].std() == pytest.approx(plain[32:].std())
    assert np.corrcoef(made.ravel(), led.ravel())[0, 1] == pytest.approx(1)
    flat = rescaled(np.ones((128, 9)), plain, slice(32, None))
    np.testing.assert_allclose(flat[32:], plain[32:].mean())
    led[50, 3] = 500.0  # where guidance leads out of all range, the plain answer's range holds
    made = rescaled(led, plain, slice(32, None))
    assert made.max() == pytest.approx(plain[32:].max()) and made.min() >= plain[32:].min()


def test_later_windows_are_given_an_anchor_and_the_end_of_what_is_made():
    stem, _, network = _made(400)
    shown, _, place, _ = network.calls[3]  # the first step of the second window
    marks = place[0, :, PHASES:]
    anchor = CONFIG.anchor
    assert marks.shape[1] == MARKS
    np.testing.assert_array_equal(marks[:, 1], np.arange(CONFIG.window) < anchor)
    np.testing.assert_array_equal(marks[:, 0], np.arange(CONFIG.window) < CONFIG.window - NEW)
    rows = place[0, :, 0].astype(int)  # the phase tells which token it is
    np.testing.assert_array_equal(rows[:anchor], np.arange(128 - anchor, 128))  # the loudest
    np.testing.assert_array_equal(rows[anchor:], np.arange(128 + NEW - 96, 128 + NEW))
    given = marks[:, 0] > 0
    np.testing.assert_allclose(shown[0, given], stem[rows[given]], atol=1e-6)
    assert np.abs(shown[0, ~given] - stem[rows[~given]]).mean() > 0.5  # noise


def test_a_first_window_has_no_marks_and_a_silent_start_gives_no_anchor():
    _, _, network = _made(400, silent=250)
    assert not network.calls[0][2][0, :, PHASES:].any()
    second = network.calls[3][2][0, :, PHASES:]
    assert not second[:, 1].any() and second[:, 0].sum() == CONFIG.window - NEW
    last = network.calls[-1][2][0, :, PHASES:]
    assert last[:, 1].sum() == CONFIG.anchor


def test_the_seed_is_all_that_noise_hangs_on():
    class Echo(Network):
        def predict(self, stem, context, phase, text, t):
            return stem * np.float32(0.5)

    first, again = (_made(300, network=Echo())[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
