import json
import os
import resource
import shutil
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluon_tricks.training import checkpoint
from gluon_tricks.training.checkpoint import CheckpointError


@pytest.fixture
def trained():
    """A function that makes a small net with a trainer and takes steps with it."""

    def make(optimizer="nag", multi_precision=False, steps=3):
        mx.random.seed(1)
        net = gluon.nn.HybridSequential(prefix="net_")
        with net.name_scope():
            net.add(
                gluon.nn.Dense(4, in_units=3),
                gluon.nn.BatchNorm(in_channels=4),
                gluon.nn.Dense(2, in_units=4),
            )
        net.initialize(mx.init.Xavier())
        trainer = gluon.Trainer(
            net.collect_params(), optimizer, dict(learning_rate=0.1, momentum=0.9), update_on_kvstore=False
        )
        for number in range(steps):
            step(net, trainer, number)
        return net, trainer

    return make


def step(net, trainer, number):
    x = mx.nd.array(np.random.RandomState(number).randn(5, 3))
    with autograd.record():
        loss = (net(x) ** 2).sum()
    loss.backward()
    trainer.step(5)


def values(net):
    return [p.data().asnumpy() for p in net.collect_params().values()]


@pytest.mark.parametrize("optimizer", ["nag", "sgd"])
def test_what_was_loaded_goes_on_like_what_was_saved(trained, tmp_path, optimizer):
    net, trainer = trained(optimizer)
    path = checkpoint.save(str(tmp_path), 3, net, trainer, dict(note=1.25), keep=2)
    other, its_trainer = trained(optimizer, steps=0)
    state = checkpoint.read_state(path)
    checkpoint.load(path, state, other, its_trainer, [mx.cpu()])
    assert state["step"] == 3 and state["note"] == 1.25
    for number in (3, 4):
        step(net, trainer, number)
        step(other, its_trainer, number)
    for a, b in zip(values(net), values(other)):
        np.testing.assert_array_equal(a, b)


def test_float16_weights_keep_their_float32_master_copies(tmp_path):
    """Without a convolution or dense layer, which have no float16 on a CPU."""

    class Scale(gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="scale_")
            self.weight = self.params.get("weight", shape=(6,), init=mx.init.Uniform(1), dtype="float16")

        def hybrid_forward(self, F, x, weight):
            return F.sum(F.broadcast_mul(x, weight), axis=1)

    def make():
        mx.random.seed(2)
        net = Scale()
        net.initialize()
        settings = dict(learning_rate=0.01, momentum=0.9, multi_precision=True)
        return net, gluon.Trainer(net.collect_params(), "nag", settings, update_on_kvstore=False)

    def go(net, trainer, number):
        x = mx.nd.array(np.random.RandomState(number).randn(4, 6), dtype="float16")
        with autograd.record():
            loss = (net(x) ** 2).sum()
        loss.backward()
        trainer.step(4)

    net, trainer = make()
    for number in range(3):
        go(net, trainer, number)
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=1)
    other, its_trainer = make()
    checkpoint.load(path, checkpoint.read_state(path), other, its_trainer, [mx.cpu()])
    assert any(
        array.dtype == np.float32 for array in mx.nd.load(os.path.join(path, "optimizer.states")).values()
    )
    for number in range(3, 6):
        go(net, trainer, number)
        go(other, its_trainer, number)
        np.testing.assert_array_equal(net.weight.data().asnumpy(), other.weight.data().asnumpy())


@pytest.mark.parametrize("name", ["net.params", "optimizer.states", "state.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(trained, tmp_path, name, damage):
    net, trainer = trained()
    older = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    newer = checkpoint.save(str(tmp_path), 4, net, trainer, {}, keep=2)
    file = os.path.join(newer, name)
    data = bytearray(open(file, "rb").read())
    if damage == "gone":
        os.remove(file)
    else:
        data[len(data) // 2] ^= 1
        with open(file, "wb") as out:
            out.write(data if damage == "flipped" else data[: len(data) // 2])
    said = []
    path, state = checkpoint.latest(str(tmp_path), said.append)
    assert path == older and state["step"] == 3
    assert len(said) == 1 and newer in said[0] and "damaged" in said[0]


def test_a_damaged_checkpoint_is_replaced_when_the_run_passes_it_again(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 4, net, trainer, {}, keep=2)
    os.remove(os.path.join(path, "net.params"))
    checkpoint.save(str(tmp_path), 4, net, trainer, {}, keep=2)
    assert checkpoint.latest(str(tmp_path))[1]["step"] == 4
    assert [name for name in os.listdir(str(tmp_path / "checkpoints"))] == ["step-00000004"]


def test_half_written_checkpoints_are_nothing(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    shutil.copytree(path, str(tmp_path / "checkpoints" / ".writing-step-00000009"))
    assert checkpoint.latest(str(tmp_path))[0] == path
    assert checkpoint.latest(str(tmp_path / "nothing")) is None


def test_old_checkpoints_go_and_the_best_stays(trained, tmp_path):
    net, trainer = trained()
    for number in range(1, 6):
        path = checkpoint.save(str(tmp_path), number, net, trainer, {}, keep=2)
        if number == 2:
            checkpoint.mark_best(str(tmp_path), path)
    assert [os.path.basename(p) for p in checkpoint.checkpoints(str(tmp_path))] == [
        "step-0000000{}".format(i) for i in (5, 4, 2)
    ]
    assert checkpoint.read_state(str(tmp_path / "best"))["step"] == 2


SECOND_SAVE = """
import os, resource, sys
import mxnet as mx
from mxnet import gluon
from gluon_tricks.training import checkpoint
net = gluon.nn.Dense(1000, in_units=1000)
net.initialize()
trainer = gluon.Trainer(net.collect_params(), "nag", dict(momentum=0.9), update_on_kvstore=False)
with mx.autograd.record():
    loss = net(mx.nd.ones((1, 1000)))
loss.backward()
trainer.step(1)
checkpoint.save(sys.argv[1], 1, net, trainer, {}, keep=2)
if sys.argv[2] == "read-only":
    os.chmod(os.path.join(sys.argv[1], "checkpoints"), 0o555)
    if not os.getuid():
        os.setuid(65534)  # root may write everywhere
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    checkpoint.save(sys.argv[1], 2, net, trainer, {}, keep=2)
except checkpoint.CheckpointError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", ["100", "1000000", "4001000", "read-only"])
def test_a_full_or_read_only_disc_is_an_error_and_earlier_checkpoints_stay_whole(tmp_path, room):
    """A limit on the size of files stands in for the full disc; MXNet's C++ and Python both meet it."""
    assert resource.RLIM_INFINITY in resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run(
        [sys.executable, "-c", SECOND_SAVE, str(tmp_path), room],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 7, done.stderr
    assert (
        "cannot write the checkpoint of step 2" in done.stdout
        and "earlier checkpoints are whole" in done.stdout
    )
    (tmp_path / "checkpoints").chmod(0o755)
    assert checkpoint.latest(str(tmp_path))[1]["step"] == 1
    assert os.listdir(str(tmp_path / "checkpoints")) == ["step-00000001"]


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        checkpoint.read_state(str(tmp_path))
    (tmp_path / "state.json").write_text(json.dumps(dict(format=99, sha256={})))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.read_state(str(tmp_path))
