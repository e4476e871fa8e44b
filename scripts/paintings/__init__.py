"""Draw the stand-in paintings: the style images for which no real painting has been downloaded.

``python -m scripts.paintings``, typed in the root of the repository, draws the three paintings and
writes nstrep/images/stand_ins/*.webp, in 20 seconds. The package reads the files, never draws. A
change here changes every result that uses a stand-in, so a slow test compares the files with what
this code draws.

A painting starts as a plan (:mod:`scripts.paintings.plan`): at each point, the subject, its tone
and the direction of the brush. :mod:`scripts.paintings.brush` then covers the plan with strokes,
from back to front and from broad to fine; each stroke has its own paint, bristles and relief. The
scenes are :mod:`~scripts.paintings.swirls`, :mod:`~scripts.paintings.lilies` and
:mod:`~scripts.paintings.facets`. The code reads no picture, the works that it follows are in the
public domain, and every random number comes from a generator with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.paintings.facets import cubist_facets
from scripts.paintings.lilies import water_lilies
from scripts.paintings.swirls import starry_swirls

SCENES: dict[str, Callable[..., np.ndarray]] = {
    scene.__name__: scene for scene in (starry_swirls, water_lilies, cubist_facets)
}
"""Scene by name; each takes width and height in pixels and returns H x W x 3, uint8 RGB."""
