"""Where the seconds of a small run go, beside those of importing its libraries.

python -m benchmarks.startup                # five rounds, two minutes
python -m benchmarks.startup --rounds 9

In each round a new process imports the libraries, another does a run of two iterations at 128 px,
and a third the same run with clocks around its parts.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

IMPORTS = ("-c", "import mxnet, hydra, scipy, skimage, PIL")
SIZE, EPOCHS = 128, 2
RUN = (f"max_long_edge={SIZE}", f"max_num_epochs={EPOCHS}", "model=vgg19_slim", "style=swirls")
PEER, WHOLE = "import of the libraries", "run"

PARTS = {
    "composition": ["hydra._internal.config_loader_impl:ConfigLoaderImpl.load_configuration"],
    "pictures": [
        "nstrep.experiment.image_inputs:load_pictures", "nstrep.experiment.inputs:Files.at"
    ],
    "weights": ["nstrep.experiment.network_input:load_network"],
    "binding": ["nstrep.experiment.run:problem"],
    "targets": [
        "nstrep.losses.objective:Objective.terms_for", "nstrep.losses.objective:Targets.__init__"
    ],
    "iterations": ["nstrep.experiment.run:minimize"],
    "plotting": ["nstrep.plots:single", "nstrep.plots:save"],
    "writing": ["nstrep.experiment.results:save"],
}  # fmt: skip
"""The functions of each part of a run. Imports are clocked wherever they happen, the rest is what
no part has: the start and end of the process, the checks and hashes of the settings, the log.
"""


class Clocks:
    """Wall and CPU seconds of the parts of this process; of nested parts the inner one counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._open = ["rest"]
        self._last = time.perf_counter(), 0.0  # the CPU's clock began with the process

    def switch(self) -> None:
        """Add the time since the last switch to the part that is open."""
        now = time.perf_counter(), time.process_time()
        own = self.seconds[self._open[-1]]
        own[:] = (sum_ + end - begin for sum_, end, begin in zip(own, now, self._last))
        self._last = now

    def clocked(self, part: str, function: Callable) -> Callable:
        """The function, as a part."""

        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if self._open[-1] == part:
                return function(*arguments, **named)
            self.switch()
            self._open.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.switch()
                self._open.pop()

        return wrapped


def clocked_run() -> None:
    """The command of :mod:`nstrep.run`; prints the seconds of its parts as JSON at the end."""
    clocks = Clocks()
    builtins.__import__ = clocks.clocked("imports", builtins.__import__)
    for part, places in PARTS.items():
        for module, _, path in (place.partition(":") for place in places):
            *owner, name = path.split(".")
            holder = __import__(module, fromlist=[name])
            holder = getattr(holder, *owner) if owner else holder
            setattr(holder, name, clocks.clocked(part, getattr(holder, name)))
    from nstrep import cli

    cli.main()
    clocks.switch()
    print(json.dumps(clocks.seconds))


def timed(command: Sequence[str], folder: str) -> tuple[float, float, str]:
    """Wall and CPU seconds of a new process of Python, and its last line of output."""
    from benchmarks import harness

    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT), "TQDM_DISABLE": "1"}
    environment["OMP_NUM_THREADS"] = str(harness.cores())
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or each run would compile nstrep's modules
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    cpu = after.children_user - before.children_user
    cpu += after.children_system - before.children_system
    return wall, cpu, "".join(done.stdout.splitlines()[-1:])


def main() -> None:
    """Measure in rounds, print a table, write the CSV."""
    from benchmarks import harness  # not above, because its NumPy is one of the run's imports

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rows: list[dict[str, Any]] = []
    for turn in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory() as folder:
            measured = {
                PEER: timed(IMPORTS, folder),
                WHOLE: timed(["-m", "nstrep.run", *RUN, "hydra.run.dir=one"], folder),
            }
            clocked = ["-m", "benchmarks.startup", "--clocked", *RUN, "hydra.run.dir=two"]
            measured |= json.loads(timed(clocked, folder)[2])
        for what, (seconds, cpu, *_) in measured.items():
            row = {"model": "vgg19_slim", "size": SIZE, "epochs": EPOCHS, "what": what}
            row |= {"round": turn, "seconds": seconds, "cpu": cpu, "load": harness.load()}
            rows.append(row)
        harness.progress(f"round {turn + 1}: run {measured[WHOLE][1]:.2f} CPU seconds")
    harness.write_csv(f"startup_vgg19_slim_{SIZE}", rows)
    print(summary(rows))


def summary(rows: list[dict]) -> str:
    """Medians of the imports, the run and its parts, also as shares of the imports' seconds."""
    from benchmarks import harness

    seconds, cpu = (harness.medians(rows, "what", column) for column in ("seconds", "cpu"))
    lines = [
        [what if what in (PEER, WHOLE) else f"of it: {what}"]
        + [cell for by in (seconds, cpu) for cell in (by[what], by[what] / by[PEER])]
        for what in seconds
    ]
    header = ("what", "seconds", "/ import", "CPU seconds", "/ import")
    return harness.table(header, lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clocked"]:
        del sys.argv[1]
        clocked_run()
    else:
        main()
