"""Hydra's callback for single runs: protects what is in their folder already.

Hydra writes ``.hydra/`` before the run begins, and so before the run can find out that another
process works in the directory or that it holds another run. A refused command would leave its own
settings as those of that run. A folder that holds anything else is refused here as well.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from nstrep.base.errors import BusyError, NstrepError, Refused
from nstrep.experiment import run_directory


class RunCallback(Callback):
    """Registered in configs/config.yaml and configs/fast.yaml."""

    def __init__(self, marks: str = "RUN") -> None:
        self._marks = getattr(run_directory, marks)  # of the command's folders

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Lock ``.hydra/`` until this process ends; let Hydra write to it only in a new run."""
        directory, lock = Path(config.hydra.run.dir), ExitStack()
        settings = directory / run_directory.HYDRA
        atexit.register(lock.close)
        try:
            if is_held := settings.exists():  # a process that starts just now has written half
                lock.enter_context(run_directory.locked(settings))
            run_directory.refuse_foreign(directory, self._marks, logs_count=True)
            for folder in reversed([directory, *directory.parents]):
                if not folder.exists():
                    lock.callback(_remove_empty, folder)
            if not is_held:
                lock.enter_context(run_directory.locked(settings))
        except BusyError:
            raise Refused(BusyError(f"{directory}: another process is at work there")) from None
        except NstrepError as error:
            raise Refused(error) from error
        if (directory / run_directory.CONFIG).exists():
            with read_write(config.hydra):
                config.hydra.output_subdir = None


def _remove_empty(folder: Path) -> None:
    """Remove a folder that this process made, if its run was refused and left nothing."""
    with suppress(OSError):
        folder.rmdir()
