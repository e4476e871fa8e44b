"""From a run to a number. What a run cannot say is NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage import color, feature

from nstrep.claims.plan import Made
from nstrep.experiment import results
from nstrep.images import texture

TAIL = 20
"""Epochs at the end of a run that are "near the minimum"."""

EDGE_SIGMA = 2.0
"""Of Canny's Gaussian, in pixels."""

REACH = 1
"""Pixels by which two edges may lie apart and still be one."""


def quantity(made: Made, spec: str | Mapping[str, Any]) -> float:
    """A number of a run.

    Args:
        made: the run.
        spec: a name in :data:`QUANTITIES` or a dotted key of metrics.json; or a mapping with the
            name under ``name`` and its arguments beside it.

    """
    given = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = given.pop("name")
    if name in QUANTITIES:
        return float(QUANTITIES[name](made, **given))
    value = made.run.value(name)
    return math.nan if value is None else float(value)


def content_cost(made: Made) -> float:
    """The content loss at the end, before its weight: comparable over weights."""
    return _unweighted(made, "content")


def style_cost(made: Made) -> float:
    """The style loss at the end, before its weight."""
    return _unweighted(made, "style")


def _unweighted(made: Made, branch: str) -> float:
    weight = made.run.value(f"{branch}_weight")
    return _at_end(made, f"{branch}_loss") / weight if weight else math.nan


def _at_end(made: Made, column: str) -> float:
    curve = made.run.curve
    return float(curve[column].iloc[-1]) if column in curve else math.nan


def left(made: Made, column: str = "total", epoch: int | None = None) -> float:
    """A loss as a share of what it was at the start, at an epoch or at the end."""
    curve = made.run.curve
    if column not in curve:
        return math.nan
    rows = curve if epoch is None else curve[curve["epoch"] == epoch]
    return float(rows[column].iloc[-1] / curve[column].iloc[0]) if len(rows) else math.nan


def start_gradient(made: Made) -> float:
    """Norm of the gradient at the start over the total loss there, a pixel's root mean square."""
    curve, pixels = made.run.curve, pixel_count(made)
    if curve.empty:
        return math.nan
    first = curve.iloc[0]
    return float(first["gradient_norm"] / first["total"]) / math.sqrt(3 * pixels)


def tail_jumps(made: Made) -> float:
    """How much the loss jumps about at the end: its deviation from a straight line, relative.

    The standard deviation over the last :data:`TAIL` epochs of what a straight line leaves,
    divided by the mean loss there; a loss that still falls steadily does not count as jumping.
    """
    losses = made.run.curve.get("total", pd.Series(dtype=float)).to_numpy()[-TAIL:]
    if len(losses) < TAIL:
        return math.nan
    epochs = np.arange(TAIL)
    line = np.polyval(np.polyfit(epochs, losses, 1), epochs)
    return float(np.std(losses - line) / np.mean(losses))


def early_fall(made: Made, share: float = 0.1) -> float:
    """The share of the loss's whole fall that is reached after a share of the evaluations."""
    curve = made.run.curve
    if curve.empty:
        return math.nan
    evaluations, total = curve["evaluations"], curve["total"]
    budget = share * evaluations.iloc[-1]
    reached = float(np.interp(budget, evaluations, total))
    fall = total.iloc[0] - total.iloc[-1]
    return float((total.iloc[0] - reached) / fall) if fall > 0 else math.nan


def lowest(made: Made) -> float:
    """The lowest total loss of the run."""
    return float(made.run.curve["total"].min()) if "total" in made.run.curve else math.nan


def evaluations_to(made: Made, loss: float) -> float:
    """Evaluations until the total is at or below a loss; NaN if it never is."""
    return _when(made, loss, "evaluations")


def epochs_to(made: Made, loss: float) -> float:
    """Epochs until the total is at or below a loss; NaN if it never is."""
    return _when(made, loss, "epoch")


def seconds_to(made: Made, share: float = 1.0, loss: float | None = None) -> float:
    """Seconds until the total is at or below a loss, or a share of that of the start."""
    curve = made.run.curve
    if curve.empty:
        return math.nan
    return _when(made, share * curve["total"].iloc[0] if loss is None else loss, "seconds")


def seconds_for(made: Made, epochs: int) -> float:
    """Seconds that so many epochs take, from the median of those that were run."""
    return epochs * seconds_an_epoch(made)


def _when(made: Made, loss: float, column: str) -> float:
    curve = made.run.curve
    below = curve[curve["total"] <= loss] if "total" in curve else curve
    return float(below[column].iloc[0]) if len(below) else math.nan


