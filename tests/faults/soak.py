"""A long sweep: does the memory, or the number of open files, grow with the runs?

Every run has images of other sizes, so that whatever is cached by image would grow. The processes
are watched from outside.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pandas as pd
import psutil

from tests.faults import checks
from tests.faults.harness import TINY, Command, Row, say

RUNS = 200
WARM = 20
"""Runs after which a process should not need more memory."""

GROWTH = 0.05
"""Allowed growth over the memory after the first runs."""

LAUNCHERS = {
    "in one process": ("hydra/launcher=basic",),
    "in parallel, joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
}


def soak(folder: Path, name: str, launcher: tuple[str, ...], runs: int = RUNS) -> Row:
    """One sweep of many runs, with the memory and open files of its processes."""
    # Every size is among the first twenty runs, the largest first.
    sizes, scales = range(67, 47, -1), [round(1.5 - 0.05 * i, 2) for i in range(runs // 20)]
    command = Command(
        folder, "--multirun", *launcher, *TINY, "max_num_epochs=3", "save_epochs=2",
        "style_scale=" + ",".join(map(str, scales)),
        "max_long_edge=" + ",".join(map(str, sizes)),
    )  # fmt: skip
    samples = watch(command, folder)
    seconds = command.seconds
    row = Row(f"soak, {name}", times=runs)
    row.blame(command.problems(0))
    (sweep,) = (folder / "results/sweeps").iterdir()
    done = len(list(sweep.glob("*/metrics.json")))
    row.lose([f"run {number} is missing" for number in range(done, runs)])
    summary = pd.read_csv(sweep / "summary.csv")
    if len(summary) != runs or set(summary["status"]) != {"finished"}:
        row.blame([f"summary.csv: {summary['status'].value_counts().to_dict()}"])
    row.blame(checks.broken(sweep) + checks.left_over(sweep))
    samples.to_csv(folder / f"soak-{name.split()[1]}.csv", index=False)
    row.notes = f"{seconds / runs:.1f} s a run; {judge(samples, runs, row)}"
    return row


def watch(command: Command, folder: Path) -> pd.DataFrame:
    """Memory and open files of every process of a sweep, whenever a run ends.

    Returns:
        Columns: runs (finished so far), pid, mb (resident), files.

    """
    rows, before = [], -1
    while command.alive:
        done = len(list(folder.glob("results/sweeps/*/*/metrics.json")))
        if done != before:
            before = done
            for process in workers(command.process):
                try:
                    rss = process.memory_info().rss / 2**20
                    rows.append((done, process.pid, rss, process.num_fds()))
                except psutil.Error:
                    continue
        time.sleep(0.02)
    return pd.DataFrame(rows, columns=["runs", "pid", "mb", "files"])


def workers(process: psutil.Process) -> list[psutil.Process]:
    """The processes that compute: those that have loaded MXNet."""
    try:
        family = [process, *process.children(recursive=True)]
        return [one for one in family if any("libmxnet" in m.path for m in one.memory_maps())]
    except psutil.Error:
        return []


def judge(samples: pd.DataFrame, runs: int, row: Row) -> str:
    """Blame processes that grew, and describe their memory.

    Each process warms up over its share of the runs. The median over as many further runs is its
    memory; nothing later may be higher by the limit. Open files are compared by their median
    between the middle and the end, since a run has some open while it computes, and Matplotlib
    opens a font when a plot first needs it.
    """
    notes, parts = [], samples.groupby("pid")
    warm = WARM * len(parts)
    for number, (_, own) in enumerate(parts, 1):
        early = own[(own["runs"] >= warm) & (own["runs"] < 2 * warm)]
        late = own[own["runs"] >= runs - warm]
        if early.empty or late.empty:
            row.blame([f"process {number} did not live through the sweep"])
            continue
        memory = [median(part["mb"]) for part in (early, late)]
        growth = own.loc[own["runs"] >= warm, "mb"].max() / memory[0] - 1
        middle = own[(own["runs"] >= runs // 2) & (own["runs"] < runs // 2 + warm)]
        files = [int(median(part["files"])) for part in (middle, late)]
        notes.append(
            f"process {number}: {memory[0]:.0f} MB after {WARM} runs, {memory[1]:.0f} at the end,"
            f" at most {growth:+.1%}; {files[0]} files open at half time, {files[1]} at the end"
        )
        if growth >= GROWTH:
            row.blame([f"memory grew by {growth:.1%}"])
        if files[1] > files[0]:
            row.blame([f"open files grew from {files[0]} to {files[1]}"])
    return "; ".join(notes)


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """One sweep per launcher; too long for a short round."""
    rows = []
    for name, launcher in {} if short else LAUNCHERS.items():
        say(f"soak {name}")
        rows.append(soak(folder / name.split()[1], name, launcher))
    return rows
