"""What a process and its descendants use, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
# Fields of /proc/PID/stat after the command's closing parenthesis (proc(5)): state is 0, parent 1, and so on.
PARENT, USER_TICKS, SYSTEM_TICKS, CHILD_USER_TICKS, CHILD_SYSTEM_TICKS = 1, 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU seconds since the start, and resident bytes (a page that n processes share counts as an nth for each)."""

    cpu: float
    memory: int


def read_tree(root: int) -> Resources:
    """The sum over `root`, its living descendants and those of its children that have ended."""
    stats = _read_all()
    family = _descendants(root, stats)
    ticks = sum(int(stats[pid][field]) for pid in family for field in (USER_TICKS, SYSTEM_TICKS))
    ticks += sum(int(stats[root][field]) for field in (CHILD_USER_TICKS, CHILD_SYSTEM_TICKS))
    return Resources(cpu=ticks / TICKS_PER_SECOND, memory=sum(_proportional_memory(pid) for pid in family))


def read_option(root: int, name: str) -> str:
    """The value of a command line's option in `root` or the first of its living descendants that has it."""
    for pid in sorted(_descendants(root, _read_all())):
        arguments = (PROC / str(pid) / "cmdline").read_text().split("\0")
        if name in arguments:
            return arguments[arguments.index(name) + 1]
    raise LookupError(name)


def _read_all() -> dict[int, list[str]]:
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(entry.name)] = text.rpartition(")")[2].split()
    return found


def _descendants(root: int, stats: dict[int, list[str]]) -> set[int]:
    family = {root} & stats.keys()
    while grown := {pid for pid, fields in stats.items() if int(fields[PARENT]) in family} - family:
        family |= grown
    return family


def _proportional_memory(pid: int) -> int:
    """The resident memory of one process, a page that n processes share counted as an nth."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
