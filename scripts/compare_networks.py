"""Judge networks side by side: same photos, styles and settings, measured on neutral ground.

    python scripts/compare_networks.py
    python scripts/compare_networks.py --long-edge 160 --epochs 20 --out /tmp/networks
    python scripts/compare_networks.py --networks vgg19_slim --weights mine=slim.npz

Writes figure.png, networks.csv and README.md to the folder --out. The runs themselves are kept in
its folder runs/, so that a comparison that was cut off goes on where it stopped, and one that is
repeated only measures and draws. What is not on this disk (VGG-19's weights, a photo) is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from tqdm import tqdm

from nstrep import cli
from nstrep.base import environment
from nstrep.base.errors import DivergedError, InputError, NstrepError
from nstrep.base.files import atomic_write
from nstrep.config.checks import check
from nstrep.config.fields import absolute_paths
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import image_inputs, network_input, run, run_directory
from nstrep.images import io as images
from nstrep.images import texture
from nstrep.networks.vgg import ARCHITECTURES
from nstrep.networks.weights import load_weights
from scripts import texture_distance

Overrides = tuple[str, ...]
Result = TypeVar("Result")

NETWORKS: dict[str, Overrides] = {
    # Untrained, and as wide as vgg19_slim: what the layout does without its weights.
    "random": ("model=vgg19_slim", "weights.path=random"),
    "vgg19_slim": ("model=vgg19_slim",),
    "vgg19": ("model=vgg19",),
}
PHOTOS = ("chelsea", "astronaut", "coffee", "img_4343")
STYLES = ("swirls", "lilies", "facets")

DPI = 100
WIDTH, CELL, GAP, LEFT, TOP, CAPTION = 1180, 205, 10, 44, 40, 24
"""Of the figure, in pixels: WIDTH at most, CELL the width of a picture unless that is too much."""


@dataclass(frozen=True, eq=False)
class Case:
    """One photo in one style by one network, with everything that decides the result."""

    network: str
    photo: str
    style: str
    config: ExperimentConfig
    sha256: str
    """Of the weights."""
    baseline: dict[str, float]
    """What the photo and the painting measure by themselves."""

    def __str__(self) -> str:
        return f"{self.photo} in {self.style} by {self.network}"

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Photo and painting as the experiment sees them, ``rgb01``."""
        return scaled(self.config)

    def directory(self, runs: Path) -> Path:
        """Where the run lies once it is made; another place for other settings or files."""
        parts = (
            OmegaConf.to_yaml(OmegaConf.structured(self.config)),
            self.sha256,
            *(picture.sha256 for picture in image_inputs.load_pictures(self.config)),
            json.dumps(environment.versions(), sort_keys=True),
        )
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return runs / f"{self.photo}-{self.style}-{self.network}-{key[:12]}"


def main() -> None:
    """Run what is missing, then measure and draw everything."""
    arguments = parsed()
    try:
        done = run_all(available(arguments), arguments.out / "runs")
        rows = pd.DataFrame(
            measured(case, directory)
            for case, directory in tqdm(done.items(), desc="measuring", unit="picture")
        )
        write(arguments.out / "networks.csv", rows.to_csv(index=False, float_format="%.5g"))
        write(arguments.out / "README.md", report(rows, arguments))
        draw(done, rows, arguments.out / "figure.png")
    except NstrepError as error:
        sys.exit(f"compare_networks: error: {error}")
    print(f"{table(rows)}\n\nwritten: {arguments.out}/figure.png, networks.csv, README.md")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long-edge", type=int, default=400, help="of the results, in pixels")
    parser.add_argument("--epochs", type=int, default=60, help="of each run")
    parser.add_argument("--out", type=Path, default=Path("results/networks"), help="a folder")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    about = "further networks: weights in any layout that weights.path takes"
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=PATH", help=about)
    about = "names of configs/{}, or picture files"
    parser.add_argument("--photos", nargs="+", default=PHOTOS, help=about.format("content"))
    parser.add_argument("--styles", nargs="+", default=STYLES, help=about.format("style"))
    about = "settings that differ from the recipe's, the same in every run"
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help=about)
    return parser.parse_args()


# --- what can be run ------------------------------------------------------------------------------


