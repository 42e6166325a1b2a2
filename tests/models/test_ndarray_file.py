"""MXNet's array files: read as MXNet reads them when they are whole, and never larger than the file
when they are not.
"""

import struct
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.models import ndarray_file
from gluon_tricks.models.parameters import read, read_arrays

VALUES = {
    "one": [1.5, -2, np.pi],
    "layer.é": np.arange(24).reshape(2, 3, 4),
    "none": np.zeros((0, 3)),
}
HEADER = struct.pack("<3Q", 0x112, 0, 1)
NAME = struct.pack("<2Q", 1, 1) + b"a"


def arrays(dtype="float32"):
    return {name: mx.nd.array(values, dtype=dtype) for name, values in VALUES.items()}


def saved(path, arrays):
    mx.nd.save(str(path), arrays)
    return str(path)


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype and ours[name].shape == theirs[name].shape
        np.testing.assert_array_equal(ours[name].asnumpy(), theirs[name].asnumpy())


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"]
)
def test_arrays_are_those_that_mxnet_reads(dtype, tmp_path):
    path = saved(tmp_path / "a.params", arrays(dtype))
    assert_same(ndarray_file.read(path), mx.nd.load(path))


def test_a_file_without_names_is_a_list_and_one_without_arrays_is_empty(tmp_path):
    (array,) = ndarray_file.read(saved(tmp_path / "list.params", [mx.nd.array([1, 2])]))
    np.testing.assert_array_equal(array.asnumpy(), [1, 2])
    assert ndarray_file.read(saved(tmp_path / "empty.params", {})) == {}


def test_older_and_newer_versions_of_the_format_are_read(tmp_path):
    values = np.arange(6, dtype="float32").reshape(2, 3)
    shape = struct.pack("<i2q", 2, 2, 3)
    old = (
        HEADER
        + struct.pack("<I", 0xF993FAC8)
        + shape
        + struct.pack("<3i", 1, 0, 0)
        + values.tobytes()
        + NAME
    )
    (tmp_path / "old.params").write_bytes(old)
    assert_same(read(tmp_path / "old.params"), mx.nd.load(str(tmp_path / "old.params")))
    with mx.util.np_shape(True):
        saved(tmp_path / "new.params", {"a": mx.nd.array(values)})
    np.testing.assert_array_equal(read(tmp_path / "new.params")["a"].asnumpy(), values)


def test_arrays_of_any_device_come_to_be_on_the_cpu(tmp_path):
    values = struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 2, 5, 0, 7.0)  # saved from gpu(5)
    (tmp_path / "gpu.params").write_bytes(HEADER + values + NAME)
    saved(tmp_path / "cpu.params", {"a": mx.nd.array([7], ctx=mx.cpu(1))})
    for name in ("gpu", "cpu"):
        array = read(tmp_path / f"{name}.params")["a"]
        assert array.context == mx.cpu(0) and array.asscalar() == 7


@pytest.mark.parametrize(
    "array, problem",
    [
        (struct.pack("<I", 5), "unknown version"),
        (struct.pack("<2I", 0xF993FAC9, 2), "is sparse"),
        (struct.pack("<I2i", 0xF993FAC9, 0, -1), "-1 dimensions"),
        (struct.pack("<I2i", 0xF993FAC9, 0, 2**30), "dimensions"),
        (
            struct.pack("<I2iq3i", 0xF993FAC9, 0, 1, 2**40, 1, 0, 0),
            "more than the rest of the file",
        ),
        (
            struct.pack("<I2i2q3i", 0xF993FAC9, 0, 2, 2**62, 0, 1, 0, 0),
            "more than the rest of the file",
        ),
        (struct.pack("<I2iq3i", 0xF993FAC9, 0, 1, -1, 1, 0, 0), "more than the rest of the file"),
        (struct.pack("<I2iq3i", 0xF993FAC9, 0, 1, 1, 1, 0, 99), "unknown type 99"),
        (
            struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 1, 0, 0, 7) + struct.pack("<2Q", 1, 2**60),
            "ends too early",
        ),
        (
            struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 1, 0, 0, 7) + struct.pack("<Q", 2),
            "1 arrays and 2 names",
        ),
        (struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 1, 0, 0, 7) + NAME + b"!", "1 bytes follow"),
        (
            struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 1, 0, 0, 7)
            + struct.pack("<2Q", 1, 1)
            + b"\x1b",
            r"\\x1b is not the name",
        ),
        (
            struct.pack("<I2iq3if", 0xF993FAC9, 0, 1, 1, 1, 0, 0, 7)
            + struct.pack("<2Q", 1, 1)
            + b"\xff",
            r"\\xff is not the name",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(array, problem, tmp_path):
    (tmp_path / "a.params").write_bytes(HEADER + array)
    with pytest.raises(UserError, match=problem) as error:
        read(tmp_path / "a.params")
    assert str(tmp_path / "a.params") in str(error.value) and "\n" not in str(error.value)


def test_sparse_arrays_and_doubled_names_are_refused(tmp_path):
    saved(tmp_path / "sparse.params", {"a": mx.nd.sparse.csr_matrix(np.eye(3))})
    with pytest.raises(UserError, match="sparse"):
        read(tmp_path / "sparse.params")
    path = saved(tmp_path / "twice.params", {"a": mx.nd.ones(3), "b": mx.nd.ones(3)})
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"a")
    with pytest.raises(UserError, match="the same name"):
        read_arrays(path)


FLIPS = """
import os, resource, sys
from gluon_tricks.models.parameters import ParameterError, read
import mxnet as mx
path = sys.argv[1]
whole = open(path, "rb").read()
mx.nd.zeros(1).asnumpy()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (64 << 20)  # of 64 MB, for a file of less than a kilobyte
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
refused = 0
for bit in range(8 * len(whole)):
    data = bytearray(whole)
    data[bit // 8] ^= 1 << bit % 8
    with open(path, "wb") as file:
        file.write(data)
    try:
        sizes = [array.size for array in read(path).values()]
        assert sum(sizes) * 2 <= len(data), bit
    except ParameterError as error:
        assert chr(10) not in str(error)
        refused += 1
print(refused)
"""


@pytest.mark.slow
def test_no_flipped_bit_takes_memory_or_gives_a_traceback(tmp_path):
    path = saved(tmp_path / "a.params", arrays("float16"))
    found = subprocess.run(
        [sys.executable, "-c", FLIPS, path], capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert int(found.stdout.split()[-1]) > 1000
