"""From a run to a number. It is NaN if the run does not hold what is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import color, feature

from nstrep.claims.plan import ClaimRun
from nstrep.experiment import results
from nstrep.images import texture

TAIL = 20  # number of last iterations that count as near the minimum


def quantity(run: ClaimRun, spec: str | Mapping[str, Any]) -> float:
    """A number of a run.

    ``spec`` is a name in :data:`QUANTITIES` or a dotted key of metrics.json; or a mapping with the
    name under ``name`` and its arguments beside it.
    """
    given = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = given.pop("name")
    if name in QUANTITIES:
        return float(QUANTITIES[name](run, **given))
    value = run.value(name)
    return math.nan if value is None else float(value)


def _column(run: ClaimRun, name: str) -> np.ndarray:
    """A column of curve.csv; a single NaN if there is none."""
    values = run.curve.get(name, ())
    return np.asarray(values) if len(values) else np.array([math.nan])


def _first(run: ClaimRun, name: str, where: np.ndarray) -> float:
    """The first value of a column for which the condition holds."""
    column = _column(run, name)
    values = column[where] if len(column) == len(where) else ()
    return float(values[0]) if len(values) else math.nan


def _without_weight(run: ClaimRun, term: str) -> float:
    """Final loss of a term without its weight, so that runs of different weights compare."""
    weight = run.value(f"{term}_weight")
    return _column(run, f"{term}_loss")[-1] / weight if weight else math.nan


def _at_epoch(run: ClaimRun, column: str, epoch: int) -> float:
    return _first(run, column, _column(run, "epoch") == epoch)


def left(run: ClaimRun, column: str = "total", epoch: int | None = None) -> float:
    """A loss over its value at the start, at an epoch or at the end."""
    losses = _column(run, column)
    return (losses[-1] if epoch is None else _at_epoch(run, column, epoch)) / losses[0]


def start_gradient(run: ClaimRun) -> float:
    """Root mean square of the gradient over the pixels, over the total loss, at the start."""
    relative = _column(run, "gradient_norm")[0] / _column(run, "total")[0]
    return relative / math.sqrt(3 * quantity(run, "pixel_count"))


def tail_jumps(run: ClaimRun) -> float:
    """Standard deviation of the last :data:`TAIL` losses from a straight line, over their mean.

    A loss that still falls steadily does not count as jumping.
    """
    losses = _column(run, "total")[-TAIL:]
    if len(losses) < TAIL:
        return math.nan
    epochs = np.arange(TAIL)
    line = np.polyval(np.polyfit(epochs, losses, 1), epochs)
    return float(np.std(losses - line) / np.mean(losses))


def early_fall(run: ClaimRun, share: float = 0.1) -> float:
    """Share of the loss's whole fall that is reached after a share of the evaluations."""
    evaluations, total = _column(run, "evaluations"), _column(run, "total")
    early = np.interp(share * evaluations[-1], evaluations, total)
    fall = total[0] - total[-1]
    return (total[0] - early) / fall if fall > 0 else math.nan


def _until(run: ClaimRun, loss: float, column: str) -> float:
    """Value of a column where the total loss first is at or below a value; NaN if it never is."""
    return _first(run, column, _column(run, "total") <= loss)


def seconds_to(run: ClaimRun, share: float = 1.0, loss: float | None = None) -> float:
    """Seconds until the total loss is at or below a value, or a share of that at the start."""
    return _until(run, share * _column(run, "total")[0] if loss is None else loss, "seconds")


def edge_overlap(run: ClaimRun) -> float:
    """Dice's coefficient, 0 to 1, of the edges of result and content image (Canny 1986).

    An edge pixel matches if the other image has one at most one pixel away.
    """
    result, content = (
        feature.canny(color.rgb2gray(rgb01), sigma=2.0)
        for rgb01 in (run.picture, run.content_image)
    )
    around = ndimage.generate_binary_structure(2, 2)
    matching = (result & ndimage.binary_dilation(content, around)).sum()
    matching += (content & ndimage.binary_dilation(result, around)).sum()
    edges = result.sum() + content.sum()
    return matching / edges if edges else math.nan


def spectral_centroid(run: ClaimRun) -> float:
    """Centroid of the radially averaged power spectrum of the luminance, in cycles per pixel.

    The lower, the larger the structures of the image. A Hann window removes the borders' effect.
    """
    power, radius = texture.spectrum(run.picture)
    longest = max(power.shape)
    rings = np.round(radius * longest).astype(int)
    inside = (radius > 0) & (radius <= 0.5)
    numbers = np.unique(rings[inside])
    mean = ndimage.mean(power, np.where(inside, rings, -1), numbers)
    return float(np.sum(numbers * mean) / np.sum(mean)) / longest


def _border_error(rgb01: np.ndarray) -> float:
    """Difference of the border from the inside: :func:`texture.border_error`."""
    band = min(texture.BAND, min(rgb01.shape[:2]) // (2 * texture.STRIPS))
    return texture.border_error(rgb01, band) if band else math.nan


def ssim_to_unfiltered(run: ClaimRun) -> float:
    """SSIM between the saved image and the one before the noise filter."""
    ssim = results.compare(run.picture, np.clip(run.raw, 0, 1))["ssim"]
    return math.nan if ssim is None else ssim


def seconds_an_epoch(run: ClaimRun) -> float:
    """Median of the seconds from one epoch to the next, which leaves out the warm-up."""
    seconds = _column(run, "seconds")
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else math.nan


QUANTITIES: dict[str, Callable[..., float]] = {
    "content_cost": lambda run: _without_weight(run, "content"),
    "style_cost": lambda run: _without_weight(run, "style"),
    "left": left,
    "start_gradient": start_gradient,
    "tail_jumps": tail_jumps,
    "early_fall": early_fall,
    "lowest": lambda run: np.fmin.reduce(_column(run, "total")),
    "evaluations_to": lambda run, loss: _until(run, loss, "evaluations"),
    "epochs_to": lambda run, loss: _until(run, loss, "epoch"),
    "seconds_to": seconds_to,
    "seconds_for": lambda run, epochs: epochs * seconds_an_epoch(run),
    "seconds_an_epoch": seconds_an_epoch,
    "minutes": lambda run: quantity(run, "seconds") / 60,
    "milliseconds": lambda run: 1000 * quantity(run, "seconds"),
    "eps_at": lambda run, epoch: _at_epoch(run, "eps", epoch),
    "edge_overlap": edge_overlap,
    "spectral_centroid": spectral_centroid,
    "border_error": lambda run: _border_error(run.picture),
    "border_error_of_photo": lambda run: _border_error(run.content_image),
    # The share of the contrast that is finer than strokes.
    "speckle": lambda run: texture.speckle(run.picture),
    "speckle_of_photo": lambda run: texture.speckle(run.content_image),
    # Mean absolute difference of neighbouring pixels.
    "variation": lambda run: sum(np.abs(np.diff(run.picture, axis=n)).mean() for n in (0, 1)),
    "ssim_to_unfiltered": ssim_to_unfiltered,
    "pixel_count": lambda run: quantity(run, "width") * quantity(run, "height"),
    # Megabytes at the peak of the run beyond what the process held before it.
    "memory": lambda run: quantity(run, "peak_memory_mb") - quantity(run, "memory_before_mb"),
}
