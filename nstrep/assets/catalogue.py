"""The networks and pictures that can be downloaded: the entries of ``catalogue.yaml``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from nstrep.base.errors import InputError


@dataclass(frozen=True)
class Source:
    """One address of an asset."""

    url: str
    checksum: str | None = None
    """``ALGORITHM:HEX``; ``git`` stands for the id of the file as a git blob."""
    member: str | None = None
    """The file inside a zip archive; the checksum is the file's."""


@dataclass(frozen=True)
class Asset:
    """A file that can be downloaded."""

    path: str
    """Relative to NSTREP_HOME."""
    title: str
    licence: str
    sources: tuple[Source, ...]
    """Addresses in the order in which they are tried."""
    substitutes: tuple[str, ...] = ()
    """Names of assets that serve if this one cannot be downloaded."""
    basic: bool = False
    """Downloaded when no name is given."""

    @property
    def name(self) -> str:
        """The file's name, by which users and settings refer to the asset."""
        return Path(self.path).name

    @property
    def checksums(self) -> tuple[str, ...]:
        """Those that the file may have; empty for a picture that is not pinned."""
        known = tuple(source.checksum for source in self.sources if source.checksum)
        return known if len(known) == len(self.sources) else ()


def home() -> Path:
    """The folder that holds ``models/`` and ``inputs/``: NSTREP_HOME, or the current one."""
    return Path(os.environ.get("NSTREP_HOME") or ".")


def named(name: str) -> Asset:
    """Return the asset of this name, or raise InputError."""
    if name not in CATALOGUE:
        raise InputError(f"there is no asset {name!r}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def _read_catalogue() -> dict[str, Asset]:
    text = Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8")
    assets = [
        Asset(path, **{**entry, "sources": tuple(Source(**one) for one in entry["sources"])})
        for path, entry in yaml.safe_load(text).items()
    ]
    return {asset.name: asset for asset in assets}


CATALOGUE = _read_catalogue()
"""Name to asset."""
