"""Checkpoints: loaded to the bit, found if damaged, replaced, removed; the best one stays."""

import json
import os
import random
import resource
import shutil
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluon_tricks.training import checkpoint, checkpoint_arrays, running_statistics
from gluon_tricks.training.checkpoint import CheckpointError
from gluon_tricks.training.checkpoint_state import read_log
from gluon_tricks.tricks.lamb import Lamb


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
            net.collect_params(),
            optimizer,
            dict(learning_rate=0.1, momentum=0.9),
            update_on_kvstore=False,
        )
        for number in range(steps):
            step(net, trainer, number)
        return net, trainer

    return make


def step(net, trainer, number, shape=(5, 3), **keywords):
    """One update with an input drawn from the seed ``number``; ``keywords``: of its NDArray."""
    x = mx.nd.array(np.random.RandomState(number).randn(*shape), **keywords)
    with autograd.record():
        loss = (net(x) ** 2).sum()
    loss.backward()
    trainer.step(len(x))


def values(net):
    return [p.data().asnumpy() for p in net.collect_params().values()]


@pytest.mark.parametrize("optimizer", ["nag", "sgd"])
def test_what_was_loaded_goes_on_like_what_was_saved(trained, tmp_path, optimizer):
    net, trainer = trained(optimizer)
    path = checkpoint.save(str(tmp_path), 3, net, trainer, dict(note=1.25), keep=2)
    other, its_trainer = trained(optimizer, steps=0)
    state = checkpoint.read_state(path)
    checkpoint_arrays.load(path, state, other, its_trainer, [mx.cpu()])
    assert state["step"] == 3 and state["note"] == 1.25
    for number in (3, 4):
        step(net, trainer, number)
        step(other, its_trainer, number)
    for a, b in zip(values(net), values(other)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", [mx.cpu(0), mx.cpu(1)])
def test_updates_are_counted_on_whatever_device_goes_on(tmp_path, device):
    """LAMB's bias correction needs the count. One of Horovod's workers has only the second GPU."""

    def made():
        mx.random.seed(1)
        net = gluon.nn.Dense(2, in_units=3, prefix="dense_")
        net.initialize(mx.init.Xavier(), ctx=[device])
        optimizer = Lamb(learning_rate=0.1)
        return net, gluon.Trainer(net.collect_params(), optimizer, update_on_kvstore=False)

    net, trainer = made()
    for number in range(3):
        step(net, trainer, number, ctx=device)
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    other, its_trainer = made()
    state = checkpoint.read_state(path)
    checkpoint_arrays.load(path, state, other, its_trainer, [device])
    step(net, trainer, 3, ctx=device)
    step(other, its_trainer, 3, ctx=device)
    for a, b in zip(values(net), values(other)):
        np.testing.assert_array_equal(a, b)


def test_float16_weights_keep_their_float32_master_copies(tmp_path):
    """Without a convolution or dense layer, which have no float16 on a CPU."""

    class Scale(gluon.HybridBlock):
        def __init__(self):
            super().__init__(prefix="scale_")
            self.weight = self.params.get(
                "weight", shape=(6,), init=mx.init.Uniform(1), dtype="float16"
            )

        def hybrid_forward(self, F, x, weight):
            return F.sum(F.broadcast_mul(x, weight), axis=1)

    def make():
        mx.random.seed(2)
        net = Scale()
        net.initialize()
        settings = dict(learning_rate=0.01, momentum=0.9, multi_precision=True)
        return net, gluon.Trainer(net.collect_params(), "nag", settings, update_on_kvstore=False)

    def go(net, trainer, number):
        step(net, trainer, number, shape=(4, 6), dtype="float16")

    net, trainer = make()
    for number in range(3):
        go(net, trainer, number)
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=1)
    other, its_trainer = make()
    checkpoint_arrays.load(path, checkpoint.read_state(path), other, its_trainer, [mx.cpu()])
    assert any(
        array.dtype == np.float32
        for array in mx.nd.load(os.path.join(path, "optimizer.states")).values()
    )
    for number in range(3, 6):
        go(net, trainer, number)
        go(other, its_trainer, number)
        np.testing.assert_array_equal(net.weight.data().asnumpy(), other.weight.data().asnumpy())


