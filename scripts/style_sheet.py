"""Write results/fast/: every style of the package over three photos, beside optimised pictures.

python scripts/style_sheet.py --paintings starry_night=starry_night.jpg

A style's painting is the option of the style group with its name, or a file of --paintings; a
style without one is left out. The photos are in scikit-image, and none was trained on. The sheet
has a row for each style: the painting, and for each photo one pass and the optimised picture of the
same losses. styles.csv has the losses of both, the number of L-BFGS iterations from the photo whose
loss is that of the pass, and the artefacts that nstrep/images/texture.py measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

import nstrep
from nstrep.config.folder import group_options
from nstrep.fast.styles import Stylizer
from nstrep.images import io, texture

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "results" / "fast"
PHOTOS = ("chelsea", "astronaut", "coffee")
EDGE = 384  # long side of the pictures that are measured, in pixels
HEIGHT, GAP, LINE = 150, 4, 18  # of the sheet, in pixels: of a picture, between two, of a caption
STEPS = 50  # iterations of L-BFGS, as in the claim fast-speed


def compared(
    stylizer: Stylizer, style: str, painting: str, photo: str, content_weight: float
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """One pass, the optimised picture, and what is measured of both."""
    content = io.resize_long_edge(io.builtin(photo).rgb, EDGE)
    passed = stylizer(content, stylizer.weights(style))

    def optimised(epochs: int, **settings: Any) -> Any:
        return nstrep.stylize(
            content, painting, model="vgg19_slim", max_long_edge=EDGE, max_num_epochs=epochs,
            stop_eps=0.0, content_weight=content_weight, style_scale=512 / EDGE, **settings,
        )  # fmt: skip

    best = optimised(STEPS)
    totals, of_pass = best.curve["total"], optimised(1, init=passed).metrics["losses_at_start"]
    reached = totals.index[totals <= of_pass["total"]]
    return (
        passed,
        best.picture,
        {
            "style": style,
            "photo": photo,
            "pass": of_pass["total"],
            "pass_content": of_pass["content_loss"],
            "pass_style": of_pass["style_loss"],
            "optimised": totals.iloc[-1],
            "iterations": int(best.curve["epoch"][reached[0]]) if len(reached) else STEPS + 1,
            "border_error": texture.border_error(passed),
            "photo_border_error": texture.border_error(content),
            "optimised_border_error": texture.border_error(best.picture),
            "grid": grid(passed, content),
            "photo_grid": grid(content, content),
            "optimised_grid": grid(best.picture, content),
            "painting_grid": grid(read(painting)),
        },
    )


def grid(picture: np.ndarray, flat_in: np.ndarray | None = None) -> float:
    """The highest peak of any period."""
    return max(texture.grid_peaks(picture, flat_in).values())


def read(painting: str) -> np.ndarray:
    """A painting by its name or file, as large as in the training."""
    if painting in group_options("style"):
        from nstrep.experiment.image_inputs import load_style

        return io.resize_long_edge(load_style(painting, "never").rgb, 512)
    return io.resize_long_edge(io.load_picture(painting).rgb, 512)


def sheet(rows: dict[str, list[np.ndarray]]) -> Image.Image:
    """One row of pictures for each style, with its name."""
    font = ImageFont.load_default(13)
    images = {
        style: [Image.fromarray(io.to_uint8(io.resize_to(
            each, HEIGHT, round(HEIGHT * each.shape[1] / each.shape[0])
        ))) for each in pictures]
        for style, pictures in rows.items()
    }  # fmt: skip
    widths = [max(column) for column in zip(*([i.width for i in row] for row in images.values()))]
    down = HEIGHT + LINE + GAP
    page = Image.new("RGB", (sum(widths) + GAP * len(widths), down * len(rows)), "white")
    for row, (style, pictures) in enumerate(images.items()):
        left = 0
        captions = [style, *("one pass", f"{STEPS} iterations") * (len(pictures) // 2)]
        for picture, width, caption in zip(pictures, widths, captions):
            page.paste(picture, (left, row * down + LINE))
            ImageDraw.Draw(page).text((left + 2, row * down + 1), caption, "black", font)
            left += width + GAP
    return page


def report(table: pd.DataFrame, command: str, card: dict[str, Any]) -> str:
    """The page of results/fast."""
    medians = table.groupby("style", sort=False).median(numeric_only=True)
    lines = [
        f"| `{style}` | {row['pass']:.3f} | {row.optimised:.3f} | {row.iterations:.0f}"
        f" | {row.border_error:.2f} | {row.photo_border_error:.2f}"
        f" | {row.optimised_border_error:.2f} | {row.grid:.2f} | {row.photo_grid:.2f}"
        f" | {row.optimised_grid:.2f} | {row.painting_grid:.2f} |"
        for style, row in medians.iterrows()
    ]
    trainings = card["trainings"]
    minutes = sum(training["minutes"] for training in trainings)
    updates = sum(training["updates"] for training in trainings)
    photos = trainings[-1]["pictures"]
    return f"""# The styles in the package

One network, {len(card["styles"])} styles: {updates:,} updates on {photos:,} photographs, {minutes:.0f} minutes
on one core of a machine that did other work too. The card `nstrep/fast/styles.json` has the
settings of each training. Each row: the painting, then for each photo one pass of the network and
{STEPS} iterations of L-BFGS from the photo with the same losses.

![Every style over three photos, one pass beside the optimised picture](styles.jpg)

Medians over the photos ({", ".join(dict.fromkeys(table["photo"]))}, {EDGE} pixels), which were not trained on; each pair is a
row of [styles.csv](styles.csv). "iterations" is after how many the optimised picture has the loss
of the pass. A border error or a grid above those of the photo, the optimised picture and the
painting is an artefact of the network.

| style | loss of one pass | loss after {STEPS} iterations | iterations | border error | the photo's | the optimised | grid | the photo's | the optimised | the painting's |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{chr(10).join(lines)}

Made by

    {command}
"""  # noqa: E501


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paintings", nargs="+", default=[], metavar="NAME=FILE")
    files = dict(item.split("=", 1) for item in parser.parse_args().paintings)
    stylizer = Stylizer()
    paintings = {
        style: files.get(style, style)
        for style in stylizer.styles
        if style in files or style in group_options("style")
    }
    weight = stylizer.card["trainings"][-1]["settings"]["content_weight"]
    rows, measured = {}, []
    for style, painting in tqdm(paintings.items(), unit="style"):
        rows[style] = [read(painting)]
        for photo in PHOTOS:
            passed, best, facts = compared(stylizer, style, painting, photo, weight)
            rows[style] += [passed, best]
            measured.append(facts)
    TARGET.mkdir(parents=True, exist_ok=True)
    sheet(rows).save(TARGET / "styles.jpg", quality=85)
    table = pd.DataFrame(measured)
    table.to_csv(TARGET / "styles.csv", index=False, float_format="%.5g")
    given = "".join(f" --paintings {name}={Path(file).name}" for name, file in files.items())
    command = f"python scripts/style_sheet.py{given}"
    (TARGET / "README.md").write_text(report(table, command, stylizer.card), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
