"""The learning rate against the paper's formulas, GluonCV's scheduler, and the authors' published
logs.
"""

import math

import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.tricks.schedule import LearningRate, linear_scaling


@pytest.mark.parametrize("batch, rate", [(256, 0.1), (1024, 0.4), (32, 0.0125)])
def test_linear_scaling_is_a_tenth_for_256_images(batch, rate):
    assert linear_scaling(batch) == pytest.approx(rate, abs=1e-15)


def test_warmup_at_batch_i_is_i_eta_over_m():
    schedule = LearningRate(peak=0.4, num_epochs=10, steps_per_epoch=8, warmup_epochs=5)
    assert schedule.warmup_steps == 40
    for i in range(1, 41):
        assert schedule(i - 1) == pytest.approx(i * 0.4 / 40, abs=1e-15)


def test_warmup_of_the_authors_starts_at_rate_0_and_their_unused_flag_raises_it():
    schedule = LearningRate(
        peak=0.4, num_epochs=10, steps_per_epoch=8, warmup_epochs=5, warmup_from=0
    )
    assert [schedule(t) for t in range(40)] == pytest.approx(
        [0.4 * t / 40 for t in range(40)], abs=1e-15
    )
    raised = LearningRate(
        peak=0.4, num_epochs=10, steps_per_epoch=8, warmup_epochs=5, warmup_from=0, warmup_start=0.1
    )
    assert [raised(t) for t in range(40)] == pytest.approx(
        [0.1 + 0.3 * t / 40 for t in range(40)], abs=1e-15
    )