@pytest.mark.parametrize("name", ["net.params", "optimizer.states", "state.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    trained, tmp_path, name, damage
):
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


def rewrite(path, change, seal=False):
    """Change the state.json of a checkpoint, with or without a new checksum."""
    file = os.path.join(path, "state.json")
    with open(file) as opened:
        state = json.load(opened)
    change(state)
    with open(file, "w") as out:
        json.dump(checkpoint.seal(state) if seal else state, out, indent=1)


@pytest.mark.parametrize(
    "change",
    [
        dict(step=4),
        dict(num_update=5),
        dict(note=1.5),
        dict(note=float("inf")),
        dict(sha256=None),
        dict(sha256=[]),
        dict(format=3),
        dict(format="4"),
        dict(checksum=None),
    ],
    ids=str,
)
def test_one_checksum_covers_all_that_is_in_a_checkpoint(trained, tmp_path, change):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, dict(note=1.25), keep=2)
    rewrite(path, lambda state: state.update(change))
    with pytest.raises(CheckpointError, match=f"{path} is damaged"):
        checkpoint.read_state(path)


def test_every_flipped_bit_of_a_checkpoint_is_found(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, dict(note=1.25), keep=2, log=b"{}\n")
    whole = checkpoint.read_state(path)
    for name in os.listdir(path):
        file = os.path.join(path, name)
        with open(file, "rb") as opened:
            data = opened.read()
        for place in random.Random(0).sample(range(8 * len(data)), min(8 * len(data), 60)):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            with open(file, "wb") as out:
                out.write(flipped)
            try:
                assert checkpoint.read_state(path) == whole  # the bit was in white space
            except CheckpointError as error:
                assert "\n" not in str(error)
        with open(file, "wb") as out:
            out.write(data)


def test_a_checkpoint_in_the_folder_of_another_step_is_damaged(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    os.rename(path, checkpoint.path_of(str(tmp_path), 5))
    assert checkpoint.latest(str(tmp_path), print) is None
    moved = os.rename(checkpoint.path_of(str(tmp_path), 5), str(tmp_path / "mine")) or str(
        tmp_path / "mine"
    )
    assert checkpoint.read_state(moved)["step"] == 3  # where the name says nothing


STATE = dict(
    epoch=1,
    steps_per_epoch=3,
    global_batch=8,
    log_bytes=0,
    best=None,
    seconds=1.5,
    training_seconds=1.0,
    bad_records=0,
    validated=None,
    intervals=[dict(loss=0.5, top1=1, top5=2, images=8)],
    epochs_so_far=[dict(loss=0.0, top1=0, top5=0, images=0)],
    loss_scale=dict(scale=1.0, good_steps=0, skipped=0, skipped_in_a_row=0),
)


def as_older_version(state):
    """What format 3 had."""
    for name in ("checksum", "awaits_validation"):
        state.pop(name, None)
    state["sha256"].pop("log.jsonl")
    state["format"] = 3


def test_checkpoints_of_the_version_before_are_read(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, STATE, keep=2, log=b"{}\n")
    rewrite(path, as_older_version)
    os.remove(os.path.join(path, "log.jsonl"))
    state = checkpoint.read_state(path)
    assert state["step"] == 3 and read_log(path, state) is None
    other, its_trainer = trained(steps=0)
    checkpoint_arrays.load(path, state, other, its_trainer, [mx.cpu()])
    for a, b in zip(values(net), values(other)):
        np.testing.assert_array_equal(a, b)


WRONG = dict(
    step=[None, -1, 3.0, True, "3", 10**30],
    num_update=[None, [3]],
    sha256=[None, {}, {"net.params": 1}, {"../net.params": "0"}],
    steps_per_epoch=[0, None],
    global_batch=[0, "8"],
    log_bytes=[-1, None],
    seconds=[float("nan"), "1"],
    training_seconds=[float("inf")],
    best=[{}, 3, dict(top1=1.0, top5=1.0, loss=1.0, images=1)],
    validated=[[], dict(top1="1", top5=1.0, loss=1.0, images=1)],
    intervals=[None, [], [{}], [dict(loss=0.5, top1=1.5, top5=2, images=8)]],
    epochs_so_far=[{}, [None]],
    loss_scale=[None, {}, dict(scale=float("inf"), good_steps=0, skipped=0, skipped_in_a_row=0)],
    bad_records=[-1],
)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "of the version before"])
def test_values_that_cannot_be_are_damage_too(trained, tmp_path, sealed):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, STATE, keep=2)
    if not sealed:
        rewrite(path, as_older_version)
    with open(os.path.join(path, "state.json")) as file:
        whole = json.load(file)
    for name, values_ in WRONG.items():
        for value in values_:
            rewrite(path, lambda state: state.update({**whole, name: value}), seal=sealed)
            with pytest.raises(CheckpointError, match="is damaged"):
                checkpoint.read_state(path)
        if not sealed:
            rewrite(path, lambda state: (state.update(whole), state.pop(name)))
            with pytest.raises(CheckpointError, match="is damaged"):
                checkpoint.read_state(path)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "[" * 100000, '{"format": 4}', "\x00\xff"])
