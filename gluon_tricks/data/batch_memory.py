"""Reusable memory for batches: fresh pages would cost as much as the colour step."""

import collections
import mmap
import weakref
from typing import Any, NamedTuple, Optional

import numpy as np

from .page_lock import PageLock
from .rows import Rows, RowsFormat
from .shared_memory import SharedMemory, with_huge_pages


class Block(NamedTuple):
    """Memory for the rows of a batch."""

    format: RowsFormat
    rows: Rows
    offset: int  # in the shared memory


class BatchMemory:
    """Hands out blocks, and takes each back as soon as nothing uses any array in it.

    ``mx.nd.from_numpy`` lays an NDArray over a block's images. MXNet lets go of them when the last
    NDArray that uses them is gone, including those that operators queued in the engine hold; only
    then is the block free for another batch.

    The blocks are in ``shared`` memory, or in this process's own. ``page_lock`` locks their pages.
    """

    def __init__(
        self,
        most_free: int,
        shared: Optional[SharedMemory] = None,
        page_lock: Optional[PageLock] = None,
    ) -> None:
        # of one size; more than that go back to the system
        self._most_free = most_free
        self._shared, self._page_lock = shared, page_lock
        self._free: dict = collections.defaultdict(list)

    def take(self, format: RowsFormat) -> Block:
        """A block of uninitialised rows."""
        size = format.nbytes
        free = self._free.get(size)
        memory = free.pop() if free else self._new(size)
        # The base of all arrays in the block: NumPy looks no further than the first array.
        block = np.frombuffer(memory.mapping, np.uint8, size)
        back = weakref.finalize(block, self._give_back, size, memory)
        back.atexit = False
        return Block(format, format.over(block), memory.offset)

    def close(self) -> None:
        """Give all blocks back to the system, those in use as soon as they are free."""
        self._most_free = 0
        for memories in self._free.values():
            while memories:
                self._release(memories.pop())

    def _new(self, size):
        if self._shared is not None and size not in self._free:
            most = self._most_free
            self._shared.check(most * size, f"{most} batches")
            self._free[size] = []  # so that this is checked once a size
        if self._shared is None:
            own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            memory = _Memory(0, with_huge_pages(mmap.mmap(-1, size, own)), False)
        else:
            memory = _Memory(*self._shared.allocate(size), False)
        if self._page_lock is not None:
            locked = self._page_lock.lock(_address(memory.mapping), len(memory.mapping))
            memory = memory._replace(locked=locked)
        return memory

    def _give_back(self, size, memory):
        if len(self._free[size]) < self._most_free:
            self._free[size].append(memory)
        else:
            self._release(memory)

    def _release(self, memory):
        if memory.locked:
            self._page_lock.unlock(_address(memory.mapping))
        if self._shared is not None:
            self._shared.release(memory.offset, memory.mapping)


class _Memory(NamedTuple):
    offset: int
    mapping: Any  # mmap.mmap, or a ctypes array over shared memory
    locked: bool


def _address(mapping):
    return np.frombuffer(mapping, np.uint8).ctypes.data
