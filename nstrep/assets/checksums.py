"""Check that a file is the asset it should be, by published checksums or those of the first fetch.

Nobody publishes checksums of some pictures. The SHA-256 of their first download is recorded in
``inputs/CHECKSUMS.json``, and they must not change afterwards.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import lru_cache
from pathlib import Path

from nstrep.assets.catalogue import Asset, Source, home
from nstrep.base.errors import InputError
from nstrep.base.files import atomic_write, sha256_of, stamp
from nstrep.base.text import shown

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A download or file cannot be used. The message continues a line that names it."""


def check(asset: Asset, file: Path, checksum: str | None = None) -> None:
    """Check that a file is the asset, with this checksum or, if it is None, any of the asset's.

    Raises RefusedError for another file, InputError if the record of downloads is damaged.
    """
    published = [checksum] if checksum else asset.checksums
    digests = [_digest(file, known.split(":")[0]) for known in published]
    if set(digests) & set(published):
        return
    if checksum or asset.pinned:
        raise RefusedError(f"is not the published file: {digests[0]}, expected {published[0]}")
    digest = _digest(file, "sha256").removeprefix("sha256:")
    recorded = _read_record().get(asset.name, {}).get("sha256", digest)
    if digest != recorded:
        raise RefusedError(
            f"is not the file of the first download: sha256:{digest}, expected sha256:{recorded};"
            f" to accept it, remove {asset.name} from {shown(_record_path())}"
        )
    from nstrep.images import io

    try:
        io.load_picture(file, key=asset.name)
    except InputError as error:
        raise RefusedError(f"is no picture that can be read ({error})") from error


def record(asset: Asset, file: Path, source: Source) -> None:
    """Record the SHA-256 of a picture that is not pinned, and its address; the caller has a lock.

    Raises InputError if the record is damaged, ResultsError if it cannot be written.
    """
    digest = sha256_of(file)
    entries = {**_read_record(), asset.name: {"sha256": digest, "url": source.url}}
    with atomic_write(_record_path()) as temporary:
        temporary.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    log.info(
        "%s is not pinned: sha256 %s, recorded in %s", asset.name, digest, shown(_record_path())
    )


def _digest(file: Path, algorithm: str) -> str:
    return f"{algorithm}:{_hash(file.absolute(), algorithm, stamp(file))}"


@lru_cache(maxsize=64)
def _hash(file: Path, algorithm: str, _stamp: tuple[int, ...]) -> str:
    """A file is hashed once in a process, unless it changes."""
    if algorithm == "sha256":
        return sha256_of(file)
    data = file.read_bytes()
    if algorithm == "git":
        data, algorithm = b"blob %d\0" % len(data) + data, "sha1"
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()


def _record_path() -> Path:
    return home() / "inputs" / "CHECKSUMS.json"


def _read_record() -> dict[str, dict[str, str]]:
    try:
        entries = json.loads(_record_path().read_text(encoding="utf-8"))
        if all(isinstance(entry["sha256"], str) for entry in entries.values()):
            return entries
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, KeyError, TypeError):
        pass
    raise InputError(f"{shown(_record_path())}: is damaged; repair or remove it")
