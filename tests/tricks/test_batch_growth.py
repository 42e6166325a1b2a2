"""Batch growth against the rule of arXiv 1711.00489 and against other ways to the same run."""

import json

import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.errors import UserError
from gluon_tricks.training.log_files import read
from gluon_tricks.training.plan import RunPlan
from gluon_tricks.training.schedule import resumed_step
from gluon_tricks.tricks.batch_growth import BatchGrowth

TENTHS = "30:x10,60:x10,80:x10"


def plan(words, images=1281167):
    flags = f"--num-training-samples {images} --num-epochs 90 --rec-train t.rec --rec-val v.rec"
    return RunPlan(parse(flags.split() + words.split()))


@pytest.mark.parametrize(
    "batch, most, images, rates",
    [  # (first batch, --max-batch) -> images of an update and rate in epochs 0, 30, 60, 80
        (8192, 0, (8192, 81920), (3, 3)),
        (8192, 81920, (8192, 81920, 81920, 81920), (3, 3, 0.3, 0.03)),
        (8192, 65536, (8192, 65536, 65536, 65536), (3, 2.4, 0.24, 0.024)),
        (8192, 16384, (8192, 16384, 16384, 16384), (3, 0.6, 0.06, 0.006)),
    ],
)
def test_batch_and_rate_are_the_papers(batch, most, images, rates):
    growth = TENTHS if most else "30:x10"
    p = plan(
        f"--batch-size {batch} --batch-growth {growth} --max-batch {most} --lr 3 --lr-mode constant"
    )
    for epoch, update, rate in zip((0, 30, 60, 80), images, rates):
        step = epoch * p.steps_per_epoch
        assert p.timetable.steps_of_update(step) * batch == update
        assert p.schedule(step) == pytest.approx(rate, rel=1e-12)
    # the noise scale, rate / batch, falls as if the rate decayed
    decayed = plan(f"--batch-size {batch} --lr 3 --lr-mode step --lr-decay-epoch 30,60,80")
    for epoch in (0, 29, 30, 59, 60, 79, 80, 89)[: 8 if most else 4]:
        step = epoch * p.steps_per_epoch
        noise = p.schedule(step) / p.timetable.steps_of_update(step)
        assert noise == pytest.approx(decayed.schedule(step), rel=1e-12)


def test_the_updates_of_a_run_are_those_of_its_batches():
    words = f"--batch-size 8192 --batch-growth {TENTHS} --max-batch 81920 --lr-mode constant"
    timetable = plan(words).timetable
    # N // B of 8192 and of 81920
    assert timetable.total_updates == 30 * 156 + 60 * 15
    timetable.stop_step = timetable.total_steps
    used = [s for start, stop in timetable.stretches(0) for s in range(start, stop)]
    assert len(used) == timetable.trained_steps == 30 * 156 + 60 * 150
    assert sum(map(timetable.ends_update, used)) == timetable.total_updates
    p = plan(words + " --model cifar_resnet20_v1")
    assert "updates       5,580 in all, from 8,192 to 81,920 images each" in p.lines()
    # each step leads to the next one that is used
    assert [timetable.after(step) for step in used] == used[1:] + [timetable.total_steps]


@pytest.mark.parametrize(
    "step, stop", [(0, 1), (4, 5), (5, 7), (6, 7), (7, 10), (9, 10), (10, 12), (14, 15)]
)
def test_a_session_stops_with_an_update(step, stop):
    words = "--batch-size 8 --batch-growth 1:x2 --num-epochs 3 --lr-mode constant"
    timetable = plan(words, 40).timetable  # 5 updates, then 2 of 2 steps and a step left out
    timetable.stop_at(step)
    assert timetable.stop_step == stop
    used = [s for start, end in timetable.stretches(0) for s in range(start, end)]
    assert used == [s for s in range(stop) if s not in (9, 14)]


def test_the_log_and_checkpoints_come_with_the_update_that_reaches_their_step():
    p = plan(
        "--batch-size 8 --batch-growth 0:x3 --num-epochs 2 --lr-mode constant "
        "--log-interval 4 --save-interval 5",
        96,
    )
    t = p.timetable
    dones = [t.after(step) for step in range(24) if t.ends_update(step)]
    assert dones == [3, 6, 9, 12, 15, 18, 21, 24]
    # multiples of 4 and ends of epochs; multiples of 5
    assert [done for done in dones if t.should_log(done)] == [6, 9, 12, 18, 21, 24]
    t.save_frequency = 0
    assert [done for done in dones if t.should_save(done)] == [6, 12, 15, 21]


