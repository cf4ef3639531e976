"""What this machine is, and what it lets a process have: cores, memory, disk. Torch-free.

Inside a container or a job of a cluster the limits of its control group count, not what the hardware has. Whatever a
system does not tell is None. Memory and disk are in bytes.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def usable_cores() -> int:
    """Processors that this process may keep busy."""
    there = os.cpu_count() or 1
    if sys.platform == "linux":
        there = len(os.sched_getaffinity(0))
    quotas = [int(quota) / int(period) for quota, period in _limits("cpu.max") if quota != "max"]
    return max(1, min(there, *map(math.ceil, quotas))) if quotas else there


def ram_bytes() -> int | None:
    """Memory that this process may use in all."""
    found = [installed for installed in (_installed_bytes(),) if installed is not None]
    found += [int(limit) for (limit,) in _limits("memory.max") if limit != "max"]
    return min(found) if found else None


def available_ram_bytes() -> int | None:
    """Memory that can be had now without pushing others out."""
    kilobytes = _kilobytes(PROC / "meminfo", "MemAvailable:")
    found = [] if kilobytes is None else [1024 * kilobytes]
    found += [left for group in _groups() if (left := _left_in(group)) is not None]
    return min(found) if found else None


def _left_in(group: Path) -> int | None:
    """What a control group has left of its memory: files that it keeps cached give way. None without a limit."""
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if not (limit.isdecimal() and used.isdecimal()):
        return None
    cached = re.search(r"^inactive_file (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
    return min(int(limit), max(0, int(limit) - int(used) + (int(cached[1]) if cached else 0)))


def peak_ram_bytes() -> int | None:
    """Most memory that this process has held so far."""
    kilobytes = _kilobytes(PROC / "self" / "status", "VmHWM:")  # ru_maxrss would also count what ran before exec
    return _peak_elsewhere() if kilobytes is None else 1024 * kilobytes


def free_disk_bytes(folder: Path) -> int | None:
    """Space that is free where a folder lies or would be made."""
    near = next((place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()), None)
    try:
        return None if near is None else shutil.disk_usage(near).free
    except OSError:
        return None


def processor() -> str:
    """What the processor is called."""
    names = [line.partition(":")[2] for line in _text(PROC / "cpuinfo").splitlines() if line.startswith("model name")]
    brand = said_by("sysctl", "-n", "machdep.cpu.brand_string") if sys.platform == "darwin" else ""
    known = (name.strip() for name in (*names[:1], brand, platform.processor()))
    return next(filter(None, known), platform.machine())


def said_by(*command: str) -> str:
    """What a program of the system prints; nothing where it is missing, fails, or takes seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _kilobytes(file: Path, key: str) -> int | None:
    """The number behind a key in one of the tables of /proc."""
    for line in _text(file).splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return None


def _limits(name: str) -> list[list[str]]:
    """The words in a control file of this process's group and of those it lies in."""
    return [words for group in _groups() if (words := _text(group / name).split())]


def _groups() -> Iterator[Path]:
    own = next((line[3:] for line in _text(PROC / "self" / "cgroup").splitlines() if line.startswith("0::")), None)
    if own is not None:
        group = GROUPS / own.strip("/")
        yield from (place for place in (group, *group.parents) if place == GROUPS or GROUPS in place.parents)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX."""

        _fields_ = (
            ("length", wintypes.DWORD),
            ("load", wintypes.DWORD),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "page", "free_page", "virtual", "v", "e")),
        )

    class _ProcessMemory(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("length", wintypes.DWORD),
            ("faults", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in ("peak", "now", "a", "b", "c", "d", "page", "peak_page")),
        )

    def _installed_bytes() -> int | None:
        status = _MemoryStatus()
        status.length = ctypes.sizeof(status)
        told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.total) if told else None

    def _peak_elsewhere() -> int | None:
        counters = _ProcessMemory()
        counters.length = ctypes.sizeof(counters)
        process = wintypes.HANDLE(-1)
        told = ctypes.windll.psapi.GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length)
        return int(counters.peak) if told else None

else:
    import resource

    def _installed_bytes() -> int | None:
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):
            return None

    def _peak_elsewhere() -> int | None:
        """Of macOS, which counts in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
