"""Prepare a process for MXNet 1.9.1: environment variables, threads, NumPy, system libraries.

``import nstrep`` calls :func:`prepare` before anything loads NumPy or MXNet, so that a machine
that cannot run MXNet gets a one-line error. Variables that the user has set are kept.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import warnings
from functools import cache
from pathlib import Path

from nstrep.base import process_memory

log = logging.getLogger(__name__)

THREAD_VARIABLE, MXNET_VARIABLE = "OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS"
MOST_THREADS = 1024  # with some thousands OpenMP ends the process without a message

ENGINES = ("ThreadedEnginePerDevice", "ThreadedEngine", "NaiveEngine")
ENGINE_NUMBERS = ("MXNET_CPU_WORKER_NTHREADS", "MXNET_CPU_PRIORITY_NTHREADS")
"""Variables that MXNet reads as whole numbers when it starts its engine."""

CHOSEN = "NSTREP_CHOSE_THREADS"
"""Variable with the value that nstrep gave THREAD_VARIABLE; absent if the user has set that."""

CONTROL_GROUPS = "/sys/fs/cgroup"

DEFAULTS = {
    # Sums over a picture's positions lose digits in float32; this accumulates them in float64.
    "MXNET_SAFE_ACCUMULATION": "1",
    # For the short vector products of L-BFGS, starting threads takes longer than computing; on a
    # busy machine thirty times as long. MXNet's large products use oneDNN, not OpenBLAS.
    "OPENBLAS_NUM_THREADS": "1",
    # Operators run one after the other: one scratch space is enough, not four.
    "MXNET_CPU_TEMP_COPY": "1",
    # MXNet and oneDNN cache compiled operators by shape, MXNet without a limit: a sweep over sizes
    # would grow by a megabyte a run. VGG-19 has 16 of a kind; tiles of many shapes have more, and
    # take far longer to compute than to compile.
    "MXNET_MKLDNN_CACHE_NUM": "64",
    "DNNL_PRIMITIVE_CACHE_CAPACITY": "64",
    # One line on stderr for every bound graph otherwise.
    "MXNET_SUBGRAPH_VERBOSE": "0",
}


def prepare() -> None:
    """Set the environment for MXNet 1.9.1, or raise ImportError if this machine cannot run it.

    Under ``nstrep`` and ``python -m nstrep...`` the process ends with the message, not a traceback.
    """
    is_command = sys.argv[:1] == ["-m"] or Path(*sys.argv[:1]).name == "nstrep"
    if is_command:
        _settle_command()
    try:
        _check_versions()
        _check_threads()
        _check_engine()
        _set_defaults()
        _check_libraries()
        # The other arenas of malloc cannot hold blocks of more than 32 MiB.
        process_memory.mallopt(process_memory.M_ARENA_MAX, 1)
        _settle_numpy()
    except ImportError as problem:
        if is_command:
            raise SystemExit(f"nstrep: error: {problem}") from None
        raise


def _check_versions() -> None:
    major, minor = sys.version_info[:2]
    if not (3, 10) <= (major, minor) <= (3, 12):
        raise ImportError(
            f"Python {major}.{minor} cannot run MXNet 1.9.1: use Python 3.10, 3.11 or 3.12"
        )
    if sys.flags.optimize > 1:
        raise ImportError(
            "MXNet 1.9.1 needs docstrings: run Python without -OO or PYTHONOPTIMIZE=2"
        )
    if sys.platform != "linux":
        raise ImportError(f"MXNet 1.9.1 has no wheel that works on {sys.platform}: use Linux")


def _settle_numpy() -> None:
    """Import NumPy, whose version must be 1, with the name that MXNet needs."""
    try:
        import numpy as np
    except ModuleNotFoundError:
        raise ImportError("NumPy is not installed: run  pip install nstrep") from None
    if not np.__version__.startswith("1."):
        raise ImportError(
            f"NumPy {np.__version__} cannot work with MXNet 1.9.1: run  pip install 'numpy<2'"
        )
    # MXNet 1.9.1 uses np.bool, which NumPy 1.24 removed; hasattr would raise a FutureWarning.
    if "bool" not in np.__dict__:
        np.bool = bool


def _settle_command() -> None:
    """Undo what the shell's environment does to a command but is not meant for it."""
    # Figures are drawn into files, never into windows or the notebook that exports this.
    os.environ.pop("MPLBACKEND", None)
    # Libraries warn of their own old code when they are imported.
    warnings.filters[:] = [entry for entry in warnings.filters if entry[0] != "error"]
    if "error" in os.environ.get("PYTHONWARNINGS", ""):  # which processes of a sweep would inherit
        del os.environ["PYTHONWARNINGS"]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: the next open file would take its place
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _check_threads() -> None:
    """Take the first number of OpenMP's list, as ``4,2``; ImportError for what MXNet aborts at."""
    for name in (THREAD_VARIABLE, MXNET_VARIABLE):
        first = os.environ.get(name, "").partition(",")[0].strip()
        if first.isdecimal() and 1 <= int(first) <= MOST_THREADS:
            os.environ[name] = first
        elif first in ("", "0"):
            os.environ.pop(name, None)
        else:
            raise ImportError(
                f"{name}={os.environ[name]}: must be a whole number from 1 to {MOST_THREADS}"
            )


