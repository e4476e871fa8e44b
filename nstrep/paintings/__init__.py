"""Paintings drawn by code: the style images when no real painting is on the disk.

Each is made as a painter makes it. First a plan (:mod:`nstrep.paintings.plan`): at each point,
what is there, how light it is and which way the brush runs. Then strokes over the plan
(:mod:`nstrep.paintings.brush`), from back to front and from broad to fine, each with its own
paint, its bristle lines and its relief. The scenes are :mod:`~nstrep.paintings.swirls`,
:mod:`~nstrep.paintings.lilies` and :mod:`~nstrep.paintings.facets`; no picture is read, what is
drawn is in the public domain, and every random draw comes from a seeded generator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nstrep.paintings.facets import cubist_facets
from nstrep.paintings.lilies import water_lilies
from nstrep.paintings.swirls import starry_swirls

DRAWN: dict[str, Callable[..., np.ndarray]] = {
    scene.__name__: scene for scene in (starry_swirls, water_lilies, cubist_facets)
}
"""Scene by name; each takes width, height (pixels) and seed, and gives H x W x 3, uint8 RGB."""

__all__ = ["DRAWN", "cubist_facets", "starry_swirls", "water_lilies"]
