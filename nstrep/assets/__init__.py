"""Networks and pictures of others: found on the disk, or downloaded and verified.

Files are stored in ``models/`` and ``inputs/`` under NSTREP_HOME (default: the current folder). A
file gets its name there only after its checksum has been compared. NSTREP_MIRROR, a folder or an
http(s) or file address, is tried before the published addresses.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

from nstrep.assets.catalogue import Asset, Source, home, named
from nstrep.assets.checksums import RefusedError, check, record
from nstrep.base.errors import InputError, NstrepError
from nstrep.base.text import reason, shown

log = logging.getLogger(__name__)


def find(name: str) -> Path | None:
    """Return the path of an asset, or of a substitute, if it is on the disk and verified.

    Files that are not the published ones are skipped with a warning in the log.
    """
    _warn_without(home())
    for asset in _with_substitutes(named(name)):
        path = home() / asset.path
        if path.is_file():
            try:
                check(asset, path)
            except RefusedError as refusal:
                log.warning("%s %s: move it away and fetch it again", shown(path), refusal)
            else:
                return path
    return None


@functools.cache
def _warn_without(folder: Path) -> None:
    """Say once that the folder which NSTREP_HOME names does not exist."""
    if not folder.is_dir():
        log.warning("NSTREP_HOME=%s: there is no such folder to search for downloads", folder)


def ensure(name: str, policy: str) -> Path | None:
    """Find an asset, or download it if the policy allows; None if it is missing after that.

    The policy is ``always``, ``never``, or ``ask``, which asks on a terminal and is ``never``
    elsewhere. With CI=true in the environment nothing is downloaded. A failure is logged.
    """
    path = find(name)
    if path is None and _may_fetch(named(name), policy):
        try:
            return obtain(name)
        except NstrepError as error:
            log.warning("%s", error)
    return path


def _may_fetch(asset: Asset, policy: str) -> bool:
    if policy == "never" or os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        return False
    if policy == "always":
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    # On stderr, as the log: stdout may be piped.
    question = f"{asset.path} ({asset.title}) is missing. Fetch it now? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def obtain(name: str) -> Path:
    """Download an asset, or else the first of its substitutes that is available.

    Raises InputError, with what to do by hand, or ResultsError if a file cannot be written.
    """
    try:
        return fetch(name)
    except InputError as error:
        for substitute in _with_substitutes(named(name))[1:]:
            with contextlib.suppress(InputError):
                path = fetch(substitute.name)
                log.warning("%s; instead of it: %s", error, substitute.title)
                return path
        raise


def _with_substitutes(asset: Asset) -> list[Asset]:
    without_keras = importlib.util.find_spec("h5py") is None
    names = [name for name in asset.substitutes if not (without_keras and name.endswith(".h5"))]
    return [asset, *map(named, names)]


def fetch(name: str) -> Path:
    """Download one asset from the mirror or its published addresses to its place.

    One process at a time downloads to a folder. If two want the same file, the second waits and
    takes the file of the first. If no address has the right file, an InputError says what to do.
    """
    from filelock import FileLock

    asset = named(name)
    path = home() / asset.path
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(".download.lock")):
            if path.is_file():
                with contextlib.suppress(RefusedError):
                    check(asset, path)
                    return path
            for source in (*_mirrored(asset), *asset.sources):
                try:
                    return _fetch_from(asset, source, path)
                except RefusedError as failure:
                    failures.append(f"{urlsplit(source.url).hostname or source.url}: {failure}")
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be written ({reason(error)})") from error
    first = asset.sources[0]
    inside = f" (in it: {first.member})" if first.member else ""
    checksum = f" with {first.checksum}" if first.checksum else ""
    raise InputError(
        f"{name} could not be fetched ({'; '.join(failures)}): get {first.url}{inside} on another"
        f" machine and put the file{checksum} at {shown(path.absolute())}"
    )


def _mirrored(asset: Asset) -> list[Source]:
    mirror = os.environ.get("NSTREP_MIRROR", "").rstrip("/")
    if mirror and urlsplit(mirror).scheme not in ("http", "https", "file"):
        mirror = Path(mirror).expanduser().absolute().as_uri()
    return [Source(f"{mirror}/{quote(path)}") for path in (asset.path, asset.name) if mirror]


def _fetch_from(asset: Asset, source: Source, path: Path) -> Path:
    from nstrep.assets.download import download  # loads pooch

    # The lock is held, so an existing folder is the leftover of a killed process.
    scratch = path.with_name(f".{path.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        file = download(source, scratch)
        check(asset, file, source.checksum)
        if not asset.pinned:
            record(asset, file, source)
        return file.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
