"""PyTorch state dicts, read without PyTorch and without running anything that the file says.

A ``.pth`` file describes its tensors in Python's pickle language, which can call any function.
Here the few instructions that a state dict needs are carried out on plain lists and dicts; every
other instruction, and every name of a class or function that is not about tensors, is refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from nstrep.containers import FormatError, Reader, Stored, read_member

LEGACY_MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
MAX_PICKLE_BYTES = 1 << 20  # VGG-19's is 4 KB

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


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names. It is never imported."""

    module: str
    name: str


@dataclass(frozen=True)
class Storage:
    """A flat block of numbers in the file."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_zip(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List the tensors of a state dict in the zip format (PyTorch 1.6 on)."""
    members = {info.filename: info for info in archive.infolist()}
    name = next(name for name in members if PurePosixPath(name).name == "data.pkl")
    folder = name.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order is not None and read_member(archive, order, len(b"little")) != b"little":
        raise FormatError("is a big-endian state dict, expected little-endian")
    info = members[name]
    if info.file_size > MAX_PICKLE_BYTES:
        raise FormatError(f"is no state dict: its data.pkl has {info.file_size} bytes")
    root = unpickle(io.BytesIO(read_member(archive, info, info.file_size)))

    def load(storage: Storage) -> bytes:
        info = members.get(f"{folder}data/{storage.key}")
        size = storage.count * storage.dtype.itemsize
        if info is None or info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
            raise FormatError(f"is damaged: no storage {storage.key!r} of {size} bytes")
        return read_member(archive, info, size)

    return _arrays(root, load)


def read_legacy(reader: Reader) -> dict[str, Stored]:
    """List the tensors of a state dict in the stream format (before PyTorch 1.6)."""
    # Five pickles, then the storages: magic number, version, machine, state dict, storage keys.
    head = io.BytesIO(reader.at(0, min(reader.length, MAX_PICKLE_BYTES)))
    _magic, version, machine = (unpickle(head) for _ in range(3))
    if version != 1001 or not isinstance(machine, dict) or not machine.get("little_endian"):
        raise FormatError("is no PyTorch file of version 1001, little-endian")
    storages: dict[str, Storage] = {}
    root = unpickle(head, storages)
    keys = unpickle(head)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise FormatError("is damaged: its list of storages does not match its tensors")
    reader.skip(head.tell())
    starts = {}
    for key in keys:
        (count,) = reader.unpack("q")
        if count != storages[key].count:
            raise FormatError(
                f"is damaged: a storage of {count} numbers, {storages[key].count} are due"
            )
        starts[key] = reader.skip(count * storages[key].dtype.itemsize)

    def load(storage: Storage) -> bytes:
        return reader.at(starts[storage.key], storage.count * storage.dtype.itemsize)

    return _arrays(root, load)


def _arrays(root: object, load: Callable[[Storage], bytes]) -> dict[str, Stored]:
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]  # a training checkpoint
    if not isinstance(root, dict):
        raise FormatError(f"is no state dict: it holds a {type(root).__name__}")
    found = {}
    for name, tensor in root.items():
        if isinstance(tensor, Tensor):
            found[str(name)] = Stored(
                tensor.shape,
                "bfloat16" if tensor.storage.dtype.kind == "V" else tensor.storage.dtype.name,
                lambda tensor=tensor: _view(tensor, load(tensor.storage)),
            )
    if not found:
        raise FormatError("is a PyTorch file without tensors, expected a state dict")
    return found


def _view(tensor: Tensor, data: bytes) -> np.ndarray:
    flat = np.frombuffer(data, tensor.storage.dtype)[tensor.offset :]
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)


# --- the pickle language -------------------------------------------------------------------------

PUSH_ARGUMENT = (
    "BINFLOAT",
    "BININT",
    "BININT1",
    "BININT2",
    "BINSTRING",
    "BINUNICODE",
    "LONG1",
    "SHORT_BINSTRING",
)
# Fresh for each use: lists and dicts are filled later.
PUSH_NEW = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


def unpickle(stream: io.BytesIO, storages: dict[str, Storage] | None = None) -> object:
    """Carry out one pickle and leave ``stream`` behind its end.

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
            return _Machine({} if storages is None else storages).run(stream)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error):
        raise FormatError("is a damaged or cut PyTorch file") from None


class _Machine:
    """A stack, a memo, and the instructions (opcodes of pickle protocol 2, by their names)."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.storages = storages

    def run(self, stream: io.BytesIO) -> object:
        for opcode, argument, _position in pickletools.genops(stream):
            name = opcode.name
            if name in PUSH_ARGUMENT:
                self.stack.append(argument)
            elif name in PUSH_NEW:
                self.stack.append(PUSH_NEW[name]())
            elif name in ("BINPUT", "LONG_BINPUT"):
                self.memo[argument] = self.stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[argument])
            elif name == "GLOBAL":
                self.stack.append(Name(*argument.split(" ")))
            elif name == "MARK":
                self.marks.append(len(self.stack))
            elif name == "TUPLE":
                self.stack.append(tuple(self.since_mark()))
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                self.stack.append(tuple(self.pop(int(name[-1]))))
            elif name == "APPEND":
                (item,) = self.pop(1)
                self.target(list).append(item)
            elif name == "APPENDS":
                items = self.since_mark()
                self.target(list).extend(items)
            elif name == "SETITEM":
                self.set_items(self.pop(2))
            elif name == "SETITEMS":
                self.set_items(self.since_mark())
            elif name == "BINPERSID":
                self.stack.append(self.storage(*self.pop(1)))
            elif name == "REDUCE":
                self.stack.append(self.call(*self.pop(2)))
            elif name == "BUILD":
                self.pop(1)  # the attribute _metadata of a state dict: layer versions, not needed
            elif name == "STOP":
                (result,) = self.stack
                return result
            elif name != "PROTO":
                raise FormatError(f"is no plain state dict: its pickle uses {name}")
        raise ValueError("no end")

    def pop(self, count: int) -> list:
        if len(self.stack) < count:
            raise LookupError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def since_mark(self) -> list:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def target(self, kind: type) -> list | dict:
        if not isinstance(self.stack[-1], kind):
            raise TypeError
        return self.stack[-1]

    def set_items(self, items: list) -> None:
        target = self.target(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError
            target[key] = value

    def storage(self, identity: tuple) -> Storage:
        kind, name, key, _location, count, *view = identity
        if kind != "storage" or name.module not in ("torch", "torch.cuda") or any(view):
            raise ValueError
        if name.name not in STORAGES:
            raise FormatError(f"has tensors of an unknown kind, {name.name!r}")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise ValueError
        storage = Storage(key, STORAGES[name.name], count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError
        return storage

    def call(self, function: Name, arguments: tuple) -> object:
        if function == Name("collections", "OrderedDict"):
            # Python 2 gave the items as an argument.
            return {str(key): value for key, value in (arguments[0] if arguments else ())}
        if function == Name("torch._utils", "_rebuild_parameter"):
            return arguments[0]
        if function in (
            Name("torch._utils", "_rebuild_tensor"),
            Name("torch._utils", "_rebuild_tensor_v2"),
        ):
            return self.tensor(*arguments[:4])
        raise FormatError(
            f"is no plain state dict: its pickle calls {function.module}.{function.name}"
        )

    def tensor(
        self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> Tensor:
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, Storage) or not all(isinstance(n, int) for n in numbers):
            raise TypeError
        if min(numbers) < 0 or len(shape) != len(strides):
            raise ValueError
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        if math.prod(shape) and last >= storage.count:
            raise ValueError
        return Tensor(storage, offset, shape, strides)
