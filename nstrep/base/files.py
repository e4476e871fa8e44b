"""Files written whole or not at all, and the hashes that say which file was read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nstrep.base.errors import InputError, ResultsError, printable


def shown(path: str | os.PathLike[str]) -> str:
    """The path as it may stand in a one-line message: as given, or escaped where unprintable."""
    text = os.fspath(path)
    return text if text and text.isprintable() else ascii(text)


def reason(error: BaseException) -> str:
    """What went wrong, on one line of at most 200 characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(text.split())[:200]
    return text if text and text.isprintable() else ascii(text) if text else type(error).__name__


def one_line(text: Any, length: int = 500) -> str:
    """Any value as one line of printable text."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= length else line[: length - 3] + "..."


def stamp(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes when a file does, without reading it; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises InputError, naming the file and the reason, if it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return sha256_of_stream(stream)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason(error)})") from error


def sha256_of_stream(stream: BinaryIO) -> str:
    """SHA-256 of all of an open, seekable file, from its first byte."""
    digest = hashlib.sha256()
    stream.seek(0)
    # hashlib.file_digest does this too, but only from Python 3.11 on.
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; on leaving the block it becomes `path`.

    The temporary file exists, is empty, and has the suffix of `path` (some writers choose the
    format by it). A reader sees the old file or the whole new one, never a part. If the block
    fails, the temporary file is removed and what stood at `path` stays. An existing link is
    replaced, not followed.

    Raises ResultsError for any OSError, inside the block too: do not read other files there.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp{target.suffix[:32]}"
    try:
        # Not tempfile.mkstemp: that gives mode 0600, and results are meant to be read by others.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # its process lives: remove_unfinished
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        finally:
            os.close(descriptor)
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            temporary.unlink()
        if isinstance(error, OSError):
            message = f"{shown(path)}: cannot be written ({reason(error)})"
            raise ResultsError(message) from error
        raise
    _sync_folder(target.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`atomic_write` left where a process was killed, in subfolders too.

    The files of a process that is at work are locked, and stay. What cannot be removed stays too.
    """
    for leftover in folder.rglob(".*.tmp*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    # The new file is in place already. Some systems cannot open or sync a folder; the only loss
    # there is that a power cut may bring the old name back.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def save_npz(path: str | os.PathLike[str], /, **arrays: np.ndarray) -> None:
    """Write named arrays as a compressed .npz, atomically. Equal arrays give equal bytes.

    Raises ResultsError if it cannot be written, ValueError for arrays of Python objects (they
    would be pickled, and a pickle is not data).
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects")
    # In memory first: a zip archive that meets a full disk prints a traceback when it is dropped.
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with atomic_write(path) as temporary:
        temporary.write_bytes(packed.getbuffer())
