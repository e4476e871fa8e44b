"""Atomic writing of files, and hashes that identify the files that were read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nstrep.base.errors import InputError, ResultsError
from nstrep.base.text import reason, shown


def check_current_folder() -> None:
    """Raise InputError where the current folder was deleted: no path can be made absolute."""
    try:
        os.getcwd()
    except OSError:
        raise InputError("the current folder no longer exists: change to another one") from None


def stamp(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """Device, inode, size and time of a file, to notice changes; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def holds(path: Path, mark: str) -> bool:
    """Whether a file begins or ends with a megabyte that has ``mark`` in it; False without one."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as stream:
        start = stream.read(1 << 20)
        stream.seek(max(len(start), os.fstat(stream.fileno()).st_size - (1 << 20)))
        return mark.encode() in start + stream.read()
    return False


def keep_foreign(path: Path, mark: str) -> None:
    """Refuse to replace a file that nstrep did not write: one without ``mark`` in it.

    Raises InputError. Folders and devices are left to whoever writes.
    """
    if path.is_file() and path.stat().st_size and not holds(path, mark):
        raise InputError(f"{shown(path)}: is not a file of nstrep and is kept; remove it first")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; InputError if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return sha256_of_stream(stream)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({reason(error)})") from error


def sha256_of_stream(stream: BinaryIO) -> str:
    """SHA-256 of an open, seekable file, from its first byte."""
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(1 << 20):  # hashlib.file_digest needs Python 3.11
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def writing(place: object) -> Iterator[None]:
    """Turn an OSError of the block into a ResultsError: this place cannot be written."""
    try:
        yield
    except OSError as error:
        raise ResultsError(f"{place}: cannot be written ({reason(error)})") from None


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; after the block it is renamed to ``path``.

    The temporary file exists, is empty, and has the suffix of ``path`` (some writers choose the
    format by it). A reader sees the old file or the whole new one, never a part. If the block
    fails, the temporary file is removed and the old file stays. A symbolic link is replaced, not
    followed. Any OSError becomes a ResultsError, inside the block too, so do not read other files
    there.
    """
    target = Path(path)
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp{target.suffix[:32]}"
    try:
        # Not tempfile.mkstemp, whose mode 0600 would keep other users from reading results.
        with _open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as descriptor:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # tells remove_unfinished to keep it
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            temporary.unlink()
        if isinstance(error, OSError):
            message = f"{shown(path)}: cannot be written ({reason(error)})"
            raise ResultsError(message) from error
        raise
    # Without this a power cut may bring the old file back. Some systems cannot sync a folder.
    with contextlib.suppress(OSError), _open(target.parent, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files of :func:`atomic_write` whose process was killed, also in subfolders.

    Files that a living process has locked are kept, as are files that cannot be removed.
    """
    for leftover in folder.rglob(".*.tmp*"):
        with contextlib.suppress(OSError), _open(leftover, os.O_RDONLY) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


@contextlib.contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