def available(arguments: argparse.Namespace) -> list[Case]:
    """Every combination of what is on this disk, all with the same settings."""
    shared = (
        "recipe=nstrep",
        f"max_long_edge={arguments.long_edge}",
        f"max_num_epochs={arguments.epochs}",
        "stop_eps=0",
        "save_epochs=0",
        *arguments.set,
    )
    networks = {name: NETWORKS[name] for name in arguments.networks}
    networks |= dict(from_file(text) for text in arguments.weights)
    photos = dict(named("content", text) for text in arguments.photos)
    styles = dict(named("style", text) for text in arguments.styles)
    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        hashes = usable("network", networks, shared, weights_hash)
        looks = usable("photo", photos, (*shared, "style=swirls"), measured_photo)
        paints = usable("style", styles, (*shared, "content=chelsea"), measured_painting)
        return [
            Case(
                network,
                photo,
                style,
                configured(*shared, *photos[photo], *styles[style], *networks[network]),
                hashes[network],
                looks[photo] | paints[style],
            )
            for photo, style, network in product(looks, paints, hashes)
        ]


def named(group: str, text: str) -> tuple[str, Overrides]:
    """A picture's name and what selects it: a file, or an option of ``group``."""
    if Path(text).is_file():
        return Path(text).stem, (f"{group}_image={quoted(text)}",)
    return text, (f"{group}={text}",)


def from_file(text: str) -> tuple[str, Overrides]:
    """NAME=PATH to the network's name and what selects it: the layout that the file holds.

    Raises:
        InputError: not NAME=PATH, a name that is taken, or a file that holds no known network.

    """
    name, _, path = text.partition("=")
    if not name or not path or name in NETWORKS:
        taken = ", ".join(NETWORKS)
        raise InputError(f"--weights {text}: must be NAME=PATH, with a name other than {taken}")
    refusals: dict[str, None] = {}  # in order, and a missing file only once
    for layout, architecture in ARCHITECTURES.items():
        try:
            load_weights(path, architecture, key=f"--weights {name}")
        except InputError as refusal:
            refusals[str(refusal)] = None
        else:
            return name, (f"model={layout}", f"weights.path={quoted(path)}")
    raise InputError("; ".join(refusals))


def quoted(path: str) -> str:
    """A path as Hydra's grammar takes it, whatever characters it has."""
    escaped = path.replace("'", r"\'")
    return f"'{escaped}'"


def configured(*overrides: str) -> ExperimentConfig:
    """Compose and check, as the command line does.

    Raises:
        InputError: one line that says what is wrong.

    """
    try:
        config = check(compose("config", overrides=list(overrides)))
    except Exception as error:
        raise cli.plain_error(error) from None
    absolute_paths(config)
    return config


def usable(
    kind: str,
    wanted: dict[str, Overrides],
    shared: Overrides,
    load: Callable[[ExperimentConfig], Result],
) -> dict[str, Result]:
    """Load each wanted thing; what cannot be had costs a line on stderr, not the comparison.

    Raises:
        InputError: nothing is left to compare.

    """
    found = {}
    for name, overrides in wanted.items():
        try:
            found[name] = load(configured(*shared, *overrides))
        except InputError as error:
            print(f"{kind} {name} is left out: {error}", file=sys.stderr)
    if not found:
        raise InputError(f"no {kind} is left to compare")
    return found


def weights_hash(config: ExperimentConfig) -> str:
    """SHA-256 of the network's weights."""
    return network_input.load_network(config).weights.sha256


def scaled(config: ExperimentConfig) -> tuple[np.ndarray, np.ndarray]:
    """Photo and painting at working size."""
    return tuple(image_inputs.scaled(image_inputs.load_pictures(config), config))


def measured_photo(config: ExperimentConfig) -> dict[str, float]:
    """What the photo measures by itself."""
    photo, _ = scaled(config)
    return {
        "photo_speckle": texture.speckle(photo),
        "photo_border_error": large_enough(texture.border_error, photo),
        "photo_grid": large_enough(grid, photo),
    }


def measured_painting(config: ExperimentConfig) -> dict[str, float]:
    """What the painting measures by itself; its halves show how near one texture is to itself."""
    _, painting = scaled(config)
    halves = np.array_split(painting, 2, axis=int(painting.shape[1] >= painting.shape[0]))
    return {
        "style_speckle": texture.speckle(painting),
        "halves_distance": large_enough(texture_distance.distance, *halves),
        "style_grid": large_enough(grid, painting),
    }


def grid(rgb01: np.ndarray, flat_in: np.ndarray | None = None) -> float:
    """The highest peak of a regular grid over all periods."""
    return max(texture.grid_peaks(rgb01, flat_in).values())


def large_enough(measure: Callable[..., float], *rgb01: np.ndarray) -> float:
    """Measure, or say that the pictures are too small for it."""
    try:
        return measure(*rgb01)
    except ValueError as error:
        raise InputError(f"--long-edge: too small to measure ({error})") from None


# --- runs -----------------------------------------------------------------------------------------


