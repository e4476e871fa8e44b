"""Total variation: differences of neighbouring pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from nstrep.config.schema import TvForm
from nstrep.losses.term import Edges, LossTerm, Symbols, register, sum_of_squares, total
from nstrep.losses.tiling import Scene


@register("tv_loss")
@dataclass(eq=False)
class TotalVariation(LossTerm):
    """Sum or mean over the differences of neighbouring pixels, in the image's own units."""

    form: TvForm | None = None
    linear = True
    overlap = 1

    @classmethod
    def create(cls, scene: Scene, settings: float) -> Iterator[TotalVariation]:
        """One term on the image, unless the weight ``settings`` is 0."""
        form, (height, width) = scene.forms.tv, scene.content.shape[2:]
        if form.grid == "zero_padded":
            height, width = height + 2, width + 2
        cut = int(form.grid == "crop")
        counts = np.array([3 * (height - cut) * (width - 1), 3 * (height - 1) * (width - cut)])
        if form.reduction == "pixel_mean":
            counts[:] = 3 * height * width
        counts = counts[: 1 if form.form == "power" else 2]
        units = form.factor / (np.ones(len(counts)) if form.reduction == "sum" else counts)
        if settings:
            yield cls("tv_loss", None, settings * units, form=form)

    def statistics(self, features: mx.sym.Symbol, inputs: Symbols, edges: Edges) -> Symbols:
        """The sums over horizontal and over vertical differences, or one joint sum for ``power``.

        A tile is given one more row and column where the image goes on. Their differences to the
        tile's own pixels belong to the tile, those within them to the next one.
        """
        if self.form.grid == "zero_padded":
            pad_width = (0, 0, 0, 0, *map(int, edges))
            features = mx.sym.pad(features, mode="constant", pad_width=pad_width)
        crop = self.form.grid == "crop"
        rows = (0, None if edges.bottom and not crop else -1)
        columns = (0, None if edges.right and not crop else -1)

        def part(rows: tuple, columns: tuple) -> mx.sym.Symbol:
            begin, end = zip((None, None), (None, None), rows, columns)
            return mx.sym.slice(features, begin=begin, end=end)

        dx = part(rows, (1, None)) - part(rows, (0, -1))
        dy = part((1, None), columns) - part((0, -1), columns)
        if self.form.form == "power":
            return {"joint": total(mx.sym.power(mx.sym.square(dx) + mx.sym.square(dy), 1.25))}
        if self.form.form == "absolute":
            return {"horizontal": total(mx.sym.abs(dx)), "vertical": total(mx.sym.abs(dy))}
        return {"horizontal": sum_of_squares(dx), "vertical": sum_of_squares(dy)}

    def value(self, statistics: Symbols, inputs: Symbols) -> mx.sym.Symbol:
        """The sums, each of which has its coefficient."""
        return mx.sym.concat(*statistics.values(), dim=0)
