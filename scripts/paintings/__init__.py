"""Draw the stand-in paintings: the style images for which no real painting has been downloaded.

``python -m scripts.paintings``, typed in the root of the repository, draws the paintings and
writes nstrep/images/stand_ins/*.webp, in two minutes. The package reads the files, never draws. A
change here changes every result that uses a stand-in, so a slow test compares the files with what
this code draws.

Three of them are brushwork, :mod:`~scripts.paintings.swirls`, :mod:`~scripts.paintings.lilies` and
:mod:`~scripts.paintings.facets`. Each starts as a plan (:mod:`scripts.paintings.plan`): at each
point, the subject, its tone and the direction of the brush. :mod:`scripts.paintings.brush` then
covers the plan with strokes, from back to front and from broad to fine; each stroke has its own
paint, bristles and relief.

Six are other techniques, each with a module of its own that draws shapes on a
:mod:`~scripts.paintings.sheet` of paper: a colour print (:mod:`~scripts.paintings.surf`), mosaic
(:mod:`~scripts.paintings.tiles`), :mod:`~scripts.paintings.ink`, pointillism
(:mod:`~scripts.paintings.dots`), stained :mod:`~scripts.paintings.glass` and
:mod:`~scripts.paintings.woodcut`. They are smaller and stored with loss.

The code reads no picture, the works that it follows are in the
public domain, and every random number comes from a generator with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.paintings.dots import dotted_river
from scripts.paintings.facets import cubist_facets
from scripts.paintings.glass import stained_glass
from scripts.paintings.ink import ink_mountains
from scripts.paintings.lilies import water_lilies
from scripts.paintings.surf import breaking_wave
from scripts.paintings.swirls import starry_swirls
from scripts.paintings.tiles import mosaic_peacock
from scripts.paintings.woodcut import woodcut_fox

Scene = Callable[..., np.ndarray]

BRUSHWORK: dict[str, Scene] = {
    scene.__name__: scene for scene in (starry_swirls, water_lilies, cubist_facets)
}
SHEETS: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        breaking_wave, mosaic_peacock, ink_mountains, dotted_river, stained_glass, woodcut_fox,
    )
}  # fmt: skip
SCENES = BRUSHWORK | SHEETS
"""Scene by name; each takes width and height in pixels and returns H x W x 3, uint8 RGB."""
