"""From measured numbers to a verdict. Nothing here knows any claim."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from nstrep.claims.schema import Band, Measure

ALL = REPLICATED, NOT_REPLICATED, INCONCLUSIVE = "replicated", "not replicated", "inconclusive"
NOT_DECIDED = "not decided (smoke)"  # the verdict at a scale that proves nothing


@dataclass(frozen=True)
class Judged:
    """A measure with its result."""

    measure: Measure
    measured: float  # NaN if it could not be measured
    verdict: str | None  # None for a number that is only reported
    why: str  # the reason for the verdict, one clause


def judge(
    measure: Measure, measured: float, networks: Iterable[str], decides: bool = True
) -> Judged:
    """Apply a measure's rule to a number from some networks, if their scale ``decides``."""
    verdict = partial(Judged, measure, measured)
    replicated, inconclusive = measure.replicated, measure.inconclusive
    if replicated is None:
        return verdict(None, "reported without a rule")
    if not decides:
        return verdict(NOT_DECIDED, "runs of this scale prove nothing")
    others = sorted(set(networks) - {measure.needs})
    if measure.needs and others:
        why = f"the number is about {measure.needs}; these runs used {others[0]}"
        return verdict(INCONCLUSIVE, why)
    if math.isnan(measured):
        return verdict(INCONCLUSIVE, "could not be measured on these runs")
    if measured in replicated:
        return verdict(REPLICATED, shown(replicated))
    if inconclusive is not None and measured in inconclusive:
        return verdict(INCONCLUSIVE, f"not {shown(replicated)}, {shown(inconclusive)}")
    return verdict(NOT_REPLICATED, f"not {shown(inconclusive or replicated)}")


def overall(judged: Iterable[Judged]) -> str:
    """The verdict of a claim: that of its worst measure; inconclusive without any rule."""
    verdicts = {each.verdict for each in judged}
    order = (NOT_DECIDED, NOT_REPLICATED, INCONCLUSIVE, REPLICATED)
    return next((worst for worst in order if worst in verdicts), INCONCLUSIVE)


def shown(band: Band) -> str:
    """A band in words."""
    low, high = band.at_least, band.at_most
    if math.isinf(high):
        return f"at least {low:g}"
    if math.isinf(low):
        return f"at most {high:g}"
    return f"{low:g} to {high:g}" if low < high else f"{low:g}"
