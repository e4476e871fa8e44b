"""The networks and pictures that can be downloaded: the entries of ``catalogue.yaml``.

That file explains the fields.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from nstrep.base.errors import InputError


@dataclass(frozen=True)
class Source:
    """One address of an asset."""

    url: str
    checksum: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class Asset:
    """A file that can be downloaded."""

    path: str
    title: str
    licence: str
    sources: Sequence[Source]
    substitutes: Sequence[str] = ()
    basic: bool = False

    @property
    def name(self) -> str:
        """The file's name, by which users and settings refer to the asset."""
        return Path(self.path).name

    @property
    def checksums(self) -> list[str]:
        """The published checksums."""
        return [source.checksum for source in self.sources if source.checksum]

    @property
    def pinned(self) -> bool:
        """Whether every address has a checksum."""
        return len(self.checksums) == len(self.sources)


def home() -> Path:
    """The folder that holds ``models/`` and ``inputs/``: NSTREP_HOME, or the current one."""
    return Path(os.environ.get("NSTREP_HOME") or ".")


def named(name: str) -> Asset:
    """Return the asset of this name, or raise InputError."""
    if name not in CATALOGUE:
        raise InputError(f"there is no asset {name!r}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


CATALOGUE: dict[str, Asset] = {}  # by name
for _path, _entry in yaml.safe_load(
    Path(__file__).with_name("catalogue.yaml").read_bytes()
).items():
    _sources = [Source(**source) for source in _entry.pop("sources")]
    CATALOGUE[Path(_path).name] = Asset(_path, sources=_sources, **_entry)
