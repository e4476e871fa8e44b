"""From the numbers of several runs to the one number that a rule judges.

``where`` picks runs by what was swept: ``{optimizer: adam}``, or ``{lr: [0.1, 0.2]}``.
``within`` names swept keys that are held fixed: the statistic is taken for each combination of
their values, and the mean of those counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from nstrep.base.errors import InputError
from nstrep.claims.plan import Made
from nstrep.claims.quantities import quantity

Runs = Sequence[Made]
Where = Mapping[str, Any]


def value(runs: Runs, of: Any, where: Where | None = None) -> float:
    """The median of a quantity."""
    return _median(quantity(made, of) for made in pick(runs, where))


def ratio(
    runs: Runs,
    of: Any,
    over: Where,
    under: Where | None = None,
    within: Sequence[str] = (),
    to: Any = None,
) -> float:
    """The median of a quantity over some runs, divided by that (or by ``to``) over others."""
    below = of if to is None else to
    return _mean_over(
        runs, within, lambda group: value(group, of, over) / value(group, below, under)
    )


def ratio_of_two(runs: Runs, of: Any, to: Any, where: Where | None = None) -> float:
    """The median ratio of two quantities of the same run."""
    return _median(quantity(made, of) / quantity(made, to) for made in pick(runs, where))


def difference(runs: Runs, of: Any, over: Where, under: Where, within: Sequence[str] = ()) -> float:
    """The median of a quantity over some runs, minus that over others."""
    return _mean_over(runs, within, lambda group: value(group, of, over) - value(group, of, under))


def trend(runs: Runs, of: Any, along: str, within: Sequence[str] = ()) -> float:
    """Spearman's rank correlation, -1 to 1, of a quantity with a swept key.

    Values that are not numbers (sets of layers) rank in the order in which they were swept.
    """

    def one(group: Runs) -> float:
        y = [quantity(made, of) for made in group]
        return _spearman(_ranks(group, along), y)

    return _mean_over(runs, within, one)


def trend_in_epochs(runs: Runs, of: str, first: int = 0) -> float:
    """Spearman's rank correlation of a column of the curve with the epoch, mean over the runs."""

    def one(made: Made) -> float:
        curve = made.run.curve
        rows = curve[curve["epoch"] >= first] if of in curve else curve
        if len(rows) < 3:
            return math.nan
        return _spearman(rows["epoch"], rows[of])

    return float(np.mean([one(made) for made in runs]))


def slope(runs: Runs, of: Any, to: Any) -> float:
    """The exponent of a power law: slope of log quantity against log other quantity."""
    x, y = ([math.log(quantity(made, spec)) for made in runs] for spec in (to, of))
    return float(stats.linregress(x, y).slope) if len(set(x)) > 1 else math.nan


def spread(runs: Runs, of: Any, where: Where | None = None, within: Sequence[str] = ()) -> float:
    """The largest of a quantity over the smallest, minus 1."""

    def one(group: Runs) -> float:
        values = [quantity(made, of) for made in pick(group, where)]
        return max(values) / min(values) - 1 if values else math.nan

    return _mean_over(runs, within, one)


def apart(runs: Runs, where: Where | None = None, within: Sequence[str] = ()) -> float:
    """Root mean square difference of two runs' pictures (black to white is 1), mean over pairs."""

    def one(group: Runs) -> float:
        pictures = [made.run.picture for made in pick(group, where)]
        pairs = itertools.combinations(pictures, 2)
        distances = [math.sqrt(np.mean(np.square(a - b, dtype=np.float64))) for a, b in pairs]
        return float(np.mean(distances)) if distances else math.nan

    return _mean_over(runs, within, one)


def trend_to_common_loss(runs: Runs, along: str, within: Sequence[str] = ()) -> float:
    """Spearman's rank correlation with a swept key of the epochs until a loss that all reach."""

    def one(group: Runs) -> float:
        loss = max(quantity(made, "lowest") for made in group)
        y = [quantity(made, {"name": "epochs_to", "loss": loss}) for made in group]
        return _spearman(_ranks(group, along), y)

    return _mean_over(runs, within, one)


