"""From the numbers of several runs to the one that a rule judges.

``where`` selects runs by their swept keys: ``{optimizer: adam}``, or ``{lr: [0.1, 0.2]}``. ``of``
and ``to`` are quantities, see :func:`nstrep.claims.quantities.quantity`. ``within``, which the
statistics marked with :func:`per_group` accept, names swept keys that are held fixed: the result
is the mean over the combinations of their values.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from nstrep.base.errors import InputError
from nstrep.claims.plan import ClaimRun
from nstrep.claims.quantities import quantity

Runs = Sequence[ClaimRun]
Where = Mapping[str, Any]


def per_group(statistic: Callable[..., float]) -> Callable[..., float]:
    """Add the argument ``within`` to a statistic; see above."""

    @functools.wraps(statistic)
    def mean_over_groups(runs: Runs, *args: Any, within: Sequence[str] = (), **options: Any):
        groups: dict[tuple[str, ...], list[ClaimRun]] = {}
        for run in runs:
            groups.setdefault(tuple(run.swept[key] for key in within), []).append(run)
        return float(np.mean([statistic(group, *args, **options) for group in groups.values()]))

    return mean_over_groups


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan


def value(runs: Runs, of: Any, where: Where | None = None) -> float:
    """The median of a quantity."""
    return _median([quantity(run, of) for run in select(runs, where)])


@per_group
def ratio(runs: Runs, of: Any, over: Where, under: Where | None = None, to: Any = None) -> float:
    """The median of a quantity over some runs, divided by that (or by ``to``) over others."""
    return value(runs, of, over) / value(runs, of if to is None else to, under)


def ratio_of_two(runs: Runs, of: Any, to: Any, where: Where | None = None) -> float:
    """The median ratio of two quantities of the same run."""
    return _median([quantity(run, of) / quantity(run, to) for run in select(runs, where)])


@per_group
def difference(runs: Runs, of: Any, over: Where, under: Where) -> float:
    """The median of a quantity over some runs, minus that over others."""
    return value(runs, of, over) - value(runs, of, under)


@per_group
def trend(runs: Runs, of: Any, along: str) -> float:
    """Spearman's rank correlation, -1 to 1, of a quantity with a swept key.

    Values that are not numbers (sets of layers) rank in the order in which they were swept.
    """
    swept = [run.swept[along] for run in runs]
    try:
        ranks = [float(one) for one in swept]
    except ValueError:
        ranks = [list(dict.fromkeys(swept)).index(one) for one in swept]
    return _spearman(ranks, [quantity(run, of) for run in runs])


def trend_in_epochs(runs: Runs, of: str, first: int = 0) -> float:
    """Spearman's rank correlation of a column of the curve with the epoch, mean over the runs."""

    def trend_of(run: ClaimRun) -> float:
        rows = run.curve[run.curve["epoch"] >= first] if of in run.curve else ()
        return math.nan if len(rows) < 3 else _spearman(rows["epoch"], rows[of])

    return float(np.mean([trend_of(run) for run in runs]))


def slope(runs: Runs, of: Any, to: Any) -> float:
    """The exponent of a power law: slope of log quantity against log other quantity."""
    x, y = ([math.log(quantity(run, spec)) for run in runs] for spec in (to, of))
    return float(stats.linregress(x, y).slope) if len(set(x)) > 1 else math.nan


@per_group
def spread(runs: Runs, of: Any, where: Where | None = None) -> float:
    """The largest of a quantity over the smallest, minus 1."""
    values = [quantity(run, of) for run in select(runs, where)]
    return max(values) / min(values) - 1 if values else math.nan


@per_group
def apart(runs: Runs, where: Where | None = None) -> float:
    """Root mean square difference of two runs' images (black to white is 1), mean over pairs."""
    pairs = itertools.combinations([run.picture for run in select(runs, where)], 2)
    distances = [math.sqrt(np.mean(np.square(a - b, dtype=np.float64))) for a, b in pairs]
    return float(np.mean(distances)) if distances else math.nan


@per_group
def trend_to_common_loss(runs: Runs, along: str) -> float:
    """Spearman's rank correlation with a swept key of the epochs until a loss that all reach."""
    loss = max(quantity(run, "lowest") for run in runs)
    return trend(runs, {"name": "epochs_to", "loss": loss}, along)


@per_group
def ratio_of_best(runs: Runs, of: Any, over: Where, under: Where) -> float:
    """The lowest of a quantity over some runs, divided by the lowest over others."""
    best, other = (_lowest(quantity(run, of) for run in select(runs, w)) for w in (over, under))
    return best / other


@per_group
def evaluations_to_match(runs: Runs, of: Where, against: Where) -> float:
    """Evaluations for the others' lowest loss, over those that they needed; inf if never."""
    rivals = select(runs, against)
    loss = _lowest(quantity(run, "lowest") for run in rivals)
    spec = {"name": "evaluations_to", "loss": loss}
    theirs = _lowest(x for run in rivals if not math.isnan(x := quantity(run, spec)))
    ours = value(runs, spec, of)
    return math.inf if math.isnan(ours) and not math.isnan(loss) else ours / theirs


@per_group
def needed_to_match(runs: Runs, count: str, of: Where, against: Where, to: Any = None) -> float:
    """Evaluations, epochs or seconds (``count``) that runs ``of`` need for the loss of others.

    ``to``, a quantity of the others, divides the result.
    """
    loss = value(runs, "lowest", against)
    needed = value(runs, {"name": f"{count}_to", "loss": loss}, of)
    return needed if to is None else needed / value(runs, to, against)


STATISTICS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        value, ratio, ratio_of_two, difference, trend, trend_in_epochs, slope, spread, apart,
        trend_to_common_loss, ratio_of_best, evaluations_to_match, needed_to_match,
    )
}  # fmt: skip


def measure(runs: Runs, statistic: str, given: Mapping[str, Any]) -> float:
    """A statistic over runs; NaN if a run that it needs ended without a result."""
    try:
        return STATISTICS[statistic](runs, **given)
    except (ZeroDivisionError, IndexError, InputError):  # a run without a curve or an image
        return math.nan


def select(runs: Runs, where: Where | None) -> Runs:
    """The runs whose swept keys have the given values."""
    for key, values in (where or {}).items():
        allowed = values if isinstance(values, list) else [values]
        runs = [run for run in runs if any(_equal(run.swept[key], one) for one in allowed)]
    return runs


def _equal(typed: str, wanted: Any) -> bool:
    try:
        return float(typed) == float(wanted)
    except (TypeError, ValueError):
        return typed == str(wanted)


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Rank correlation; NaN if one of the two does not vary."""
    varied = min(len(set(x)), len(set(y))) > 1
    return float(stats.spearmanr(x, y).statistic) if varied else math.nan


def _lowest(values: Iterable[float]) -> float:
    numbers = list(values)
    return min(numbers) if numbers and not any(map(math.isnan, numbers)) else math.nan
