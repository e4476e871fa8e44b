"""What is written and shown while an experiment or a training runs, and the rule that ends it."""

from __future__ import annotations

import csv
import itertools
import logging
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from nstrep.base.files import atomic_write, writing
from nstrep.base.text import duration
from nstrep.config import metrics
from nstrep.config.schema import ExperimentConfig
from nstrep.experiment import run_directory
from nstrep.images import io
from nstrep.optim.minimize import Step
from nstrep.optim.state import is_list

log = logging.getLogger(__name__)

Finish = Callable[[np.ndarray], np.ndarray]  # from a step's image to the rgb01 that is shown


class Recorders:
    """All that records steps: curve.csv, the progress bar, snapshots, and TensorBoard if wanted."""

    def __init__(
        self,
        directory: Path,
        *,
        total: int,  # most steps of the run
        begun: int,  # step at which the files are continued; 0 begins them
        every: int,  # steps between two snapshots; 0 for none
        finish: Finish,
        logger: str,
        unit: str = "epoch",  # name of a step
        title: str = "",  # of the progress
        after: float = 0.0,  # steps of other processes' length after the total, for the time left
        snapshots: str = run_directory.SNAPSHOTS,
    ) -> None:
        self._recorders = [
            Curve(directory / run_directory.CURVE, upto=begun - 1 if begun else None),
            Progress(total, begun, unit, title, after),
            Snapshots(directory / snapshots, every, finish, unit),
        ]
        if logger == "tensorboard":
            folder = directory / run_directory.TENSORBOARD
            self._recorders.append(TensorBoard(folder, every, finish, begun))

    def __call__(self, step: Step) -> None:
        """Record a step."""
        for recorder in self._recorders:
            recorder(step)

    def close(self) -> None:
        """Finish the files and remove the bar."""
        for recorder in reversed(self._recorders):
            recorder.close()


class Progress:
    """A bar on a terminal or in a notebook; elsewhere, as in a log, a line every half minute."""

    SECONDS = 30.0  # between two lines

    def __init__(
        self, total: int, begun: int, unit: str, title: str = "", after: float = 0.0
    ) -> None:
        self._total, self._begun, self._unit = total, begun, unit
        self._title, self._after = title, after
        terminal = sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
        shown = terminal or type(sys.stderr).__module__.startswith("ipykernel")
        self._bar = tqdm(
            desc=title or None, total=total, initial=begun, unit=unit, leave=False,
            dynamic_ncols=True,
            disable=bool(os.environ.get("TQDM_DISABLE")) or not shown,
        )  # fmt: skip
        self._start = self._said = time.monotonic()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        eps = "" if math.isnan(step.eps) else f", eps {step.eps:.4f}"
        shown = f"loss {step.losses['total']:.4g}{eps}"
        now, done = time.monotonic(), step.epoch - self._begun
        left = ""
        if done:
            rest = self._total - step.epoch + self._after
            left = f", at most {duration((now - self._start) / done * rest)} left"
        self._bar.set_postfix_str(shown + left * bool(self._after), refresh=False)
        self._bar.update(step.epoch - self._bar.n)
        if self._bar.disable and done and now - self._said >= self.SECONDS:
            self._said = now
            title = f"{self._title}: " if self._title else ""
            log.info("%s%s %d of %d, %s%s", title, self._unit, step.epoch, self._total, shown, left)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