def _best(runs: Runs, of: Any, where: Where | None = None) -> float:
    """The lowest of a quantity."""
    return _lowest(quantity(made, of) for made in pick(runs, where))


def ratio_of_best(
    runs: Runs, of: Any, over: Where, under: Where, within: Sequence[str] = ()
) -> float:
    """The lowest of a quantity over some runs, divided by the lowest over others."""
    return _mean_over(runs, within, lambda group: _best(group, of, over) / _best(group, of, under))


def evaluations_to_match(
    runs: Runs, of: Where, against: Where, within: Sequence[str] = ()
) -> float:
    """Evaluations that one needs for the others' lowest loss, over those that they needed.

    Infinite if it never gets there.
    """

    def one(group: Runs) -> float:
        rivals = pick(group, against)
        loss = _lowest(quantity(made, "lowest") for made in rivals)
        spec = {"name": "evaluations_to", "loss": loss}
        theirs = _lowest(x for made in rivals if not math.isnan(x := quantity(made, spec)))
        ours = value(group, spec, of)
        return math.inf if math.isnan(ours) and not math.isnan(loss) else ours / theirs

    return _mean_over(runs, within, one)


def needed_to_match(
    runs: Runs,
    count: str,
    of: Where,
    against: Where,
    within: Sequence[str] = (),
    to: Any = None,
) -> float:
    """Evaluations, epochs or seconds that an optimisation needs for the loss of another run.

    Args:
        runs: both.
        count: which of the three.
        of: the optimisations.
        against: runs whose lowest loss is to be reached.
        within: see above.
        to: a quantity of the latter that the result is divided by.

    """

    def one(group: Runs) -> float:
        loss = value(group, "lowest", against)
        needed = value(group, {"name": f"{count}_to", "loss": loss}, of)
        return needed if to is None else needed / value(group, to, against)

    return _mean_over(runs, within, one)


def pick(runs: Runs, where: Where | None) -> Runs:
    """The runs whose swept keys have the values asked for."""

    def wanted(made: Made) -> bool:
        for key, values in (where or {}).items():
            allowed = values if isinstance(values, list) else [values]
            if not any(_same(made.swept[key], one) for one in allowed):
                return False
        return True

    return [made for made in runs if wanted(made)]


def _same(typed: str, asked: Any) -> bool:
    try:
        return float(typed) == float(asked)
    except (TypeError, ValueError):
        return typed == str(asked)


def _ranks(runs: Runs, along: str) -> list[float]:
    """Values of a swept key as numbers, or their order in the sweep."""
    typed = [made.swept[along] for made in runs]
    try:
        return [float(one) for one in typed]
    except ValueError:
        order = list(dict.fromkeys(typed))
        return [float(order.index(one)) for one in typed]


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Rank correlation; NaN where one of the two does not vary."""
    if min(len(set(x)), len(set(y))) < 2:
        return math.nan
    return float(stats.spearmanr(x, y).statistic)


def _mean_over(runs: Runs, within: Sequence[str], one: Callable[[Runs], float]) -> float:
    return float(np.mean([one(group) for group in _groups(runs, within)]))


def _groups(runs: Runs, within: Sequence[str]) -> Iterator[Runs]:
    groups: dict[tuple[str, ...], list[Made]] = {}
    for made in runs:
        groups.setdefault(tuple(made.swept[key] for key in within), []).append(made)
    yield from groups.values()


def _lowest(values: Iterable[float]) -> float:
    found = list(values)
    return min(found) if found and not any(map(math.isnan, found)) else math.nan


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.median(found)) if found else math.nan


STATISTICS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        value,
        ratio,
        ratio_of_two,
        difference,
        trend,
        trend_in_epochs,
        slope,
        spread,
        apart,
        trend_to_common_loss,
        ratio_of_best,
        evaluations_to_match,
        needed_to_match,
    )
}


def measure(runs: Runs, statistic: str, given: Mapping[str, Any]) -> float:
    """A statistic over runs; NaN where one that it needs ended without a result."""
    try:
        return STATISTICS[statistic](runs, **given)
    except (ZeroDivisionError, IndexError, InputError):  # a run without a curve or a picture
        return math.nan
