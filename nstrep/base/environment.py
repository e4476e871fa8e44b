"""What must be settled before MXNet loads: threads, a NumPy that it can use, system libraries.

``import nstrep`` calls :func:`prepare` first of all. Nothing here imports NumPy or MXNet eagerly,
so that a machine that cannot work learns so in one line.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import os
import re
import sys
from importlib import metadata

log = logging.getLogger(__name__)

SYSTEM_LIBRARIES = ("libgomp.so.1", "libquadmath.so.0")
"""What the MXNet wheel needs from the system and slim container images do not have."""

THREAD_VARIABLE = "OMP_NUM_THREADS"

CHOSEN = "NSTREP_CHOSE_THREADS"
"""Holds what nstrep itself put into THREAD_VARIABLE; absent where the user did."""

TOGETHER = "NSTREP_PROCESSES"
"""Holds how many processes of a sweep share this machine's memory; absent for one."""

REQUIRED = {
    # MXNet fuses a convolution with its rectifier in forward-only graphs, and computes the
    # rectified layer wrongly where both are asked for (conv1_1 and relu1_1, say).
    "MXNET_DISABLE_MKLDNN_FUSE_CONV_RELU": "1",
}
"""Set whatever the user says: results are wrong otherwise."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Of glibc's malloc.h."""

LARGE = 4 * 2**20, 32 * 2**20
"""Bytes: from where on freed blocks are handed back, at least; and the most that glibc takes."""

DEFAULTS = {
    # Sums over a picture's positions lose digits in float32: MXNet then accumulates in float64.
    "MXNET_SAFE_ACCUMULATION": "1",
    # For the short vector products of L-BFGS, starting threads takes longer than computing; on a
    # busy machine thirty times as long. MXNet's large products go through oneDNN, not OpenBLAS.
    "OPENBLAS_NUM_THREADS": "1",
    # Operators take turns: one space for their intermediate results is enough, not four.
    "MXNET_CPU_TEMP_COPY": "1",
    # MXNet and oneDNN keep compiled operators by shape, MXNet without a limit: a sweep over sizes
    # would grow by a megabyte a run. VGG-19 has 16 of a kind; tiles of many shapes have more, and
    # take far longer to compute than to compile.
    "MXNET_MKLDNN_CACHE_NUM": "64",
    "DNNL_PRIMITIVE_CACHE_CAPACITY": "64",
    # One line on stderr for every bound graph otherwise.
    "MXNET_SUBGRAPH_VERBOSE": "0",
}


def prepare() -> None:
    """Make this process fit for MXNet 1.9.1, or say in one plain line why it cannot be.

    What the user has set in the environment is left alone.

    Raises:
        ImportError: Python, NumPy or the system cannot run MXNet 1.9.1. Under ``python -m
            nstrep...`` the process ends with the same line instead of a traceback.

    """
    try:
        _check_python()
        _check_numpy()
        _set_defaults()
        # Of several arenas, only the first can keep blocks of more than 32 MiB.
        _mallopt(M_ARENA_MAX, 1)
        _check_libraries()
    except ImportError as problem:
        if sys.argv[:1] == ["-m"]:
            raise SystemExit(f"nstrep: error: {problem}") from None
        raise
    _restore_numpy_bool()


def _check_python() -> None:
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise ImportError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} cannot run MXNet 1.9.1:"
            " use Python 3.10, 3.11 or 3.12"
        )
    if not sys.platform.startswith("linux"):
        raise ImportError(f"MXNet 1.9.1 has no wheel that works on {sys.platform}: use Linux")


def _check_numpy() -> None:
    try:
        version = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        raise ImportError("NumPy is not installed: run  pip install nstrep") from None
    if int(version.split(".")[0]) >= 2:
        raise ImportError(
            f"NumPy {version} cannot work with MXNet 1.9.1: run  pip install 'numpy<2'"
        )


def _set_defaults() -> None:
    os.environ.update(REQUIRED)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if THREAD_VARIABLE in os.environ or "MXNET_OMP_MAX_THREADS" in os.environ:
        return
    if _is_loaded("libgomp"):
        log.warning(
            "OpenMP was loaded before nstrep, so that MXNet will use half of the processors:"
            " import nstrep first, or set %s in the shell",
            THREAD_VARIABLE,
        )
        return
    os.environ[THREAD_VARIABLE] = os.environ[CHOSEN] = str(physical_cores())


