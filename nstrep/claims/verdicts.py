"""From measured numbers to a verdict. Nothing here knows any claim."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nstrep.claims.schema import Band, Measure

ALL = REPLICATED, NOT_REPLICATED, INCONCLUSIVE = "replicated", "not replicated", "inconclusive"


@dataclass(frozen=True)
class Judged:
    """A measure with what came out."""

    measure: Measure
    measured: float
    """NaN if it could not be measured."""
    verdict: str | None
    """None for a number that is only reported."""
    why: str
    """What the verdict rests on, one clause."""


def judge(measure: Measure, measured: float, networks: Iterable[str]) -> Judged:
    """Apply a measure's rule.

    Args:
        measure: the rule.
        measured: the number; NaN if there is none.
        networks: of the runs that it was measured on.

    """

    def judged(verdict: str | None, why: str) -> Judged:
        return Judged(measure, measured, verdict, why)

    if measure.replicated is None:
        return judged(None, "reported without a rule")
    others = sorted(set(networks) - {measure.needs})
    if measure.needs and others:
        return judged(
            INCONCLUSIVE, f"the number is about {measure.needs}; these runs used {others[0]}"
        )
    if math.isnan(measured):
        return judged(INCONCLUSIVE, "could not be measured on these runs")
    if measured in measure.replicated:
        return judged(REPLICATED, shown(measure.replicated))
    if measure.inconclusive is not None and measured in measure.inconclusive:
        return judged(
            INCONCLUSIVE, f"not {shown(measure.replicated)}, {shown(measure.inconclusive)}"
        )
    return judged(NOT_REPLICATED, f"not {shown(measure.inconclusive or measure.replicated)}")


def overall(judged: Iterable[Judged]) -> str:
    """The verdict of a claim: its worst measure's.

    One measure that is not replicated refutes the claim; one that decides nothing leaves it open.
    """
    verdicts = [each.verdict for each in judged if each.verdict is not None]
    for worst in (NOT_REPLICATED, INCONCLUSIVE):
        if worst in verdicts:
            return worst
    return REPLICATED if verdicts else INCONCLUSIVE


def shown(band: Band) -> str:
    """A band in words."""
    low, high = band.at_least, band.at_most
    if math.isinf(high):
        return f"at least {low:g}"
    if math.isinf(low):
        return f"at most {high:g}"
    return f"{low:g} to {high:g}" if low < high else f"{low:g}"
