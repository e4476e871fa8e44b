"""The loss terms: pure functions from MXNet symbols to a scalar symbol, and their coefficients.

The graph computes *raw* sums only: sum((G - A)^2) of the Gram matrices divided by their positions,
sum((F - P)^2) of the content features, and the sum over pixel differences. Everything that tells
one paper's loss from another's (halves, quarters, powers of the layer's size) is one number a
term, its coefficient, computed here in float64 and applied outside of the graph. So a graph serves
every recipe, and a formula is read off in one place.

N is the number of a layer's channels, M the number of its positions (height x width).
"""

from __future__ import annotations

from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.config.schema import LossesConfig
from nstrep.networks.gram import gram

FAINT = 0.05
"""Share of the layer's mean energy that every filter is taken to have at least, when filters are
scaled to equal energy: one that hardly fires on the painting must not decide the picture."""


@dataclass(frozen=True)
class Term:
    """One named scalar of the objective: ``coefficient`` x ``value``.

    ``head_gradient`` is what to send back through ``value`` for each unit of the coefficient. It
    is 2 where the graph holds one of two equal factors constant (see :func:`style`).
    """

    name: str
    value: mx.sym.Symbol
    coefficient: float
    head_gradient: float = 1.0


def total(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    # As a product it takes a tenth of the time of MXNet's sum.
    return mx.sym.dot(flat, mx.sym.ones_like(flat))


def sum_of_squares(x: mx.sym.Symbol) -> mx.sym.Symbol:
    """Sum of x^2 over everything, shape (1,)."""
    flat = mx.sym.reshape(x, shape=(-1,))
    return mx.sym.dot(flat, flat)


def style(
    features: mx.sym.Symbol,
    target: mx.sym.Symbol,
    channels: int,
    positions: float,
    *,
    mean_share: float = 1.0,
    scale: mx.sym.Symbol | None = None,
    root: mx.sym.Symbol | None = None,
) -> mx.sym.Symbol:
    """sum((S (G - A))^2) of the Gram matrices per position; its gradient must be doubled.

    Args:
        features: of the image, (1, N, H, W).
        target: A, of the painting, (N, N).
        channels: N.
        positions: M of the image; with ``root`` the sum of the weights.
        mean_share: see :func:`gram`.
        scale: S, multiplied element by element, (N, N); None for ones.
        root: see :func:`gram`.

    """
    found = gram(
        features, channels, positions, mean_share=mean_share, constant_factor=True, root=root
    )
    difference = found - target
    return sum_of_squares(difference if scale is None else difference * scale)


def filter_scale(target: np.ndarray) -> np.ndarray:
    """What brings every filter of a Gram matrix (N, N) to the same energy, (N, N) float32.

    Entry (i, j) is 1 / sqrt(A_ii A_jj), with A_ii at least :data:`FAINT` of the diagonal's mean
    more.
    """
    diagonal = np.diag(target).astype(np.float64)
    each = 1 / np.sqrt(diagonal + FAINT * (diagonal.mean() or 1.0))
    return np.outer(each, each).astype(np.float32)


def content(features: mx.sym.Symbol, target: mx.sym.Symbol) -> mx.sym.Symbol:
    """sum((F - P)^2) over channels and positions."""
    return sum_of_squares(features - target)


def total_variation(
    image: mx.sym.Symbol,
    form: str,
    grid: str,
    *,
    above: bool = False,
    below: bool = False,
) -> tuple[mx.sym.Symbol, ...]:
    """Sums of the differences of neighbouring pixels, in the image's own units.

    Args:
        image: (1, 3, H, W): a picture, or a strip of one that shares a row with the next.
        form: see :class:`nstrep.config.schema.TvForm`.
        grid: likewise.
        above: the picture goes on above.
        below: the picture goes on below; the strip below has the last row's horizontal differences.

    Returns:
        The sums over horizontal and over vertical differences, or one joint sum for ``power``.

    """
    if grid == "zero_padded":
        ends = (int(not above), int(not below), 1, 1)
        image = mx.sym.pad(image, mode="constant", pad_width=(0, 0, 0, 0, *ends))

    def part(rows: tuple, columns: tuple) -> mx.sym.Symbol:
        return mx.sym.slice(
            image, begin=(None, None, rows[0], columns[0]), end=(None, None, rows[1], columns[1])
        )

    columns = (0, -1) if grid == "crop" else (0, None)
    rows = (0, -1) if below else columns
    dx = part(rows, (1, None)) - part(rows, (0, -1))
    dy = part((1, None), columns) - part((0, -1), columns)
    if form == "power":
        joint = mx.sym.square(dx) + mx.sym.square(dy)
        return (total(mx.sym.power(joint, 1.25)),)
    if form == "absolute":
        return total(mx.sym.abs(dx)), total(mx.sym.abs(dy))
    return sum_of_squares(dx), sum_of_squares(dy)


def difference_counts(height: int, width: int, grid: str) -> tuple[int, int]:
    """How many horizontal and vertical differences a 3-channel picture has on a grid."""
    if grid == "zero_padded":
        height, width = height + 2, width + 2
    if grid == "crop":
        return (3 * (height - 1) * (width - 1),) * 2
    return 3 * height * (width - 1), 3 * (height - 1) * width


def style_coefficient(
    forms: LossesConfig, channels: int, positions: int, image_positions: int, energy: float
) -> float:
    """What turns :func:`style` into the recipe's loss at weight 1.

    The Gram matrices in the graph are per position (so that pictures of different sizes compare);
    a formula on raw Gram matrices therefore gets M^2 back.
    """
    form, scale = forms.style, forms.feature_scale
    if form.divide_by == "energy":
        return form.factor / energy
    n, m = (3, image_positions) if form.divide_by == "image_size" else (channels, positions)
    unit = form.factor / (n**form.channels_power * m**form.positions_power)
    return unit * positions**2 * scale**4


def content_coefficient(
    forms: LossesConfig, channels: int, positions: int, image_positions: int, energy: float
) -> float:
    """What turns :func:`content` into the recipe's loss at weight 1."""
    form, scale = forms.content, forms.feature_scale
    if form.divide_by == "energy":
        return form.factor / energy
    n, m = (3, image_positions) if form.divide_by == "image_size" else (channels, positions)
    unit = form.factor / (n**form.channels_power * m**form.positions_power)
    return unit * scale**2
