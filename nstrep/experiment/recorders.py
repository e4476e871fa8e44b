"""What is written and shown while an experiment runs: the curve, the bar, the snapshots."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nstrep.base.errors import ResultsError
from nstrep.base.files import atomic_write
from nstrep.base.text import reason
from nstrep.config.schema import ExperimentConfig
from nstrep.images import io
from nstrep.optim.minimize import Step
from nstrep.optim.state import is_list

COLUMNS = (
    "epoch", "evaluations", "seconds", "lr", "eps", "loss_change", "gradient_norm",
)  # fmt: skip
"""First columns of curve.csv; every named loss follows, ``total`` first."""


class Curve:
    """curve.csv: one row an epoch, on disk as soon as it is known. What is not defined is empty."""

    def __init__(self, path: Path, upto: int | None = None) -> None:
        """Begin the file, or go on with it.

        Args:
            path: of the file.
            upto: the last epoch whose row is kept of a file that is there; None for a new file.

        """
        self._path = path
        kept = [] if upto is None else _rows(path, upto)
        self.rows = max(0, len(kept) - 1)
        if kept:
            with atomic_write(path) as temporary:
                temporary.write_text("\n".join(kept) + "\n")
        self._file = path.open("a" if self.rows else "w", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __call__(self, step: Step) -> None:
        """Append a row.

        Raises:
            ResultsError: the disk is full, or the folder is gone.

        """
        try:
            if not self.rows:
                self._writer.writerow([*COLUMNS, *step.losses])
            values = [getattr(step, column) for column in COLUMNS] + list(step.losses.values())
            self._writer.writerow(map(_cell, values))
            self._file.flush()
        except OSError as error:
            raise ResultsError(f"{self._path}: cannot be written ({reason(error)})") from None
        self.rows += 1

    def close(self) -> None:
        """Close the file; errors were reported by the row that met them."""
        try:
            self._file.close()
        except OSError as error:
            raise ResultsError(f"{self._path}: cannot be written ({reason(error)})") from None


def rows_upto(path: Path, epoch: int, losses: Iterable[str]) -> int:
    """How many whole rows a curve of these losses has up to an epoch, that of the start too."""
    header, *rows = _rows(path, epoch) or [""]
    return len(rows) if header == ",".join([*COLUMNS, *losses]) else 0


def _rows(path: Path, upto: int) -> list[str]:
    """The header and the rows up to an epoch or to the first that is not the next, or damaged."""
    lines = path.read_text(errors="replace").split("\n")[:-1] if path.exists() else []
    if not lines:
        return []
    header, *rows = lines
    whole = itertools.takewhile(
        lambda row: row[1].count(",") == header.count(",") and _is_row(*row),
        enumerate(rows[: upto + 1]),
    )
    return [header, *(row for _, row in whole)]


def _is_row(epoch: int, row: str) -> bool:
    cells = row.split(",")
    try:
        return cells[0] == str(epoch) and not any(math.isnan(float(cell or 0)) for cell in cells)
    except ValueError:
        return False


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else f"{value:.9g}"


class Bar:
    """A live bar with epoch, loss, eps and time left; nothing where nobody watches."""

    def __init__(self, epochs: int, *, begun: int = 0, unit: str = "epoch") -> None:
        self._bar = tqdm(
            total=epochs,
            initial=begun,
            unit=unit,
            disable=bool(os.environ.get("TQDM_DISABLE")) or None,
            leave=False,
            dynamic_ncols=True,
        )

    def __call__(self, step: Step) -> None:
        """Advance to a step."""
        eps = "-" if math.isnan(step.eps) else f"{step.eps:.4f}"
        self._bar.set_postfix_str(f"loss {step.losses['total']:.4g}, eps {eps}", refresh=False)
        self._bar.update(step.epoch - self._bar.n)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._bar.close()


class Snapshots:
    """snapshots/epoch_00050.png, ... every so many epochs."""

    def __init__(
        self,
        folder: Path,
        every: int,
        finish: Callable[[np.ndarray], np.ndarray],
        unit: str = "epoch",
    ) -> None:
        self._folder, self._every, self._finish = folder, every, finish
        self._unit = unit

    def __call__(self, step: Step) -> None:
        """Save the picture if its turn has come."""
        if self._every and step.epoch and step.epoch % self._every == 0:
            self._folder.mkdir(exist_ok=True)
            io.save_png(
                self._folder / f"{self._unit}_{step.epoch:05d}.png", self._finish(step.image)
            )


class StopRule:
    """Decides when a run ends, and says why."""

    KEYS = ("stop_eps", "stop_loss_change")

    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self._recent: dict[str, deque[bool]] = {
            key: deque(maxlen=config.stop_patience) for key in self.KEYS
        }

    def state(self) -> dict[str, list[bool]]:
        """What the next decisions depend on; of the last step too, which is seen once more."""
        return {key: list(recent) for key, recent in self._recent.items()}

    @classmethod
    def is_state(cls, value: object) -> bool:
        """Whether a value may be a :meth:`state`."""
        return (
            isinstance(value, dict)
            and value.keys() == set(cls.KEYS)
            and all(is_list(recent, (bool,)) for recent in value.values())
        )

    def restore(self, state: dict[str, list[bool]]) -> None:
        """Go on from a :meth:`state`."""
        for key, recent in self._recent.items():
            recent.extend(state[key][:-1])

    def __call__(self, step: Step) -> str | None:
        """The key that ends the run after this step, or None.

        eps tests the size of a step, not the quality of the picture: a falling learning rate
        passes it whatever the loss does. Read it beside the loss change.
        """
        config = self._config
        self._recent["stop_eps"].append(step.eps < config.stop_eps)
        self._recent["stop_loss_change"].append(step.loss_change < config.stop_loss_change)
        for key, recent in self._recent.items():
            if len(recent) == config.stop_patience and all(recent):
                return key
        return "max_num_epochs" if step.epoch >= config.max_num_epochs else None
