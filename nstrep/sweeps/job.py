"""One run of a sweep, seen from the process that computes it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import logging
import os
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from omegaconf import DictConfig

from nstrep.base import signals
from nstrep.base.errors import BusyError, ResultsError
from nstrep.base.files import atomic_write
from nstrep.experiment import run_directory

log = logging.getLogger(__name__)

REPORTS, PARENT = "NSTREP_SWEEP_REPORTS", "NSTREP_SWEEP_PID"
"""Environment variables of a run: the folder for its reports, and the process that started it."""

AT_WORK = ".run"  # suffix of a file named by a process of this machine while it computes a run
PATIENCE = 30.0  # seconds that a sweep which is stopped waits for these processes

PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


class SweepJob:
    """Context manager around a run: reports its end, and keeps its error from ending the sweep."""

    def __init__(self, hydra_config: DictConfig) -> None:
        self._config = hydra_config
        self._directory = Path(hydra_config.runtime.output_dir)
        self._reports = Path(os.environ[REPORTS])
        self._computed = False
        self._at_work: Path | None = None

    def on_step(self, _: object) -> None:
        """Callback for the iterations: without any, the results were there before."""
        self._computed = True

    def __enter__(self) -> SweepJob:
        for handler in logging.getLogger().handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(self._is_new_warning)
        parent = int(os.environ[PARENT])
        if os.getpid() != parent:
            os.environ["TQDM_DISABLE"] = "1"  # the bars of several processes would mix
        if os.getppid() == parent:
            # A process of joblib would outlive a killed sweep by five minutes, with its memory.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signals.only_sigterm_interrupts()
            self._at_work = self._reports / f"{os.getpid()}{AT_WORK}"
            with contextlib.suppress(OSError):  # a removed folder is said at the end
                self._at_work.touch()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Report the end. Optuna's sweeper receives the error; other sweepers would stop at it."""
        report: dict[str, Any] = {"run": os.path.relpath(self._directory, self._config.sweep.dir)}
        if isinstance(error, BusyError):
            report["status"] = "busy"
        elif isinstance(error, Exception):
            log.error("failed", exc_info=error)
            run_directory.keep_failure(self._directory, error)
            report |= {"status": "failed", "reason": run_directory.about(error)["reason"]}
        elif error is not None:  # Ctrl-C
            if self._at_work is not None:
                self._at_work.unlink(missing_ok=True)
                time.sleep(PATIENCE)  # begin no other run before the sweep ends this process
                os._exit(signals.exit_code(error))
            return False
        elif self._computed:
            report |= {"status": "finished", "seconds": time.monotonic() - self._began}
        else:
            report["status"] = "skipped"
        if self._at_work is not None:
            self._at_work.unlink(missing_ok=True)
        try:
            with atomic_write(self._reports / f"{self._config.job.num}.json") as temporary:
                temporary.write_text(json.dumps(report))
        except ResultsError:  # the sweep must not end as if there had been no such run
            if error is None:
                raise
            return False
        return "max_failure_rate" not in self._config.sweeper

    def _is_new_warning(self, record: logging.LogRecord) -> bool:
        """Log filter of the terminal: each warning once in a sweep; the run's file has the rest."""
        if record.levelno < logging.WARNING or record.exc_info is not None:
            return False
        name = hashlib.sha256(record.getMessage().encode()).hexdigest()[:16]
        try:
            (self._reports / f"{name}.printed").touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError:
            pass  # printing it twice is better than never
        return True
