"""Numerical overflow: a learning rate far too high, weights that overflow, NaN in a file.

It is noticed within one epoch, the process has its own exit code, the last good image stays, and
in a sweep the other runs continue and the summary says which run failed and why.
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
from tests.faults.harness import TINY, TRAINING, Row, inject_all, run

DIVERGED = DivergedError.exit_code

RUN = (*TINY, "max_num_epochs=20", "hydra.run.dir=run")

TOO_HIGH = {"sgd": "1e30", "nag": "1e30", "adam": "1e30", "sgd with momentum": "1e12"}


def learning_rates(row: Row, folder: Path) -> int:
    """A learning rate far too high, for every optimiser that has one."""
    for name, lr in TOO_HIGH.items():
        place = folder / name.split()[-1]
        more = ("optimizer.momentum=0.9",) if "momentum" in name else ()
        done = run(place, *RUN, "basis=pixels", f"optimizer={name.split()[0]}", f"lr={lr}", *more)
        row.blame(done.problems(DIVERGED) + _problems_of_diverged(place / "run"))
    return len(TOO_HIGH)


def overflowing_weights(row: Row, folder: Path) -> None:
    """Network weights so large that the features overflow: not even the start has a loss."""
    _with_weights(row, folder, lambda array: array * np.float32(1e20), DIVERGED)
    row.blame(_problems_of_diverged(folder / "run"))


def nan_weights(row: Row, folder: Path) -> None:
    """NaN in the file of weights: refused before the run begins."""
    _with_weights(row, folder, lambda array: array * np.float32("nan"), InputError.exit_code)
    if list((folder / "run").glob("*")):
        row.blame([f"{folder}/run: a run was begun"])


def _with_weights(row: Row, folder: Path, change: Callable, code: int) -> None:
    shipped = resources.files("nstrep") / "networks/vgg19_slim.npz"
    with resources.as_file(shipped) as path, np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = next(name for name in arrays if name.startswith("conv2_1") and arrays[name].ndim == 4)
    arrays[name] = change(arrays[name])
    np.savez(folder / "weights.npz", **arrays)
    row.blame(run(folder, *RUN, "weights.path=weights.npz").problems(code))


def loss_weights(row: Row, folder: Path) -> int:
    """Weights of the losses whose product overflows in float32."""
    weights = ("style_weight=1e38", "content_weight=1e38", "tv_weight=1e38")
    for number, override in enumerate(weights):
        place = folder / str(number)
        done = run(place, *RUN, override, "optimizer=adam", "init=noise")
        code = done.process.returncode
        row.blame(done.problems(0 if code == 0 else DIVERGED))
        check = _problems_of_diverged if code == DIVERGED else _infinite_losses
        row.blame(check(place / "run"))
    return len(weights)


def sweep(row: Row, folder: Path) -> None:
    """One run of a sweep diverges: the others are as if it had not been there."""
    command = ("--multirun", *TINY, "max_num_epochs=20", "basis=pixels", "optimizer=sgd",
               "lr=1e-3,1e30,1e-4")  # fmt: skip
    diverging = "lr=1e+30"
    for again in (False, True):
        row.blame(run(folder, *command).problems(1))
        (results,) = folder.glob("results/sweeps/*")
        summary = pd.read_csv(results / "summary.csv").set_index("run")
        statuses = summary["status"].to_dict()
        if statuses != {"lr=0.001": "finished", diverging: "diverged", "lr=0.0001": "finished"}:
            row.blame([f"summary.csv, again={again}: {statuses}"])
        elif "NaN or infinite" not in str(summary.loc[diverging, "reason"]):
            row.blame([f"summary.csv has no reason: {summary.loc[diverging, 'reason']}"])
        row.blame(checks.broken(results) + checks.left_over(results))
        row.blame(_problems_of_diverged(results / diverging))


def training(row: Row, folder: Path) -> None:
    """A training with a learning rate far too high; its files stay whole."""
    typed = (*TRAINING, "steps=10", "save_steps=2", "hydra.run.dir=run", "lr=1e30")
    row.blame(run(folder, *typed, module="nstrep.fast.train").problems(DIVERGED))
    failed = json.loads((folder / "run/failed.json").read_text())
    if failed["exit_code"] != DIVERGED or len(checks.rows(folder / "run/curve.csv")) > 2:
        row.blame([f"noticed late or not at all: {failed}"])
    row.blame(checks.broken(folder / "run"))


def _problems_of_diverged(directory: Path) -> list[str]:
    """A run that diverged has finite rows, the epoch in the reason, and a good image."""
    run = run_reader.load_run(directory)
    rows = len(run.curve)
    problems = checks.broken(directory) + _infinite_losses(directory)
    if run.status != "diverged":
        problems.append(f"{directory}: status {run.status}: {run.reason}")
    elif f"epoch {rows}:" not in run.reason:  # rows are 0 to rows - 1, all of them finite
        problems.append(f"{directory}: {rows} rows, but: {run.reason}")
    if rows and run.picture_path != directory / "last_good.png":
        problems.append(f"{directory}: last_good.png is not there")
    return problems


def _infinite_losses(directory: Path) -> list[str]:
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
}


def faults(folder: Path, short: bool, seed: int) -> list[Row]:
    return inject_all(FAULTS, ("learning rate far too high",), folder, short)