class Curve:
    """curve.csv: one row an epoch, written at once. A cell is empty where a number is NaN."""

    def __init__(self, path: Path, upto: int | None = None) -> None:
        """Begin a file, or continue one whose rows are kept up to the epoch ``upto``."""
        self._path = path
        kept = [] if upto is None else _rows(path, upto)
        self.rows = max(0, len(kept) - 1)
        if kept:
            with atomic_write(path) as temporary:
                temporary.write_text("\n".join(kept) + "\n")
        self._file = path.open("a" if self.rows else "w", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __call__(self, step: Step) -> None:
        """Append a row; ResultsError if it cannot be written."""
        with writing(self._path):
            if not self.rows:
                self._writer.writerow(_header(step.losses, step.scale is not None))
            values = (column.at(step) for column in metrics.columns(step.scale is not None))
            self._writer.writerow(map(_cell, [*values, *step.losses.values()]))
            self._file.flush()
        self.rows += 1

    def close(self) -> None:
        """Close the file."""
        with writing(self._path):
            self._file.close()


def read_curve(path: Path) -> dict[str, np.ndarray]:
    """The columns of a curve.csv by name, with NaN for empty cells."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    columns = ([float(cell or "nan") for cell in column] for column in zip(*rows))
    return {name: np.array(column) for name, column in zip(header, columns)}


def rows_upto(path: Path, epoch: int, losses: Iterable[str], scaled: bool) -> int:
    """The number of complete rows of a curve from epoch 0 to ``epoch``; 0 for other columns."""
    header, *rows = _rows(path, epoch) or [""]
    return len(rows) if header == ",".join(_header(losses, scaled)) else 0


def _header(losses: Iterable[str], scaled: bool) -> list[str]:
    return [*(column.name for column in metrics.columns(scaled)), *losses]


def _rows(path: Path, upto: int) -> list[str]:
    """The header and the rows up to an epoch, or to the first that is incomplete or missing."""
    lines = path.read_text(errors="replace").split("\n")[:-1] if path.exists() else [""]
    header, *rows = lines or [""]
    whole = itertools.takewhile(
        lambda row: row[1].startswith(f"{row[0]},") and row[1].count(",") == header.count(","),
        enumerate(rows[: upto + 1]),
    )
    return [header, *(row for _, row in whole)] if header else []


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.9g}"


class Snapshots:
    """snapshots/epoch_00050.png, ... every so many epochs."""

    def __init__(self, folder: Path, every: int, finish: Finish, unit: str = "epoch") -> None:
        self._folder, self._every, self._finish, self._unit = folder, every, finish, unit

    def __call__(self, step: Step) -> None:
        """Save the image if it is due."""
        if self._every and step.epoch and step.epoch % self._every == 0:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{self._unit}_{step.epoch:05d}.png"
            io.save_png(path, self._finish(step.image))

    def close(self) -> None:
        """Nothing is open."""


class TensorBoard:
    """A log for  tensorboard --logdir results:  numbers of every step, and images of some."""

    def __init__(self, folder: Path, every: int, finish: Finish, begun: int = 0) -> None:
        # Continues a log from the epoch begun, without its later epochs. There are ``every`` epochs
        # between two images; 0 is for the first and the last alone.
        from tensorboardX import SummaryWriter  # takes a while to import

        # Files are named by the second: one that is begun in the same would replace the first.
        suffix = f".{begun}" if begun else ""
        self._writer = SummaryWriter(str(folder), purge_step=begun, filename_suffix=suffix)
        self._every, self._finish = every, finish
        self._last: Step | None = None
        self._shown: int | None = None  # epoch of the last image

    def __call__(self, step: Step) -> None:
        """Write a step's numbers, and its image if it is due."""
        values = {f"loss/{name}": value for name, value in step.losses.items()}
        values |= {each.name: each.at(step) for each in metrics.columns() if each.logged}
        for name, value in values.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, step.epoch)
        self._last = step
        if step.epoch == 0 or (self._every and step.epoch % self._every == 0):
            self._show(step)

    def _show(self, step: Step) -> None:
        image = io.to_uint8(self._finish(step.image))
        self._writer.add_image("picture", image, step.epoch, dataformats="HWC")
        self._shown = step.epoch

    def close(self) -> None:
        """Write the last image and close the file."""
        if self._last is not None and self._shown != self._last.epoch:
            self._show(self._last)
        self._writer.close()


class StopRule:
    """Decides when a run ends, or goes on at its next scale, and by which key."""

    KEYS = ("stop_eps", "stop_loss_change")

    def __init__(self, config: ExperimentConfig, last: int) -> None:
        self._config, self._last = config, last  # the last epoch
        self._recent = {key: deque(maxlen=config.stop_patience) for key in self.KEYS}

    def __call__(self, step: Step) -> str | None:
        """The key that ends the run after this step, or None.

        eps tests the size of a step, not the quality of the image: a decaying learning rate
        satisfies it whether or not the loss still falls.
        """
        config, changes = self._config, (step.eps, step.loss_change)
        for recent, change in zip(self._recent.values(), changes):
            recent.append(change)
        for key, recent in self._recent.items():
            below = (change < getattr(config, key) for change in recent)
            if len(recent) == config.stop_patience and all(below):
                return key
        return "max_num_epochs" if step.epoch >= self._last else None

    def state(self) -> dict[str, list[float]]:
        """What the next decisions depend on, the last step included."""
        return {key: list(recent) for key, recent in self._recent.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Continue from a :meth:`state`, whose last step is seen once more."""
        for key, recent in self._recent.items():
            recent.extend(state[key][:-1])

    @classmethod
    def is_state(cls, value: object) -> bool:
        """Whether a value can be a :meth:`state`."""
        return (
            isinstance(value, dict)
            and value.keys() == set(cls.KEYS)
            and all(is_list(recent, (int, float)) for recent in value.values())
        )