def test_a_state_of_another_kind_is_damage(trained, tmp_path, text):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    with open(os.path.join(path, "state.json"), "w") as file:
        file.write(text)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.read_state(path)


def test_what_becomes_known_later_is_added_or_not_at_all(trained, tmp_path, monkeypatch):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, dict(note=1), keep=2, log=b"one\n")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "_write_state", lambda *given: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            checkpoint.amend(path, b"one\ntwo\n", note=2)
    state = checkpoint.read_state(path)
    assert state["note"] == 1 and read_log(path, state) == b"one\n"
    checkpoint.amend(path, b"one\ntwo\n", note=2)
    state = checkpoint.read_state(path)
    assert state["note"] == 2 and read_log(path, state) == b"one\ntwo\n"


@pytest.mark.parametrize("contexts", [1, 3, 8])
def test_a_checkpoint_of_several_devices_holds_the_weights_of_one_to_the_bit(tmp_path, contexts):
    """MXNet's own save_parameters would give (w + ... + w) / n, which is another number for n = 3,
    5, 6, 7 and 8.
    """
    devices = [mx.cpu(i) for i in range(contexts)]
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(40, in_units=30), gluon.nn.BatchNorm(in_channels=40))
    net.initialize(mx.init.Xavier(), ctx=devices)
    trainer = gluon.Trainer(
        net.collect_params(), "nag", dict(momentum=0.9), update_on_kvstore=False
    )
    for device in devices:  # equal on all devices, and no round numbers
        running_statistics.put_statistics(
            net, device, np.random.RandomState(0).rand(80).astype("float32")
        )
    path = checkpoint.save(str(tmp_path), 0, net, trainer, {}, keep=1)
    saved = mx.nd.load(os.path.join(path, "net.params"))
    for name, parameter in net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(saved[name].asnumpy(), parameter.data(devices[0]).asnumpy())
        assert saved[name].context == mx.cpu(0)
    own = np.stack(
        [running_statistics.flat(running_statistics.arrays_of(net, device)) for device in devices]
    )
    np.testing.assert_array_equal(running_statistics.mean_statistics(own), own[0])
    different = own * np.arange(contexts)[:, None]
    np.testing.assert_allclose(
        running_statistics.mean_statistics(different), own[0] * (contexts - 1) / 2, rtol=1e-6
    )


