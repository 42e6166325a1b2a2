"""The measurements' flags: numbers that leave nothing to measure are refused at once."""

import argparse
import json

import pytest
from mxnet import gluon

from gluon_tricks.commands import bench
from gluon_tricks.errors import UserError


@pytest.mark.parametrize(
    "words, message",
    [
        (["step", "--batch-size", "0"], "--batch-size 0: has to be from 1"),
        (["step", "--rounds", "0"], "--rounds 0: has to be from 1"),
        (
            ["infer", "--input-size", str(2**31)],
            "--input-size 2147483648: has to be from 1 to 2147483647",
        ),
        (["infer", "--input-size", "-3"], "--input-size -3: has to be from 1"),
        (["infer", "--seconds", "nan"], "--seconds nan: has to be a positive number"),
        (["scaling", "--workers", "0"], "--workers 0: has to be from 1"),
    ],
)
def test_numbers_out_of_range_are_named(words, message):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    with pytest.raises(UserError, match=message):
        bench.main(parser.parse_args(words))


def test_the_parts_of_a_step_are_what_switching_them_off_saves():
    from gluon_tricks.bench.step import summary

    rounds = [
        dict(loop=2.0, bare=1.5, data=1.8, copy=1.6, update=1.2),
        dict(loop=2.2, bare=2.2, data=1.8, copy=1.6, update=1.2),
        dict(loop=2.0, bare=1.8, data=1.8, copy=1.6, update=1.2),
    ]
    found = summary(rounds, 100)
    assert (found["loop"], found["ratio"]) == (50, 0.9)
    assert (found["low"], found["high"]) == (0.75, 1.0)
    shares = {name: found[name] for name in ("data", "copy", "update", "compute")}
    assert shares == pytest.approx(dict(data=0.1, copy=0.1, update=0.2, compute=0.6))


def test_what_the_loop_before_has_left_is_not_measured():
    from gluon_tricks.bench.step import timed

    class Loop:
        def round(self, steps):
            left, self.left = self.left, 0
            return 0.25 * steps + left

    loop = Loop()
    loop.left = 0.125
    assert timed(loop, 4) == 1


def test_a_step_is_measured_with_each_part_switched_off(tmp_path, capsys):
    from gluon_tricks.models import registry

    @registry.register("dense")
    def dense(name, classes):
        net = gluon.nn.HybridSequential(prefix="dense_")
        with net.name_scope():
            net.add(gluon.nn.AvgPool2D(8), gluon.nn.Flatten(), gluon.nn.Dense(classes, in_units=48))
        return net

    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    words = "step --model dense --batch-size 4 --input-size 32 --steps 2 --rounds 2 --json"
    try:
        args = parser.parse_args([*words.split(), str(tmp_path / "found.json")])
        assert bench.main(args) == 0
    finally:
        del registry._networks["dense"]
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found) == ["loop", "bare", "ratio", "data", "copy", "update", "compute"]
    shares = [found[name] for name in list(found)[3:]]
    assert sum(shares) == pytest.approx(1)
    printed = capsys.readouterr().out
    assert "of a step's time: data " in printed
    assert ("is noise" in printed) == (min(shares) < -0.005)
