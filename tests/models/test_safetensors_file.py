"""The form against the package that defines it, and files that lie."""

import json
import os
import resource
import struct

import numpy as np
import pytest
from safetensors import numpy as reference

from gluon_tricks.errors import UserError
from gluon_tricks.models import safetensors_file

ARRAYS = {
    "a.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array([1.5, -2], "float16"),
    "count": np.array(7, "int64"),
    "none": np.zeros((0, 3), "float32"),
    "turned": np.arange(6, dtype="float64").reshape(2, 3).T,
}


def test_the_package_reads_what_is_written(tmp_path):
    path = str(tmp_path / "a.safetensors")
    safetensors_file.write(path, ARRAYS, {"format": "pt", "architecture": "tiny"})
    read = reference.load_file(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    assert safetensors_file.metadata(path) == {"format": "pt", "architecture": "tiny"}
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_what_the_package_writes_is_read(tmp_path):
    path = str(tmp_path / "a.safetensors")
    whole = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    whole["count"] = ARRAYS["count"]  # which NumPy would make an array of one
    reference.save_file(whole, path, {"architecture": "tiny"})
    assert safetensors_file.metadata(path) == {"architecture": "tiny"}
    read = safetensors_file.read(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)


def test_what_safetensors_does_not_have_is_named(tmp_path):
    with pytest.raises(ValueError, match="a: safetensors has no complex128"):
        safetensors_file.write(str(tmp_path / "a"), {"a": np.zeros(1, complex)})
    with pytest.raises(UserError, match="nowhere.*cannot be written"):
        safetensors_file.write(str(tmp_path / "nowhere" / "a"), ARRAYS)


def file_of(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)


def entry(dtype="F32", shape=(1,), place=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(place)}


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    # sign, 8 bits of exponent, 7 of mantissa: 1, -2.5, 2 ** -126, infinity
    halves = struct.pack("<4H", 0x3F80, 0xC020, 0x0080, 0x7F80)
    path = file_of(tmp_path / "a", {"a": entry("BF16", (2, 2), (0, 8))}, halves)
    array = safetensors_file.read(path)["a"]
    assert array.dtype == np.float32
    assert array.tolist() == [[1, -2.5], [2.0**-126, np.inf]]


ONE = json.dumps(entry()).encode()
LIES = {
    "more values than the file": ({"a": entry(shape=(1 << 40,), place=(0, 1 << 42))}, b""),
    "another shape": ({"a": entry(shape=(2,))}, b"1234"),
    "a gap before": ({"a": entry(place=(4, 8))}, b"12345678"),
    "overlapping": ({"a": entry(), "b": entry()}, b"1234"),
    "half overlapping": ({"a": entry(), "b": entry(place=(2, 6))}, b"123456"),
    "a gap behind": ({"a": entry()}, b"12345"),
    "backwards": ({"a": entry(shape=(1,), place=(4, 0))}, b"1234"),
    "a type unknown here": ({"a": entry("F8_E5M2", place=(0, 1))}, b"1"),
    "a type unknown anywhere": ({"a": entry("Q7")}, b"1234"),
    "a negative length": ({"a": entry(shape=(-1,), place=(0, -4))}, b""),
    "lengths that overflow": ({"a": entry(shape=(1 << 62, 1 << 62, 0), place=(0, 0))}, b""),
    "an empty array of many": ({"a": entry(shape=(0, 1 << 62, 1 << 62), place=(0, 0))}, b""),
    "a hundred dimensions": ({"a": entry(shape=(1,) * 100)}, b"1234"),
    "a length that is no number": ({"a": entry(shape=(True,))}, b"1234"),
    "no entry": ({"a": 5}, b""),
    "a name twice": (b'{"a":' + ONE + b',"a":' + ONE[:-5] + b"4,8]}}", b"12345678"),
    "nested": (b"[" * 100000, b""),
    "nested names": (b'{"a":' * 100000, b""),
    "a list": (b"[]", b""),
    "no UTF-8": (b'{"\xff":' + ONE + b"}", b"1234"),
    "no JSON": (b"\0" * 64, b""),
    "metadata that are none": ({"__metadata__": 3}, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused(lie, tmp_path):
    path = file_of(tmp_path / "a", *LIES[lie])
    with pytest.raises(ValueError):
        safetensors_file.read(path)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_header_beyond_the_file_is_refused(length, tmp_path):
    (tmp_path / "a").write_bytes(struct.pack("<Q", length) + b"{}")
    for read in (safetensors_file.read, safetensors_file.metadata):
        with pytest.raises(ValueError, match="header"):
            read(str(tmp_path / "a"))


@pytest.mark.parametrize("data", [b"", b"1234567"])
def test_a_file_without_a_header_is_refused(data, tmp_path):
    (tmp_path / "a").write_bytes(data)
    for read in (safetensors_file.read, safetensors_file.metadata):
        with pytest.raises(ValueError):
            read(str(tmp_path / "a"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    for read in (safetensors_file.read, safetensors_file.metadata):
        with pytest.raises(OSError):
            read(str(tmp_path / "a"))


def test_no_memory_is_taken_for_what_is_not_there(tmp_path):
    """Each of many arrays claims the same megabyte of the file, and one more than it has."""
    data = bytes(1 << 20)
    entries = {f"a{i}": entry(shape=(1 << 18,), place=(0, 1 << 20)) for i in range(2000)}
    path = file_of(tmp_path / "a", entries, data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError):
        safetensors_file.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