def run_all(cases: list[Case], runs: Path) -> dict[Case, Path]:
    """Make every run that is not there yet; those that diverged are left out."""
    done = {}
    bar = tqdm(cases, unit="run", dynamic_ncols=True)
    for case in bar:
        bar.set_postfix_str(str(case))
        directory = case.directory(runs)
        try:
            if not is_finished(directory):
                shutil.rmtree(directory, ignore_errors=True)  # what a cut-off run has left
                run.run(case.config, directory)
        except DivergedError as error:
            tqdm.write(f"{case} is left out: {error}", file=sys.stderr)
        else:
            done[case] = directory
    if not done:
        raise InputError("nothing to compare: every run diverged")
    return done


def is_finished(directory: Path) -> bool:
    """Whether a run came to its end there."""
    path = directory / run_directory.METRICS
    return path.is_file() and metrics(directory)["status"] == "finished"


def metrics(directory: Path) -> dict[str, Any]:
    """What a run says of itself."""
    return json.loads((directory / run_directory.METRICS).read_text())


def result(directory: Path) -> np.ndarray:
    """The picture that a run saved, ``rgb01``."""
    return images.load_picture(directory / run_directory.FINAL).rgb


def measured(case: Case, directory: Path) -> dict[str, Any]:
    """One row of networks.csv."""
    photo, painting = case.pair
    picture, said = result(directory), metrics(directory)
    return {
        "network": case.network,
        "photo": case.photo,
        "style": case.style,
        "width": said["width"],
        "height": said["height"],
        "halves_distance": case.baseline["halves_distance"],
        "photo_distance": texture_distance.distance(photo, painting),
        "distance": texture_distance.distance(picture, painting),
        "style_speckle": case.baseline["style_speckle"],
        "photo_speckle": case.baseline["photo_speckle"],
        "speckle": texture.speckle(picture),
        "photo_border_error": case.baseline["photo_border_error"],
        "border_error": texture.border_error(picture),
        "photo_grid": case.baseline["photo_grid"],
        "style_grid": case.baseline["style_grid"],
        "grid": grid(picture, photo),
        "ssim": said["ssim"],
        "seconds": said["seconds"],
        "epochs": said["epochs"],
        "stopped_by": said["stop_reason"],
        "sha256": case.sha256,
    }


# --- what is written ------------------------------------------------------------------------------


def report(rows: pd.DataFrame, arguments: argparse.Namespace) -> str:
    """README.md of the results' folder."""
    photos, styles = (", ".join(rows[column].unique()) for column in ("photo", "style"))
    size = (f"{arguments.long_edge} pixels", f"{arguments.epochs} epochs each")
    what = (
        f"Photos ({photos}) in styles ({styles}), by every network with the same settings:"
        f" {', '.join(['recipe nstrep', *size, *arguments.set])}."
    )
    command = shlex.join(["python", "scripts/compare_networks.py", *sys.argv[1:]])
    return f"""# Networks side by side

{textwrap.fill(what, 100, break_on_hyphens=False)}

![photo, style and what each network makes of them](figure.png)

Medians over the {rows.groupby(["photo", "style"]).ngroups} pairs; \
every run is a row of [networks.csv](networks.csv):

{table(rows)}

No network was trained or optimised for these measures, which `nstrep/images/texture.py` and
`scripts/texture_distance.py` define:

- texture distance: of oriented-filter statistics (after Portilla and Simoncelli 2000) to the
  painting's. 0 is the same, about 1 what two unrelated photographs differ by.
- gap closed: how much of the photo's own distance to the painting the result has covered.
- speckle: the share of the luminance's spectral power beyond 0.7 of the Nyquist frequency, here as
  a multiple of the painting's. 1 is as grainy as the painting, more is noise.
- border error: how much the outermost {texture.BAND} pixels differ from those just inside, against
  what is usual further in. About 1 is no artefact; compare with the photo's own.
- grid: how far a regular grid of 2, 4, 8 or 16 pixels, the distances of the network's positions,
  stands out of the luminance's spectrum where the photo is flat. About 1 is no grid; 2 is twice
  the power of its surroundings. Compare with the painting's own.
- SSIM: to the photo; 1 is the photo. Less of it is the price of more texture, so a network is
  better only if one gains while the other does not lose.

Seconds are those of the machine that made the runs, and of what else it did meanwhile.

Made by

    {command}
"""


