"""Read the pickle of a PyTorch state dict with :class:`pickle.Unpickler`, restricted to tensors.

Nothing that the pickle names is imported: each name of a short list stands for a method here that
only checks and stores numbers, and every other name is refused. Those methods and their results
cannot be changed by a later instruction of the pickle. `pickle` itself allocates memory for any
memo index and hashes nested tuples by recursion, so the instructions are scanned first.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
from typing import NamedTuple

import numpy as np

from nstrep.base.npz import FormatError

# Class of the storage to NumPy's type.
STORAGES = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "ByteStorage": np.dtype("u1"),
    "CharStorage": np.dtype("i1"),
    "ShortStorage": np.dtype("<i2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
    "BoolStorage": np.dtype("?"),
    "BFloat16Storage": np.dtype("V2"),
}
OPCODES = (
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "BININT", "BININT1",
    "BININT2", "LONG1", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM",
    "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "BINPERSID", "REDUCE",
    "BUILD",
)  # fmt: skip
"""Instructions of pickle protocol 2, which PyTorch writes."""

MAX_TUPLES = 50_000
"""A tensor needs five. Python crashes on the hash of a tuple nested 150,000 deep."""


class Storage(NamedTuple):
    """A flat block of numbers in the file."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def unpickle(stream: io.BytesIO, storages: dict[str, Storage] | None = None) -> object:
    """Read one pickle and leave ``stream`` behind its end.

    Args:
        stream: the bytes, at the first instruction.
        storages: filled with the storages that the pickle names.

    Returns:
        Numbers, strings, lists, tuples, dicts and :class:`Tensor`.

    Raises:
        FormatError: the pickle is damaged, or asks for more than a state dict of tensors needs.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged text in an instruction
            start = stream.tell()
            _scan(stream)
            stream.seek(start)
            return _Unpickler(stream, {} if storages is None else storages).load()
    except FormatError:
        raise
    except Exception:  # pickle raises almost anything for a damaged file
        raise FormatError("is a damaged or cut PyTorch file") from None


def _scan(stream: io.BytesIO) -> None:
    tuples = 0
    for opcode, argument, position in pickletools.genops(stream):
        if opcode.name not in OPCODES:
            raise FormatError(f"is no plain state dict: its pickle uses {opcode.name}")
        tuples += "TUPLE" in opcode.name
        # Memo indices are consecutive, and each takes at least two bytes to store.
        if tuples > MAX_TUPLES or (opcode.name.endswith("PUT") and argument > position):
            raise ValueError


class _Dict(dict):
    """A dict that ignores attributes: a state dict's ``_metadata`` holds versions of layers."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, storages: dict[str, Storage]) -> None:
        super().__init__(stream)
        self.storages = storages

    def find_class(self, module: str, name: str) -> object:
        if module in ("torch", "torch.cuda") and name.endswith("Storage"):
            return name
        allowed = {
            "collections.OrderedDict": _Dict,
            "torch._utils._rebuild_parameter": self.parameter,
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
        }
        if f"{module}.{name}" not in allowed:
            raise FormatError(f"is no plain state dict: its pickle calls {module}.{name}")
        return allowed[f"{module}.{name}"]

    def persistent_load(self, pid: tuple) -> Storage:
        kind, name, key, _location, count, *view = pid
        if kind != "storage" or any(view):
            raise ValueError
        if name not in STORAGES:
            raise FormatError(f"has tensors of an unknown kind, {name!r}")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise ValueError
        storage = Storage(key, STORAGES[name], count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError
        return storage

    def parameter(self, tensor: object, *_options: object) -> object:
        return tensor

    def tensor(
        self, storage: Storage, offset: int, shape: tuple, strides: tuple, *_options: object
    ) -> Tensor:
        shape, strides = tuple(shape), tuple(strides)  # copies, should the file have used lists
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, Storage) or not all(isinstance(n, int) for n in numbers):
            raise TypeError
        if min(numbers) < 0 or len(shape) != len(strides):
            raise ValueError
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        if math.prod(shape) and last >= storage.count:
            raise ValueError
        return Tensor(storage, offset, shape, strides)
