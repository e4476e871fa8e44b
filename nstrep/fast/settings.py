"""The keys of stylising and exporting; configs/stylize.yaml holds the defaults of the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nstrep.config.fields import choice, number, text

COLORS = ("style", "luminance")
MODEL = "run directory of nstrep.fast.train, or a file of parameters"


@dataclass
class StylizeConfig:
    """The keys of nstrep.fast.stylize."""

    style: str | None = text(
        "style by name, a blend such as swirls:0.5,surf:0.5, or all for one sheet of all styles;"
        " null for a model of one style"
    )
    image: str = text("image, folder, pattern such as photos/*.jpg, or - for stdin")
    out: str = text("folder of the results, a .png file for one image, or - for stdout")
    model: str | None = text(f"{MODEL}; null for the styles in this package")
    strength: float = number(
        "share of the result in each pixel, the rest being the image's; 0 gives the image",
        at_least=0, at_most=1,
    )  # fmt: skip
    color: str = choice(
        "colours of the result: the style's, or the image's with the luminance of the style's"
        " result (luminance)",
        COLORS,
    )
    long_edge: int = number(
        "long side to which images are scaled first; 0 to keep their size", at_least=0
    )
    tile: Any = text(
        "side in pixels of the tiles, which reduce the memory needed, at least 64; 0 for no tiles;"
        " auto for tiles if the whole does not fit into the memory"
    )
    overwrite: bool = text("whether files of other images or programs may be replaced")


@dataclass
class ExportConfig:
    """The keys of nstrep.fast.export."""

    model: str = text(MODEL)
    out: str = text("ONNX file to write, or .npz for the network itself in half precision")
    size: str | None = text("size of the images in pixels, WIDTHxHEIGHT; for ONNX")
