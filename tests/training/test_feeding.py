"""Batches on their way to the devices, and the time that the loop waits for them."""

import gc
import time
import weakref

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.data.batches import Batch
from gluon_tricks.distributed.layout import Layout
from gluon_tricks.training import feeding
from gluon_tricks.training.feeding import WaitingTime, place, placed, steps_ahead
from gluon_tricks.training.log_files import read

DEVICES = [mx.cpu(0), mx.cpu(1)]


def batch(number, n=8, matrices=False):
    """Images whose pixels are their keys, which are their labels too."""
    keys = np.arange(n * number, n * (number + 1))
    images = np.broadcast_to(keys[:, None, None, None], (n, 3, 2, 2)).astype("float32")
    about = [mx.nd.array(keys)] if matrices else []
    return Batch(mx.nd.array(images), mx.nd.array(keys), keys, n, *about)


def test_each_part_is_on_the_device_that_computes_it():
    layout = Layout(batch_size=2, parts=8, devices=2, workers=2, rank=1)
    found = place(batch(0, matrices=True), layout, DEVICES)
    assert list(found.parts) == [4, 5, 6, 7] and found.keys.tolist() == list(range(8))
    for number, arrays in enumerate(found.parts.values()):
        own = [2 * number, 2 * number + 1]
        for array in arrays:
            assert array.context == DEVICES[number % 2]
            assert array.asnumpy().reshape(2, -1)[:, 0].tolist() == own
    assert place(batch(0), layout, DEVICES).parts[4][2] is None


def test_nothing_is_copied_on_one_cpu():
    given = batch(0)
    images, labels, _ = place(given, Layout(8), DEVICES[:1]).parts[0]
    given.images[3], given.labels[3] = -1, -2
    assert (images[3].asnumpy() == -1).all() and labels[3].asscalar() == -2
    assert steps_ahead(DEVICES) == 0 and steps_ahead([mx.gpu(0)]) == 1


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_so_many_batches_are_on_their_way_and_all_come_in_order(ahead):
    taken = []

    def batches():
        for number in range(5):
            taken.append(number)
            yield batch(number)

    for number, found in enumerate(placed(batches(), Layout(8), DEVICES[:1], ahead)):
        assert found.keys[0] == 8 * number
        assert len(taken) == min(5, number + 1 + ahead)
    assert number == 4


@pytest.mark.slow
def test_the_loaders_memory_comes_back_when_a_batch_is_copied():
    in_use = set()

    def batches():
        for number in range(4):
            array = np.full((8, 3, 2, 2), number, "float32")
            in_use.add(number)
            weakref.finalize(array, in_use.discard, number)
            images = mx.nd.from_numpy(array, zero_copy=True)
            del array
            made = Batch(images, mx.nd.zeros(8), np.arange(8), 8)
            del images
            yield made
            del made
            mx.nd.waitall()
            gc.collect()
            assert not in_use

    # as if both were GPUs: nothing on them uses the loader's memory
    layout = Layout(4, parts=2, devices=2)
    assert len(list(placed(batches(), layout, [mx.cpu(1), mx.cpu(2)], 1))) == 4


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(feeding, "time", clock)
    return clock


def run_steps(clock, waiting, loading, computing, steps=50):
    """A loop whose images come every ``loading`` seconds, and whose device takes ``computing``
    seconds for a step, of which two are queued.
    """

    def batches():
        ready = clock.now
        for number in range(steps):
            ready += loading
            clock.now = max(clock.now, ready)
            yield number

    waiting.restart()
    ends = [clock.now] * 3
    for _ in waiting.measured(batches()):
        ends.append(max(ends[-1], clock.now) + computing)
        clock.now = max(clock.now, ends[-3])  # of two steps before
    clock.now = max(clock.now, ends[-1])  # all are finished for a line of the log
    return waiting.share(), waiting.speed(), waiting.advice()


def test_a_loop_that_its_device_holds_up_waits_for_no_data(clock):
    share, speed, advice = run_steps(clock, WaitingTime(), loading=0.02, computing=0.1)
    assert share < 0.02 and speed > 0.97 and advice is None


def test_a_pause_changes_no_share(clock):
    waiting = WaitingTime()
    expected = run_steps(clock, waiting, loading=0.1, computing=0.05)[0]
    with waiting.pause():
        clock.now += 60
    assert waiting.share() == pytest.approx(expected) and 0.5 < expected < 1


def test_a_loop_that_is_held_up_by_data_is_told_once_how_busy_the_devices_are(clock):
    waiting = WaitingTime()
    assert run_steps(clock, waiting, 0.1, 0.04)[2] is None  # the first line counts the start
    share, speed, advice = run_steps(clock, waiting, 0.1, 0.04)
    assert share == pytest.approx(1, abs=0.02) and speed == pytest.approx(0.4, abs=0.02)
    assert "40 % of what they could" in advice
    for word in ("-j", "--device-augment", "restart markers"):
        assert word in advice
    assert run_steps(clock, waiting, 0.1, 0.04)[2] is None


def test_devices_that_are_nearly_always_busy_are_no_reason_for_advice(clock):
    waiting = WaitingTime()
    run_steps(clock, waiting, 0.1, 0.095)
    share, speed, advice = run_steps(clock, waiting, 0.1, 0.095)
    assert share > 0.9 and speed > 0.93 and advice is None


@pytest.mark.slow
def test_a_run_says_what_share_of_its_time_it_waited(train, tmp_path, monkeypatch):
    from gluon_tricks.training import run as module

    made = module._data

    def slow(*given):
        data = made(*given)
        batches = data.train.batches

        def late(start, stop):
            for found in batches(start, stop):
                time.sleep(0.3)
                yield found

        data.train.batches = late
        return data

    monkeypatch.setattr(module, "_data", slow)
    monkeypatch.setattr(feeding, "SHORTEST", 0.0)
    train(save_dir=str(tmp_path / "slow"), num_epochs=1, num_training_samples=32, log_interval=2)
    lines = [
        line for line in read(str(tmp_path / "slow" / "timing.jsonl")) if line["event"] == "train"
    ]
    shares = [line["waited_for_data"] for line in lines]
    assert len(shares) == 2
    for line, share in zip(lines, shares):  # of two steps of 8 images: more than half of 0.6 s
        assert 0.3 < share * 16 / line["images_per_second"] and share <= 1
    said = (tmp_path / "slow" / "train.log").read_text()
    assert f"{100 * shares[1]:.0f} % waiting for data" in said
    assert said.count("the devices wait for images") <= 1
    for line in read(str(tmp_path / "slow" / "log.jsonl")):
        assert not any("wait" in name for name in line)
