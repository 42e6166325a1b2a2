"""The step count is a run's clock: it decides the learning rate and where a run resumes."""

import math
from typing import Optional

from ..config import Config
from ..errors import UserError
from ..flags import by_epoch
from ..tricks.batch_growth import BatchGrowth
from ..tricks.schedule import LearningRate, linear_scaling


def learning_rate(
    config: Config,
    global_batch: int,
    steps_per_epoch: int,
    images: int = 0,
    began_with: Optional[int] = None,
) -> LearningRate:
    """The schedule that the flags ask for.

    ``images``, those of an epoch, matter only to ``--lr-counting updates``. ``began_with`` is the
    global batch with which a resumed run began, the one that ``--lr`` is meant for; it matters only
    to ``--elastic scale-lr``.
    """
    if config.linear_scaling:
        peak = linear_scaling(global_batch, config.base_lr)
    elif config.elastic == "scale-lr" and began_with:
        peak = config.lr * global_batch / began_with
    else:
        peak = config.lr
    return LearningRate(
        peak=peak,
        num_epochs=config.num_epochs,
        steps_per_epoch=steps_per_epoch,
        mode=config.lr_mode,
        warmup_epochs=config.warmup_epochs,
        warmup_start=config.warmup_lr,
        warmup_from=config.warmup_from,
        decay=config.lr_decay,
        decay_epochs=config.lr_decay_epoch,
        decay_period=config.lr_decay_period,
        counting=config.lr_counting,
        images=images,
        global_batch=global_batch,
        power=config.poly_power,
        growth=batch_growth(config, global_batch),
        restarts=config.lr_restarts,
        minimum=config.lr_min,
    )


def batch_growth(config: Config, global_batch: int) -> BatchGrowth:
    """The growth of the ``global_batch`` that the flags ask for.

    Raises :class:`UserError` if ``--max-batch`` is smaller than that batch.
    """
    if config.max_batch and config.max_batch < global_batch:
        raise UserError(
            f"--max-batch {config.max_batch} is less than the {global_batch} images of a step"
        )
    factors = by_epoch(config.batch_growth)
    return BatchGrowth(factors, config.max_batch // global_batch or math.inf)


def resumed_step(
    step: int,
    global_batch: int,
    steps_per_epoch: int,
    new_global_batch: int,
    new_steps: int,
    growth: BatchGrowth = BatchGrowth(),
) -> int:
    """The step at which a run resumes after ``step`` steps of ``global_batch`` images, if it now
    has ``new_global_batch`` images in a step, ``new_steps`` steps in an epoch, and ``growth``.

    That step begins the update that holds the next image of the epoch: no image is left out, and
    the images before it in this update are seen twice.
    """
    if global_batch == new_global_batch:
        return step
    epoch, done = divmod(step, steps_per_epoch)
    steps = growth.steps(epoch)
    updates = min(done * global_batch // new_global_batch, new_steps - 1) // steps
    return epoch * new_steps + min(updates, new_steps // steps - 1) * steps
