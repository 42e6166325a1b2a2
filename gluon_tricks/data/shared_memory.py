"""Memory that a process shares with its data processes: ranges of one file without a name.

The file exists in memory alone, and ends with the last process that has it open, however that one
ends: nothing stays behind. ``memfd_create`` gives such a file; it has no limit of its own, as
/dev/shm has in a container. Where there is none, it is an unlinked file in /dev/shm.
"""

import collections
import contextlib
import mmap
import os
import tempfile
from typing import Any, Dict, List, Tuple

from ..errors import UserError
from .free_memory import free_memory

FOLDER = "/dev/shm"
# Linux 5.14's MADV_POPULATE_WRITE, which Python has no name for. A page that is fetched on its
# first use costs four times as much: a tenth of an image's time in a run's first batches.
POPULATE_WRITE = 23


class SharedMemory:
    """``descriptor`` is the file's; another process maps (offset, size) with :func:`mapping`."""

    def __init__(self) -> None:
        self.descriptor, self._is_limited = _open()
        self._end = 0
        self._unused: Dict[int, List[int]] = collections.defaultdict(list)  # offsets by size

    def allocate(self, size: int) -> Tuple[int, mmap.mmap]:
        """``(offset, mapping)`` of at least ``size`` bytes, page by page."""
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._is_limited:
            check_folder(size)
        if self._unused[size]:
            offset = self._unused[size].pop()
        else:
            offset, self._end = self._end, self._end + size
            os.ftruncate(self.descriptor, self._end)
        if self._is_limited:
            os.posix_fallocate(self.descriptor, offset, size)  # else a write into it is a SIGBUS
        return offset, mapping(self.descriptor, offset, size)

    def release(self, offset: int, block: mmap.mmap) -> None:
        """Give the pages of an allocated range back to the system, for all processes at once."""
        if self.descriptor < 0:
            return
        with contextlib.suppress(OSError):  # a sandbox without; then they stay until they are used
            block.madvise(mmap.MADV_REMOVE)
        self._unused[len(block)].append(offset)

    def close(self) -> None:
        """No more ranges; those that are mapped stay as long as their mappings."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def mapping(descriptor: int, offset: int, size: int) -> mmap.mmap:
    """These bytes of the file, writable, and all of their pages in this process's reach."""
    block = with_huge_pages(mmap.mmap(descriptor, size, mmap.MAP_SHARED, offset=offset))
    with contextlib.suppress(OSError):  # an older kernel
        block.madvise(POPULATE_WRITE)
    return block


def with_huge_pages(block: mmap.mmap) -> mmap.mmap:
    """Ask for them, as NumPy does for its large arrays."""
    with contextlib.suppress(OSError, AttributeError):  # a kernel without, no Linux
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _open() -> Tuple[int, bool]:
    """``(descriptor, whether FOLDER's size limits it)`` of an empty file without a name."""
    with contextlib.suppress(OSError, AttributeError):  # a kernel or sandbox, a Python without
        return os.memfd_create("gluon-tricks batches"), False
    try:
        descriptor, path = tempfile.mkstemp(dir=FOLDER, prefix="gluon-tricks-")
    except OSError as error:
        raise UserError(
            f"{FOLDER}: no file can be made for the batches of data processes: {error.strerror}; "
            "--data-processes 0 does without them"
        ) from error
    os.unlink(path)
    return descriptor, True


def check_folder(size: int) -> None:
    """UserError if a file of FOLDER cannot grow by ``size`` bytes."""
    found = os.statvfs(FOLDER)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise UserError(
            f"{FOLDER} has {in_mb(free)} free, a batch needs {in_mb(size)}: use a smaller "
            "--batch-size or --data-processes 0, or enlarge it (docker run --shm-size=8g; in "
            f"Kubernetes an emptyDir of medium Memory at {FOLDER})"
        )


def check_free(size: int, what: str, instead: str) -> None:
    """UserError if this machine, or the container, has less than ``size`` bytes of memory left."""
    free, limit = free_memory()
    if size > free:
        raise UserError(
            f"{what} need {in_mb(size)} of memory, but {in_mb(free)} are free ({limit}): {instead}"
        )


def in_mb(size: Any) -> str:
    return f"{size / 1e6:,.0f} MB"
