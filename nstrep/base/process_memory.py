"""The memory of this process: how much it uses and can still take, and settings of malloc."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

PROCESSES_VARIABLE = "NSTREP_PROCESSES"
"""Variable with the number of processes of a sweep that share the memory; absent for one."""

SHARE = 0.8
"""Share of the free memory that a computation may plan with."""

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8


def memory_mb() -> dict[str, float]:
    """Resident memory of this process in MiB: ``now``, and its ``peak`` since the last reset."""
    kib = dict(re.findall(r"Vm(RSS|HWM):\s+(\d+) kB", Path("/proc/self/status").read_text()))
    return {"now": int(kib["RSS"]) / 1024, "peak": int(kib["HWM"]) / 1024}


def reset_peak_memory() -> None:
    """Restart the peak of :func:`memory_mb`, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def settle_malloc(*, keep: bool) -> None:
    """Choose whether malloc keeps freed blocks for reuse, or returns all above 4 MiB to the system.

    Keeping blocks saves time in iterations on the whole image, where fresh pages take a tenth of an
    iteration of VGG-19. Returning them saves memory in iterations on tiles: arrays of the size of
    the image would lie between those of the tiles, and leave gaps that nothing fits into.
    """
    mallopt(M_MMAP_MAX, 0 if keep else 2**16)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1 if keep else 2**22)
    mallopt(M_MMAP_THRESHOLD, 2**22)


@contextlib.contextmanager
def blocks_kept() -> Iterator[None]:
    """Keep what is freed in here for reuse, where malloc returns it otherwise."""
    settle_malloc(keep=True)
    try:
        yield
    finally:
        settle_malloc(keep=False)


def mallopt(option: int, value: int) -> None:
    """Set an option of glibc's malloc, unless the user has set a ``MALLOC_...`` variable."""
    if not any(name.startswith("MALLOC_") for name in os.environ):
        _call_glibc("mallopt", option, value)


def give_memory_back() -> None:
    """Return freed memory to the system: runs of many sizes leave gaps otherwise."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError):  # another C library
        getattr(ctypes.CDLL(None), function)(*arguments)


def share_memory(processes: int) -> None:
    """Divide the free memory among ``processes`` processes that are started from now on."""
    os.environ[PROCESSES_VARIABLE] = str(processes)


def memory_share() -> float:
    """The share of the free memory that this process may use, above 0, at most 1."""
    return 1 / int(os.environ.get(PROCESSES_VARIABLE, "1"))


def available() -> float:
    """Bytes that this process can still take: its share of the free memory of its cgroups."""
    free = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    return min([float(free[1]) * 1024, *_cgroup_headroom(), _limit_headroom()]) * memory_share()


def _limit_headroom() -> float:
    """Bytes of addresses left under the shell's ``ulimit -v``; infinite without one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return max(0.0, float(limit - used))


def _cgroup_headroom(
    root: Path = Path("/sys/fs/cgroup"), membership: str | None = None
) -> list[float]:
    """Bytes left under each limit on this process's cgroups; page cache counts as free."""
    if membership is None:
        own = Path("/proc/self/cgroup")
        membership = own.read_text() if own.exists() else ""
    headroom = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            top, names, cache = root, ("memory.max", "memory.current"), "inactive_file"
        elif "memory" in controllers.split(","):
            top, cache = root / "memory", "total_inactive_file"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folder = Path(os.path.normpath(f"{top}/{path}"))
        # In a container the path is often that of the host, and the limit lies at the top.
        for place in {top, folder, *folder.parents}:
            with contextlib.suppress(OSError, ValueError):  # ValueError: "max" is no limit
                limit, used = (int((place / name).read_text()) for name in names)
                statistics = (place / "memory.stat").read_text().splitlines()
                free = limit - used + int(dict(map(str.split, statistics)).get(cache, 0))
                headroom.append(max(0.0, float(free)))
    return headroom