def share_threads(each: int) -> None:
    """Give processes that are started from now on so many threads, unless the user has chosen."""
    if os.environ.get(CHOSEN) == os.environ.get(THREAD_VARIABLE):
        os.environ[THREAD_VARIABLE] = os.environ[CHOSEN] = str(each)


def share_memory(processes: int) -> None:
    """Let so many processes, started from now on, plan with their part of the free memory each."""
    os.environ[TOGETHER] = str(processes)


def memory_share() -> float:
    """What part of the free memory this process may plan with, above 0, at most 1."""
    return 1 / int(os.environ.get(TOGETHER, "1"))


def physical_cores() -> int:
    """Count the cores that this process may use: affinity and container limits obeyed.

    MXNet on x86 takes half of the visible processors, which is right only where each core shows
    twice (hyper-threads) and halves the speed everywhere else.
    """
    from joblib import cpu_count

    return max(1, cpu_count(only_physical_cores=True))


def _is_loaded(library: str) -> bool:
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        return any(library in line for line in maps)
    return False


def _check_libraries() -> None:
    for library in SYSTEM_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            raise ImportError(
                f"the system library {library} is missing, which MXNet 1.9.1 needs:"
                " run  apt-get install -y libgomp1 libquadmath0  (Debian, Ubuntu) or its like"
            ) from None


def _restore_numpy_bool() -> None:
    """Give NumPy 1.24 and later the alias ``np.bool`` back, which MXNet 1.9.1 uses."""
    import numpy as np

    if "bool" not in np.__dict__:  # hasattr() would raise NumPy's FutureWarning
        np.bool = bool


def memory_mb() -> dict[str, float]:
    """Resident memory of this process in MiB: ``now``, and its ``peak`` since the last reset."""
    with open("/proc/self/status") as status:
        kib = dict(re.findall(r"^Vm(RSS|HWM):\s+(\d+) kB", status.read(), re.MULTILINE))
    return {"now": int(kib["RSS"]) / 1024, "peak": int(kib["HWM"]) / 1024}


def settle_malloc(keep: float) -> None:
    """Choose from what size on malloc hands freed blocks back; what the user has set stays.

    Args:
        keep: bytes; smaller blocks stay for the next one, infinity for all: fresh pages take a
            tenth of an iteration of VGG-19. Handing larger ones back at once saves memory.

    """
    if math.isinf(keep):
        _mallopt(M_MMAP_MAX, 0)
        _mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        return
    least, most = LARGE
    _mallopt(M_MMAP_MAX, 2**16)
    _mallopt(M_TRIM_THRESHOLD, least)
    _mallopt(M_MMAP_THRESHOLD, int(min(max(least, keep), most)))


def _mallopt(option: int, value: int) -> None:
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(option, value)


def give_memory_back() -> None:
    """Return to the system what this process has freed: runs of many sizes leave gaps otherwise."""
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def reset_peak_memory() -> None:
    """Let the peak of :func:`memory_mb` begin anew, where the kernel allows it."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


def versions() -> dict[str, str]:
    """Name and version of Python and of every package that can change a result."""
    names = ("nstrep", "mxnet", "numpy", "scipy", "scikit-image", "pillow", "hydra-core")
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout that was not installed
            import nstrep

            found[name] = nstrep.__version__ if name == "nstrep" else "missing"
    return found


def changed_versions(then: object) -> list[str]:
    """Say which of :func:`versions` differ from those of an earlier run, as it recorded them."""
    if not isinstance(then, dict):
        return []
    return [
        f"{name} {then[name]} then, {version} now"
        for name, version in versions().items()
        if then.get(name, version) != version
    ]


def changed_threads(then: int | None) -> list[str]:
    """Say whether :func:`threads` differs from that of an earlier run, as it recorded it."""
    now = threads()
    return [] if then == now else [f"threads {then} then, {now} now"]


def threads() -> int | None:
    """How many threads MXNet computes with, as far as the environment says."""
    for name in ("MXNET_OMP_MAX_THREADS", THREAD_VARIABLE):
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    return None
