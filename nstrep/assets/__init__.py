"""Networks and paintings: found on the disk, or fetched and verified.

Files go to ``models/`` and ``inputs/`` under NSTREP_HOME (default: the current folder). A file
gets its name there only after its checksum has been compared, so what has the name is whole. With
NSTREP_MIRROR, a folder or an http(s) or file address, files are looked for there first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from nstrep.assets.catalogue import Asset, Source, home, named
from nstrep.assets.checksums import RefusedError, check, lock, record
from nstrep.assets.transfer import Limits, TransferError, transfer
from nstrep.base.errors import InputError, NstrepError
from nstrep.base.text import reason, shown

log = logging.getLogger(__name__)

LIMITS = Limits()


def find(name: str) -> Path | None:
    """Return where an asset, or one of its substitutes, lies whole on the disk; None if nowhere.

    The whole file is hashed, once in a process: a file's size would not show damage, and hashing
    VGG-19 takes less time than loading it. A file that is not what was published is not returned;
    the log says so.

    Raises:
        InputError: there is no asset of this name.

    """
    for candidate in _with_substitutes(named(name)):
        path = home() / candidate.path
        if not path.is_file():
            continue
        try:
            check(candidate, path)
        except RefusedError as refusal:
            log.warning("%s %s: move it away and fetch it again", shown(path), refusal)
        else:
            return path
    return None


def ensure(name: str, policy: str) -> Path | None:
    """Find an asset, or fetch it if the policy allows.

    Args:
        name: of the asset.
        policy: ``always``, ``never``, or ``ask``, which asks on a terminal and is ``never`` where
            there is none. With CI=true in the environment all are ``never``.

    Returns:
        The file, or None if it is not there and could not or must not be fetched. A failure is
        one line of the log.

    Raises:
        InputError: there is no asset of this name, or no policy of this name.

    """
    if policy not in ("ask", "always", "never"):
        raise InputError(f"assets.download={policy}: allowed are ask, always, never")
    path = find(name)
    if path is not None or not _may_fetch(named(name), policy):
        return path
    try:
        return obtain(name)
    except NstrepError as error:
        log.warning("%s", error)
        return None


def _may_fetch(asset: Asset, policy: str) -> bool:
    if policy == "never" or os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        return False
    if policy == "always":
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    # On stderr, as the log: stdout may be piped.
    print(f"{asset.path} ({asset.title}) is missing. Fetch it now? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def obtain(name: str) -> Path:
    """Fetch an asset or, where it cannot be had, the first of its substitutes that can.

    Raises:
        InputError: none could be fetched. The message says what to do by hand.
        ResultsError: the file could not be written.

    """
    asset, *substitutes = _with_substitutes(named(name))
    try:
        return fetch(asset.name)
    except InputError as error:
        for substitute in substitutes:
            with contextlib.suppress(InputError):
                path = fetch(substitute.name)
                log.warning("%s; instead of it: %s", error, substitute.title)
                return path
        raise


def _with_substitutes(asset: Asset) -> list[Asset]:
    usable = [named(name) for name in asset.substitutes]
    if importlib.util.find_spec("h5py") is None:
        usable = [substitute for substitute in usable if not substitute.name.endswith(".h5")]
    return [asset, *usable]


def fetch(name: str) -> Path:
    """Fetch one asset from the mirror or its published addresses and put it in its place.

    Two processes may fetch at once: the second waits and takes the first one's file.

    Raises:
        InputError: no address has the right file. The message says what to do by hand.

    """
    asset = named(name)
    path = home() / asset.path
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(path):
            if path.is_file():
                with contextlib.suppress(RefusedError):
                    check(asset, path)
                    return path
            for source in (*_mirrored(asset), *asset.sources):
                try:
                    _fetch_from(asset, source, path)
                except (TransferError, RefusedError) as failure:
                    where = urlsplit(source.url).hostname or source.url
                    failures.append(f"{where}: {failure}")
                else:
                    return path
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be written ({reason(error)})") from error
    first = asset.sources[0]
    inside = f" (in it: {first.member})" if first.member else ""
    checksum = f" with {first.checksum}" if first.checksum else ""
    raise InputError(
        f"{name} could not be fetched ({'; '.join(failures)}): get {first.url}{inside} on another"
        f" machine and put the file{checksum} at {shown(path.absolute())}"
    )


def _mirrored(asset: Asset) -> Iterator[Source]:
    mirror = os.environ.get("NSTREP_MIRROR", "").rstrip("/")
    if not mirror:
        return
    if urlsplit(mirror).scheme not in ("http", "https", "file"):
        mirror = Path(mirror).expanduser().absolute().as_uri()
    for path in dict.fromkeys((asset.path, asset.name)):
        yield Source(f"{mirror}/{quote(path)}")


def _fetch_from(asset: Asset, source: Source, path: Path) -> None:
    # Under the lock, so what an interrupted process has left can go.
    scratch = path.with_name(f".{path.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        file = transfer(source.url, scratch, title=asset.name, limits=LIMITS)
        if source.member is not None:
            file = _extract(file, source.member)
        # A mirror may have any of the files that the catalogue knows.
        check(asset, file, (source.checksum,) if source in asset.sources else asset.checksums)
        if asset.is_picture and not asset.checksums:
            record(asset, file, source)
        mask = os.umask(0)
        os.umask(mask)
        file.chmod(0o666 & ~mask)  # it was made as a temporary file, for its owner alone
        os.replace(file, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _extract(archive: Path, member: str) -> Path:
    target = archive.with_name("member")
    try:
        with zipfile.ZipFile(archive) as opened:
            info = opened.getinfo(member)
            if info.file_size > LIMITS.max_bytes:
                raise RefusedError(f"has a member of {info.file_size} bytes")
            with opened.open(info) as inside, target.open("wb") as outside:
                shutil.copyfileobj(inside, outside, 1 << 20)
    except (zipfile.BadZipFile, LookupError, EOFError, RuntimeError, ValueError) as error:
        raise RefusedError(f"is no zip archive with {member} ({reason(error)})") from error
    return target


# --- command line --------------------------------------------------------------------------------
