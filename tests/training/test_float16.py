"""Low precision (section 3.2) through the whole loop, with a network of operators that have float16
on a CPU.
"""

import functools

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from gluon_tricks.config import parse
from gluon_tricks.errors import UserError
from gluon_tricks.models import registry
from gluon_tricks.training.feeding import place
from gluon_tricks.training.run import build
from gluon_tricks.training.step import train_step
from gluon_tricks.training.stopping import Diverged


class Linear(gluon.HybridBlock):
    """BatchNorm, the mean over the pixels of each of 4 x 4 tiles, and a dense layer written as a
    sum of products.
    """

    def __init__(self, name, classes):
        super().__init__(prefix=name + "_")
        with self.name_scope():
            self.bn = gluon.nn.BatchNorm(in_channels=3)
            self.pool = gluon.nn.AvgPool2D(8)
            self.weight = self.params.get("weight", shape=(classes, 48), init=mx.init.Uniform(0.1))

    def hybrid_forward(self, F, x, weight):
        x = self.pool(self.bn(x)).reshape((0, 1, -1))
        return F.sum(F.broadcast_mul(x, weight.expand_dims(0)), axis=2)


@pytest.fixture
def train_linear(train):
    registry.register("linear")(Linear)
    yield functools.partial(train, model="linear")
    del registry._networks["linear"]


@pytest.mark.parametrize("scale", ["dynamic", 128.0])
def test_float16_trains_like_float32_with_float32_master_weights(train_linear, tmp_path, scale):
    half = train_linear(
        save_dir=str(tmp_path / "half"),
        dtype="float16",
        loss_scale=scale,
        no_wd=True,
        label_smoothing=0.1,
    )
    single = train_linear(save_dir=str(tmp_path / "single"), no_wd=True, label_smoothing=0.1)
    assert half.learner.net.bn.gamma.data().dtype == np.float32
    assert half.learner.update.loss_scale.skipped == 0
    (momentum_and_master,) = [
        made
        for made in half.learner.trainer._updaters[0].states.values()
        if isinstance(made, tuple)
    ]
    assert [array.dtype for array in momentum_and_master] == [np.float32, np.float32]
    np.testing.assert_allclose(
        half.learner.net.weight.data().asnumpy().astype("float32"),
        single.learner.net.weight.data().asnumpy(),
        atol=4e-3,
    )
    assert abs(half.progress.validated["loss"] - single.progress.validated["loss"]) < 0.02


def test_steps_whose_gradients_overflow_are_skipped_and_the_scale_is_halved(
    train_linear, tmp_path, monkeypatch
):
    begin = train_linear(
        save_dir=str(tmp_path / "begin"), dtype="float16", loss_scale=1.0, lr=1e-15, max_steps=1
    )
    from gluon_tricks.training import run as module

    class Steep(module.LossScale):
        def __init__(self, *given):
            super().__init__(*given)
            self.scale = 2.0**24

    monkeypatch.setattr(module, "LossScale", Steep)
    run = train_linear(save_dir=str(tmp_path / "steep"), dtype="float16", max_steps=3)
    scale = run.learner.update.loss_scale
    assert scale.skipped == 3 and scale.scale == 2.0**21
    np.testing.assert_array_equal(
        run.learner.net.weight.data().asnumpy(), begin.learner.net.weight.data().asnumpy()
    )


def test_too_many_skipped_steps_in_a_row_end_the_run(train_linear):
    with pytest.raises(Diverged, match=r"not finite 3 times in a row at step 2") as error:
        train_linear(dtype="float16", loss_scale=1e9, max_skipped=2)
    assert error.value.exit_code == 3


def test_nothing_is_saved_after_too_many_skipped_steps(train_linear, tmp_path):
    """Although the loop learns about them some steps later."""
    with pytest.raises(Diverged, match=r"not finite 4 times in a row at step 3") as error:
        train_linear(dtype="float16", loss_scale=1e9, max_skipped=3, save_interval=2)
    assert "step-00000002" in str(error.value)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]


@pytest.mark.slow
def test_float16_resumes_with_the_same_bits(train_linear, tmp_path):
    flags = dict(dtype="float16", mixup=True)
    whole = train_linear(save_dir=str(tmp_path / "whole"), **flags)
    train_linear(save_dir=str(tmp_path / "stopped"), max_steps=5, **flags)
    resumed = train_linear(save_dir=str(tmp_path / "stopped"), resume="auto", **flags)
    np.testing.assert_array_equal(
        whole.learner.net.weight.data().asnumpy(), resumed.learner.net.weight.data().asnumpy()
    )
    assert whole.learner.update.loss_scale.state() == resumed.learner.update.loss_scale.state()
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (
        tmp_path / "stopped" / "log.jsonl"
    ).read_bytes()


def test_a_network_of_matrices_is_refused_on_a_cpu(train):
    with pytest.raises(
        UserError, match="--dtype float16: MXNet cannot multiply float16 matrices on a CPU"
    ):
        train(dtype="float16")


@pytest.mark.parametrize(
    "flags", ["--device-augment --mixup --ema 0.9", "--accumulate 2 --cutmix 1 --clip-norm 1"]
)
def test_a_step_waits_for_no_array(flags, train_linear, tmp_path, monkeypatch):
    # MXNet's engine waits for a GPU after each copyto, which copy and astype also are; the program
    # itself waits in asnumpy and in mx.nd.array.
    words = "--model linear --classes 10 --input-size 32 --batch-size 4 --dtype float16 -j 1"
    words += f" --synthetic 32 --save-dir {tmp_path / 'run'} {flags}"
    run = build(parse(words.split()))
    try:
        for batch in run.data.train.batches(0, 2):
            batch = place(batch, run.layout, run.workers.devices)
            train_step(run.learner, run.layout, run.workers.devices, batch, 0)
            for name in ("copyto", "asnumpy", "_sync_copyfrom"):
                monkeypatch.setattr(mx.nd.NDArray, name, None)
    finally:
        monkeypatch.undo()
        run.close()
