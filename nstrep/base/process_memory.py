"""The memory of this process: how much it uses and can still take, and settings of malloc."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
from pathlib import Path

PROCESSES_VARIABLE = "NSTREP_PROCESSES"
"""Variable with the number of processes of a sweep that share the memory; absent for one."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""Of glibc's malloc.h."""

MMAP_THRESHOLDS = 4 * 2**20, 32 * 2**20
"""Bytes: the least that :func:`settle_malloc` sets, and the most that glibc accepts."""

CGROUPS = Path("/sys/fs/cgroup")


def memory_mb() -> dict[str, float]:
    """Resident memory of this process in MiB: ``now``, and its ``peak`` since the last reset."""
    with open("/proc/self/status") as status:
        kib = dict(re.findall(r"^Vm(RSS|HWM):\s+(\d+) kB", status.read(), re.MULTILINE))
    return {"now": int(kib["RSS"]) / 1024, "peak": int(kib["HWM"]) / 1024}


def reset_peak_memory() -> None:
    """Restart the peak of :func:`memory_mb`, where the kernel allows it."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


def use_one_arena() -> None:
    """Keep malloc to its first arena: the others cannot hold blocks of more than 32 MiB."""
    _mallopt(M_ARENA_MAX, 1)


def settle_malloc(keep: float) -> None:
    """Choose the size from which malloc returns freed blocks to the system at once.

    Keeping blocks saves time: fresh pages take a tenth of an iteration of VGG-19. Returning them
    saves memory. ``MALLOC_...`` variables of the user take precedence.

    Args:
        keep: bytes; smaller blocks are kept for reuse. Infinity keeps all.

    """
    if math.isinf(keep):
        _mallopt(M_MMAP_MAX, 0)
        _mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        return
    least, most = MMAP_THRESHOLDS
    _mallopt(M_MMAP_MAX, 2**16)
    _mallopt(M_TRIM_THRESHOLD, least)
    _mallopt(M_MMAP_THRESHOLD, int(min(max(least, keep), most)))


def _mallopt(option: int, value: int) -> None:
    if not any(name.startswith("MALLOC_") for name in os.environ):
        with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).mallopt(option, value)


def give_memory_back() -> None:
    """Return freed memory to the system: runs of many sizes leave gaps otherwise."""
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def share_memory(processes: int) -> None:
    """Divide the free memory among ``processes`` processes that are started from now on."""
    os.environ[PROCESSES_VARIABLE] = str(processes)


def memory_share() -> float:
    """The share of the free memory that this process may use, above 0, at most 1."""
    return 1 / int(os.environ.get(PROCESSES_VARIABLE, "1"))


def available() -> float:
    """Bytes that this process can still take: its share of the free memory of its cgroups."""
    with open("/proc/meminfo") as lines:
        system = dict(line.split(":") for line in lines)
    free = float(system["MemAvailable"].split()[0]) * 1024
    return min([free, *_cgroup_headroom()]) * memory_share()


def _cgroup_headroom(root: Path = CGROUPS, membership: str | None = None) -> list[float]:
    """Bytes left under each limit on this process's cgroups; page cache counts as free."""
    if membership is None:
        try:
            membership = Path("/proc/self/cgroup").read_text()
        except OSError:
            return []
    headroom = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = Path(os.path.normpath(f"{top}/{path}"))
        # In a container the path is often that of the host, and the limit lies at the top.
        for place in {top, folder, *(parent for parent in folder.parents if top in parent.parents)}:
            with contextlib.suppress(OSError, ValueError):  # ValueError: "max" is no limit
                headroom.append(_bytes_left(place, *names))
    return headroom


def _bytes_left(folder: Path, limit: str, usage: str, cache: str) -> float:
    most = int((folder / limit).read_text())
    used = int((folder / usage).read_text())
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return max(0.0, float(most - used + int(statistics.get(cache, 0))))