def test_a_checkpoint_of_another_network_is_named(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    other = gluon.nn.Dense(3, in_units=2)
    other.initialize()
    its_trainer = gluon.Trainer(
        other.collect_params(), "nag", dict(momentum=0.9), update_on_kvstore=False
    )
    with pytest.raises(CheckpointError, match="does not fit the network"):
        checkpoint_arrays.load(path, checkpoint.read_state(path), other, its_trainer, [mx.cpu()])


# -- RUN/best


@pytest.mark.parametrize("kind", ["link", "folder", "file", "dead link", "nothing"])
def test_the_best_checkpoint_is_found_and_marked_whatever_best_has_become(
    trained, tmp_path, monkeypatch, kind
):
    """A folder after a copy that follows links; a file where there are no links."""
    net, trainer = trained()
    first, second = (
        checkpoint.save(str(tmp_path), step, net, trainer, {}, keep=5) for step in (1, 2)
    )
    if kind == "file":
        monkeypatch.setattr(
            os, "symlink", lambda *given: (_ for _ in ()).throw(OSError("no links here"))
        )
    checkpoint.mark_best(str(tmp_path), first)
    mark = tmp_path / "best"
    assert mark.is_file() == (kind == "file")
    if kind == "folder":
        mark.unlink()
        shutil.copytree(first, str(mark))
    if kind == "dead link":
        shutil.rmtree(first)
    if kind == "nothing":
        mark.unlink()
    found = checkpoint.best(str(tmp_path))
    assert (found is None) == (kind in ("dead link", "nothing"))
    assert found is None or checkpoint.read_state(found)["step"] == 1
    checkpoint.mark_best(str(tmp_path), second)
    assert checkpoint.read_state(checkpoint.best(str(tmp_path)))["step"] == 2
    checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=1)
    assert checkpoint.read_state(checkpoint.best(str(tmp_path)))["step"] == 2
    assert sorted(name for name in os.listdir(str(tmp_path))) == ["best", "checkpoints"]


@pytest.mark.parametrize("text", ["", "/etc", "../..", "checkpoints/step-00000009", "\x00"])
def test_a_damaged_mark_leads_nowhere(tmp_path, text):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "best").write_text(text)
    assert checkpoint.best(str(tmp_path)) is None


def test_what_a_killed_run_left_half_written_goes(trained, tmp_path):
    net, trainer = trained()
    path = checkpoint.save(str(tmp_path), 3, net, trainer, {}, keep=2)
    for name in (".writing-step-00000004", "step-00000002.old"):
        shutil.copytree(path, str(tmp_path / "checkpoints" / name))
    for name in ("best.new", "config.json.new", "checkpoints/step-00000003/state.json.new"):
        (tmp_path / name).write_text("half")
    (tmp_path / "notes.new").write_text("of the user")
    checkpoint.remove_half_written(str(tmp_path))
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    files = ["log.jsonl", "net.params", "optimizer.states", "state.json"]
    assert left == [os.path.join("checkpoints", "step-00000003", name) for name in files] + [
        "notes.new"
    ]


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
        f"step-0000000{i}" for i in (5, 4, 2)
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
def test_a_full_or_read_only_disk_is_an_error_and_earlier_checkpoints_stay_whole(tmp_path, room):
    """A limit on the size of files stands in for the full disk; MXNet's C++ and Python both meet
    it.
    """
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
    assert "Check failed" not in done.stdout
    (tmp_path / "checkpoints").chmod(0o755)
    assert checkpoint.latest(str(tmp_path))[1]["step"] == 1
    assert os.listdir(str(tmp_path / "checkpoints")) == ["step-00000001"]


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        checkpoint.read_state(str(tmp_path))
    (tmp_path / "state.json").write_text(json.dumps(dict(format=99, sha256={})))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.read_state(str(tmp_path))
