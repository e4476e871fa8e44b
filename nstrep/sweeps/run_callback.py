"""Hydra's notes of a run, ``.hydra/``: only the process that makes the run writes them.

Hydra writes them before the run begins, and so before the run can find that another process is at
work in the directory, or that it holds a run: a command that is refused would leave its own words
as those of the run that is there.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from nstrep.base.errors import BusyError, NstrepError, Refused
from nstrep.experiment import run_directory

_held = ExitStack()
atexit.register(_held.close)


class Notes(Callback):
    """Hydra's callback for single runs; see configs/config.yaml."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Hold the notes until this process ends; leave them alone where there is a run.

        Raises:
            Refused: another process holds them, or the directory cannot be written.

        """
        directory = Path(config.hydra.run.dir)
        try:
            _held.enter_context(run_directory.locked(directory / run_directory.HYDRA))
        except BusyError:
            raise Refused(BusyError(f"{directory}: another process is at work there")) from None
        except NstrepError as error:
            raise Refused(error) from error
        if (directory / run_directory.CONFIG).exists():
            with read_write(config.hydra):
                config.hydra.output_subdir = None
