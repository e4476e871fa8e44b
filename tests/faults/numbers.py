"""Numbers that go wrong: a learning rate far too high, weights that overflow, NaN in a file.

It is seen within one epoch, the process has its own exit code, the last good picture stays, and
in a sweep the other runs go on while the summary says which failed and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from nstrep.analysis import run_reader
from nstrep.base.errors import DivergedError, InputError
from tests.faults import checks
from tests.faults.harness import TINY, TRAINING, Row, chosen, faults_of, run, say

DIVERGED = DivergedError.exit_code

RUN = (*TINY, "max_num_epochs=20", "hydra.run.dir=run")

TOO_HIGH = {
    "sgd": "1e30", "nag": "1e30", "adam": "1e38", "sgd with momentum": "1e12",
}  # fmt: skip


def learning_rates(row: Row, folder: Path) -> None:
    """A learning rate far too high, for every optimiser that has one."""
    for name, lr in TOO_HIGH.items():
        place = folder / name.split()[-1]
        more = ("optimizer.momentum=0.9",) if "momentum" in name else ()
        done = run(place, *RUN, "basis=pixels", f"optimizer={name.split()[0]}", f"lr={lr}", *more)
        row.times += 1
        row.blame(faults_of(done, DIVERGED) + _kept(place / "run"))


def overflowing_weights(row: Row, folder: Path) -> None:
    """Weights of the network so large that its features overflow: not even the start has a loss."""
    _with_weights(row, folder, lambda array: array * np.float32(1e20), DIVERGED)


def nan_weights(row: Row, folder: Path) -> None:
    """NaN in the file of weights: refused before any work, or seen at the start."""
    _with_weights(row, folder, lambda array: array * np.float32("nan"), InputError.exit_code)


def _with_weights(row: Row, folder: Path, change: Callable, code: int) -> None:
    shipped = resources.files("nstrep") / "networks/vgg19_slim.npz"
    with resources.as_file(shipped) as path, np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = next(name for name in arrays if name.startswith("conv2_1") and arrays[name].ndim == 4)
    arrays[name] = change(arrays[name])
    np.savez(folder / "weights.npz", **arrays)
    done = run(folder, *RUN, "weights.path=weights.npz")
    row.times += 1
    row.blame(faults_of(done, code))
    if code == DIVERGED:
        row.blame(_kept(folder / "run"))
    elif list((folder / "run").glob("*")):
        row.blame([f"{folder}/run: a run was begun"])


def loss_weights(row: Row, folder: Path) -> None:
    """Weights of the losses whose product overflows in float32."""
    for number, typed in enumerate(("style_weight=1e38", "content_weight=1e38", "tv_weight=1e38")):
        place = folder / str(number)
        done = run(place, *RUN, typed, "optimizer=adam", "init=noise")
        row.times += 1
        code = done.process.returncode
        row.blame(faults_of(done, code if code in (0, DIVERGED) else DIVERGED))
        row.blame(_kept(place / "run") if code == DIVERGED else _finite(place / "run"))


def sweep(row: Row, folder: Path) -> None:
    """One run of a sweep diverges: the others end as if it had not been there."""
    command = ("--multirun", *TINY, "max_num_epochs=20", "basis=pixels", "optimizer=sgd",
               "lr=1e-3,1e30,1e-4")  # fmt: skip
    bad = "lr=1e+30"
    row.times += 1
    for again in (False, True):
        done = run(folder, *command)
        row.blame(faults_of(done, 1))
        (results,) = folder.glob("results/sweeps/*")
        summary = pd.read_csv(results / "summary.csv").set_index("run")
        told = summary["status"].to_dict()
        if told != {"lr=0.001": "finished", bad: "diverged", "lr=0.0001": "finished"}:
            row.blame([f"summary.csv, again={again}: {told}"])
        elif "NaN or infinite" not in str(summary.loc[bad, "reason"]):
            row.blame([f"summary.csv has no reason: {summary.loc['lr=1e30', 'reason']}"])
        row.blame(checks.broken(results) + checks.left_over(results))
        row.blame(_kept(results / bad))


def training(row: Row, folder: Path) -> None:
    """A training with a learning rate far too high; the last checkpoint stays, the cure goes on."""
    typed = (*TRAINING,
             "steps=10", "save_steps=2", "hydra.run.dir=run")  # fmt: skip
    done = run(folder, *typed, "lr=1e30", module="nstrep.fast.train")
    row.times += 1
    row.blame(faults_of(done, DIVERGED))
    failed = json.loads((folder / "run/failed.json").read_text())
    if failed["exit_code"] != DIVERGED or len(checks.rows(folder / "run/curve.csv")) > 2:
        row.blame([f"seen late or not said: {failed}"])
    row.blame(checks.broken(folder / "run"))


def _kept(directory: Path) -> list[str]:
    """What a run that diverged must leave: finite rows, the epoch in the reason, a good picture."""
    found = run_reader.load_run(directory)
    rows = len(found.curve)
    problems = checks.broken(directory) + _finite(directory)
    if found.status != "diverged":
        problems.append(f"{directory}: status {found.status}: {found.reason}")
    elif f"epoch {rows}:" not in found.reason:  # rows are 0 to rows - 1, all of them finite
        problems.append(f"{directory}: {rows} rows, but: {found.reason}")
    if rows and found.picture_path != directory / "last_good.png":
        problems.append(f"{directory}: last_good.png is not there")
    return problems


def _finite(directory: Path) -> list[str]:
    curve = run_reader.load_run(directory).curve
    losses = [name for name in curve if name == "total" or "_loss" in name]
    finite = np.isfinite(curve[losses].to_numpy(dtype=float)).all() if losses else True
    return [] if finite else [f"{directory}: curve.csv has losses that are not finite"]


FAULTS = {
    "learning rate far too high": (learning_rates, "exit code 3, last_good.png"),
    "weights of the network that overflow": (overflowing_weights, "exit code 3 at the start"),
    "NaN in the weights of the network": (nan_weights, "refused, exit code 2"),
    "weights of the losses that overflow": (loss_weights, "exit code 3, or finite to the end"),
    "one run of a sweep diverges": (sweep, "twice: the second time it is not tried again"),
    "training with a learning rate far too high": (training, "exit code 3"),
}  # fmt: skip

SHORT = ("learning rate far too high",)


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    """All of them; a row each."""
    rows = []
    for number, inject, row in chosen(FAULTS, short, SHORT):
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        inject(row, place)
        say(f"{row.fault}: lost {row.lost}, wrong {row.wrong}")
        rows.append(row)
    return rows
