"""The average of the weights against numpy, on runs: what is saved, validated and resumed."""

import dataclasses
import math

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import open_model
from gluon_tricks.deploy.evaluation import evaluate
from gluon_tricks.errors import UserError
from gluon_tricks.training.log_files import read
from gluon_tricks.training.run import build
from gluon_tricks.tricks.ema import follow, half_life

DECAY, EVERY = 0.9, 2


def test_the_average_is_the_formula_for_more_arrays_than_one_call_takes():
    random = np.random.RandomState(0)
    start = [random.normal(size=(i % 3 + 1, 2)) for i in range(100)]
    averages, expected = [mx.nd.array(array) for array in start], start
    for _ in range(5):
        values = [random.normal(size=array.shape) for array in start]
        follow(averages, [mx.nd.array(value) for value in values], DECAY)
        expected = [DECAY * a + (1 - DECAY) * w for a, w in zip(expected, values)]
    for average, value in zip(averages, expected):
        np.testing.assert_allclose(average.asnumpy(), value, atol=1e-6)


def test_an_average_of_weights_that_do_not_move_does_not_move():
    weights = [mx.nd.random.normal(shape=(50,)) for _ in range(3)]
    averages = [weight.copy() for weight in weights]
    follow(averages, weights, 0.7)
    for average, weight in zip(averages, weights):
        np.testing.assert_array_equal(average.asnumpy(), weight.asnumpy())


def test_float16_weights_have_a_float32_average():
    average = [mx.nd.ones(1)]
    for _ in range(100):
        follow(average, [mx.nd.full((1,), 2, dtype="float16")], 0.9999)
    assert average[0].asscalar() == pytest.approx(2 - 0.9999**100, abs=1e-5)


def test_half_life():
    # torchvision's recipe: 1 - d = 2e-5 x batch x 32 / epochs, every 32 updates of 1024 images
    updates = half_life(1 - 2e-5 * 1024 * 32 / 600, 32) / 32
    assert updates == pytest.approx(635, abs=1)
    assert updates * 32 / (1281167 / 1024) == pytest.approx(16, abs=0.5)
    assert 0.9 ** (half_life(0.9)) == pytest.approx(0.5) and math.isfinite(half_life(0.99998))


def arrays(path, name="net.params"):
    return {key: value.asnumpy() for key, value in mx.nd.load(str(path / name)).items()}


def test_an_average_that_would_follow_nothing_is_refused(train):
    with pytest.raises(UserError, match="--ema-every 17 is more than the 16 steps"):
        train(ema=0.9, ema_every=17)


@pytest.mark.slow
@pytest.mark.parametrize(
    "launch",
    [dict(), dict(cpu_contexts=2, accumulate=2, batch_size=2)],
    ids=["one part", "four parts"],
)
def test_a_run_saves_the_average_of_its_weights_and_statistics(train, tmp_path, launch):
    flags = dict(num_epochs=1, warmup_epochs=0.25, **launch)  # 8 steps, 2 of warmup
    flags.update(save_interval=1, keep_checkpoints=8)
    train(save_dir=str(tmp_path / "plain"), **flags)
    averaged = dict(flags, ema=DECAY, ema_every=EVERY)
    whole = train(save_dir=str(tmp_path / "whole"), **averaged)
    rec = whole.config.rec_val

    plain = [tmp_path / "plain" / "checkpoints" / f"step-{n:08d}" for n in range(1, 9)]
    average = arrays(plain[1])  # the last step of the warmup
    for path in plain[3::EVERY]:
        for name, weights in arrays(path).items():
            average[name] = DECAY * average[name] + (1 - DECAY) * weights
    last = tmp_path / "whole" / "checkpoints" / "step-00000008"
    saved = arrays(last)
    assert any("running_var" in name for name in saved)
    for name, value in saved.items():
        np.testing.assert_allclose(value, average[name], rtol=2e-5, atol=2e-6, err_msg=name)

    # training continues from the same weights as without the average
    states, theirs = arrays(last, "optimizer.states"), arrays(plain[-1], "optimizer.states")
    assert all(np.array_equal(states[name], value) for name, value in theirs.items())
    weights = arrays(plain[-1])
    mine = {name[len("ema/weights/") :]: v for name, v in states.items() if "/weights/" in name}
    assert mine and all(np.array_equal(value, weights[name]) for name, value in mine.items())

    # the average was validated, and evaluate uses it
    figures = evaluate(open_model(str(last)), rec, rec[:-4] + ".idx")
    validated = read(str(tmp_path / "whole" / "log.jsonl"))[-1]
    assert validated["event"] == "validation" and validated["top1"] == figures["top1"]

    folder = tmp_path / "stopped"
    for stop in (1, 4):
        train(save_dir=str(folder), max_steps=stop, resume="auto", **averaged)
    train(save_dir=str(folder), resume="auto", **averaged)
    resumed = folder / "checkpoints" / "step-00000008"
    for name in ("net.params", "optimizer.states"):
        assert (resumed / name).read_bytes() == (last / name).read_bytes()
    assert (folder / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


@pytest.mark.slow
def test_an_average_goes_on_with_other_parts(train, tmp_path):
    """On one device instead of two, each of which had its own statistics."""
    flags = dict(num_epochs=1, cpu_contexts=2, batch_size=4, ema=DECAY, resume="auto")
    first = train(max_steps=3, elastic="scale-lr", **flags)
    path = tmp_path / "run" / "checkpoints" / "step-00000003"
    average, states = arrays(path), arrays(path, "optimizer.states")
    weights = {n[len("ema/weights/") :]: v for n, v in states.items() if "/weights/" in n}

    run = build(dataclasses.replace(first.config, cpu_contexts=1, max_steps=0))
    try:
        net = run.learner.net._collect_params_with_prefix()
        statistics = {name: p for name, p in sorted(net.items()) if p.grad_req == "null"}
        for name, value in weights.items():
            np.testing.assert_array_equal(net[name].data().asnumpy(), value)
        flat = np.concatenate([p.data().asnumpy().ravel() for p in statistics.values()])
        np.testing.assert_array_equal(flat, states["ema/statistics"])
        with run.averaged_statistics():
            for name, value in average.items():
                np.testing.assert_array_equal(net[name].data().asnumpy(), value)
    finally:
        run.close()
