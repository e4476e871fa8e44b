"""Shared by the benchmarks: a problem in a file, new processes one at a time, tables and CSV files.

The peers take turns in rounds, so that other work on the machine affects all of them. Each
measurement has a process of its own, and so its own peak memory.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
CONTENT_WEIGHT = 1.0

STYLE_WEIGHTS = {"vgg19_slim": 1e3, "vgg19": 1e6}
"""Gatys, Ecker, Bethge 2015: 1000 times the content's. The style loss is of the fourth power of the
features, the content loss of the second; random weights with features of mean 1 take more for the
two to be in proportion."""

MODELS = ("vgg19", "vgg19_slim")


def write_problem(path: Path, model: str, size: int, seed: int = 0) -> None:
    """Weights, photo, painting and noise for all peers: one .npz.

    Gatys' losses of VGG-19 (random weights, normalised so that the features of all layers are as
    large; ``vgg19_slim``: its own) to relu5_1. Pictures are ``vgg_input`` (1, 3, size, size).
    """
    from importlib import resources

    from nstrep.experiment import image_inputs
    from nstrep.images import io
    from nstrep.networks.vgg import ARCHITECTURES
    from nstrep.networks.weights import load_weights, normalized, random_weights

    architecture = ARCHITECTURES[model]
    if model == "vgg19_slim":
        file = resources.files("nstrep") / "networks" / "vgg19_slim.npz"
        weights = load_weights(str(file), architecture)
    else:
        weights = normalized(random_weights(architecture, seed), architecture)
    layers = list(architecture.layers)
    used = layers[: layers.index(STYLE_LAYERS[-1]) + 1]
    needed = {
        name: array for name, array in weights.arrays.items() if name.rpartition("_")[0] in used
    }
    square = lambda rgb: io.resize_to(rgb, size, size)  # noqa: E731
    photo = square(io.builtin("chelsea").rgb)
    painting = square(io.builtin("coffee").rgb)
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 30, (1, 3, size, size))
    np.savez(
        path,
        photo=image_inputs.to_vgg_input(photo, 255.0),
        painting=image_inputs.to_vgg_input(painting, 255.0),
        noise=noise.astype(np.float32),
        style_weight=STYLE_WEIGHTS[model],
        **{f"weights.{name}": array for name, array in needed.items()},
    )


def child(module: str, *arguments: object, threads: int | None = None) -> dict[str, Any]:
    """Run ``python -m module arguments`` alone; its last line of output is JSON.

    Raises:
        SystemExit: it failed; what it said is shown.

    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["OMP_NUM_THREADS"] = str(threads or cores())
    if threads == 0:  # the library's own choice
        del environment["OMP_NUM_THREADS"]
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{module}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def cores() -> int:
    """Physical cores that this process may use."""
    from joblib import cpu_count

    return max(1, cpu_count(only_physical_cores=True))


def write_csv(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one row per measurement, with the machine and the date."""
    RESULTS.mkdir(exist_ok=True)
    common = {"machine": machine(), "date": time.strftime("%Y-%m-%d")}
    with (RESULTS / f"{name}.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *common], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **common} for row in rows)


def machine() -> str:
    """Processor and cores."""
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {cores()} cores"


def cores_of(machine: str) -> int:
    """The number of cores in the text of :func:`machine`, perhaps of another machine."""
    return int(machine.split()[-2])


def load() -> float:
    """Processes that ran or waited during the last minute."""
    return os.getloadavg()[0]


def median_and_spread(values: Iterable[float]) -> tuple[float, float, float]:
    """Median, smallest and largest."""
    values = list(values)
    return float(np.median(values)), min(values), max(values)


def medians(rows: Iterable[Mapping[str, Any]], by: str, column: str) -> dict[str, float]:
    """The median of a column for each value of another, in the order of the rows."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row[by], []).append(float(row[column]))
    return {name: float(np.median(values)) for name, values in groups.items()}


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers with three digits."""
    shown = lambda cell: f"{cell:.3g}" if isinstance(cell, float) else str(cell)  # noqa: E731
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(shown, line)) + " |" for line in lines)


def progress(text: str) -> None:
    """Print what is being measured, on stderr."""
    print(text, file=sys.stderr, flush=True)


class Clock:
    """Wall and processor seconds of all threads since its creation."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __call__(self) -> tuple[float, float]:
        """(wall, cpu)."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def peak_mb() -> float:
    """Peak memory of this process in MiB.

    getrusage would include the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
