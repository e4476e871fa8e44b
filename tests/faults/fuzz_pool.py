"""Runs cases in long-lived processes that are watched: a crash or a hang is a finding.

A worker runs one case after the other, with an alarm and a limit of memory. If a case kills it, or
keeps it beyond the alarm, the watching process notes that and starts another worker.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing as mp
import os
import random
import resource
import shutil
import signal
import tarfile
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

SECONDS = 10.0
"""Processor time after which a case hangs, on a busy machine too."""

WAITING = 120.0
"""Seconds after which a case that waits for something hangs. Commands, which start Python and MXNet
in a process of their own, are timed by the clock alone."""

MEMORY_MB = 500.0
"""Allowed above what the worker held before, beside 32 bytes per pixel of a decoded image, of
which there are MAX_PIXELS at most."""

GRACE = 30.0
"""Seconds after the alarm; a worker that has not answered then is killed."""

ADDRESSES = 6 * 2**30
"""Bytes of address space that a worker may add, to protect the machine."""

ENDS = ("result", "error", "wrong")
"""A result, a one-line error, or anything else."""


@dataclass(frozen=True)
class Job:
    kind: str
    number: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    job: Job
    end: str
    message: str
    seconds: float
    """Processor time; for commands by the clock."""
    mb: float
    """Memory above what the worker held before."""


class Hang(BaseException):
    """Raised by the alarm. It is no Exception, so that no reader takes it for a corrupt file."""


def run(jobs: list[Job], workers: int, seeds: Path, keep: Path) -> Iterator[Outcome]:
    """Run the cases, and yield their outcomes as they come."""
    waiting = list(reversed(jobs))
    crew = [Worker(seeds, keep) for _ in range(min(workers, len(jobs)))]
    try:
        while waiting or any(worker.job for worker in crew):
            for worker in crew:
                if worker.job is None and waiting:
                    worker.start(waiting.pop())
            busy = [worker for worker in crew if worker.job]
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                outcome = worker.outcome()
                if outcome is not None:
                    yield outcome
    finally:
        for worker in crew:
            worker.stop()


class Worker:
    """A process and its current case."""

    def __init__(self, seeds: Path, keep: Path) -> None:
        self._seeds, self._keep = seeds, keep
        self.job: Job | None = None
        self._begin()

    def _begin(self) -> None:
        context = mp.get_context("spawn")
        self.folder = Path(tempfile.mkdtemp(prefix="nstrep-fuzz-"))
        self.pipe, other = context.Pipe()
        self.process = context.Process(
            target=work, args=(other, self._seeds, self.folder, self._keep), daemon=False
        )
        self.process.start()
        other.close()

    def start(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        self.pipe.send(job)

    def outcome(self) -> Outcome | None:
        """The outcome of the case; None while it runs."""
        passed = time.monotonic() - self.since
        if self.pipe.poll():
            with contextlib.suppress(EOFError, OSError):
                outcome = self.pipe.recv()
                self.job = None
                return outcome
        elif self.process.is_alive():
            is_ready = (self.folder / "ready").exists()  # imports take a while on a busy machine
            if passed <= WAITING + GRACE + (0 if is_ready else 60):
                return None
            return self._lost(f"hangs, and no alarm ends it ({passed:.0f} s)", passed)
        self.process.join(5)
        code = self.process.exitcode
        death = signal.Signals(-code).name if code is not None and code < 0 else f"exit {code}"
        return self._lost(f"the process died ({death})", passed)

    def _lost(self, message: str, passed: float) -> Outcome:
        job, self.job = self.job, None
        pack(self.folder / "case", self._keep, job)
        self.stop()
        self._begin()
        return Outcome(job, "wrong", message, passed, 0.0)

    def stop(self) -> None:
        """End the process and remove its folder."""
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)


def pack(case: Path, keep: Path, job: Job) -> None:
    """Store a case's files; as an archive, since some are pipes and links."""
    if case.is_dir():
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{job.kind}-{job.seed}-{job.number}".replace(" ", "_").replace(":", "")
        with tarfile.open(keep / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(case, name)


# --- inside a worker -------------------------------------------------------------------------


def work(pipe: Connection, seeds: Path, folder: Path, keep: Path) -> None:
    """Run cases until the pipe closes."""
    from tests.faults import fuzz_seeds

    os.environ[fuzz_seeds.SECRET_VARIABLE] = fuzz_seeds.SECRET
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(1 if "NSTREP_FUZZ_LOUD" in os.environ else 3):
        os.dup2(null, descriptor)
    for alarm in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(alarm, _alarm)
    from nstrep.base import command_line
    from nstrep.experiment import image_inputs  # noqa: F401 - before a case is timed
    from nstrep.fast import layouts, training  # noqa: F401
    from nstrep.report import page  # noqa: F401
    from tests.faults import fuzz_kinds

    lines = Lines(logging.INFO)
    lines.setFormatter(command_line.LineFormatter())
    logging.getLogger().addHandler(lines)
    with open("/proc/self/statm") as statm:
        held = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + ADDRESSES, resource.RLIM_INFINITY))
    bench = fuzz_kinds.Bench(seeds, Path(__file__).resolve().parents[2])
    bench.training  # noqa: B018 - read once, before the first case is timed
    (folder / "ready").touch()
    case = folder / "case"
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir()
        os.chdir(case)
        lines.messages = []
        outcome = run_case(fuzz_kinds, bench, job, lines)
        os.chdir(folder)
        if outcome.end == "wrong":
            pack(case, keep, job)
        pipe.send(outcome)


class Lines(logging.Handler):
    messages: list[str]

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def _alarm(number: int, frame: object) -> None:
    raise Hang


def run_case(fuzz_kinds: object, bench: object, job: Job, lines: Lines) -> Outcome:
    """Make a case, let the program read it, and judge the end."""
    from nstrep.base import process_memory
    from nstrep.base.errors import NstrepError

    kind = fuzz_kinds.KINDS[job.kind]
    rng = random.Random(f"{job.seed}/{job.kind}/{job.number}")
    argument = kind.make(bench, rng, job.number)
    bench.allowed_mb = 0.0
    process_memory.reset_peak_memory()
    before = process_memory.memory_mb()["now"]
    clock = time.perf_counter if job.kind == "command lines" else time.process_time
    began = clock()
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        end, message = "result", kind.use(bench, argument)
    except NstrepError as error:
        end, message = "error", str(error)
        if not fuzz_kinds.one_line(message) or not message:
            end, message = "wrong", f"an error of several lines: {message[:500]!r}"
        elif isinstance(argument, Path) and argument.name not in message:
            end, message = "wrong", f"an error that does not name the file: {message[:500]}"
    except Hang:
        end, message = "wrong", "hangs: " + traceback.format_exc()[-1500:]
    except BaseException:  # everything else is a finding
        end, message = "wrong", traceback.format_exc()[-2500:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = clock() - began
    mb = max(0.0, process_memory.memory_mb()["peak"] - before)
    if end != "wrong":
        broken = [line for line in lines.messages if not fuzz_kinds.one_line(line)]
        if mb > MEMORY_MB + bench.allowed_mb:
            end, message = "wrong", f"took {mb:.0f} MB ({message[:300]})"
        elif Path("pwned").exists():
            end, message = "wrong", "the file was obeyed"
        elif broken:
            end, message = "wrong", f"a log entry of several lines: {broken[0][:300]!r}"
    return Outcome(job, end, message, seconds, mb)
