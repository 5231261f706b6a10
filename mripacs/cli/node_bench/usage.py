"""Processor time and memory of a server: its process and all below it, from /proc (Linux; proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the program's name, which may hold blanks: state is the first.
PARENT, FIRST_TIME = 1, 11  # utime, stime, and those of children that have ended, in ticks


def cpu_seconds(pid: int) -> float:
    """Processor time of the tree so far, children that have ended included."""
    times = (_stat(each)[FIRST_TIME : FIRST_TIME + 4] for each in tree(pid))
    return sum(int(ticks) for four in times for ticks in four) / TICKS_PER_S


def peak_bytes(pid: int) -> int:
    """The sum of the largest resident sizes of the tree's processes (VmHWM): shared pages count in each."""
    return sum(_peak_of(each) for each in tree(pid))


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    children: dict[int, list[int]] = {}
    for each in _processes():
        if stat := _stat(each):
            children.setdefault(int(stat[PARENT]), []).append(each)
    found = [pid]
    for each in found:  # grows while it is walked
        found += children.get(each, [])
    return found


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return []
    return text.rpartition(")")[2].split()


def _peak_of(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
