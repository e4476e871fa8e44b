"""The networks and pictures that can be downloaded: the entries of ``catalogue.yaml``.

That file explains the fields.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    sources: tuple[Source, ...]
    substitutes: Sequence[str] = ()
    basic: bool = False

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


def _asset(path: str, sources: list[dict[str, str]], **entry: Any) -> Asset:
    return Asset(path, sources=tuple(Source(**source) for source in sources), **entry)


_ENTRIES = yaml.safe_load(Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8"))
CATALOGUE = {Path(path).name: _asset(path, **entry) for path, entry in _ENTRIES.items()}
"""Name to asset."""
