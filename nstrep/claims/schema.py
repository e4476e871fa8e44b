"""What a claim's file may say."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstrep.base.errors import InputError
from nstrep.config.folder import config_folder, group_options
from nstrep.config.messages import explain

SCALES = ("smoke", "quick", "paper")


@dataclass
class Band:
    """An interval, both ends included."""

    at_least: float = -math.inf
    at_most: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.at_least <= value <= self.at_most


@dataclass
class Variation:
    """What is typed beside an experiment: fixed overrides, and keys swept over values."""

    overrides: list[str] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)


@dataclass
class Training(Variation):
    """Networks for a style: what is typed after ``python -m nstrep.fast.train``."""

    at: dict[str, Variation] = field(default_factory=dict)
    """What a scale changes besides, by its name."""


@dataclass
class RunSet(Variation):
    """Runs of a claim: an experiment of configs/experiment/, its own sweep included, varied."""

    experiment: str | None = None
    at: dict[str, Variation] = field(default_factory=dict)
    """What a scale changes besides, by its name."""
    training: Training | None = None
    """Instead of optimising, train these networks and stylise the photo by one pass of each."""
    losses_of: str | None = None
    """Minimise what the networks of another of the claim's sets are trained to minimise."""
    fresh_process: bool = False
    """Each run in a process of its own, so that its peak memory is its own."""


@dataclass
class Measure:
    """One number, from the runs of a set, with what was published and the rule for its verdict."""

    about: str = MISSING
    """What is measured, as a table's row names it."""
    runs: Any = MISSING
    """A key of the claim's ``runs``, or several, which the key ``runs`` then tells apart."""
    statistic: str = MISSING
    """A name in :data:`nstrep.claims.statistics.STATISTICS`."""
    given: dict[str, Any] = field(default_factory=dict)
    """The statistic's arguments."""
    published: str = MISSING
    """What the source says, in its own numbers where it has any."""
    replicated: Band | None = None
    """The measured number is one that bears the claim out; None: reported without a verdict."""
    inconclusive: Band | None = None
    """A wider band: neither borne out nor refuted. None: whatever is not replicated is refuted."""
    needs: str | None = None
    """A network that the published number is about; measured on another it decides nothing."""


@dataclass
class Figure:
    """A figure of a claim."""

    kind: str = MISSING
    """A name in :data:`nstrep.claims.figures.KINDS`."""
    runs: Any = MISSING
    """As a measure's."""
    title: str = MISSING
    given: dict[str, Any] = field(default_factory=dict)


@dataclass
class Claim:
    """A claim, whole."""

    statement: str = MISSING
    source: str = MISSING
    runs: dict[str, RunSet] = MISSING
    measures: list[Measure] = MISSING
    notes: list[str] = field(default_factory=list)
    """Where the runs are not what the source did, and why."""
    figures: list[Figure] = field(default_factory=list)


def names() -> list[str]:
    """The claims there are."""
    return group_options("claim")


def load(name: str) -> Claim:
    """Read and check a claim.

    Raises:
        InputError: there is no such claim, or its file says something that it may not.

    """
    if name not in names():
        raise InputError(f"claims={name}: must be all or some of {', '.join(names())}")
    path: Path = config_folder() / "claim" / f"{name}.yaml"
    try:
        return OmegaConf.to_object(OmegaConf.merge(Claim, OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise InputError(f"{path}: {explain(error, Claim)}") from None