@pytest.mark.parametrize("growth", ["0:x1.5", "0:x3", "0:x4", "1:x7"])
@pytest.mark.parametrize("every", range(1, 12))
def test_no_multiple_is_missed_though_steps_are_left_out(growth, every):
    """Of the 10 steps in an epoch, updates of 4 steps leave out the last two."""
    words = f"--batch-size 8 --batch-growth {growth} --num-epochs 3 --lr-mode constant"
    t = plan(words, 80).timetable
    dones = [t.after(step) for step in range(30) if t.ends_update(step)]
    begins = [0, *dones]
    expected = [
        done
        for begin, done in zip(begins, dones)
        if any(step % every == 0 for step in range(begin + 1, done + 1))
    ]
    assert [done for done in dones if t.reaches(done, every)] == expected


def test_a_run_with_another_batch_goes_on_where_an_update_begins():
    growth = BatchGrowth(((1, 4.0),))
    for step in range(0, 50):
        found = resumed_step(step, 4, 25, 3, 33, growth)
        epoch, index = divmod(found, 33)
        assert epoch == step // 25 and index % growth.steps(epoch) == 0
        assert index + growth.steps(epoch) <= 33
        if epoch == 0:
            assert found == resumed_step(step, 4, 25, 3, 33)


def test_a_factor_is_the_number_that_was_given():
    assert parse(["--batch-growth", "1:x10 , 2:2.50"]).batch_growth == "1:x10,2:x2.5"
    assert parse(["--batch-growth", "1:x1.0000000001"]).batch_growth == "1:x1.0000000001"


@pytest.mark.parametrize(
    "words, message",
    [
        ("--batch-growth 30:10,20:10", "ascending"),
        ("--batch-growth 30:x0.5", "factors above 1"),
        ("--batch-growth 30:x1e300", "factors above 1"),
        ("--batch-growth thirty:x2", "30:x10,60:x2"),
        ("--batch-growth 3:x2 --warmup-epochs 5", "within the warmup of 5 epochs"),
        ("--batch-growth 3:x2 --lr-counting updates --lr-mode cosine", "--lr-counting updates"),
        ("--batch-growth 30:x10 --lr-decay-epoch 20,30", "replaces a decay of the rate"),
        ("--max-batch 512", "--max-batch has no effect without --batch-growth"),
        ("--batch-growth 30:x10 --num-epochs 20 --lr-mode constant", "goes beyond --num-epochs 20"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message, capsys):
    with pytest.raises((ConfigError, SystemExit)) as error:
        parse(words.split())
    assert message in str(error.value) + capsys.readouterr().err


def test_an_update_fits_into_an_epoch_and_a_step_into_max_batch():
    with pytest.raises(UserError, match="take 20 steps each, and an epoch has 12: .* --max-batch"):
        plan("--batch-size 8 --batch-growth 3:x20 --lr-mode constant", 100)
    with pytest.raises(UserError, match="--max-batch 4 is less than the 8 images"):
        plan("--batch-size 8 --batch-growth 3:x2 --max-batch 4 --lr-mode constant", 100)


def arrays(run):
    parameters = run.learner.net._collect_params_with_prefix()
    return {name: p.list_data()[0].asnumpy() for name, p in parameters.items()}


GROWN = dict(lr_mode="constant", no_wd=True, label_smoothing=0.1)


@pytest.mark.slow
def test_growth_from_the_first_epoch_is_accumulation(train, tmp_path):
    """The same images in the same parts, with one set of running statistics instead of two."""
    flags = dict(GROWN, num_epochs=1, batch_size=8)
    grown = train(save_dir=str(tmp_path / "grown"), batch_growth="0:x2", **flags)
    summed = train(save_dir=str(tmp_path / "summed"), accumulate=2, **flags)
    assert [grown.timetable.total_updates, summed.timetable.total_updates] == [4, 4]
    for p, q in zip(grown.learner.trained, summed.learner.trained):
        np.testing.assert_array_equal(p.data().asnumpy(), q.data().asnumpy())
    result = json.loads((tmp_path / "grown" / "result.json").read_text())
    assert (result["steps"], result["updates"]) == (8, 4)


@pytest.mark.slow
def test_a_run_resumes_to_the_bit_across_the_change(train, tmp_path):
    # epochs of 9 steps; then updates of 2, and a step of the epoch left out
    flags = dict(GROWN, num_epochs=3, num_training_samples=72, mixup=True, batch_growth="1:x2")
    flags.update(val_frequency=3, cpu_contexts=2, batch_size=4)
    whole = train(save_dir=str(tmp_path / "whole"), **flags)
    for stop in (5, 5):  # in the first epoch; within the first grown update
        train(save_dir=str(tmp_path / "stopped"), max_steps=stop, resume="auto", **flags)
    resumed = train(save_dir=str(tmp_path / "stopped"), resume="auto", **flags)
    mine, theirs = arrays(whole), arrays(resumed)
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    epochs = [r for r in read(str(tmp_path / "whole" / "log.jsonl")) if r["event"] == "epoch"]
    assert [r["images"] for r in epochs] == [72, 64, 64]
