"""Updates under float16: what counts and what is dropped, against MXNet's own mixed-precision
updates and a model in numpy, without a wait; and what follows an update.
"""

import contextlib

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import FLAGS, parse
from gluon_tricks.training import checkpoint, update
from gluon_tricks.training.feeding import placed
from gluon_tricks.training.master_copy import MasterCopy, arrays_in
from gluon_tricks.training.run import build
from gluon_tricks.training.step import train_step
from gluon_tricks.tricks.lars import Lars
from gluon_tricks.tricks.momentum import Momentum
from gluon_tricks.tricks.precision import LossScale

SHAPES = dict(weight=(3, 4, 1, 1), dense_weight=(2, 5), bias=(7,), gamma=(3,))
RATE, MOMENTUM, DECAY = 0.3, 0.9, 0.01


def parameters(dtype="float16"):
    """Weights and biases of ``dtype`` and a float32 gamma, two without decay and one that learns
    faster.
    """
    made = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        kind = "float32" if name == "gamma" else dtype
        made[name] = p = mx.gluon.Parameter(name, shape=shape, dtype=kind)
        p.wd_mult, p.lr_mult = float("weight" in name), 2.0 if name == "bias" else 1.0
        p.initialize()
        value = np.random.RandomState(number).normal(size=shape).astype("float16")
        p.set_data(mx.nd.array(value, dtype=kind))
    return made


def trainer(made, optimizer):
    return mx.gluon.Trainer(list(made.values()), optimizer, update_on_kvstore=False)


def nag(**settings):
    settings = dict(dict(learning_rate=RATE, momentum=MOMENTUM, wd=DECAY), **settings)
    return mx.optimizer.NAG(multi_precision=True, **settings)


def gradients(step, bad=()):
    """Scaled float16 gradients of a step; with an infinite or a NaN element in ``bad`` steps."""
    random = np.random.RandomState(100 + step)
    made = {name: random.normal(size=shape).astype("float16") for name, shape in SHAPES.items()}
    if step in bad:
        made[list(SHAPES)[step % 4]].flat[-1] = (np.nan, np.inf, -np.inf)[step % 3]
    return made


def take(made, values):
    for name, p in made.items():
        p.grad()[:] = mx.nd.array(values[name], dtype=p.dtype)


def values(made):
    return {name: p.data().asnumpy() for name, p in made.items()}


def begin(made, optimizer, scale):
    """A MasterCopy of the parameters."""
    ours = trainer(made, optimizer)
    ours._init_kvstore()
    return MasterCopy(ours, 0, scale), ours


BAD = (0, 3, 4, 5, 9)


