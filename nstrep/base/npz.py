"""Arrays in ``.npz`` files: written atomically, and read with their sizes checked first.

``np.load`` trusts an array's header and unpacks the whole member, which may be gigabytes. Here the
arrays are listed with shape and type, a caller checks these, and only then loads an array. Pickled
objects are refused.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write
from nstrep.base.text import reason


class FormatError(Exception):
    """A file cannot be used. The message continues a line that begins with the file's name."""


@dataclass(frozen=True)
class Stored:
    """An array in a file."""

    shape: tuple[int, ...]
    dtype: str  # NumPy's name of the type, or the file's name of a type that NumPy does not have
    read: Callable[[], np.ndarray]


def save_npz(path: str | os.PathLike[str], /, **arrays: np.ndarray) -> None:
    """Write named arrays as a compressed ``.npz``, atomically. Equal arrays give equal bytes."""
    # In memory first: on a full disk the destructor of a zip archive prints a traceback.
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with atomic_write(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


@contextlib.contextmanager
def as_input_error(what: str) -> Iterator[None]:
    """Turn the errors of a file that cannot be used into InputErrors that begin with ``what``."""
    try:
        yield
    except FormatError as error:
        raise InputError(f"{what}: {error}") from error
    except OSError as error:
        raise InputError(f"{what}: cannot be read ({reason(error)})") from error


def check_file(path: Path, expected: str) -> None:
    """Raise FormatError unless a path is a regular file; opening a pipe or device could block."""
    if not path.exists():
        raise FormatError("there is no such file")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise FormatError(f"is {kind}, expected {expected}")


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[dict[str, Stored]]:
    """List the arrays of an ``.npz`` file; each can be loaded inside the block.

    Raises FormatError if the file is missing, damaged or no ``.npz``, OSError if it is unreadable.
    """
    check_file(path, "an .npz file")
    with open_zip(path) as archive:
        yield read_npz(archive)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, or raise FormatError if it is damaged."""
    with damage_as_format_error("is a damaged or cut zip archive"):
        return zipfile.ZipFile(path)


def read_npz(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List the arrays of an open archive, as :func:`open_npz` does."""
    arrays = {
        info.filename.removesuffix(".npy"): _stored(archive, info)
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    if not arrays:
        names = ", ".join(map(repr, archive.namelist()[:3]))
        raise FormatError(f"is a zip archive of {names or 'nothing'}, expected .npy arrays")
    return arrays


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, whose checksum and length (``info.file_size``) are checked."""
    with _open_member(archive, info) as member:
        data = member.read(info.file_size)  # no more, whatever its compressed size claims
        if len(data) != info.file_size:
            raise EOFError("it is too short")
    return data


def _stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    with _open_member(archive, info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError("not in version 1.0 of NumPy's format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        size = info.file_size - member.tell()
    if dtype.hasobject:
        raise FormatError(f"holds Python objects in {info.filename!r}, expected floats")
    if size != math.prod(shape) * dtype.itemsize:
        raise FormatError(
            f"is damaged: {info.filename!r} has {size} bytes of data, "
            f"its shape {shape} and type {dtype} need {math.prod(shape) * dtype.itemsize}"
        )

    def read() -> np.ndarray:
        with _open_member(archive, info) as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    return Stored(shape, dtype.name, read)


@contextlib.contextmanager
def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    message = f"has a damaged member {info.filename!r}"
    with damage_as_format_error(message), archive.open(info) as member:
        yield member


@contextlib.contextmanager
def damage_as_format_error(
    message: str, passed: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turn the many exceptions of libraries for damaged files into FormatError, but ``passed``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged text in a header, parsed as Python, may warn
            yield
    except (FormatError, MemoryError, *passed):
        raise
    except Exception as error:
        raise FormatError(f"{message} ({reason(error)})") from None
