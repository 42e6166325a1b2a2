"""Page-locked memory: a GPU copies from it without the CPU, several times as fast.

MXNet allocates its own page-locked arrays (``cpu_pinned``); our memory is shared with other
processes, so it is registered with the CUDA runtime (``cudaHostRegister``). That has to be the
library that MXNet has loaded: another copy of it would have its own contexts. Memory that cannot be
registered is used as it is.
"""

import ctypes
import functools
import logging
import os
import re
from typing import Any, Optional

log = logging.getLogger(__name__)

PORTABLE = 1  # cudaHostRegisterPortable: for all GPUs, not only the current one
LIBRARY = re.compile(r"/.*/libcudart\.so[.\d]*$")


class PageLock:
    """Locks and unlocks memory; ``gpu`` is the number of one that this process uses."""

    def __init__(self, gpu: int, maps: str = "/proc/self/maps") -> None:
        self._gpu, self._cuda = gpu, cuda_runtime(maps)
        self._can_lock = True
        if self._cuda is None:
            self._give_up("MXNet has loaded no CUDA runtime (libcudart.so)")

    def lock(self, address: int, size: int) -> bool:
        """Lock memory; returns whether it is locked now."""
        if not self._can_lock:
            return False
        error = self._on_gpu(self._cuda.cudaHostRegister, address, size, PORTABLE)
        if error:
            self._give_up(f"cudaHostRegister of {size / 1e6:.0f} MB: {self._text(error)}")
        return not error

    def unlock(self, address: int) -> None:
        """Unlock memory, which has to come before it is unmapped."""
        if self._on_gpu(self._cuda.cudaHostUnregister, address):
            self._cuda.cudaGetLastError()

    def _on_gpu(self, function, address, *rest):
        """Call a function while our GPU is the thread's current one: on another, CUDA would make a
        context, which takes memory there.
        """
        before = ctypes.c_int()
        self._cuda.cudaGetDevice(ctypes.byref(before))
        self._cuda.cudaSetDevice(self._gpu)
        try:
            return function(ctypes.c_void_p(address), *map(ctypes.c_size_t, rest[:1]), *rest[1:])
        finally:
            self._cuda.cudaSetDevice(before)

    def _text(self, error):
        # CUDA remembers the error, and MXNet would take it for that of its own next call.
        self._cuda.cudaGetLastError()
        self._cuda.cudaGetErrorString.restype = ctypes.c_char_p
        return self._cuda.cudaGetErrorString(error).decode()

    def _give_up(self, reason):
        self._can_lock = False  # what is locked already can still be unlocked
        log.warning("batches go to the GPU from memory that is not page-locked: %s", reason)


@functools.lru_cache(maxsize=None)
def page_lock_of(gpu: int) -> PageLock:
    """This process's PageLock for a GPU, which warns once if it cannot lock."""
    return PageLock(gpu)


def cuda_runtime(maps: str = "/proc/self/maps") -> Optional[Any]:
    """The CUDA runtime library that this process has loaded already, or None."""
    try:
        with open(maps) as file:
            found = [LIBRARY.search(line.rstrip("\n")) for line in file]
        for path in sorted({match.group() for match in found if match}):
            return ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except OSError:  # no /proc, or the file was replaced since
        pass
    return None
