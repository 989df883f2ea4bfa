"""Compare the packaged sentence encoder with its float original and with smaller ones.

In: the checkpoint folder that `export_text_encoder.py` takes and the MusicCaps csv. Out: a table of
sizes and cosines to the float network on 400 held-out captions and on 30 short instructions.

    python scripts/compare_text_encoders.py CHECKPOINT_FOLDER musiccaps-public.csv [--dynamic FILE]

The student is the best static model that a closed form gives: a table of word vectors whose mean
is the sentence vector. It starts from the network's own vectors of single words and adds the ridge
regression of what is left, over bags of words of the other captions and of generated instructions;
the table is then cut to its strongest 128 directions and kept in int8.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import scipy.linalg
import scipy.sparse
from export_text_encoder import build, int8, load_checkpoint, prune
from tokenizers import Tokenizer

from restem.dataset.sentences import Labels, instruction
from restem.dataset.styles import styles

Encode = Callable[[Sequence[str]], np.ndarray]
HELD_OUT_SHARE = 0.2
SHORT = """
Add soft brushed jazz drums
soft brushed jazz drums
fast heavy metal drums
four-on-the-floor house drums
slow reggae drums
Insert a funky breakbeat
Put in some bossa nova percussion
drums
jazz drums
Generate thrash metal drums
Enhance with laid-back hip hop drums
Add swinging big band drums
Augment with a lo-fi boom bap beat
half-time trap drums
Insert a purdie shuffle
Add gentle waltz drums with brushes
driving punk rock drums
breakbeats at 174 bpm
afrobeat drums and busy hi-hats
Please add a soft cajon groove
Generate a motorik beat
add TR-808 drums
Put shuffling blues drums under this
a samba batucada
reggaeton dembow
slow 6/8 soul ballad drums
ska drums with rimshots
klezmer drums
Insert quiet orchestral percussion
Add a marching snare
""".strip().splitlines()


def split_captions(path: Path) -> tuple[list[str], list[str]]:
    """(seen, held out) captions; which is which depends on the caption's hash alone."""
    with path.open(encoding="utf-8", newline="") as file:
        captions = [row["caption"].strip() for row in csv.DictReader(file)]
    held = [hashlib.sha256(c.encode()).digest()[0] < 256 * HELD_OUT_SHARE for c in captions]
    pairs = list(zip(captions, held, strict=True))
    return [c for c, h in pairs if not h], [c for c, h in pairs if h]


def network(graph: bytes, tokenizer: dict) -> Encode:
    """An encoder that feeds one sentence at a time; BERT's three inputs are filled if asked for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    words = whole(tokenizer)

    def one(sentence: str) -> np.ndarray:
        ids = np.array(words.encode(sentence).ids)
        if len(session.get_inputs()) == 1:
            return session.run(None, {"tokens": ids})[0]
        feed = {i.name: np.ones_like(ids)[None] for i in session.get_inputs()}
        feed |= {"input_ids": ids[None], "token_type_ids": np.zeros_like(ids)[None]}
        mean = session.run(None, feed)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)

    return lambda sentences: np.stack([one(sentence) for sentence in sentences])


def whole(tokenizer: dict) -> Tokenizer:
    return Tokenizer.from_str(
        json.dumps(tokenizer | {"padding": None, "truncation": None}, ensure_ascii=False)
    )


def bags(sentences: Sequence[str], tokenizer: Tokenizer) -> scipy.sparse.csr_matrix:
    """(sentence, word) counts divided by the sentence's length, without the marks at the ends."""
    rows, columns, values = [], [], []
    for row, sentence in enumerate(sentences):
        ids = tokenizer.encode(sentence).ids[1:-1] or [0]
        rows += [row] * len(ids)
        columns += ids
        values += [1 / len(ids)] * len(ids)
    shape = (len(sentences), tokenizer.get_vocab_size())
    return scipy.sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)


def student(seen: list[str], teacher: Encode, tokenizer: dict) -> tuple[Encode, float]:
    """The static model of the module docstring and its size in MB."""
    words = whole(tokenizer)
    rng = np.random.default_rng(0)
    sentences = [s for c in seen for s in (c, *c.split(". "))]
    sentences = [sentences[i] for i in rng.permutation(len(sentences))[:5000]]
    rows = styles()
    for _ in range(3000):
        labels = Labels(rows[rng.integers(len(rows))].words, bpm=float(rng.uniform(60, 200)))
        sentences.append(instruction("drums", labels, rng))
    wanted = teacher(sentences)
    bag = bags(sentences, words)
    alone = np.zeros((words.get_vocab_size(), wanted.shape[1]), dtype=np.float32)
    used = np.unique(bag.indices)
    pieces = {i: w.removeprefix("##") for w, i in words.get_vocab().items()}
    alone[used] = teacher([pieces[int(i)] for i in used])
    scale = np.linalg.lstsq((bag @ alone), wanted, rcond=None)[0]
    table = alone @ scale
    kernel = (bag @ bag.T).toarray()
    kernel[np.diag_indices_from(kernel)] += 0.01
    rest = wanted - bag @ table
    table += bag.T @ scipy.linalg.solve(kernel, rest, assume_a="pos")
    left, strength, right = np.linalg.svd(table[used], full_matrices=False)
    short, row_scale = int8(left[:, :128] * strength[:128], axis=1)
    table[:] = 0
    table[used] = (short * row_scale) @ right[:128]

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors = bags(texts, words) @ table + 1e-9
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return encode, (short.size + 4 * row_scale.size + 4 * right[:128].size) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("captions", type=Path)
    parser.add_argument(
        "--dynamic", type=Path, help="a dynamically quantised ONNX BERT, to compare"
    )
    arguments = parser.parse_args()
    weights, tokenizer = load_checkpoint(arguments.checkpoint)
    seen, held = split_captions(arguments.captions)
    held = [held[i] for i in np.random.default_rng(0).permutation(len(held))[:400]]
    teacher = network(build(weights, quantise=False).SerializeToString(), tokenizer)
    truth = teacher(held), teacher(SHORT)
    print("| encoder | MB | captions: mean, 5 % | instructions: mean, 5 % | ms a sentence |")
    print("|---|---|---|---|---|")

    def report(name: str, encode: Encode, megabytes: float) -> None:
        start = time.perf_counter()
        vectors = encode(held), encode(SHORT)
        spent = 1000 * (time.perf_counter() - start) / (len(held) + len(SHORT))
        cosines = [(a * b).sum(axis=1) for a, b in zip(truth, vectors, strict=True)]
        columns = [f"{c.mean():.4f}, {np.percentile(c, 5):.4f}" for c in cosines]
        print(
            f"| {name} | {megabytes:.1f} | {columns[0]} | {columns[1]} | {spent:.1f} |", flush=True
        )

    graph = build(weights).SerializeToString()
    report("int8 weights, all words", network(graph, tokenizer), len(graph) / 1e6)
    fewer, small_tokenizer = prune(weights, tokenizer)
    graph = build(fewer).SerializeToString()
    report("int8 weights, ASCII words (shipped)", network(graph, small_tokenizer), len(graph) / 1e6)
    if arguments.dynamic:
        graph = arguments.dynamic.read_bytes()
        report("dynamic int8", network(graph, tokenizer), len(graph) / 1e6)
    report("static student, closed form", *student(seen, teacher, tokenizer))


if __name__ == "__main__":
    main()
