"""PyTorch state dicts, read without PyTorch and without running code from the file.

A ``.pth`` file holds a pickle that describes tensors as views of storages, and the numbers of the
storages, in a zip archive or as a stream. The pickle is read by a :class:`pickle.Unpickler` in
which every name is refused but those of tensors; these stand for methods here that only check and
keep numbers. A later instruction of the pickle cannot change their results.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from nstrep.base.npz import FormatError, Stored, damage_as_format_error, read_member
from nstrep.networks.weights.reader import Reader

STREAM_MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
MAX_PICKLE_BYTES = 1 << 20  # VGG-19's is 4 KB
# A tensor needs five. Python crashes on the hash of a tuple nested 150,000 deep.
MAX_TUPLES = 50_000

# Class of a storage to NumPy's type.
STORAGES = {
    "HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8", "BFloat16Storage": "V2",
    "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "<i2", "IntStorage": "<i4",
    "LongStorage": "<i8", "BoolStorage": "?",
}  # fmt: skip


class Storage(NamedTuple):
    """A flat block of numbers in the file."""

    key: str
    dtype: np.dtype
    count: int
    nbytes = property(lambda self: self.count * self.dtype.itemsize)


class Tensor(NamedTuple):
    """A view of a storage; offset and strides are counted in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_zip(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List the tensors of a state dict in the zip format (PyTorch 1.6 and later)."""
    members = {info.filename: info for info in archive.infolist()}
    name = next(name for name in members if PurePosixPath(name).name == "data.pkl")
    folder = name.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order and (order.file_size > 10 or read_member(archive, order) != b"little"):
        raise FormatError("is a big-endian state dict, expected little-endian")
    if members[name].file_size > MAX_PICKLE_BYTES:
        raise FormatError(f"is no state dict: its data.pkl has {members[name].file_size} bytes")
    root = unpickle(io.BytesIO(read_member(archive, members[name])))

    def load(storage: Storage) -> bytes:
        info = members.get(f"{folder}data/{storage.key}")
        if info is None or info.file_size != storage.nbytes or info.compress_type:
            raise FormatError(f"is damaged: no storage {storage.key!r} of {storage.nbytes} bytes")
        return read_member(archive, info)

    return _arrays(root, load)


@contextmanager
def open_stream(path: Path) -> Iterator[dict[str, Stored]]:
    """List the tensors of a state dict in the stream format (before PyTorch 1.6)."""
    with path.open("rb") as file:
        reader = Reader(file)
        # Five pickles, then the storages: magic number, version, machine, state dict, storage keys.
        pickles = io.BytesIO(reader.at(0, min(reader.length, MAX_PICKLE_BYTES)))
        _magic, version, machine = (unpickle(pickles) for _ in range(3))
        if version != 1001 or not isinstance(machine, dict) or not machine.get("little_endian"):
            raise FormatError("is no PyTorch file of version 1001, little-endian")
        storages: dict[str, Storage] = {}
        root = unpickle(pickles, storages)
        keys = unpickle(pickles)
        listed = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not listed or sorted(keys) != sorted(storages):
            raise FormatError("is damaged: its list of storages does not match its tensors")
        reader.skip(pickles.tell())
        starts = {}
        for key in keys:
            (count,) = reader.unpack("q")
            if count != storages[key].count:
                raise FormatError(
                    f"is damaged: a storage of {count} numbers, {storages[key].count} are due"
                )
            starts[key] = reader.skip(storages[key].nbytes)
        yield _arrays(root, lambda storage: reader.at(starts[storage.key], storage.nbytes))


def _arrays(root: object, load: Callable[[Storage], bytes]) -> dict[str, Stored]:
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]  # a training checkpoint
    if not isinstance(root, dict):
        raise FormatError(f"is no state dict: it holds a {type(root).__name__}")

    def read(tensor: Tensor) -> np.ndarray:
        flat = np.frombuffer(load(tensor.storage), tensor.storage.dtype)[tensor.offset :]
        strides = [stride * flat.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)

    arrays = {}
    for name, tensor in root.items():
        if isinstance(name, str) and isinstance(tensor, Tensor):
            dtype = tensor.storage.dtype
            kind = "bfloat16" if dtype.kind == "V" else dtype.name
            arrays[name] = Stored(tensor.shape, kind, partial(read, tensor))
    if not arrays:
        raise FormatError("is a PyTorch file without tensors, expected a state dict")
    return arrays


def unpickle(stream: io.BytesIO, storages: dict[str, Storage] | None = None) -> object:
    """Read one pickle of numbers, strings, lists, tuples, dicts and tensors, up to its end.

    Fills ``storages`` with those that it names. Raises FormatError for damage and anything else.
    """
    with damage_as_format_error("is a damaged or cut PyTorch file"):
        start, tuples = stream.tell(), 0
        # pickle itself allocates memory for any memo index, and hashes nested tuples by recursion.
        for opcode, argument, position in pickletools.genops(stream):
            tuples += "TUPLE" in opcode.name
            # Memo indices are consecutive, and each takes at least two bytes to store.
            if tuples > MAX_TUPLES or (opcode.name.endswith("PUT") and argument > position):
                raise ValueError("not a state dict of PyTorch")
        stream.seek(start)
        return _Unpickler(stream, {} if storages is None else storages).load()


class _Dict(dict):
    """A dict that ignores attributes: a state dict's ``_metadata`` holds versions of layers."""

    __slots__ = ()
    __setstate__ = lambda self, state: None  # noqa: E731


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, storages: dict[str, Storage]) -> None:
        super().__init__(stream)
        self.storages = storages

    def find_class(self, module: str, name: str) -> object:
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return name
        match f"{module}.{name}":
            case "collections.OrderedDict":
                return _Dict
            case "torch._utils._rebuild_parameter":
                return self.parameter
            case "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2":
                return self.tensor
        raise FormatError(f"is no plain state dict: its pickle calls {module}.{name}")

    def persistent_load(self, pid: tuple) -> Storage:
        kind, name, key, _location, count, *view = pid
        storage = Storage(key, np.dtype(STORAGES[name]), count)
        plain = isinstance(key, str) and isinstance(count, int) and count >= 0
        if kind != "storage" or any(view) or not plain:
            raise ValueError("not a plain storage")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("a storage of two sizes or types")
        return storage

    def parameter(self, tensor: object, *_options: object) -> object:
        return tensor

    def tensor(
        self, storage: Storage, offset: int, shape: tuple, strides: tuple, *_options: object
    ) -> Tensor:
        shape, strides = tuple(shape), tuple(strides)  # copies, in case the file used lists
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, Storage) or not all(isinstance(n, int) for n in numbers):
            raise ValueError("not a tensor")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        beyond = math.prod(shape) and last >= storage.count
        if beyond or min(numbers) < 0 or len(shape) != len(strides):
            raise ValueError("a tensor beyond its storage")
        return Tensor(storage, offset, shape, strides)
