"""Two processes in one place: they share the work, wait, or one is refused; no file is mixed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nstrep.analysis import run_reader
from nstrep.base.errors import BusyError, InputError
from tests.assets.test_assets import Server, picture, send
from tests.faults import checks
from tests.faults.harness import CHECKPOINTS, TINY, TRAINING, Command, Row, chosen, faults_of, say

SWEEP = ("--multirun", *TINY, "max_num_epochs=40", "save_epochs=10", "content_weight=1,10,100,1000")
RUN = (*TINY, "max_num_epochs=100", "save_epochs=20", *CHECKPOINTS)
TRAINED = (*TRAINING,
            "steps=20", "save_steps=5", "validate_steps=10", "hydra.run.dir=training")  # fmt: skip
REPLICATION = ("scale=smoke", "claims=[mxnet-eps]")


def sweeps(row: Row, folder: Path, launcher: str = "basic") -> None:
    """The same sweep twice: each run is made once, by either."""
    alone = Command(folder / "whole", *SWEEP)
    alone.wait()
    both = [Command(folder, *SWEEP, f"hydra/launcher={launcher}") for _ in range(2)]
    for command in both:
        command.wait()
        row.blame(faults_of(command, 0))
    again = Command(folder, *SWEEP)
    again.wait()
    row.blame(faults_of(again, 0))
    if "4 of 4 runs finished (4 before)" not in again.said:
        row.blame([f"not all runs were made: {again.said}"])
    made = sum(_finished_lines(command.said) for command in both)
    if made != 4:
        row.blame([f"{made} runs were made, not 4: {[one.said for one in both]}"])
    (results,), (whole,) = (top.glob("results/sweeps/*") for top in (folder, folder / "whole"))
    row.blame(checks.broken(results) + checks.left_over(results))
    row.blame(checks.differences(results, whole))


def _finished_lines(said: str) -> int:
    """Runs that a sweep says it has made itself: those with a time."""
    return sum(" s each" in line or " min each" in line for line in said.splitlines())


def parallel_sweeps(row: Row, folder: Path) -> None:
    """The same with two workers each."""
    sweeps(row, folder, "joblib")


def one_directory(row: Row, folder: Path) -> None:
    """Two runs with other settings in one directory: the second is refused, the first unharmed."""
    name = "hydra.run.dir=run"
    alone = Command(folder / "whole", *RUN, name, "content_weight=5")
    alone.wait()
    first = Command(folder, *RUN, name, "content_weight=5")
    while first.alive and not (folder / "run/curve.csv").exists():
        time.sleep(0.001)
    second = Command(folder, *RUN, name, "content_weight=7")
    second.wait()
    at_once = first.alive
    first.wait()
    third = Command(folder, *RUN, name, "content_weight=9")  # after the end
    third.wait()
    row.blame(faults_of(first, 0) + faults_of(third, InputError.exit_code))
    row.blame(faults_of(second, BusyError.exit_code if at_once else InputError.exit_code))
    row.blame(checks.broken(folder / "run") + checks.left_over(folder / "run"))
    row.blame(checks.differences(folder / "run", folder / "whole/run"))
    typed = run_reader.load_run(folder / "run").overrides
    if "content_weight=5" not in typed or any("=7" in one or "=9" in one for one in typed):
        row.blame([f"what the first run was typed as is now {typed}"])
    log = (folder / "run/run.log").read_text()
    if log.count("epochs in") != 1 or log.count("in the style of") != 1:
        row.blame([f"run.log is mixed: {log}"])


def one_second(row: Row, folder: Path) -> None:
    """Runs started in the same second without a name: a directory of its own for each."""
    weights = (1, 10, 100, 1000)
    commands = [Command(folder, *RUN, f"content_weight={weight}") for weight in weights]
    for command in commands:
        command.wait()
        row.blame(faults_of(command, 0))
    results = folder / "results/runs"
    found = [run_reader.load_run(path.parent) for path in results.glob("*/*/metrics.json")]
    if sorted(run.config["content_weight"] for run in found) != list(weights):
        row.lose([f"{len(weights)} runs, {len(found)} directories"])
    row.blame(checks.broken(results) + checks.left_over(results))


def trainings(row: Row, folder: Path) -> None:
    """The same training twice at once: the second is refused."""
    _same_twice(row, folder, TRAINED, "training", "nstrep.fast.train", BusyError.exit_code)


def replications(row: Row, folder: Path) -> None:
    """The same replication twice at once: the second waits for runs that the first is at."""
    _same_twice(row, folder, REPLICATION, "results/replication", "nstrep.replicate", 0)


def _same_twice(
    row: Row, folder: Path, arguments: tuple[str, ...], results: str, module: str, second: int
) -> None:
    alone = Command(folder / "whole", *arguments, module=module)
    alone.wait()
    both = [Command(folder, *arguments, module=module) for _ in range(2)]
    codes = sorted(command.wait() or 0 for command in both)
    if codes != [0, second]:
        row.blame([f"exit codes {codes}, not 0 and {second}"])
    for command in both:
        row.blame(faults_of(command, command.process.returncode))
    row.blame(checks.broken(folder / results) + checks.left_over(folder / results))
    row.blame(checks.differences(folder / results, folder / "whole" / results))


def downloads(row: Row, folder: Path) -> None:
    """One asset fetched twice at once from a slow server: it is asked once, the file is whole."""
    _fetch(row, folder, kill=False)


def killed_downloads(row: Row, folder: Path) -> None:
    """The first of them is killed while it fetches: the second takes over."""
    _fetch(row, folder, kill=True)


def _fetch(row: Row, folder: Path, kill: bool) -> None:
    asset, begun = "impression_sunrise.jpg", threading.Event()

    def slowly(handler: object) -> None:
        begun.set()
        time.sleep(1.5)
        with contextlib.suppress(OSError):  # the client was killed
            send(handler, picture())

    server = Server()
    server.pages[f"/inputs/{asset}"] = slowly
    options = {"module": "nstrep.assets", "NSTREP_MIRROR": server.url, "CI": ""}
    both = [Command(folder, asset, **options)]
    begun.wait(60)
    both.append(Command(folder, asset, **options))
    time.sleep(0.5)
    if kill:
        both.pop(0).kill()
    for command in both:
        command.wait()
        row.blame(faults_of(command, 0))
    asked = len(server.asked)
    server.close()
    inputs = folder / "inputs"
    if asked != 1 + kill:
        row.blame([f"the server was asked {asked} times"])
    if (inputs / asset).read_bytes() != picture():
        row.lose([f"{asset} is not what the server has"])
    json.loads((inputs / "CHECKSUMS.json").read_text())
    left = {path.name for path in inputs.iterdir()} - {asset, "CHECKSUMS.json"}
    left = {name for name in left if not name.endswith(".lock")}
    row.blame([f"{name}: was left" for name in sorted(left)])


FAULTS: dict[str, tuple[Callable[[Row, Path], None], str]] = {
    "the same sweep twice at once": (sweeps, "they share the runs"),
    "the same parallel sweep twice at once": (parallel_sweeps, "they share the runs"),
    "two runs in one directory": (one_directory, "the second is refused"),
    "four runs in one second": (one_second, "a directory each"),
    "the same training twice at once": (trainings, "the second is refused"),
    "the same replication twice at once": (replications, "the second waits"),
    "two downloads at once": (downloads, "the second waits and takes the file"),
    "two downloads at once, one killed": (killed_downloads, "the second fetches it"),
}

SHORT = ("two runs in one directory",)
TIMES = 2


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """All pairs; a row each."""
    rows = []
    for number, inject, row in chosen(FAULTS, short, SHORT):
        for time_ in range(1 if short else TIMES):
            inject(row, folder / f"{number}-{time_}")
            row.times += 1
            say(f"{row.fault}: lost {row.lost}, wrong {row.wrong}")
        rows.append(row)
    return rows
