"""Cases in processes that live long, and are watched: a crash or a hang is a finding, not the end.

A worker carries out one case after the other, under an alarm and a limit of memory. Where a case
kills it, or keeps it beyond the alarm, the one that watches notes that and starts another.
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
"""Of the processor's time: a case that takes more hangs, on a busy machine too."""

WAITING = 120.0
"""Seconds by the clock: a case that waits for something hangs. Commands, which start Python and
MXNet in a process of their own and may run an epoch, count by the clock alone."""

MEMORY_MB = 500.0
"""That a case may take above what the worker held before, beside 32 bytes for each pixel that a
picture really has, of which there are MAX_PIXELS at most."""

GRACE = 30.0
"""After the alarm; whoever has not come back then is killed."""

ADDRESSES = 6 * 2**30
"""Bytes of address space that a worker may add, so that a bomb does not take the machine."""


@dataclass(frozen=True)
class Job:
    """One case."""

    kind: str
    number: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    job: Job
    end: str
    """``result``, ``error`` (one plain line) or ``wrong``."""
    said: str
    seconds: float
    """Of the processor's time; of commands by the clock."""
    mb: float
    """Memory above what the worker held before."""


class Hang(BaseException):
    """The alarm; not an Exception, so that no reader takes it for damage."""


def run(jobs: list[Job], workers: int, seeds: Path, keep: Path) -> Iterator[Outcome]:
    """Carry the cases out, and yield their ends as they come."""
    context = mp.get_context("spawn")
    waiting = list(reversed(jobs))
    crew = [Worker(context, seeds, keep) for _ in range(min(workers, len(jobs)))]
    try:
        while waiting or any(worker.job for worker in crew):
            for worker in crew:
                if worker.job is None and waiting:
                    worker.start(waiting.pop())
            busy = [worker for worker in crew if worker.job]
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in busy:
                outcome = worker.ended()
                if outcome is not None:
                    yield outcome
    finally:
        for worker in crew:
            worker.stop()


class Worker:
    """A process and the case that it is at."""

    def __init__(self, context: mp.context.SpawnContext, seeds: Path, keep: Path) -> None:
        self._context, self._seeds, self._keep = context, seeds, keep
        self.job: Job | None = None
        self._begin()

    def _begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nstrep-fuzz-"))
        self.pipe, other = self._context.Pipe()
        self.process = self._context.Process(
            target=work, args=(other, self._seeds, self.folder, self._keep), daemon=False
        )
        self.process.start()
        other.close()

    def start(self, job: Job) -> None:
        """Hand over a case."""
        self.job, self.since = job, time.monotonic()
        self.pipe.send(job)

    def ended(self) -> Outcome | None:
        """How the case ended; None while it goes on."""
        passed = time.monotonic() - self.since
        if self.pipe.poll():
            try:
                outcome = self.pipe.recv()
            except (EOFError, OSError):
                return self._lost(f"the process died ({self._death()})", passed)
            self.job = None
            return outcome
        if not self.process.is_alive():
            return self._lost(f"the process died ({self._death()})", passed)
        limit = WAITING + GRACE + (60 if not self.is_ready() else 0)
        if passed > limit:
            return self._lost(f"hangs, and no alarm ends it ({passed:.0f} s)", passed)
        return None

    def is_ready(self) -> bool:
        """Whether it has imported what it needs, which takes a while on a busy machine."""
        return (self.folder / "ready").exists()

    def _death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit {code}"

    def _lost(self, what: str, passed: float) -> Outcome:
        job = self.job
        pack(self.folder / "case", self._keep, job)
        self.stop()
        self.job = None
        self._begin()
        return Outcome(job, "wrong", what, passed, 0.0)

    def stop(self) -> None:
        """End the process and remove its folder."""
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)


def pack(case: Path, keep: Path, job: Job) -> None:
    """Keep a case's files; as an archive, since they may be pipes and links."""
    if case.is_dir():
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{job.kind}-{job.seed}-{job.number}".replace(" ", "_").replace(":", "")
        with tarfile.open(keep / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(case, name)


# --- inside a worker -------------------------------------------------------------------------


def work(pipe: Connection, seeds: Path, folder: Path, keep: Path) -> None:
    """Carry out cases until the pipe closes."""
    from tests.faults import fuzz_seeds

    os.environ[fuzz_seeds.SECRET_VARIABLE] = fuzz_seeds.SECRET
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    if "NSTREP_FUZZ_LOUD" not in os.environ:
        os.dup2(null, 1)
        os.dup2(null, 2)
    for alarm in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(alarm, _alarm)
    from nstrep.base import command_line
    from nstrep.experiment import image_inputs  # noqa: F401 - before a case is timed
    from nstrep.fast import layouts, training  # noqa: F401
    from nstrep.report import page  # noqa: F401
    from tests.faults import fuzz_kinds

    lines = Lines()
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
        lines.clear()
        outcome = carry_out(fuzz_kinds, bench, job, lines)
        os.chdir(folder)
        if outcome.end == "wrong":
            pack(case, keep, job)
        pipe.send(outcome)


class Lines(logging.Handler):
    """The lines that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.said.append(self.format(record))


def _alarm(number: int, frame: object) -> None:
    raise Hang


def carry_out(fuzz_kinds: object, bench: object, job: Job, lines: Lines) -> Outcome:
    """Make a case, let it be read, and say how that ended."""
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
        end, said = "result", kind.use(bench, argument)
    except NstrepError as error:
        end, said = "error", str(error)
        if not fuzz_kinds.one_line(said) or not said:
            end, said = "wrong", f"an error of several lines: {said[:500]!r}"
        elif isinstance(argument, Path) and argument.name not in said:
            end, said = "wrong", f"an error that does not name the file: {said[:500]}"
    except Hang:
        end, said = "wrong", "hangs: " + traceback.format_exc()[-1500:]
    except BaseException:  # whatever else comes out is a finding
        end, said = "wrong", traceback.format_exc()[-2500:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = clock() - began
    mb = max(0.0, process_memory.memory_mb()["peak"] - before)
    if end != "wrong":
        odd = [line for line in lines.said if not fuzz_kinds.one_line(line)]
        if mb > MEMORY_MB + bench.allowed_mb:
            end, said = "wrong", f"took {mb:.0f} MB ({said[:300]})"
        elif Path("pwned").exists():
            end, said = "wrong", "the file was obeyed"
        elif odd:
            end, said = "wrong", f"a log line that is none: {odd[0][:300]!r}"
    return Outcome(job, end, said, seconds, mb)
