"""Two processes in one place: they share the work, wait, or one is refused; no file is mixed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nstrep.analysis import run_reader
from nstrep.base.errors import BusyError, InputError
from tests.assets.test_assets import Server, picture, send
from tests.faults import checks
from tests.faults.harness import CHECKPOINTS, TINY, TRAINING, Command, Row, inject_all, run

SWEEP = ("--multirun", *TINY, "max_num_epochs=40", "save_epochs=10", "content_weight=1,10,100,1000")
RUN = (*TINY, "max_num_epochs=100", "save_epochs=20", *CHECKPOINTS)


def sweeps(row: Row, folder: Path, launcher: str) -> None:
    """The same sweep twice: each run is computed once, by either."""
    run(folder / "whole", *SWEEP)
    both = [Command(folder, *SWEEP, f"hydra/launcher={launcher}") for _ in range(2)]
    for command in both:
        row.blame(command.wait().problems(0))
    again = run(folder, *SWEEP)
    row.blame(again.problems(0))
    if "4 of 4 runs finished (4 before)" not in again.stderr:
        row.blame([f"not all runs were computed: {again.stderr}"])
    # The progress lines of the runs that a process has computed itself have a time.
    lines = "".join(command.stderr for command in both).splitlines()
    computed = sum(" s each" in line or " min each" in line for line in lines)
    if computed != 4:
        row.blame([f"{computed} runs were computed, not 4: {lines}"])
    (results,), (whole,) = (top.glob("results/sweeps/*") for top in (folder, folder / "whole"))
    _compare(row, results, whole)


def _compare(row: Row, results: Path, whole: Path) -> None:
    """Compare results with those of a process alone."""
    row.blame(checks.broken(results) + checks.left_over(results))
    row.blame(checks.differences(results, whole))


def one_directory(row: Row, folder: Path) -> None:
    """Two runs with other settings in one directory: the second is refused, the first unharmed."""
    command = (*RUN, "hydra.run.dir=run")
    run(folder / "whole", *command, "content_weight=5")
    first = Command(folder, *command, "content_weight=5")
    first.wait_until((folder / "run/curve.csv").exists)
    second = run(folder, *command, "content_weight=7")
    at_once = first.alive
    first.wait()
    third = run(folder, *command, "content_weight=9")  # after the end
    row.blame(first.problems(0) + third.problems(InputError.exit_code))
    row.blame(second.problems(BusyError.exit_code if at_once else InputError.exit_code))
    _compare(row, folder / "run", folder / "whole/run")
    typed = run_reader.load_run(folder / "run").overrides
    if "content_weight=5" not in typed or any("=7" in one or "=9" in one for one in typed):
        row.blame([f"the overrides of the first run are now {typed}"])
    log = (folder / "run/run.log").read_text()
    if log.count("epochs in") != 1 or log.count("in the style of") != 1:
        row.blame([f"run.log is mixed: {log}"])


def one_second(row: Row, folder: Path) -> None:
    """Runs started in the same second without a name: a directory of its own for each."""
    weights = (1, 10, 100, 1000)
    for command in [Command(folder, *RUN, f"content_weight={weight}") for weight in weights]:
        row.blame(command.wait().problems(0))
    results = folder / "results/runs"
    runs = [run_reader.load_run(path.parent) for path in results.glob("*/*/metrics.json")]
    if sorted(run.config["content_weight"] for run in runs) != list(weights):
        row.lose([f"{len(weights)} runs, {len(runs)} directories"])
    row.blame(checks.broken(results) + checks.left_over(results))


def same_twice(
    row: Row, folder: Path, arguments: tuple[str, ...], results: str, module: str, second: int
) -> None:
    """The same command twice at once; the later one ends with the exit code ``second``."""
    run(folder / "whole", *arguments, module=module)
    both = [Command(folder, *arguments, module=module) for _ in range(2)]
    codes = sorted(command.wait().process.returncode for command in both)
    if codes != [0, second]:
        row.blame([f"exit codes {codes}, not 0 and {second}"])
    for command in both:
        row.blame(command.problems(command.process.returncode))
    _compare(row, folder / results, folder / "whole" / results)


trainings = partial(
    same_twice, module="nstrep.fast.train", second=BusyError.exit_code, results="training",
    arguments=(*TRAINING, "steps=20", "save_steps=5", "validate_steps=10",
               "hydra.run.dir=training"),
)  # fmt: skip
replications = partial(
    same_twice, module="nstrep.replicate", second=0, results="results/replication",
    arguments=("scale=smoke", "claims=[mxnet-eps]"),
)  # fmt: skip


def downloads(row: Row, folder: Path, kill: bool = False) -> None:
    """One asset downloaded twice at once from a slow server: it is requested once and whole.

    If the first process is killed meanwhile, the second one takes over.
    """
    asset, begun = "impression_sunrise.jpg", threading.Event()

    def slowly(handler: object) -> None:
        begun.set()
        time.sleep(1.5)
        with contextlib.suppress(OSError):  # the client was killed
            send(handler, picture())

    server = Server()
    server.pages[f"/inputs/{asset}"] = slowly
    options = {"module": "nstrep.assets", "NSTREP_MIRROR": server.url, "CI": ""}
    commands = [Command(folder, asset, **options)]
    begun.wait(60)
    commands.append(Command(folder, asset, **options))
    time.sleep(0.5)
    if kill:
        commands.pop(0).kill()
    for command in commands:
        row.blame(command.wait().problems(0))
    requests = len(server.asked)
    server.close()
    inputs = folder / "inputs"
    if requests != 1 + kill:
        row.blame([f"{requests} requests to the server"])
    if (inputs / asset).read_bytes() != picture():
        row.lose([f"{asset} is not what the server has"])
    json.loads((inputs / "CHECKSUMS.json").read_text())
    left = {path.name for path in inputs.iterdir()} - {asset, "CHECKSUMS.json"}
    row.blame([f"{name}: was left" for name in sorted(left) if not name.endswith(".lock")])


FAULTS: dict[str, tuple[Callable[[Row, Path], None], str]] = {
    "the same sweep twice at once": (partial(sweeps, launcher="basic"), "they share the runs"),
    "the same parallel sweep twice at once": (
        partial(sweeps, launcher="joblib"), "they share the runs"
    ),
    "two runs in one directory": (one_directory, "the second is refused"),
    "four runs in one second": (one_second, "a directory each"),
    "the same training twice at once": (trainings, "the second is refused"),
    "the same replication twice at once": (replications, "the second waits"),
    "two downloads at once": (downloads, "the second waits and takes the file"),
    "two downloads at once, one killed": (
        partial(downloads, kill=True), "the second fetches it"
    ),
}  # fmt: skip


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    return inject_all(FAULTS, ("two runs in one directory",), folder, short, times=2)