def test_warmup_ends_after_a_fraction_of_an_epoch():
    schedule = LearningRate(
        peak=1.0, num_epochs=2, steps_per_epoch=10, warmup_epochs=0.5, mode="constant"
    )
    assert [schedule(t) for t in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("counting", ["steps", "updates"])
def test_a_run_of_one_step_is_all_warmup(counting):
    """Counted as an update, the step is at place 0 of a stage without length."""
    rate = LearningRate(0.1, 1, 1, "cosine", warmup_epochs=1, counting=counting)(0)
    assert rate == (0.1 if counting == "steps" else 0)


def test_cosine_falls_over_the_batches_after_the_warmup():
    schedule = LearningRate(peak=0.4, num_epochs=12, steps_per_epoch=7, warmup_epochs=2)
    total = 70
    for t in range(total):
        assert schedule(14 + t) == pytest.approx(
            0.5 * (1 + math.cos(t * math.pi / total)) * 0.4, abs=1e-15
        )
    assert schedule(14) == 0.4
    assert schedule(84) == schedule(1000) == 0


def test_step_multiplies_when_an_epoch_begins():
    schedule = LearningRate(peak=0.1, num_epochs=120, steps_per_epoch=3, mode="step")
    for epoch, rate in (
        (0, 0.1),
        (29, 0.1),
        (30, 0.01),
        (59, 0.01),
        (60, 0.001),
        (89, 0.001),
        (90, 0.0001),
        (119, 0.0001),
    ):
        for batch in range(3):
            assert schedule(3 * epoch + batch) == pytest.approx(rate, rel=1e-12)


def test_exp_is_94_percent_every_two_epochs():
    schedule = LearningRate(
        peak=0.1, num_epochs=10, steps_per_epoch=4, mode="exp", decay=0.94, decay_period=2
    )
    assert [schedule(4 * epoch) for epoch in range(7)] == pytest.approx(
        [0.1 * 0.94 ** (epoch // 2) for epoch in range(7)]
    )


def test_a_rate_that_float32_cannot_hold_is_nothing_or_its_largest():
    """MXNet's operators refuse other numbers: an exp of 0.1 came there after 76 epochs."""
    falls = LearningRate(0.1, 200, 1, mode="exp", decay=0.1)
    assert falls(73) == 0.1 * 0.1**36 and falls(80) == 0.0
    assert float(np.float32(falls(73))) > 0
    grows = LearningRate(0.1, 200, 1, mode="exp", decay=10.0)
    assert grows(199) == np.finfo(np.float32).max


def test_poly_is_the_square_of_what_is_left():
    schedule = LearningRate(peak=0.1, num_epochs=4, steps_per_epoch=5, mode="poly", warmup_epochs=1)
    assert [schedule(5 + t) for t in range(16)] == pytest.approx(
        [0.1 * (1 - t / 15) ** 2 for t in range(16)]
    )


def test_constant_stays():
    schedule = LearningRate(peak=0.1, num_epochs=4, steps_per_epoch=5, mode="constant")
    assert {schedule(t) for t in range(20)} == {0.1}


@pytest.mark.parametrize("mode", ["cosine", "poly", "step", "constant"])
@pytest.mark.parametrize("warmup", [0, 3])
def test_counting_by_updates_is_gluoncvs_own_scheduler(mode, warmup):
    from gluoncv.utils import LRScheduler, LRSequential

    epochs, batches, eta = 12, 7, 0.4
    theirs = LRSequential(
        [
            LRScheduler(
                "linear", base_lr=0, target_lr=eta, nepochs=warmup, iters_per_epoch=batches
            ),
            LRScheduler(
                mode,
                base_lr=eta,
                target_lr=0,
                nepochs=epochs - warmup,
                iters_per_epoch=batches,
                step_epoch=[5 - warmup, 9 - warmup],
                step_factor=0.1,
                power=2,
            ),
        ]
    )
    ours = LearningRate(
        peak=eta,
        num_epochs=epochs,
        steps_per_epoch=batches,
        mode=mode,
        warmup_epochs=warmup,
        decay_epochs=(5, 9),
        counting="updates",
    )
    for step in range(epochs * batches + 5):  # MXNet's optimizer counts its first update as 1
        assert ours(step) == pytest.approx(theirs(step + 1), abs=1e-12), step


def test_counting_by_updates_begins_an_epoch_where_a_pass_over_all_images_ends():
    ours = LearningRate(
        peak=2.6,
        num_epochs=360,
        steps_per_epoch=625,
        warmup_epochs=5,
        counting="updates",
        images=1281167,
        global_batch=2048,
    )
    updates = [ours(625 * epoch) * 3124 / 2.6 for epoch in range(5)]
    # 626 or 625 batches a pass: 1281167 / 2048 = 625.57, rounded up as the images of earlier passes
    # require
    assert updates == pytest.approx([1, 627, 1253, 1878, 2504], abs=1e-6)


@pytest.mark.parametrize("field", ["mode", "counting"])
def test_unknown_words_are_named(field):
    with pytest.raises(ValueError, match=f"unknown {field} 'new'"):
        LearningRate(peak=1, num_epochs=1, steps_per_epoch=1, **{field: "new"})(0)


def sgdr(step, steps, highest, lowest, first, factor):
    """Equation 5 of arXiv 1608.03983: restarts after T_0 (T_mult^n - 1) / (T_mult - 1) epochs."""
    ends = [0]
    while ends[-1] <= step / steps:
        n = len(ends)
        ends.append(first * (n if factor == 1 else (factor**n - 1) / (factor - 1)))
    length, current = ends[-1] - ends[-2], step / steps - ends[-2]
    return lowest + 0.5 * (highest - lowest) * (1 + math.cos(math.pi * current / length))


@pytest.mark.parametrize("first, factor", [(10, 2), (1, 2), (5, 1), (2.5, 1), (3, 1.5)])
@pytest.mark.parametrize("lowest", [0.0, 0.001])
def test_restarts_are_sgdrs_formula(first, factor, lowest):
    steps, rates = 8, []
    schedule = LearningRate(0.05, 70, steps, "cosine", restarts=(first, factor), minimum=lowest)
    for step in range(70 * steps):
        expected = sgdr(step, steps, 0.05, lowest, first, factor)
        assert schedule(step) == pytest.approx(expected, abs=1e-12)
        rates.append(schedule(step))
    restarts = [step / steps for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    if (first, factor) == (10, 2):
        assert restarts == [10, 30]  # and 70, the end
    if (first, factor) == (2.5, 1):
        assert restarts == [2.5 * n for n in range(1, 28)]


def test_restarts_count_from_the_end_of_the_warmup():
    with_warmup = LearningRate(0.05, 35, 8, "cosine", warmup_epochs=5, restarts=(10, 2))
    without = LearningRate(0.05, 30, 8, "cosine", restarts=(10, 2))
    assert [with_warmup(40 + t) for t in range(240)] == [without(t) for t in range(240)]


@pytest.mark.parametrize("mode, end", [("cosine", 0.001), ("poly", 0.001)])
def test_the_rate_falls_to_its_minimum(mode, end):
    schedule = LearningRate(0.4, 10, 8, mode, minimum=end)
    assert schedule(0) == 0.4 and schedule(80) == end
    assert schedule(40) == pytest.approx(end + (0.4 - end) * (0.5 if mode == "cosine" else 0.25))


@pytest.mark.parametrize(
    "words, message",
    [
        ("--lr-restarts 10,2", "--lr-restarts has no effect without --lr-mode cosine"),
        ("--lr-mode cosine --lr-restarts 10,0.5", "T_mult at least 1"),
        ("--lr-mode cosine --lr-restarts 0,2", "T_0 has to be at least 0.01"),
        ("--lr-mode cosine --lr-min 0.2", "--lr-min 0.2 is more than --lr 0.1"),
        ("--lr-mode cosine --lr-counting updates --lr-restarts 9,2", "--lr-counting steps"),
        ("--lr-min 0.1", "--lr-min has no effect without --lr-mode cosine or poly"),
    ],
)
def test_restarts_need_a_cosine(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words.split())
