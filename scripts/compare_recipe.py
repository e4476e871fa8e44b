"""Set each departure of a recipe from the papers' form against that form, one at a time.

    python scripts/compare_recipe.py
    python scripts/compare_recipe.py --weights slim.npz --long-edge 512 --epochs 200

The papers' form is that of Gatys, Ecker, Bethge: one content layer, five style layers of equal
weight, plain Gram matrices, no total variation, no filter. The runs, measures and files are those
of compare_networks.py: a sheet for each pair, recipe.csv and README.md in the folder --out.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from itertools import product
from pathlib import Path

import compare_networks as compare
import numpy as np
import pandas as pd
from hydra import initialize_config_dir
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from nstrep import cli
from nstrep.base.errors import NstrepError
from nstrep.base.files import atomic_write
from nstrep.images import io

PAPERS = (
    "style_layers=[relu1_1,relu2_1,relu3_1,relu4_1,relu5_1]",
    "style_layer_weights=mean",
    "losses.style.mean_share=1",
    "losses.style.equal_filters=false",
    "tv_weight=0",
    "remove_noise=0",
    "preprocess.padding=zero",
    "pooling=avg",
)
ELEVEN = (
    "style_layers=[relu1_1,relu1_2,relu2_1,relu2_2,relu3_1,relu3_2,relu3_3,relu4_1,relu4_2,"
    "relu4_3,relu5_1]"
)
DEPARTURES: dict[str, compare.Overrides] = {
    "papers": (),
    "eleven layers": (ELEVEN,),
    "by stride": ("style_layer_weights=fine",),
    "fewer means": ("losses.style.mean_share=0.3",),
    "equal filters": ("losses.style.equal_filters=true",),
    "total variation": ("tv_weight=1",),
    "replicated border": ("preprocess.padding=replicate",),
    "blurred pooling": ("pooling=blur",),
    "filter": ("remove_noise=0.03",),
    "the recipe": (
        "losses.style.mean_share=0.3",
        "losses.style.equal_filters=true",
        "tv_weight=1",
        "pooling=blur",
    ),
    "all": (
        ELEVEN,
        "style_layer_weights=fine",
        "losses.style.mean_share=0.3",
        "losses.style.equal_filters=true",
        "tv_weight=1",
        "preprocess.padding=replicate",
        "remove_noise=0.03",
    ),
}
COLUMNS, LINE = 3, 18
"""Of a sheet: pictures in a row, and the height of a caption in pixels."""

PAIRS = (("chelsea", "swirls"), ("astronaut", "facets"), ("coffee", "lilies"))


def main() -> None:
    """Run what is missing, then measure and draw everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", help="a file of vgg19_slim's layout (default: the shipped weights)")
    add("--long-edge", type=int, default=360, help="of the results, in pixels")
    add("--epochs", type=int, default=100, help="of each run")
    add("--out", type=Path, default=Path("results/recipe"), help="a folder")
    add("--only", nargs="+", default=list(DEPARTURES), choices=list(DEPARTURES), metavar="NAME")
    about = "photo and style: names of configs/content and configs/style, or picture files"
    add("--pairs", nargs="+", metavar="PHOTO:STYLE", help=about)
    about = "settings that differ, the same in every run"
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help=about)
    arguments = parser.parse_args()
    pairs = [text.split(":", 1) for text in arguments.pairs or map(":".join, PAIRS)]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
            cases = [
                case(name, photo, style, arguments)
                for (photo, style), name in product(pairs, arguments.only)
            ]
        done = compare.run_all(cases, arguments.out / "runs")
        rows = pd.DataFrame(compare.measured(c, d) for c, d in tqdm(done.items(), unit="picture"))
        csv = rows.rename(columns={"network": "departure"}).to_csv(index=False, float_format="%.5g")
        compare.write(arguments.out / "recipe.csv", csv)
        compare.write(arguments.out / "README.md", report(rows, arguments))
        for photo, style in pairs_of(done):
            with atomic_write(arguments.out / f"{photo}_{style}.jpg") as temporary:
                sheet(photo, style, done, rows).save(temporary, format="JPEG", quality=88)
    except NstrepError as error:
        sys.exit(f"compare_recipe: error: {error}")
    print(compare.table(rows))


def case(name: str, photo: str, style: str, arguments: argparse.Namespace) -> compare.Case:
    """One pair with one departure."""
    shared = [
        "recipe=nstrep",
        "model=vgg19_slim",
        f"max_long_edge={arguments.long_edge}",
        f"max_num_epochs={arguments.epochs}",
        "stop_eps=0",
        "save_epochs=0",
        *PAPERS,
        *DEPARTURES[name],
        *arguments.set,
    ]
    if arguments.weights:
        shared.append(f"weights.path={compare.quoted(arguments.weights)}")
    photo, of_photo = compare.named("content", photo)
    style, of_style = compare.named("style", style)
    config = compare.configured(*shared, *of_photo, *of_style)
    baseline = compare.measured_photo(config) | compare.measured_painting(config)
    return compare.Case(name, photo, style, config, compare.weights_hash(config), baseline)


def pairs_of(done: dict[compare.Case, Path]) -> list[tuple[str, str]]:
    """The pairs of photo and style, in order."""
    return list(dict.fromkeys((c.photo, c.style) for c in done))


def sheet(
    photo: str, style: str, done: dict[compare.Case, Path], rows: pd.DataFrame
) -> Image.Image:
    """All results of a pair in their own pixels, each under its departure and its measures."""
    numbers = rows[(rows.photo == photo) & (rows["style"] == style)].set_index("network")
    cells = [
        (
            f"{c.network}: distance {row.distance:.2f}, SSIM {row.ssim:.2f}",
            compare.result(directory),
        )
        for c, directory in done.items()
        if (c.photo, c.style) == (photo, style)
        for row in [numbers.loc[c.network]]
    ]
    height, width = cells[0][1].shape[:2]
    rows_of_cells = -(-len(cells) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width, rows_of_cells * (height + LINE)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for number, (words, rgb01) in enumerate(cells):
        top, left = np.multiply(divmod(number, COLUMNS), (height + LINE, width)).tolist()
        pen.text((left + 4, top + LINE / 2), words, "black", font, anchor="lm")
        page.paste(Image.fromarray(io.to_uint8(rgb01)), (left, top + LINE))
    return page


def report(rows: pd.DataFrame, arguments: argparse.Namespace) -> str:
    """README.md of the results' folder."""
    command = shlex.join(["python", "scripts/compare_recipe.py", *sys.argv[1:]])
    settings = "\n".join(
        f"| {name} | {' '.join(f'`{setting}`' for setting in settings)} |"
        for name, settings in DEPARTURES.items()
        if name in arguments.only
    )
    pictures = "\n\n".join(
        f"![{photo} in {style}]({photo}_{style}.jpg)"
        for photo, style in rows[["photo", "style"]].drop_duplicates().itertuples(index=False)
    )
    return f"""# Departures from the papers' form

The form of the papers ({" ".join(f"`{setting}`" for setting in PAPERS)}) and one departure at a
time, at {arguments.long_edge} pixels and {arguments.epochs} epochs each. The measures are
explained in [results/networks](../networks/README.md).

{pictures}

{compare.table(rows)}

| departure | settings |
|---|---|
{settings}

Made by

    {command}
"""


if __name__ == "__main__":
    main()
