"""A run's numbers and images for TensorBoard:  tensorboard --logdir results."""

from __future__ import annotations

import math
from pathlib import Path

from tensorboardX import SummaryWriter

from nstrep.config import metrics
from nstrep.experiment.recorders import Finish
from nstrep.images.io import to_uint8
from nstrep.optim.minimize import Step


class TensorBoard:
    """Writes the losses and numbers of every step, and the images of some."""

    def __init__(self, folder: Path, every: int, finish: Finish, begun: int = 0) -> None:
        """Begin a log, or continue one from the epoch ``begun``, without its later epochs.

        There are ``every`` epochs between two images; 0 is for the first and the last alone.
        """
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
        image = to_uint8(self._finish(step.image))
        self._writer.add_image("picture", image, step.epoch, dataformats="HWC")
        self._shown = step.epoch

    def close(self) -> None:
        """Write the last image and close the file."""
        if self._last is not None and self._shown != self._last.epoch:
            self._show(self._last)
        self._writer.close()