def eps_at(made: Made, epoch: int) -> float:
    """eps, the relative change of the picture, at an epoch."""
    curve = made.run.curve
    rows = curve[curve["epoch"] == epoch] if "eps" in curve else curve
    return float(rows["eps"].iloc[0]) if len(rows) else math.nan


def edge_overlap(made: Made) -> float:
    """Dice's coefficient, 0 to 1, of the edges of result and photo (Canny 1986).

    An edge pixel of one counts as found if the other has one within :data:`REACH` pixels.
    """
    ours, theirs = _edges(made.run.picture), _edges(made.photo)
    around = ndimage.generate_binary_structure(2, 2)

    def found(a: np.ndarray, b: np.ndarray) -> int:
        return int((a & ndimage.binary_dilation(b, around, iterations=REACH)).sum())

    total = int(ours.sum() + theirs.sum())
    return (found(ours, theirs) + found(theirs, ours)) / total if total else math.nan


def _edges(rgb01: np.ndarray) -> np.ndarray:
    return feature.canny(color.rgb2gray(rgb01), sigma=EDGE_SIGMA)


def spectral_centroid(made: Made) -> float:
    """Centroid of the radially averaged power spectrum of the luminance, in cycles a pixel.

    The lower, the larger the picture's structures. A Hann window keeps the borders out.
    """
    power, radius = texture.spectrum(made.run.picture)
    longest = max(power.shape)
    rings = np.round(radius * longest).astype(int)
    inside = (radius > 0) & (radius <= 0.5)
    numbers = np.unique(rings[inside])
    mean = ndimage.mean(power, np.where(inside, rings, -1), numbers)
    return float(np.sum(numbers * mean) / np.sum(mean)) / longest


def border_error(made: Made) -> float:
    """How much the result's border differs from what lies inside: :func:`texture.border_error`."""
    return _border_error(made.run.picture)


def border_error_of_photo(made: Made) -> float:
    """The same of the photo."""
    return _border_error(made.photo)


def _border_error(rgb01: np.ndarray) -> float:
    strips = 2 * texture.STRIPS
    band = min(texture.BAND, min(rgb01.shape[:2]) // strips)
    return texture.border_error(rgb01, band) if band else math.nan


def speckle(made: Made) -> float:
    """Share of the result's contrast that is finer than strokes; see :func:`texture.speckle`."""
    return texture.speckle(made.run.picture)


def speckle_of_photo(made: Made) -> float:
    """The same of the photo."""
    return texture.speckle(made.photo)


def variation(made: Made) -> float:
    """Total variation of the result: mean absolute difference of neighbouring pixels."""
    picture = made.run.picture
    return float(sum(np.abs(np.diff(picture, axis=axis)).mean() for axis in (0, 1)))


def ssim_to_unfiltered(made: Made) -> float:
    """SSIM of the saved picture to the one before the filter."""
    found = results.compare(made.run.picture, np.clip(made.run.raw, 0, 1))["ssim"]
    return math.nan if found is None else found


def seconds_an_epoch(made: Made) -> float:
    """Seconds from one epoch to the next, median: without the start, which warms up."""
    seconds = made.run.curve.get("seconds", pd.Series(dtype=float))
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else math.nan


def minutes(made: Made) -> float:
    """Minutes that the optimisation took."""
    return quantity(made, "seconds") / 60


def milliseconds(made: Made) -> float:
    """Milliseconds that it took; a pass of a network takes a few."""
    return 1000 * quantity(made, "seconds")


def pixel_count(made: Made) -> float:
    """Width times height."""
    return float(made.run.value("width") * made.run.value("height"))


def memory(made: Made) -> float:
    """Megabytes that the run needed at its peak beyond what the process held before it."""
    peak, before = made.run.value("peak_memory_mb"), made.run.value("memory_before_mb")
    return math.nan if peak is None or before is None else float(peak) - float(before)


QUANTITIES: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        content_cost,
        style_cost,
        left,
        start_gradient,
        tail_jumps,
        early_fall,
        lowest,
        evaluations_to,
        epochs_to,
        seconds_to,
        seconds_for,
        eps_at,
        edge_overlap,
        spectral_centroid,
        border_error,
        border_error_of_photo,
        speckle,
        speckle_of_photo,
        variation,
        ssim_to_unfiltered,
        seconds_an_epoch,
        minutes,
        milliseconds,
        pixel_count,
        memory,
    )
}
