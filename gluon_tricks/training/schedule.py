"""The clock of a run is its step: where a step is in the epochs, and its learning rate."""

from ..tricks.schedule import LearningRate, linear_scaling


def learning_rate(config, global_batch, steps_per_epoch, images=0, began_with=None):
    """The schedule that the flags ask for.

    ``images`` in an epoch matter to ``--lr-counting updates`` alone, and ``began_with``, the global
    batch for which ``--lr`` was meant, to ``--elastic scale-lr``.
    """
    peak = config.lr
    if config.linear_scaling:
        peak = linear_scaling(global_batch, config.base_lr)
    elif config.elastic == "scale-lr" and began_with:
        peak = config.lr * global_batch / began_with
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
    )


def same_place(state, global_batch, steps_per_epoch):
    """The step at which a run goes on that had another global batch when its checkpoint's ``state``
    was written.

    No image is left out: where the checkpoint ends within a step of now, that step's first images
    are seen twice.
    """
    if state["global_batch"] == global_batch:
        return state["step"]
    epoch, done = divmod(state["step"], state["steps_per_epoch"])
    return epoch * steps_per_epoch + min(
        done * state["global_batch"] // global_batch, steps_per_epoch - 1
    )
