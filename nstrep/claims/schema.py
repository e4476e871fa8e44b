"""The contents of a claim's file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nstrep.base.errors import InputError
from nstrep.config.folder import config_folder, group_options
from nstrep.config.messages import explain


@dataclass
class Band:
    """An interval, both ends included."""

    at_least: float = -math.inf
    at_most: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.at_least <= value <= self.at_most


@dataclass
class Variation:
    """Overrides beside those of an experiment: fixed ones, and keys swept over values."""

    overrides: list[str] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)


@dataclass
class Training(Variation):
    """Trainings of networks for a style: overrides of ``python -m nstrep.fast.train``."""

    at: dict[str, Variation] = field(default_factory=dict)  # further ones, by the scale's name


@dataclass
class RunSet(Training):
    """Runs of a claim: an experiment of configs/experiment/ with its sweep, varied."""

    experiment: str | None = None
    training: Training | None = None  # of networks, each of which makes the image in one pass
    losses_of: str | None = None  # another set: minimise the loss that its networks are trained on
    fresh_process: bool = False  # each run has its own process, so that its peak memory is its own


@dataclass
class Measure:
    """One number from the runs of a set, with the published one and the rule for its verdict."""

    about: str = MISSING  # what is measured, for the row of a table
    # A key of the claim's ``runs``, or several, which the swept key ``runs`` tells apart.
    runs: Any = MISSING
    statistic: str = MISSING  # a name in nstrep.claims.statistics.STATISTICS
    given: dict[str, Any] = field(default_factory=dict)  # the statistic's arguments
    published: str = MISSING  # the statement of the source, in its own numbers if it has any
    replicated: Band | None = None  # numbers that replicate the claim; None: there is no verdict
    inconclusive: Band | None = None  # a wider band; None: all other numbers are not replicated
    needs: str | None = None  # the published number's network; runs on others are inconclusive


@dataclass
class Figure:
    """A figure of a claim."""

    kind: str = MISSING  # a name in nstrep.claims.figures.KINDS
    runs: Any = MISSING  # as for a measure
    title: str = MISSING
    given: dict[str, Any] = field(default_factory=dict)


@dataclass
class Claim:
    """A claim."""

    statement: str = MISSING
    source: str = MISSING
    runs: dict[str, RunSet] = MISSING
    measures: list[Measure] = MISSING
    notes: list[str] = field(default_factory=list)  # where the runs differ from the source, and why
    figures: list[Figure] = field(default_factory=list)


def names() -> list[str]:
    """Names of all claims."""
    return group_options("claim")


def load(name: str) -> Claim:
    """Read and check a claim; InputError if there is none or its file has an error."""
    if name not in names():
        raise InputError(f"claims={name}: must be all or some of {', '.join(names())}")
    path = config_folder() / "claim" / f"{name}.yaml"
    try:
        return OmegaConf.to_object(OmegaConf.merge(Claim, OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise InputError(f"{path}: {explain(error, Claim)}") from None
