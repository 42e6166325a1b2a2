"""Resumes from a checkpoint: everything is as it was after the checkpoint's step."""

import os
import time

from ..distributed.gathering import gather_json
from . import checkpoint, checkpoint_arrays, folder, identity, run_folder
from .checkpoint_state import read_log
from .running_statistics import RunningStatistics
from .saving import save
from .schedule import resumed_step
from .sums import Sums


def restore(run, path, state):
    """Set the parts of ``run`` to what the checkpoint in the folder ``path`` holds."""
    identity.compare(run, path)
    layout, learner, progress = run.layout, run.learner, run.progress
    devices = run.workers.devices
    statistics, arrays = checkpoint_arrays.load(
        path, state, learner.net, learner.trainer, devices, layout.parts
    )
    learner.running = RunningStatistics(learner.net, layout, devices)
    learner.running.put(statistics)
    learner.update.loss_scale.restore(state["loss_scale"])
    learner.update.begin(run.workers, learner.running, arrays)
    progress.step = resumed_step(
        state["step"],
        state["global_batch"],
        state["steps_per_epoch"],
        layout.global_batch,
        run.timetable.steps_per_epoch,
        run.timetable.growth,
    )
    progress.started = time.time() - state["seconds"]
    progress.best, progress.validated = state["best"], state["validated"]
    progress.interval = Sums.of_worker(run.task.sums, state["intervals"], layout)
    progress.epoch = Sums.of_worker(run.task.sums, state["epochs_so_far"], layout)
    awaited = state.get("awaits_validation", False)
    progress.awaits_validation = awaited and run.timetable.should_validate(progress.step)
    run.logger.training_seconds = state["training_seconds"]
    run.logger.rewind(state["log_bytes"], read_log(path, state), not _is_here(run, path, state))
    run.logger.clock("resumed", step=progress.step)
    run.logger.say(f"resuming from {path} at step {progress.step} of {run.timetable.total_steps}")


def take_over(run, path, state):
    """Make the run's folder look as if the run had always been in it, with today's step numbers.

    If the checkpoint ``path`` is in another run's folder, or if ``--elastic scale-lr`` has changed
    the number of its step, this step gets its own checkpoint here. ``RUN/best`` is set again.
    """
    save_dir, best, is_first = run.config.save_dir, run.progress.best, run.workers.rank == 0
    renumbered = state["step"] != run.progress.step
    here = gather_json(run.workers, _is_here(run, path, state))[0]
    if not here and not os.path.exists(os.path.join(save_dir, run_folder.CONFIG)):
        identity.write(run)
    if not here or renumbered:
        save(run)
    if is_first and renumbered:
        checkpoint.set_aside(save_dir, run.progress.step)
    if is_first and best and not checkpoint.find_best(save_dir, best, folder.run_of(path).path):
        run.logger.say(
            f"the checkpoint of the best validation (step {best['step']}) is no longer there"
        )


def _is_here(run, path, state):
    """Whether the checkpoint in the folder ``path`` is one of the run's own folder."""
    return folder.is_same(path, checkpoint.path_of(run.config.save_dir, state["step"]))
