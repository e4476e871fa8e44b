"""Time and memory of one iteration against the size of the image, whole and in tiles.

python -m benchmarks.growth                                   # VGG-19, 256 to 2048 px
python -m benchmarks.growth --model vgg19_slim --sizes 256 512 1024
It also compares the memory with the estimate of nstrep/experiment/memory_plan.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import harness

SIZES = (256, 362, 512, 724, 1024, 1448, 2048)


def main() -> None:
    """Measure in rounds, print a table with slopes, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=harness.MODELS, default="vgg19")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2, help="iterations in each process")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        problems = {size: Path(folder) / f"{size}.npz" for size in given.sizes}
        for size, path in problems.items():
            harness.write_problem(path, given.model, size)
        for turn in range(given.rounds):
            for size, path in problems.items():
                for tile in (0, given.tile):
                    harness.progress(f"round {turn + 1}: {size} pixels, tile {tile or 'null'}")
                    what = (path, given.model, "iterate", "noise", given.count, tile)
                    found = harness.child("benchmarks.ours", *what)
                    rows.append(
                        {
                            "model": given.model,
                            "size": size,
                            "tile": tile,
                            "round": turn,
                            "seconds": float(np.median(found["seconds"])),
                            "cpu_seconds": float(np.median(found["cpu"])),
                            "added_mb": found["peak_mb"] - found["before_mb"],
                            "estimate_mb": found["estimate_mb"],
                            "load": harness.load(),
                        }
                    )
    harness.write_csv(f"growth_{given.model}", rows)
    print(summary(rows))


KEYS = ("seconds", "cpu_seconds", "added_mb", "estimate_mb")


def summary(rows: list[dict]) -> str:
    """Medians by size, and the slopes of their logarithms against the logarithm of the pixels."""
    lines = [
        [size, tile or "whole", *each, each[3] / each[2]]
        for tile, sizes in _medians(rows).items()
        for size, each in sizes.items()
    ]
    header = (
        "pixels a side", "tile", "seconds", "CPU seconds", "MB added", "MB estimated",
        "estimate / measured",
    )  # fmt: skip
    fitted = ("tile", "slope of seconds", "of CPU seconds", "of memory")
    fits = [[tile or "whole", *fit] for tile, fit in slopes(rows).items()]
    return f"{harness.table(header, lines)}\n\n{harness.table(fitted, fits)}"


def slopes(rows: list[dict]) -> dict[int, list[float]]:
    """By tile (0 for the whole image), the slopes of seconds, CPU seconds and memory.

    In tiles, only images larger than one tile count.
    """
    found = {}
    for tile, sizes in _medians(rows).items():
        larger = [(size**2, *each) for size, each in sizes.items() if size > tile]
        if len(larger) > 1:
            logs = np.log(np.array(larger))
            found[tile] = [float(np.polyfit(logs[:, 0], logs[:, c], 1)[0]) for c in (1, 2, 3)]
    return found


def _medians(rows: list[dict]) -> dict[int, dict[int, list[float]]]:
    """The medians of KEYS by tile and size."""
    found: dict[int, dict[int, list[float]]] = {}
    for tile in sorted({int(row["tile"]) for row in rows}):
        for size in sorted({int(row["size"]) for row in rows}):
            mine = [row for row in rows if (int(row["size"]), int(row["tile"])) == (size, tile)]
            medians = [float(np.median([float(row[key]) for row in mine])) for key in KEYS]
            found.setdefault(tile, {})[size] = medians
    return found


if __name__ == "__main__":
    main()
