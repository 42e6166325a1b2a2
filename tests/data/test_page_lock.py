"""Memory for GPUs is registered with the CUDA runtime that is loaded: here a library, compiled for
the test, that records its calls.
"""

import ctypes
import gc
import logging
import subprocess

import numpy as np
import pytest

from gluon_tricks.data.batch_memory import BatchMemory
from gluon_tricks.data.page_lock import PageLock, cuda_runtime
from gluon_tricks.data.rows import RowsFormat

RUNTIME = r"""
#include <stddef.h>
#include <stdint.h>

struct call { int kind, device; uintptr_t address; size_t size; unsigned flags; };
struct call calls[64];
int count = 0, device = 0, remembered = 0;

static int note(int kind, uintptr_t address, size_t size, unsigned flags) {
    calls[count++] = (struct call){kind, device, address, size, flags};
    return remembered = kind == 1 ? RESULT : 0;
}
int cudaGetDevice(int *out) { *out = device; return 0; }
int cudaSetDevice(int wanted) { device = wanted; return 0; }
int cudaHostRegister(void *p, size_t size, unsigned flags) {
    return note(1, (uintptr_t)p, size, flags);
}
int cudaHostUnregister(void *p) { return note(2, (uintptr_t)p, 0, 0); }
int cudaGetLastError(void) { int last = remembered; remembered = 0; return last; }
const char *cudaGetErrorString(int error) { return error ? "out of memory" : "no error"; }
"""
REGISTER, UNREGISTER = 1, 2
FORMAT = RowsFormat(4, (3, 32, 32), np.float32)


class Call(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int),
        ("device", ctypes.c_int),
        ("address", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("flags", ctypes.c_uint),
    ]


class Runtime:
    """The library, loaded, and the memory map of a process that has it."""

    def __init__(self, folder, result):
        path = folder / "libcudart.so.11.0"
        settings = ["-shared", "-fPIC", f"-DRESULT=({result})", "-o", str(path)]
        command = ["gcc", "-x", "c", "-", *settings]
        subprocess.run(command, input=RUNTIME, text=True, check=True)
        self.library, self.maps = ctypes.CDLL(str(path)), folder / "maps"
        self.maps.write_text(
            f"7f00-7f01 r-xp 0 08:01 7   /usr/lib/libc.so.6\n7f02 r-xp 0   {path}\n"
        )

    def number(self, name):
        return ctypes.c_int.in_dll(self.library, name).value

    def calls(self):
        return list((Call * 64).in_dll(self.library, "calls"))[: self.number("count")]


@pytest.fixture
def runtime(tmp_path):
    folder = tmp_path / "my environment"  # a blank separates the columns of the map too
    folder.mkdir()
    return Runtime(folder, result=0)


def test_each_block_is_registered_once_for_all_gpus_while_ours_is_the_current_one(runtime):
    memory = BatchMemory(1, page_lock=PageLock(3, str(runtime.maps)))
    for _ in range(5):  # the same memory again and again
        block = memory.take(FORMAT)
        address = block.rows.images.ctypes.data
        del block
    (call,) = runtime.calls()
    assert (call.kind, call.device, call.address, call.flags) == (REGISTER, 3, address, 1)
    assert call.size >= FORMAT.nbytes and runtime.number("device") == 0
    memory.close()


def test_memory_is_unregistered_before_it_is_unmapped(runtime):
    memory = BatchMemory(1, page_lock=PageLock(0, str(runtime.maps)))
    first, second = memory.take(FORMAT), memory.take(FORMAT)
    used = second.rows.images
    address = used.ctypes.data
    del first, second
    gc.collect()
    memory.close()  # while the second one is in use
    assert [call.kind for call in runtime.calls()] == [REGISTER, REGISTER, UNREGISTER]
    used[:] = 1
    del used
    gc.collect()
    assert (runtime.calls()[-1].kind, runtime.calls()[-1].address) == (UNREGISTER, address)


def test_memory_that_cannot_be_locked_is_used_as_it_is_and_the_log_says_so_once(tmp_path, caplog):
    runtime = Runtime(tmp_path, result=2)
    with caplog.at_level(logging.WARNING):
        memory = BatchMemory(2, page_lock=PageLock(0, str(runtime.maps)))
        blocks = [memory.take(FORMAT) for _ in range(3)]
    for block in blocks:
        block.rows.images[:] = 1
    (record,) = caplog.records
    assert "not page-locked" in record.getMessage() and "out of memory" in record.getMessage()
    # MXNet would find an error that stays, and fail
    assert runtime.number("remembered") == 0
    del block, blocks
    memory.close()
    assert [call.kind for call in runtime.calls()] == [REGISTER]


def test_what_was_locked_before_a_failure_is_unlocked(tmp_path):
    runtime = Runtime(tmp_path, result="count > 1 ? 2 : 0")
    memory = BatchMemory(2, page_lock=PageLock(0, str(runtime.maps)))
    first, second = memory.take(FORMAT), memory.take(FORMAT)
    address = first.rows.images.ctypes.data
    del first, second
    memory.close()
    *registered, last = runtime.calls()
    assert [call.kind for call in registered] == [REGISTER, REGISTER]
    assert (last.kind, last.address) == (UNREGISTER, address)


def test_without_a_loaded_runtime_nothing_is_locked(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        lock = PageLock(0, str(tmp_path / "no such file"))
    assert not lock.lock(4096, 4096) and "no CUDA runtime" in caplog.text


def test_a_runtime_is_found_only_if_it_is_loaded(tmp_path, runtime):
    assert cuda_runtime(str(runtime.maps))._handle == runtime.library._handle
    maps = tmp_path / "other"
    maps.write_text(f"7f02 r-xp 0   {tmp_path}/not loaded/libcudart.so.11.0\n")
    assert cuda_runtime(str(maps)) is None
