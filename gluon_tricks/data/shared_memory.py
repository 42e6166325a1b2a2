"""Memory that a process shares with its data processes: ranges of one unnamed file.

The file exists only in memory, and vanishes with the last process that has it open, however that
process ends. ``memfd_create`` makes such a file, without the limit on its size that /dev/shm has in
a container. Where it is missing, the file is an unlinked one in /dev/shm.
"""

import collections
import contextlib
import ctypes
import mmap
import os
import sys
import tempfile
import weakref
from typing import Any, Dict, List, Tuple

from ..errors import UserError
from .free_memory import free_memory

FOLDER = "/dev/shm"
# Linux 5.14's MADV_POPULATE_WRITE, which Python has no name for. Fetching a page on its first use
# costs four times as much: a tenth of an image's time in a run's first batches.
POPULATE_WRITE = 23
# Python's mmap keeps a descriptor open for each mapping; many processes may have only 1,024.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
if _LIBC:
    _LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    _LIBC.mmap.restype = ctypes.c_void_p
    _LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    _LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
MAP_FAILED = ctypes.c_void_p(-1).value
MFD_CLOEXEC = 1


class SharedMemory:
    """``descriptor`` is the file's; another process maps (offset, size) with :func:`mapping`."""

    def __init__(self) -> None:
        self.descriptor, self._is_limited = _open()
        self._end = 0
        self._unused: Dict[int, List[int]] = collections.defaultdict(list)  # offsets by size

    def check(self, size: int, what: str) -> None:
        """UserError if there are no ``size`` bytes left for ``what``."""
        check_free(size, what, "use a smaller --batch-size")
        if self._is_limited:
            check_folder(size, what)

    def allocate(self, size: int) -> Tuple[int, Any]:
        """``(offset, mapping)`` of ``size`` bytes, rounded up to whole pages."""
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._is_limited:
            check_folder(size, "a batch")
        if self._unused[size]:
            offset = self._unused[size].pop()
        else:
            offset, self._end = self._end, self._end + size
        try:
            os.ftruncate(self.descriptor, self._end)
            if self._is_limited:  # else writing to it may raise SIGBUS
                os.posix_fallocate(self.descriptor, offset, size)
        except OSError as error:
            raise UserError(
                f"a batch of data processes needs {in_mb(size)} of a file in memory: "
                f"{error.strerror} (is there a limit on file sizes, such as ulimit -f?); "
                "--data-processes 0 needs no such file"
            ) from error
        return offset, mapping(self.descriptor, offset, size)

    def release(self, offset: int, block: Any) -> None:
        """Give the pages of an allocated range back to the system, for all processes at once."""
        if self.descriptor < 0:
            return
        advise(block, mmap.MADV_REMOVE)  # if refused, they stay until they are used again
        self._unused[len(block)].append(offset)

    def close(self) -> None:
        """Close the file; mapped ranges stay as long as their mappings."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def mapping(descriptor: int, offset: int, size: int) -> Any:
    """A writable buffer over these bytes of the file, with all pages fetched. It is unmapped when
    nothing uses it any more.
    """
    rights = mmap.PROT_READ | mmap.PROT_WRITE
    address = _LIBC.mmap(None, size, rights, mmap.MAP_SHARED, descriptor, offset)
    if address == MAP_FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    block = (ctypes.c_uint8 * size).from_address(address)
    weakref.finalize(block, _LIBC.munmap, address, size).atexit = False
    advise(block, mmap.MADV_HUGEPAGE)
    advise(block, POPULATE_WRITE)
    return block


def advise(block: Any, advice: int) -> None:
    """Advise the kernel about a mapping; one too old to know the advice ignores it."""
    _LIBC.madvise(ctypes.addressof(block), len(block), advice)


def with_huge_pages(block: mmap.mmap) -> mmap.mmap:
    """Ask for huge pages, as NumPy does for its large arrays."""
    with contextlib.suppress(OSError, AttributeError):  # a kernel without them, or no Linux
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _open() -> Tuple[int, bool]:
    """``(descriptor, whether FOLDER's size limits it)`` of an empty, unnamed file."""
    # Python's own memfd_create is missing if it was built with an old C library, as conda's was.
    create = getattr(_LIBC, "memfd_create", None)
    descriptor = create(b"gluon-tricks batches", MFD_CLOEXEC) if create else -1
    if descriptor >= 0:
        return descriptor, False
    # a kernel or sandbox without memfd_create
    try:
        descriptor, path = tempfile.mkstemp(dir=FOLDER, prefix="gluon-tricks-")
    except OSError as error:
        raise UserError(
            f"{FOLDER}: no file can be made for the batches of data processes: {error.strerror}; "
            "--data-processes 0 does without them"
        ) from error
    os.unlink(path)
    return descriptor, True


def check_folder(size: int, what: str) -> None:
    """UserError if FOLDER lacks the ``size`` bytes that ``what`` needs."""
    found = os.statvfs(FOLDER)
    free = found.f_bavail * found.f_frsize
    if size > free:
        raise UserError(
            f"{FOLDER} has {in_mb(free)} free, and {in_mb(size)} are needed for {what}: use a "
            "smaller --batch-size or --data-processes 0, or enlarge it (docker run --shm-size=8g; "
            f"in Kubernetes an emptyDir of medium Memory at {FOLDER})"
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
