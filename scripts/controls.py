"""Make the pictures of docs/controls.md: results/controls/*.jpg and the masks that they use.

python scripts/controls.py [blend] [color] [masks]      # a few minutes for all
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from PIL import Image, ImageDraw, ImageFont

from nstrep import cli
from nstrep.base.files import atomic_write
from nstrep.config.checks import check
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import run as experiment
from nstrep.images import io

FOLDER = Path("results/controls")
EDGE, LINE, GAP = 320, 16, 6
"""Pixels: long side of a picture, height of a line of its caption, space between."""

SHARED = ("model=vgg19_slim", f"max_long_edge={EDGE}", "save_epochs=0")

SUBJECT, REST, SKY, GROUND = (
    f"{FOLDER}/{name}.png" for name in ("subject", "background", "sky", "ground")
)
BOTH = f"content_masks=[{SUBJECT},{REST}]"
EILEEN = ("content=astronaut", "style=swirls")

SHEETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "blend": (
        ("style=facets", "painting"),
        ("styles=[facets,swirls]", "style_blend=[3,1]"),
        ("styles=[facets,swirls]", "style_blend=[1,1]"),
        ("styles=[facets,swirls]", "style_blend=[1,3]"),
        ("style=swirls", "painting"),
    ),
    "color": (
        (*EILEEN, "photo"),
        *((*EILEEN, f"color={mode}") for mode in ("style", "histogram", "cholesky", "luminance")),
    ),
    "masks": (
        (*EILEEN, f"content_masks=[{SUBJECT}]", "mask"),
        (*EILEEN, f"content_masks=[{REST}]"),
        ("content=astronaut", "styles=[facets,swirls]", BOTH),
        (*EILEEN, BOTH, f"style_masks=[{GROUND},{SKY}]"),
    ),
}
"""Sheets of pictures: what is typed for each; the last word may ask for what goes in instead."""


def main() -> None:
    """Draw the masks, run the experiments and write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheets", nargs="*", help=f"some of {', '.join(SHEETS)}; all if none")
    wanted = parser.parse_args().sheets or [*SHEETS]
    if unknown := [name for name in wanted if name not in SHEETS]:
        parser.error(f"{unknown[0]}: must be one of {', '.join(SHEETS)}")
    draw_masks()
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        for name in wanted:
            cells = [(caption(cell), shown(cell)) for cell in SHEETS[name]]
            save(sheet(cells), FOLDER / f"{name}.jpg", quality=86, optimize=True)


def draw_masks() -> None:
    """The astronaut's figure, and the sky of the swirls, each with what is around it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    figure = Image.new("L", (512, 512))
    pen = ImageDraw.Draw(figure)
    for head_collar_helmet in ((152, 12, 302, 190), (112, 146, 306, 296), (276, 342, 516, 600)):
        pen.ellipse(head_collar_helmet, fill=255)
    pen.polygon([(116, 215), (300, 230), (352, 290), (365, 512), (20, 512), (40, 300)], fill=255)
    sky = Image.new("L", (1024, 812))
    ImageDraw.Draw(sky).rectangle((0, 0, 1024, 480), fill=255)
    for drawn, inside, outside in ((figure, SUBJECT, REST), (sky, SKY, GROUND)):
        save(drawn, Path(inside), optimize=True)
        save(Image.eval(drawn, lambda value: 255 - value), Path(outside), optimize=True)


def caption(cell: tuple[str, ...]) -> str:
    """What makes a cell, a line each, without what all cells share and without folders."""
    return "\n".join(cell).replace(f"{FOLDER}/", "").replace(".png", "")


def shown(cell: tuple[str, ...]) -> np.ndarray:
    """A cell's picture, ``rgb01``: what it asks for by name, or the result of its experiment."""
    *overrides, last = cell
    if last in GIVEN:
        return GIVEN[last](experiment.load_inputs(configured(*overrides)))
    return run(configured(*cell))


GIVEN = {
    "photo": lambda inputs: inputs.content_rgb01,
    "painting": lambda inputs: inputs.styles_rgb01[0],
    "mask": lambda inputs: np.repeat(inputs.regions[0].mask[..., None], 3, axis=2),
}


def configured(*overrides: str) -> ExperimentConfig:
    """The experiment of what is typed."""
    return check(compose("config", overrides=[*SHARED, *overrides]))


def run(config: ExperimentConfig) -> np.ndarray:
    """The result of an experiment."""
    with tempfile.TemporaryDirectory() as folder:
        experiment.run(config, Path(folder) / "run")
        return io.load_picture(Path(folder) / "run" / "final.png").rgb


def sheet(cells: list[tuple[str, np.ndarray]]) -> Image.Image:
    """Pictures of one height side by side, each under its caption."""
    height = min(rgb01.shape[0] for _, rgb01 in cells)
    fitted = [
        (words, io.resize_to(rgb01, height, round(rgb01.shape[1] * height / rgb01.shape[0])))
        for words, rgb01 in cells
    ]
    width = sum(rgb01.shape[1] + GAP for _, rgb01 in fitted) - GAP
    head = LINE * max(words.count("\n") + 1 for words, _ in cells) + GAP
    page = Image.new("RGB", (width, height + head), "white")
    pen, font, left = ImageDraw.Draw(page), ImageFont.load_default(12), 0
    for words, rgb01 in fitted:
        middle = left + rgb01.shape[1] / 2
        pen.text((middle, head / 2), words, "black", font, anchor="mm", align="center")
        page.paste(Image.fromarray(io.to_uint8(rgb01)), (left, head))
        left += rgb01.shape[1] + GAP
    return page


def save(image: Image.Image, path: Path, **options) -> None:
    """Write a picture whole or not at all."""
    with atomic_write(path) as temporary:
        image.save(temporary, format={".jpg": "JPEG", ".png": "PNG"}[path.suffix], **options)


if __name__ == "__main__":
    main()
