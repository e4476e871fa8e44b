"""The pickle of a PyTorch state dict, carried out by a machine that can do nothing else.

Python's pickle language can call any function. Here the few instructions that a state dict needs
are carried out on plain lists and dicts; every other instruction, and every name of a class or
function that is not about tensors, is refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import warnings
from dataclasses import dataclass

import numpy as np

from nstrep.arrays import FormatError

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
