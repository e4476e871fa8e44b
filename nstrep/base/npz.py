"""Arrays in ``.npz`` files, listed before any is loaded, so that a file cannot lie about its size.

NumPy's own reader believes a header and unpacks what a member holds, which may be gigabytes. Here
the sizes are compared first, nothing is unpickled, and an array is loaded when it is asked for.
"""

from __future__ import annotations

import io
import lzma
import math
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nstrep.base.files import reason

MAX_NPY_HEADER_BYTES = 1_024  # NumPy writes 118 for an array of any shape met here

# What the standard library raises for damaged zip members, beside its own BadZipFile.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


class FormatError(Exception):
    """A file is not what its reader can use. The message is the rest of a line about the file."""


@dataclass(frozen=True)
class Stored:
    """An array that lies in a file: its shape, its type, and how to load it."""

    shape: tuple[int, ...]
    dtype: str
    """NumPy's name of the type, or the file's own name of a type that NumPy does not have."""
    read: Callable[[], np.ndarray]


def check_file(path: Path, expected: str) -> None:
    """Refuse what is no file; a pipe or a device would keep the reader waiting.

    Raises:
        FormatError: it is missing, a folder, or no regular file.

    """
    if not str(path) or not path.exists():
        raise FormatError("there is no such file")
    if path.is_dir():
        raise FormatError(f"is a folder, expected {expected}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise FormatError(f"is not a regular file, expected {expected}")


@contextmanager
def open_npz(path: Path) -> Iterator[Mapping[str, Stored]]:
    """List the arrays of an ``.npz`` file; each is loaded by its ``read``, once it is known to fit.

    Raises:
        FormatError: the file is missing, damaged or no ``.npz``.
        OSError: the file cannot be read.

    """
    check_file(path, "an .npz file")
    with path.open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except ZIP_ERRORS as error:
            raise FormatError(f"is a damaged or cut zip archive ({reason(error)})") from None
        with archive:
            yield read_npz(archive)


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    """Return a zip member that must unpack to ``size`` bytes; its checksum is checked."""
    try:
        with archive.open(info) as member:
            # One byte more than is due: it would show a member that is too long, and only a read
            # up to the member's end compares the checksum.
            data = member.read(size + 1)
    except ZIP_ERRORS as error:
        raise FormatError(f"has a damaged member {info.filename!r} ({reason(error)})") from None
    if len(data) != size:
        raise FormatError(f"has a damaged member {info.filename!r}: it is not {size} bytes long")
    return data


def read_npz(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """List a file of ``np.savez`` or ``np.savez_compressed``. Pickled objects are refused."""
    found = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            found[info.filename.removesuffix(".npy")] = _npy_array(archive, info)
    if not found:
        names = ", ".join(repr(name) for name in archive.namelist()[:3])
        raise FormatError(f"is a zip archive of {names or 'nothing'}, expected .npy arrays")
    return found


def _npy_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    try:
        with archive.open(info) as member:
            prelude = member.read(10)
            if prelude[:8] != b"\x93NUMPY\x01\x00" or len(prelude) < 10:
                raise FormatError(f"has a member {info.filename!r} that is no NumPy 1.0 array")
            (length,) = struct.unpack("<H", prelude[8:])
            if length > MAX_NPY_HEADER_BYTES:
                raise FormatError(f"has a member {info.filename!r} with a header of {length} bytes")
            header = prelude[8:] + member.read(length)
    except ZIP_ERRORS as error:
        raise FormatError(f"has a damaged member {info.filename!r} ({reason(error)})") from None
    # NumPy takes the header through Python's tokenizer and parser: damage comes out as whatever
    # these ran into, or as their warnings.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    except Exception:
        raise FormatError(f"has a damaged header in {info.filename!r}") from None
    start, size = 10 + length, math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise FormatError(f"holds Python objects in {info.filename!r}, expected floats")
    if min(shape, default=0) < 0 or info.file_size != start + size:
        raise FormatError(
            f"is damaged: {info.filename!r} has {info.file_size - start} bytes of data, "
            f"its shape {shape} and type {dtype} need {size}"
        )

    def read() -> np.ndarray:
        data = read_member(archive, info, start + size)
        return np.frombuffer(data, dtype, offset=start).reshape(
            shape, order="F" if fortran else "C"
        )

    return Stored(shape, dtype.name, read)