def test_nag_with_a_master_copy_and_a_dynamic_scale_is_that_of_the_formulas():
    ours = parameters()
    copy, _ = begin(ours, nag(), LossScale("dynamic", growth=2))
    w = {name: value.astype("float32") for name, value in values(ours).items()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    scale, good = np.float32(2**16), 0
    for step in range(12):
        take(ours, gradients(step, BAD))
        counted = copy.update().asscalar()
        assert counted == (step not in BAD)
        for name, gradient in gradients(step).items() if counted else ():
            rate = np.float32(RATE * ours[name].lr_mult)
            decay = np.float32(DECAY * ours[name].wd_mult)
            g = gradient.astype("float32") / scale
            # v = m v - rate (g + decay w), and w moves by m v - rate (g + decay w)
            v[name] = np.float32(MOMENTUM) * v[name] - rate * (g + decay * w[name])
            moved = w[name] + np.float32(MOMENTUM) * v[name] - rate * (g + decay * w[name])
            # MXNet's own: the momentum is made with the new weights' decay
            v[name] += rate * decay * (w[name] - moved)
            w[name] = moved
        good = good + 1 if counted else 0
        scale = scale * 2 if good and good % 2 == 0 else scale / 2 if not counted else scale
        assert copy.scale.value.asscalar() == scale
        for name, found in values(ours).items():
            np.testing.assert_allclose(found, w[name].astype(found.dtype), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("scale", [128.0, 1000.0, "dynamic"])
@pytest.mark.parametrize(
    "optimizer",
    [
        nag,
        lambda: nag(momentum=0.0),
        lambda: mx.optimizer.SGD(0.9, learning_rate=RATE, wd=DECAY, multi_precision=True),
        lambda: mx.optimizer.SGD(0.0, learning_rate=RATE, wd=DECAY, multi_precision=True),
        lambda: Momentum(0.9, True, learning_rate=RATE, wd=DECAY, multi_precision=True),
        lambda: Lars(0.9, 0.1, learning_rate=RATE, wd=DECAY, multi_precision=True),
    ],
    ids=["nag", "nag without momentum", "sgd", "sgd without momentum", "nag, outside", "lars"],
)
def test_the_bits_are_those_of_mxnets_updates_of_each_array_in_good_steps_alone(optimizer, scale):
    ours, theirs = parameters(), parameters()
    host = LossScale(scale, growth=2)
    copy, our_trainer = begin(ours, optimizer(), LossScale(scale, growth=2))
    their_trainer = trainer(theirs, optimizer())
    for step in range(12):
        take(ours, gradients(step, BAD))
        counted = bool(copy.update().asscalar())
        if counted:
            with mx.autograd.record():
                loss = sum(p.data().sum().astype("float32") for p in theirs.values())
            loss.backward()  # without one, the trainer calls the gradients stale
            take(theirs, gradients(step))
            their_trainer.update(host.scale)
        host.update(counted)
        for name, found in values(ours).items():
            np.testing.assert_array_equal(found, theirs[name].data().asnumpy())
    assert host.skipped == len(BAD)
    for index, state in their_trainer._updaters[0].states.items():
        found = our_trainer._updaters[0].states[index]
        found, state = arrays_in(found), arrays_in(state)
        assert len(found) == len(state)
        for a, b in zip(found, state):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_an_optimizer_that_needs_the_norm_of_each_array_updates_array_by_array():
    def lamb():
        return mx.optimizer.LAMB(RATE, bias_correction=False, wd=DECAY, multi_precision=True)

    ours, alone = parameters(), parameters("float32")
    copy, _ = begin(ours, lamb(), LossScale(1.0))
    plain = lamb()
    plain.param_dict = dict(enumerate(alone.values()))
    updater = mx.optimizer.get_updater(plain)
    for step in range(6):
        take(ours, gradients(step, BAD))
        if copy.update().asscalar():
            for index, (name, p) in enumerate(alone.items()):
                gradient = mx.nd.array(gradients(step)[name], dtype="float32")
                updater(index, gradient, p.data())
    for name, found in values(ours).items():
        np.testing.assert_allclose(found, alone[name].data().asnumpy(), rtol=6e-4, atol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", list(SHAPES))
def test_one_bad_element_in_any_array_drops_the_whole_update(bad, name):
    made = parameters()
    before = values(made)
    copy, ours = begin(made, nag(), LossScale("dynamic"))
    wrong = gradients(0)
    wrong[name].flat[0] = bad
    take(made, wrong)
    assert copy.update().asscalar() == 0
    for found, was in zip(values(made).values(), before.values()):
        np.testing.assert_array_equal(found, was)
    momenta = [
        array if isinstance(array, mx.nd.NDArray) else array[0]
        for array in ours._updaters[0].states.values()
    ]
    assert not any(array.asnumpy().any() for array in momenta)


def test_the_largest_float16_is_finite_in_many_arrays():
    made = {str(n): mx.gluon.Parameter(str(n), shape=(2,), dtype="float16") for n in range(300)}
    for p in made.values():
        p.initialize()
        p.grad()[:] = 65504
    assert begin(made, nag(), LossScale(1.0))[0].update().asscalar() == 1


def test_the_master_copy_keeps_updates_that_float16_would_lose():
    made = parameters()
    before = values(made)
    copy, _ = begin(made, nag(learning_rate=1.0, momentum=0.0, wd=0.0), LossScale(1.0))
    tiny = {name: np.full(shape, 1e-4) for name, shape in SHAPES.items()}  # below the spacing at 1
    for _ in range(100):
        take(made, tiny)
        copy.update()
    moved = before["weight"].astype("float32") - values(made)["weight"].astype("float32")
    np.testing.assert_allclose(moved, 0.01, atol=1.5e-3)


# -- within a run


class Tiles(mx.gluon.HybridBlock):
    """The mean of each of 4 x 4 tiles and a product with a matrix, of operators that have float16
    on a CPU.
    """

    def __init__(self, name, classes):
        super().__init__(prefix=name + "_")
        with self.name_scope():
            self.pool = mx.gluon.nn.AvgPool2D(8)
            self.weight = self.params.get("weight", shape=(classes, 48), init=mx.init.Uniform(0.1))

    def hybrid_forward(self, F, x, weight):
        pooled = self.pool(x).reshape((0, 1, -1))
        return F.sum(F.broadcast_mul(pooled, weight.expand_dims(0)), axis=2)


@pytest.fixture
def small(tmp_path):
    """``small(*words)``: the run of a tiny network on synthetic images, built."""
    from gluon_tricks.models import registry

    registry.register("tiles")(Tiles)
    words = "--model tiles --classes 4 --input-size 32 --batch-size 8 --synthetic 48 "
    words += f"--num-epochs 1 --save-dir {tmp_path}/run"
    with contextlib.ExitStack() as stack:

        def make(*more):
            run = build(parse(words.split() + list(more)))
            stack.callback(run.close)
            return run

        yield make
    del registry._networks["tiles"]


def test_a_float16_step_waits_for_nothing(small, monkeypatch):
    run = small("--dtype", "float16", "--mixup", "--label-smoothing")
    batches = placed(run.data.train.batches(0, 3), run.layout, run.workers.devices, 0)
    train_step(run.learner, run.layout, run.workers.devices, next(batches), 0)

    def refuse(*args):
        raise AssertionError("the step waits")

    for name in ("asnumpy", "asscalar", "wait_to_read"):
        monkeypatch.setattr(mx.nd.NDArray, name, refuse)
    monkeypatch.setattr(mx.nd, "waitall", refuse)
    result = train_step(run.learner, run.layout, run.workers.devices, next(batches), 1)
    monkeypatch.undo()
    assert result.counted.asscalar() == 1


@pytest.mark.parametrize("optimizer, counted", [("nag", 0), ("lamb", 3)])
def test_updates_that_were_dropped_count_only_if_the_optimizer_needs_their_number(
    small, optimizer, counted
):
    run = small("--dtype", "float16", "--loss-scale", "1e9", "--optimizer", optimizer)
    learner = run.learner
    batches = placed(run.data.train.batches(0, 6), run.layout, run.workers.devices, 0)
    results = [
        train_step(learner, run.layout, run.workers.devices, next(batches), step)
        for step in range(3)
    ]
    for step, result in enumerate(results):
        learner.update.receive(result.counted, step)
    assert learner.trainer.optimizer.num_update == counted
    assert learner.update.loss_scale.skipped == 3


def test_every_optimizer_of_the_flag_is_registered():
    assert set(update.OPTIMIZERS) == set(FLAGS["optimizer"].metadata["choices"])


class Latest:
    """Follows every update with the parameters before it, and shows them instead."""

    name = "latest"
    made = []

    @classmethod
    def from_config(cls, config, layout, timetable):
        cls.made.append(cls())
        return cls.made[-1]

    def begin(self, net, workers, running, saved):
        self.weight, self.calls = net.weight.data(workers.devices[0]), []
        self.other = self.weight.copy()
        if saved:
            self.other = saved["weight"]
            self._swap()

    def __call__(self, step, counted):
        self.calls.append((step, counted))
        self.other = self.weight * 0 + step

    def arrays(self):
        return dict(weight=self.other)

    def _swap(self):
        other = self.weight.copy()
        self.other.copyto(self.weight)
        self.other = other

    @contextlib.contextmanager
    def in_place(self):
        self._swap()
        yield
        self._swap()


def test_what_follows_an_update_is_saved_shown_and_resumed(small, monkeypatch, tmp_path):
    from gluon_tricks.training.run import finish

    monkeypatch.setattr(update, "AFTER_UPDATE", [Latest])
    run = small("--val-frequency", "1", "--max-steps", "3")
    finish(run)
    run.close()
    assert Latest.made[-1].calls == [(0, None), (1, None), (2, None)]
    path, _ = checkpoint.latest(str(tmp_path / "run"))
    saved = mx.nd.load(path + "/net.params")["weight"].asnumpy()
    assert (saved == 2).all()
    weight = run.learner.net.weight.data().asnumpy()
    assert (weight != 2).all()

    going_on = small("--resume", "auto")
    np.testing.assert_array_equal(going_on.learner.net.weight.data().asnumpy(), weight)
    assert (Latest.made[-1].other.asnumpy() == 2).all()
    finish(going_on)  # with the validation of the one epoch
    assert [step for step, _ in Latest.made[-1].calls] == [3, 4, 5]
    shown = mx.nd.load(checkpoint.latest(str(tmp_path / "run"))[0] + "/net.params")["weight"]
    assert (shown.asnumpy() == 5).all()
    assert going_on.progress.validated["images"]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_gradient_is_no_longer_than_clip_norm(small, dtype):
    words = "--optimizer sgd --momentum 0 --wd 0 --lr 1 --lr-mode constant --cpu-contexts 2"
    run = small(*words.split(), "--batch-size", "4", "--clip-norm", "0.01", "--dtype", dtype)
    weight = run.learner.net.weight
    before = weight.list_data()[0].asnumpy().astype("float64")
    devices = run.workers.devices
    batches = placed(run.data.train.batches(0, 1), run.layout, devices, 0)
    train_step(run.learner, run.layout, devices, next(batches), 0)
    for data in weight.list_data():
        moved = np.linalg.norm(data.asnumpy() - before)
        assert moved == pytest.approx(0.01, rel=1e-4 if dtype == "float32" else 0.02)


@pytest.mark.parametrize(
    "words",
    ["--optimizer lamb --clip-norm 0.1", "--optimizer lars --lr 5", "--momentum-form outside"],
)
def test_a_float16_run_with_an_average_resumes_to_the_bit(small, tmp_path, words):
    from gluon_tricks.training.run import finish

    words = words.split() + ["--dtype", "float16", "--ema", "0.9", "--log-interval", "1"]
    for folder, stops in (("whole", []), ("stopped", ["2", "3"])):
        for stop in (*stops, "0"):
            more = ["--save-dir", str(tmp_path / folder), "--resume", "auto", "--max-steps", stop]
            run = small(*words, *more)
            finish(run)
            run.close()
    weight = run.learner.net.weight.data().asnumpy()
    saved = [checkpoint.latest(str(tmp_path / folder))[0] + "/" for folder in ("whole", "stopped")]
    for name in ("net.params", "optimizer.states", "log.jsonl"):
        whole, stopped = (open(path + name, "rb").read() for path in saved)
        assert whole == stopped, name
    average = mx.nd.load(saved[0] + "net.params")["weight"].asnumpy()
    assert average.dtype == np.float16 and (average != weight).any()
