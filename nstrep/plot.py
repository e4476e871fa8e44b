"""``nstrep plot FOLDER [KIND ...]``: figures of a run or of a sweep.

Without a KIND, all kinds are drawn for which the folder has suitable runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nstrep import plots
from nstrep.analysis.run_reader import Run, Sweep, load_sweep
from nstrep.base.command_line import Parser, plain_errors
from nstrep.base.errors import InputError
from nstrep.base.files import holds, writing
from nstrep.base.text import shown
from nstrep.experiment import run_directory
from nstrep.plots import NothingToDraw
from nstrep.plots.curves import mixed
from nstrep.plots.labels import about, plain, settings
from nstrep.plots.measures import DERIVED, FINAL, FINAL_MIXED, most_telling

MOST_GRIDS = 12
"""Largest number of grids, one for each combination of the keys that no axis shows."""

MOST_CAPTIONED = 8
"""Largest number of keys under the images of a contact sheet."""

Keys = Sequence[str]
Named = Iterator[tuple[str, Figure]]


# Each kind takes the keys x and y that the user named; by default they are those that were swept.


def curves(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """Loss and eps of all runs, by each swept key; or of one run, its terms."""
    if len(sweep.runs) == 1 and not (x or y):
        (run,) = sweep.runs
        if len(run.curve) < 2:
            raise NothingToDraw("curves: the run has none with two epochs")
        stop = run.value("stop_eps")
        stop = stop if isinstance(stop, (int, float)) else 0
        yield "curves", plots.single(run.curve, title=about([run]), stop_eps=stop)
        return
    columns, relative = y or ("total", "eps"), mixed(sweep.swept)
    for key in [x] if x else compared(sweep) or ["seed"]:
        others = [other for other in sweep.swept if other != key]
        figure = plots.overlaid(sweep.runs, key, columns, others=others, relative=relative)
        yield f"curves_{key}", figure


def compared(sweep: Sweep) -> list[str]:
    """The swept keys that get a figure each: in which alone some two runs differ.

    Runs that were not made as a sweep may have none: then the one that tells most of the loss.
    """
    runs = [run for run in sweep.runs if run.config]

    def different(keys: Keys) -> int:
        return len({tuple(str(plain(run.value(key))) for key in keys) for run in runs})

    every = different(sweep.swept)
    keys = [key for key in sweep.swept if different({*sweep.swept} - {key}) < every]
    return keys or [key for key in [most_telling(sweep.runs, sweep.swept)] if key]


def layers(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """The losses by layer: of one run over the epochs, of several at the end."""
    if mixed(sweep.swept):
        raise NothingToDraw("layers: the losses of these runs are not the same formula")
    key = x or most_telling(sweep.runs, sweep.swept)
    others = [other for other in sweep.swept if other != key]
    yield "layers", plots.by_layer(sweep.runs, key, others=others)


def final(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """The losses at the end against each swept key."""
    keys = [x] if x else compared(sweep)
    if not keys:
        raise NothingToDraw("final: the runs do not differ in any key")
    names = y or (FINAL_MIXED if mixed(sweep.swept) else FINAL)
    for key in keys:
        others = [other for other in sweep.swept if other != key]
        colour = most_telling(sweep.runs, others)
        yield f"final_{key}", plots.against(sweep.runs, key, names, colour=colour, alike=others)


def grid(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """The images over two swept keys, or all of them if fewer were swept."""
    axes = [key for key in (*y[:1], x) if key]
    axes += [key for key in sweep.swept if key not in axes][: 2 - len(axes)]
    if len(axes) < 2:
        yield "grid", plots.contact_sheet(sweep.runs, axes)
        return
    down, across = axes if y or not x else axes[::-1]
    rest = [key for key in sweep.swept if key not in axes]
    alike: dict[str, list[Run]] = {}
    for run in sweep.runs:
        alike.setdefault(settings(run, rest), []).append(run)
    few = len(sweep.runs) < 2 * len(alike)
    if len(alike) > MOST_GRIDS or (few and not (x or y)) or _sparse(sweep.runs, down, across):
        if x or y:
            raise NothingToDraw(f"grid: {down} and {across} do not span the runs")
        keys, hidden = sweep.swept[:MOST_CAPTIONED], sweep.swept[MOST_CAPTIONED:]
        title = f"not shown: {', '.join(hidden)}" if hidden else ""
        yield "grid", plots.contact_sheet(sweep.runs, keys, title=title)
        return
    for number, (name, runs) in enumerate(alike.items()):
        suffix = f"_{number + 1}" if len(alike) > 1 else ""
        yield f"grid_{down}_{across}{suffix}", plots.grid(runs, down, across, title=name)


def _sparse(runs: Sequence[Run], down: str, across: str) -> bool:
    """Whether a grid would be mostly empty, as where two keys were changed one at a time."""
    pairs = {(plain(run.value(down)), plain(run.value(across))) for run in runs}
    cells = len({row for row, _ in pairs}) * len({column for _, column in pairs})
    return cells > 4 and len(pairs) < 0.4 * cells


def tradeoff(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """Content against style loss, with the Pareto front."""
    yield "tradeoff", plots.tradeoff(sweep.runs, sweep.swept, colour=x)


def cost(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """Time and memory against size."""
    keys = [key for key in ("model", "optimizer", "recipe", "pooling") if key in sweep.swept]
    yield "cost", plots.cost(sweep.runs, colour=x or (keys[0] if keys else None))


def denoise(sweep: Sweep, x: str | None = None, y: Keys = ()) -> Named:
    """The first result that has its raw.npz, under several filters."""
    for run in sweep.runs:
        if os.path.isfile(run.path / run_directory.RAW):
            yield "denoise", plots.denoise_strip(run)
            return
    raise NothingToDraw("denoise: no run has a raw.npz")


KINDS = {kind.__name__: kind for kind in (curves, layers, final, grid, tradeoff, cost, denoise)}


def draw(
    sweep: Sweep, kinds: Iterable[str], folder: Path, x: str | None = None, y: Keys = ()
) -> tuple[list[Path], list[str]]:
    """Draw kinds of plots; the files, and a line for every kind that could not be drawn."""
    with writing(shown(folder)):
        _keep_foreign(folder)
        folder.mkdir(parents=True, exist_ok=True)
    written, missed = [], []
    for kind in kinds:
        try:
            for name, figure in KINDS[kind](sweep, x, y):
                written += plots.save(figure, folder / re.sub(r"[^\w.-]", "_", name)[:120])
        except NothingToDraw as error:
            missed.append(str(error))
    return written, missed


def _keep_foreign(folder: Path) -> None:
    """Refuse a folder with images like those drawn here, but without the SVG beside each."""
    for image in folder.glob("*.png"):
        is_ours = holds(image.with_suffix(".svg"), "Matplotlib")
        if image.stem.partition("_")[0] in KINDS and not is_ours:
            raise InputError(f"{shown(image)}: is not a figure of nstrep and is kept; see --out")


def main(arguments: list[str] | None = None) -> None:
    """Draw what is asked for and print the files."""
    parser = Parser(
        __doc__,
        epilog="; ".join(f"{name}: {kind.__doc__.rstrip('.')}" for name, kind in KINDS.items()),
    )
    parser.add_argument("folder", type=Path, help="a run directory, or a folder of them")
    all_kinds = ", ".join(KINDS)
    parser.add_argument("kind", nargs="*", help=f"{all_kinds}; by default those that make sense")
    parser.add_argument(
        "--x", metavar="KEY",
        help="a swept key: colour of curves, tradeoff and cost, axis of final, columns of grid",
    )  # fmt: skip
    parser.add_argument(
        "--y", metavar="KEY", nargs="+", default=[],
        help="columns of curve.csv for curves and final (besides: content_term, style_term,"
        " total_share, ssim, seconds, ...), or the key of grid's rows",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder of the figures; FOLDER/plots by default")
    options = parser.parse_args(arguments)
    with plain_errors():
        for kind in options.kind:
            if kind not in KINDS:
                raise InputError(f"{kind}: must be one of {all_kinds}")
        sweep = load_sweep(options.folder)
        _check(sweep, options.x, options.y)
        folder = options.out or options.folder / "plots"
        written, missed = draw(sweep, options.kind or KINDS, folder, options.x, options.y)
        for path in written:
            print(shown(path))
        if missed and (options.kind or not written):
            raise InputError("; ".join(missed))
        for line in missed:
            print(f"left out: {line}")


def _check(sweep: Sweep, x: str | None, y: Keys) -> None:
    """Refuse keys that no run has."""
    if x and all(run.value(x) is None for run in sweep.runs):
        raise InputError(f"--x {x}: no run has this key; swept: {', '.join(sweep.swept)}")
    for key in y:
        known = any(key in run.curve or run.value(key) is not None for run in sweep.runs)
        if not (known or key in DERIVED or key.endswith("_term")):
            raise InputError(f"--y {key}: no run has this")


if __name__ == "__main__":
    main()
