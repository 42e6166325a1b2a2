"""The form against the package that defines it, and files that lie."""

import json
import struct

import numpy as np
import pytest
from safetensors import numpy as reference

from gluon_tricks.models import safetensors_file

ARRAYS = {
    "a.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array([1.5, -2], "float16"),
    "count": np.array(7, "int64"),
    "none": np.zeros((0, 3), "float32"),
}


def test_the_package_reads_what_is_written(tmp_path):
    path = str(tmp_path / "a.safetensors")
    safetensors_file.write(path, ARRAYS, {"format": "pt"})
    read = reference.load_file(path)
    assert {name: (a.dtype, a.shape) for name, a in read.items()} == {
        name: (a.dtype, a.shape) for name, a in ARRAYS.items()
    }
    assert all(read[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())


def test_what_the_package_writes_is_read(tmp_path):
    path = str(tmp_path / "a.safetensors")
    reference.save_file(ARRAYS, path, {"architecture": "tiny"})
    arrays, metadata = safetensors_file.read(path)
    assert metadata == {"architecture": "tiny"}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


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
    array = safetensors_file.read(path).arrays["a"]
    assert array.dtype == np.float32
    assert array.tolist() == [[1, -2.5], [2.0**-126, np.inf]]


@pytest.mark.parametrize(
    "header, data, said",
    [
        ({"a": entry(shape=(1 << 40,), place=(0, 1 << 42))}, b"", "speaks of"),
        ({"a": entry(shape=(2,))}, b"1234", "4 bytes for the shape"),
        ({"a": entry(place=(4, 8))}, b"12345678", "begins at 4"),
        ({"a": entry(), "b": entry()}, b"1234", "begins at 0"),
        ({"a": entry()}, b"12345", "5 bytes of values"),
        ({"a": entry("F8_E5M2", place=(0, 1))}, b"1", "type F8_E5M2"),
        ({"a": entry(shape=(-1,), place=(0, -4))}, b"", "shape"),
        ({"a": entry(shape=(True,))}, b"1234", "shape"),
        ({"a": 5}, b"", "type None"),
        ({"a\n": entry()}, b"1234", "no name"),
        (b'{"a":1,"a":1}', b"", "twice"),
        (b"[" * 100000, b"", "nested"),
        (b"[]", b"", "no object"),
        ({"__metadata__": 3}, b"", "no object"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, header, data, said):
    with pytest.raises(ValueError, match=said):
        safetensors_file.read(file_of(tmp_path / "a", header, data))


@pytest.mark.parametrize("data", [b"", b"1234567", struct.pack("<Q", 1 << 62) + b"{}"])
def test_a_length_beyond_the_file_is_refused(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match="header would have"):
        safetensors_file.read(str(tmp_path / "a"))
