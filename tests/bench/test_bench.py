"""The measurements' flags: numbers that leave nothing to measure are refused before anything is
made.
"""

import argparse

import pytest

from gluon_tricks.commands import bench
from gluon_tricks.errors import UserError


@pytest.mark.parametrize(
    "words, message",
    [
        (["step", "--batch-size", "0"], "--batch-size 0: at least 1"),
        (["step", "--rounds", "0"], "--rounds 0: at least 1"),
        (["infer", "--input-size", "-3"], "--input-size -3: at least 1"),
        (["infer", "--seconds", "nan"], "--seconds nan: a positive number"),
        (["scaling", "--workers", "0"], "--workers 0: at least 1"),
    ],
)
def test_numbers_out_of_range_are_named(words, message):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    with pytest.raises(UserError, match=message):
        bench.main(parser.parse_args(words))
