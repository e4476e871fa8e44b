"""MXNet's ``.params`` files, read without MXNet, which allocates before it checks sizes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nstrep.base.npz import FormatError, Stored
from nstrep.networks.weights.reader import Reader

MAGIC = struct.pack("<Q", 0x112)
MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME_BYTES = 10_000, 8, 1_000

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
"""By mshadow's type flag. Flags above these, such as 12 for bfloat16, have no NumPy type."""

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


@contextmanager
def open_params(path: Path) -> Iterator[dict[str, Stored]]:
    """List a file of ``mx.nd.save``: each version of MXNet's format from 2015 (none) to V3."""
    with path.open("rb") as file:
        reader = Reader(file)
        _magic, _reserved, count = reader.unpack("QQQ")
        if count > MAX_ARRAYS:
            raise FormatError(f"is damaged: its header announces {count} arrays")
        arrays = [_array(reader) for _ in range(count)]
        (names,) = reader.unpack("Q")
        if names != count:
            raise FormatError(f"has {count} arrays and {names} names, expected a name for each")
        named = {_name(reader).removeprefix("arg:"): stored for stored in arrays}
        yield {name: stored for name, stored in named.items() if stored is not None}


def _name(reader: Reader) -> str:
    (size,) = reader.unpack("Q")
    if size > MAX_NAME_BYTES:
        raise FormatError(f"is damaged: a name of {size} bytes")
    return reader.take(size).decode("utf-8", errors="replace")


def _array(reader: Reader) -> Stored | None:
    # src/ndarray/ndarray.cc of MXNet 1.9.1: NDArray::Load and, for the two oldest layouts,
    # NDArray::LegacyLoad. In the oldest the first word is the number of dimensions.
    (magic,) = reader.unpack("I")
    if magic in (V2, V3):
        (storage,) = reader.unpack("i")
        if storage != 0:
            raise FormatError(f"has an array of storage type {storage}, expected dense arrays (0)")
    dimensions, word = magic, "I"
    if magic in (V1, V2, V3):
        (dimensions,) = reader.unpack("i")
        word = "q"
    if dimensions == (-1 if magic == V3 else 0):
        return None  # an array without a value: nothing follows
    if not 0 <= dimensions <= MAX_DIMENSIONS:
        raise FormatError(f"is damaged: an array of {dimensions} dimensions")
    shape = reader.unpack(f"{dimensions}{word}")
    if min(shape, default=0) < 0:
        raise FormatError(f"is damaged: an array of shape {shape}")
    _device, _device_id, flag = reader.unpack("iii")
    if not 0 <= flag < len(DTYPES):
        raise FormatError(f"has an array of MXNet type {flag}, expected 0 (float32)")
    dtype = np.dtype(DTYPES[flag]).newbyteorder("<")
    size = math.prod(shape) * dtype.itemsize
    start = reader.skip(size)
    read = lambda: np.frombuffer(reader.at(start, size), dtype).reshape(shape)  # noqa: E731
    return Stored(shape, DTYPES[flag], read)
