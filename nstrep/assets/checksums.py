"""What a fetched file must be: its published checksum, or what the first fetch has recorded."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from nstrep.assets.catalogue import Asset, Source, home
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, sha256_of
from nstrep.base.text import shown

log = logging.getLogger(__name__)

RECORD = "CHECKSUMS.json"
"""Beside the pictures: the SHA-256 of those that the catalogue does not pin, at first fetch."""


class RefusedError(Exception):
    """A file is not what it should be. The message is the rest of a line about it."""


def check(asset: Asset, file: Path, checksums: Sequence[str | None] | None = None) -> None:
    """Check that a file is the asset.

    Args:
        asset: what it must be.
        file: any name.
        checksums: what it may be, if not all that the asset may be.

    Raises:
        RefusedError: it is not.
        InputError: the record of first fetches is damaged.

    """
    due = asset.checksums if checksums is None else tuple(filter(None, checksums))
    if due:
        found = [_digest(file, checksum.split(":")[0]) for checksum in due]
        if not set(found) & set(due):
            raise RefusedError(f"is not the published file: {found[0]}, expected {due[0]}")
        return
    # Not pinned: either what one of its sources publishes, or what the first fetch has recorded.
    pins = {source.checksum for source in asset.sources if source.checksum}
    if any(_digest(file, pin.split(":")[0]) == pin for pin in pins):
        return
    recorded = _recorded().get(asset.name)
    found = _digest(file, "sha256")
    if recorded is not None and found != f"sha256:{recorded}":
        raise RefusedError(
            f"is not the file of the first fetch: {found}, expected sha256:{recorded};"
            f" to accept it, take {asset.name} out of {shown(_record_path())}"
        )
    _check_picture(asset.name, file)


def _check_picture(name: str, file: Path) -> None:
    from nstrep.images import io

    try:
        io.load_picture(file, key=name)
    except InputError as error:
        raise RefusedError(f"is no picture that can be read ({error})") from error


def _digest(file: Path, algorithm: str) -> str:
    state = file.stat()
    return f"{algorithm}:{_hash(file.absolute(), algorithm, state.st_size, state.st_mtime_ns)}"


@lru_cache(maxsize=64)
def _hash(file: Path, algorithm: str, size: int, _changed: int) -> str:
    if algorithm == "sha256":
        return sha256_of(file)
    digest = hashlib.new("sha1" if algorithm == "git" else algorithm, usedforsecurity=False)
    if algorithm == "git":
        digest.update(b"blob %d\0" % size)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _record_path() -> Path:
    return home() / "inputs" / RECORD


def _recorded() -> dict[str, str]:
    """Name to SHA-256."""
    path = _record_path()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(entry["sha256"]) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{shown(path)}: is damaged; repair or remove it") from error


def record(asset: Asset, file: Path, source: Source) -> None:
    """Write down the SHA-256 of a picture that is not pinned, and where it came from.

    Raises:
        InputError: the record is damaged.
        ResultsError: it cannot be written.

    """
    digest = _digest(file, "sha256").removeprefix("sha256:")
    path = _record_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path):
        known = _recorded()  # also: refuse to overwrite a damaged record
        entries = json.loads(path.read_text(encoding="utf-8")) if known else {}
        entries[asset.name] = {"sha256": digest, "url": source.url}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    log.info("%s is not pinned: sha256 %s, recorded in %s", asset.name, digest, shown(path))


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Be the only process that works on ``path``. The lock goes when its process ends."""
    with path.with_name(f".{path.name}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process fetches %s: waiting for it", path.name)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            # Some network file systems have no locks: both fetch, and the last one's file stays.
            log.debug("no lock on %s", shown(path))
        yield
