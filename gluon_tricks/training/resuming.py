"""Goes on from a checkpoint: everything as it was after the checkpoint's step."""

import time

from ..distributed.gathering import gather_json
from . import checkpoint, checkpoint_arrays, folder, identity
from .checkpoint_state import read_log
from .running_statistics import RunningStatistics
from .saving import save
from .schedule import resumed_step
from .sums import Sums


def restore(run, path, state):
    """Give the parts of ``run`` what the checkpoint in the folder ``path`` holds."""
    identity.compare(run, path)
    layout, learner, progress = run.layout, run.learner, run.progress
    devices = run.workers.devices
    statistics, arrays = checkpoint_arrays.load(
        path, state, learner.net, learner.trainer, devices, layout.parts
    )
    learner.running = RunningStatistics(learner.net, layout, devices)
    learner.running.put(statistics)
    learner.update.loss_scale.restore(state["loss_scale"])
    learner.update.begin(arrays)
    progress.step = resumed_step(
        state["step"],
        state["global_batch"],
        state["steps_per_epoch"],
        layout.global_batch,
        run.timetable.steps_per_epoch,
    )
    progress.started = time.time() - state["seconds"]
    progress.best, progress.validated = state["best"], state["validated"]
    progress.interval = Sums.of_worker(run.task.sums, state["intervals"], layout)
    progress.epoch = Sums.of_worker(run.task.sums, state["epochs_so_far"], layout)
    awaited = state.get("awaits_validation", False)
    progress.awaits_validation = awaited and run.timetable.should_validate(progress.step)
    run.logger.training_seconds = state["training_seconds"]
    run.logger.rewind(state["log_bytes"], read_log(path, state))
    run.logger.clock("resumed", step=progress.step)
    run.logger.say(f"resuming from {path} at step {progress.step} of {run.timetable.total_steps}")


def take_over(run, path, state):
    """Make the folder that of this run if the checkpoint is another's, and give what it holds the
    numbers of now.

    Afterwards the checkpoint of this step and the mark of the best one are in their places.
    """
    save_dir, best, is_first = run.config.save_dir, run.progress.best, run.workers.rank == 0
    here = folder.is_same(path, checkpoint.path_of(save_dir, state["step"]))
    renumbered = state["step"] != run.progress.step
    if not gather_json(run.workers, here)[0] or renumbered:
        save(run)
    if is_first and renumbered:
        checkpoint.set_aside(save_dir, run.progress.step)
    if is_first and best and not checkpoint.find_best(save_dir, best, folder.run_of(path).path):
        run.logger.say(
            f"the checkpoint of the best validation (step {best['step']}) is not there any more"
        )
