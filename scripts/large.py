"""Make the pictures of docs/large.md: results/large/*.jpg.

python scripts/large.py                    # at 512, 1024 and 2048 px: hours on an idle machine
python scripts/large.py --edges 64 128 256 --folder /tmp/large    # the same in a minute

``scales.jpg`` has a column for each size and a row for each way, one scale and from coarse to fine:
the picture and, below it, a crop at 1:1. ``style_scale.jpg`` has the largest size with several
values of ``style_scale``, also with crops.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from PIL import Image, ImageDraw, ImageFont

from nstrep import cli
from nstrep.base.files import atomic_write
from nstrep.config.checks import check
from nstrep.experiment import run as experiment
from nstrep.images import io

FOLDER = Path("results/large")
SHOWN, LINE, GAP = 400, 16, 6
"""Pixels: long side of a picture and side of a crop, height of a caption, space between."""

SHARED = (
    "experiment=poster", "content=chelsea", "style=swirls", "coarse_epochs=[150,100,60]",
    "max_num_epochs=40", "optimizer.corrections=10",
)  # fmt: skip
WAYS = {
    "one scale": ("style_scale=1.0", "scales=null"),
    "from coarse to fine": ("style_scale=1.0",),
}
STYLE_SCALES = (0.25, 0.5, 1.0)


def main() -> None:
    """Run the experiments and write the two sheets and the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    largest, times = max(given.edges), []

    def picture(caption: str, edge: int, *overrides: str) -> tuple[str, np.ndarray]:
        overrides = (*SHARED, f"max_long_edge={edge}", *overrides)
        if edge < 512 and "scales=null" not in overrides:  # a small trial of this script
            overrides = (*overrides, f"scales=[{edge // 2},{edge}]")
        rgb, metrics = result(overrides)
        names = ("width", "height", "seconds", "epochs", "evaluations", "peak_memory_mb", "tile")
        times.append({"picture": caption, **{name: metrics[name] for name in names}})
        return caption, rgb

    rows = [
        [picture(f"{edge} px, {way}", edge, *extra) for edge in given.edges]
        for way, extra in WAYS.items()
    ]
    write(given.folder / "scales.jpg", rows)
    rows = [[picture(f"style_scale={x:g}", largest, f"style_scale={x}") for x in STYLE_SCALES]]
    write(given.folder / "style_scale.jpg", rows)
    (given.folder / "times.json").write_text(json.dumps(times, indent=2) + "\n")


@cache  # the largest is on both sheets
def result(overrides: tuple[str, ...]) -> tuple[np.ndarray, dict]:
    """The picture and the metrics of a run."""
    print(*overrides, flush=True)
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        config = check(compose("config", list(overrides)))
    with tempfile.TemporaryDirectory() as folder:
        metrics = experiment.run(config, Path(folder) / "run")
        return io.load_picture(str(Path(folder) / "run/final.png")).rgb, metrics


def write(path: Path, rows: list[list[tuple[str, np.ndarray]]]) -> None:
    """Each picture with its caption, and below it a crop of its middle at 1:1."""
    cells = [[cell(caption, rgb) for caption, rgb in row] for row in rows]
    columns = [cells[0][0].width] * len(cells[0])
    height = max(each.height for row in cells for each in row)
    sheet = Image.new(
        "RGB", (sum(columns) + GAP * (len(columns) - 1), height * len(cells)), "white"
    )
    for down, row in enumerate(cells):
        for across, each in enumerate(row):
            sheet.paste(each, (across * (columns[0] + GAP), down * height))
    with atomic_write(path) as temporary:
        sheet.save(temporary, "JPEG", quality=90)


def cell(caption: str, rgb: np.ndarray) -> Image.Image:
    """One picture over its crop, SHOWN pixels wide."""
    whole = io.resize_long_edge(rgb, SHOWN)
    height, width = rgb.shape[:2]
    top, left = max(0, (height - SHOWN) // 2), max(0, (width - SHOWN) // 2)
    crop = rgb[top : top + SHOWN, left : left + SHOWN]
    sheet = Image.new("RGB", (SHOWN, LINE + SHOWN + GAP + SHOWN + GAP), "white")
    ImageDraw.Draw(sheet).text((0, 1), caption, "black", ImageFont.load_default())
    sheet.paste(Image.fromarray(io.to_uint8(whole)), (0, LINE))
    below = LINE + whole.shape[0] + GAP
    sheet.paste(Image.fromarray(io.to_uint8(crop)), (0, below))
    return sheet.crop((0, 0, SHOWN, below + crop.shape[0] + GAP))


if __name__ == "__main__":
    main()
