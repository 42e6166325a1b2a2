"""How much memory a process may still take: what the machine has, and what its control groups
allow, which is how containers and batch systems limit it.
"""

import os
from typing import Iterator, Tuple


def free_memory(proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> Tuple[int, str]:
    """``(bytes, what limits them)``; file caches, which the system gives up, count as free.

    If no limit can be read, the number is more than any computer has.
    """
    found = [(1 << 62, "no limit is known")]
    for name, value in _fields(f"{proc}/meminfo"):
        if name == "MemAvailable:":
            found.append((value * 1024, "of the machine"))
    found += [(free, "by the limit of " + folder) for folder, free in _groups(proc, groups)]
    return min(found)


def _groups(proc: str, groups: str) -> Iterator[Tuple[str, int]]:
    """``(folder, bytes)`` for each control group of this process that limits its memory."""
    for line in _lines(f"{proc}/self/cgroup"):
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            yield from _limits(groups, path, "memory.max", "memory.current", "")
        elif "memory" in kinds.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
            yield from _limits(os.path.join(groups, "memory"), path, *names)


def _limits(root: str, path: str, most: str, used: str, prefix: str) -> Iterator[Tuple[str, int]]:
    """The same for a group and those above it. A container may not see the folder of its own
    group, but then that group is at the root.
    """
    parts = [part for part in path.split("/") if part]
    for count in range(len(parts), -1, -1):
        folder = os.path.join(root, *parts[:count])
        limit, now = (_number(os.path.join(folder, name)) for name in (most, used))
        if limit is not None and now is not None:
            counts = dict(_fields(os.path.join(folder, "memory.stat")))
            cached = sum(counts.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
            yield folder, max(0, limit - now + cached)


def _number(path):
    """The number in a file; None if there is none, as in ``max``."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _fields(path):
    """``(name, number)`` of each line of a file that begins with the two."""
    for line in _lines(path):
        words = line.split()
        if len(words) > 1 and words[1].isdecimal():
            yield words[0], int(words[1])


def _lines(path):
    """The lines of a file; none if it cannot be read."""
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []
