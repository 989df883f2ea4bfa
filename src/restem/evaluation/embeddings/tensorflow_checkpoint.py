"""A TensorFlow checkpoint (an .index and a .data file) comes in; its arrays by name go out.

The index is a table of LevelDB's format (its doc/table_format.md): blocks of keys and values, the
keys shortened by what they share with the one before. The values are the two messages of
TensorFlow's tensor_bundle.proto. Nothing but float32 and integer arrays in one data file is read.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restem.errors import UserError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # DataType of types.proto


def read_tensorflow_checkpoint(index_path: Path, data_path: Path) -> dict[str, NDArray]:
    """Arrays of a version 2 checkpoint by variable name.

    Raises UserError if a file is missing or damaged, or holds what is not read here.
    """
    for path in (index_path, data_path):
        if not path.is_file():
            raise UserError(f"There are no weights at {path}; install them again.")
    index, data = index_path.read_bytes(), data_path.read_bytes()
    try:
        entries = dict(_table(index))
        entries.pop(b"", None)  # the header: one shard and little-endian, as the sizes below show
        return {name.decode(): _array(entry, data) for name, entry in entries.items()}
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise UserError(
            f"{index_path} is no TensorFlow checkpoint ({error}); install the weights again."
        ) from error


def _table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = index[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as one")
    _, at = _handle(footer, 0)  # the block of meta data, unused
    blocks, _ = _handle(footer, at)
    for _, value in _block(index, *blocks):
        data_block, _ = _handle(value, 0)
        yield from _block(index, *data_block)


def _block(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    block, compression = index[start : start + size], index[start + size]
    if compression != 0 or len(block) != size:
        raise ValueError("a block is compressed or cut")
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        at += added
        yield key, block[at : at + length]
        at += length


def _array(entry: bytes, data: bytes) -> NDArray:
    """BundleEntryProto: 1 dtype, 2 shape, 3 shard, 4 offset, 5 size, 6 checksum."""
    numbers, messages = _message(entry)
    dtype, offset, size = numbers.get(1, 0), numbers.get(4, 0), numbers.get(5, 0)
    if numbers.get(3, 0) != 0 or dtype not in _DTYPES or offset + size > len(data):
        raise ValueError("an entry lies outside the data file or is of an unknown type")
    _, dimensions = _message(messages[0][1] if messages else b"")
    shape = [_message(dimension)[0].get(1, 0) for _, dimension in dimensions]
    return np.frombuffer(data[offset : offset + size], _DTYPES[dtype]).reshape(shape).copy()


def _message(message: bytes) -> tuple[dict[int, int], list[tuple[int, bytes]]]:
    """Numbers by field and the embedded messages, in order, of a protocol buffer message."""
    numbers: dict[int, int] = {}
    messages: list[tuple[int, bytes]] = []
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            numbers[field], at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            messages.append((field, message[at : at + length]))
            at += length
        elif kind == 5:
            at += 4  # the checksum
        else:
            raise ValueError(f"a field of kind {kind}")
    return numbers, messages


def _handle(block: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(block, at)
    size, at = _varint(block, at)
    return (offset, size), at


def _varint(block: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = block[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