def _check_engine() -> None:
    """ImportError for the variables of MXNet's engine that it would abort at."""
    for name in ENGINE_NUMBERS:
        value = os.environ.get(name, "")
        if value and not (value.isdecimal() and 1 <= int(value) <= MOST_THREADS):
            raise ImportError(f"{name}={value}: must be a whole number from 1 to {MOST_THREADS}")
    if os.environ.get("MXNET_ENGINE_TYPE", ENGINES[0]) not in ENGINES:
        raise ImportError(
            f"MXNET_ENGINE_TYPE={os.environ['MXNET_ENGINE_TYPE']}: must be one of"
            f" {', '.join(ENGINES)}"
        )


def _check_libraries() -> None:
    for library in ("libgomp.so.1", "libquadmath.so.0"):  # slim container images lack them
        try:
            ctypes.CDLL(library)
        except OSError:
            raise ImportError(
                f"the system library {library} is missing, which MXNet 1.9.1 needs:"
                " run  apt-get install -y libgomp1 libquadmath0  (on Debian or Ubuntu)"
            ) from None


def _set_defaults() -> None:
    # Needed for right results: in graphs without a gradient MXNet fuses a convolution with its
    # rectifier, and computes the rectified layer wrongly if both outputs are used.
    os.environ["MXNET_DISABLE_MKLDNN_FUSE_CONV_RELU"] = "1"
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if THREAD_VARIABLE in os.environ or MXNET_VARIABLE in os.environ:
        return
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        if "libgomp" in maps.read():
            log.warning(
                "OpenMP was loaded before nstrep, so MXNet will use half of the processors:"
                " import nstrep first, or set %s in the shell",
                THREAD_VARIABLE,
            )
            return
    os.environ[THREAD_VARIABLE] = os.environ[CHOSEN] = str(physical_cores())


def share_threads(each: int) -> None:
    """Give processes that are started from now on ``each`` threads, unless the user has chosen."""
    if os.environ.get(CHOSEN) == os.environ.get(THREAD_VARIABLE):
        os.environ[THREAD_VARIABLE] = os.environ[CHOSEN] = str(each)


def physical_cores() -> int:
    """Count the cores that this process may use, within its affinity and container limits.

    MXNet takes half of the visible processors, which is right only with hyper-threading. The rule
    is joblib's, whose import takes longer than a small network: within limits, each processor
    counts.
    """
    visible, allowed = os.cpu_count() or 1, os.sched_getaffinity(0)
    limit = min(len(allowed), _quota(visible))
    if limit < visible:
        return max(1, limit)
    cores = set()
    with contextlib.suppress(OSError):
        for number in allowed:
            topology = Path(f"/sys/devices/system/cpu/cpu{number}/topology")
            cores.add((topology / "thread_siblings_list").read_text())
    return len(cores) or visible


def _quota(visible: int) -> int:
    """Processors that the control group allows; ``visible`` if it has no limit."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max" is no limit
            texts = " ".join(Path(CONTROL_GROUPS, name).read_text() for name in files)
            quota, period = map(int, texts.split())
            if quota > 0:
                return -(-quota // period)
    return visible


def threads() -> int | None:
    """The number of threads that MXNet computes with, if the environment sets it."""
    values = (os.environ.get(name, "") for name in (MXNET_VARIABLE, THREAD_VARIABLE))
    return next((int(value) for value in values if value.isdigit()), None)


def versions() -> dict[str, str]:
    """Name and version of Python and of every package that can change a result."""
    return dict(_installed())


@cache  # a process keeps what it has imported, and each run of a sweep asks three times
def _installed() -> dict[str, str]:
    from importlib import metadata

    import nstrep

    result = {"python": ".".join(map(str, sys.version_info[:3])), "nstrep": nstrep.__version__}
    for name in ("mxnet", "numpy", "scipy", "scikit-image", "pillow", "hydra-core"):
        result[name] = "missing"
        with contextlib.suppress(metadata.PackageNotFoundError):
            result[name] = metadata.version(name)
    return result


def changed_versions(then: object) -> list[str]:
    """Describe where :func:`versions` differs from ``then``, the record of an earlier run."""
    then = then if isinstance(then, dict) else {}
    return [
        f"{name} {then[name]} then, {version} now"
        for name, version in versions().items()
        if then.get(name, version) != version
    ]


def changed_threads(then: int | None) -> list[str]:
    """Describe whether :func:`threads` differs from ``then``, the record of an earlier run."""
    return [] if then == threads() else [f"threads {then} then, {threads()} now"]