def table(rows: pd.DataFrame) -> str:
    """Medians per network in Markdown, under what the photos and paintings measure themselves."""
    per_pair = rows.drop_duplicates(["photo", "style"])
    shown = rows.assign(
        closed=1 - rows.distance / rows.photo_distance, grain=rows.speckle / rows.style_speckle
    )
    columns = ["distance", "closed", "grain", "grid", "border_error", "ssim", "epochs", "seconds"]
    medians = shown.groupby("network", sort=False)[columns].median()
    weights = rows.groupby("network", sort=False).sha256.first()
    lines = [
        "| | texture distance | gap closed | speckle / painting's | grid | border error | SSIM"
        " | epochs | seconds | weights (SHA-256) |",
        "|---|" + "---:|" * 8 + "---|",
        f"| *the painting's two halves* | {per_pair.halves_distance.median():.2f} | |"
        f" | {per_pair.style_grid.median():.2f} | | | | | |",
        f"| *the photo itself* | {per_pair.photo_distance.median():.2f} | 0 %"
        f" | {(per_pair.photo_speckle / per_pair.style_speckle).median():.2f}"
        f" | {per_pair.photo_grid.median():.2f}"
        f" | {per_pair.photo_border_error.median():.2f} | 1.00 | | | |",
    ]
    for name, row in medians.iterrows():
        lines.append(
            f"| {name} | {row.distance:.2f} | {row.closed:.0%} | {row.grain:.2f}"
            f" | {row.grid:.2f} | {row.border_error:.2f} | {row.ssim:.2f} | {row.epochs:.0f}"
            f" | {row.seconds:.0f}"
            f" | `{weights[name][:12]}` |"
        )
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def draw(done: dict[Case, Path], rows: pd.DataFrame, path: Path) -> None:
    """A grid of pictures, each drawn pixel by pixel so that it stays sharp.

    Rows are pairs of photo and style; columns are photo, style and each network.
    """
    pairs = list(dict.fromkeys((case.photo, case.style) for case in done))
    networks = list(dict.fromkeys(case.network for case in done))
    sources = {(case.photo, case.style): case.pair for case in done}
    results = {(case.photo, case.style, case.network): done[case] for case in done}
    numbers = rows.set_index(["photo", "style", "network"])

    columns = 2 + len(networks)
    cell = min(CELL, (WIDTH - LEFT) // columns - GAP)
    heights = [round(cell * np.divide(*sources[pair][0].shape[:2])) for pair in pairs]
    page = Page(LEFT + columns * (cell + GAP), TOP + sum(heights) + len(pairs) * (CAPTION + GAP))
    lefts = [LEFT + column * (cell + GAP) for column in range(columns)]
    for left, title in zip(lefts, ["photo", "style", *networks]):
        page.text(left + cell / 2, TOP / 2, title, size=13, weight="bold")
    top = TOP
    for pair, height in zip(pairs, heights):
        photo, painting = sources[pair]
        page.text(LEFT / 2, top + height / 2, "{} in {}".format(*pair), size=11, rotation=90)
        page.picture(lefts[0], top, cell, height, photo)
        page.picture(lefts[1], top, cell, height, painting)
        below = top + height + CAPTION / 2
        for left, network in zip(lefts[2:], networks):
            if (*pair, network) not in results:
                page.text(left + cell / 2, top + height / 2, "diverged", size=11)
                continue
            page.picture(left, top, cell, height, result(results[(*pair, network)]))
            row = numbers.loc[(*pair, network)]
            caption = f"texture distance {row.distance:.2f}, SSIM {row.ssim:.2f}"
            page.text(left + cell / 2, below, caption, size=9)
        caption = f"texture distance {row.photo_distance:.2f}, SSIM 1.00"
        page.text(lefts[0] + cell / 2, below, caption, size=9)
        top += height + CAPTION + GAP
    page.save(path)


class Page:
    """A white page in pixels, from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self._height = height
        self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self._figure)

    def picture(self, left: int, top: int, width: int, height: int, rgb01: np.ndarray) -> None:
        """Fit a picture into a box, in its middle."""
        scale = min(width / rgb01.shape[1], height / rgb01.shape[0])
        rows, columns = (max(1, round(scale * side)) for side in rgb01.shape[:2])
        x, y = left + (width - columns) // 2, top + (height - rows) // 2
        fitted = images.resize_to(rgb01, rows, columns)
        self._figure.figimage(fitted, x, self._height - y - rows, origin="upper")

    def text(self, x: float, y: float, words: str, **style: Any) -> None:
        """Write words centred at a point."""
        at = self._figure.transFigure.inverted().transform((x, self._height - y))
        self._figure.text(*at, words, ha="center", va="center", **style)

    def save(self, path: Path) -> None:
        """Write the PNG."""
        drawn = io.BytesIO()
        packed = {"optimize": True}
        self._figure.savefig(drawn, dpi=DPI, metadata={"Software": None}, pil_kwargs=packed)
        with atomic_write(path) as temporary:
            temporary.write_bytes(drawn.getvalue())


if __name__ == "__main__":
    main()
