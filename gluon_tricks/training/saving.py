"""Writes a run's checkpoints and, at its end, the result."""

import os

from ..distributed.gathering import gather_json
from ..files import write_sealed_json
from ..models.parameters import first_not_finite
from ..tasks.figure import best_figure, loss_last
from . import checkpoint, checkpoint_arrays, identity
from .stopping import Diverged


def save(run):
    """Write a checkpoint of this moment: all workers contribute, and rank 0 writes."""
    progress = run.progress
    shares = (progress.interval.to_json(), progress.epoch.to_json(), run.data.train.bad_records)
    intervals, epochs, bad_records = zip(*gather_json(run.workers, shares))
    with run.averaged_statistics() as statistics:
        if run.workers.rank == 0:
            _check_finite(run)
            log = run.logger.contents()
            identity.write_again(run)
            state = dict(
                epoch=run.timetable.epoch(progress.step),
                steps_per_epoch=run.timetable.steps_per_epoch,
                global_batch=run.layout.global_batch,
                intervals=intervals,
                epochs_so_far=epochs,
                best=progress.best,
                validated=progress.validated,
                awaits_validation=progress.awaits_validation,
                loss_scale=run.learner.update.loss_scale.state(),
                bad_records=sum(bad_records),
                seconds=progress.seconds,
                training_seconds=run.logger.training_seconds,
            )
            checkpoint.save(
                run.config.save_dir,
                progress.step,
                run.learner.net,
                run.learner.trainer,
                state,
                run.config.keep_checkpoints,
                statistics if len(statistics) > 1 else (),
                log,
                run.learner.update.arrays(),
            )
            run.logger.clock("checkpoint", step=progress.step)


def _check_finite(run):
    """Raise Diverged if a parameter or statistic is not finite. A float32 master copy that is not
    shows in its float16 weight.
    """
    name = first_not_finite(checkpoint_arrays.parameters_of(run.learner.net))
    if name is not None:
        raise Diverged(f"{name} has values that are NaN or infinite", run.progress.step - 1)


def write_result(run):
    """Write ``result.json`` and print the final figures."""
    config, timetable, layout = run.config, run.timetable, run.layout
    best, final = run.progress.best or {}, run.progress.validated or {}
    figures = loss_last(run.task)
    images = timetable.trained_steps * layout.global_batch
    result = dict(
        {name: final.get(name) for name in [f.name for f in figures] + ["images"]},
        best=best,
        epochs=config.num_epochs,
        steps=timetable.total_steps,
        updates=timetable.total_updates,
        global_batch=layout.global_batch,
        parameters=run.learner.complexity.parameters,
        multiply_adds=run.learner.complexity.multiply_adds,
        skipped_steps=run.learner.update.loss_scale.skipped,
        bad_records=sum(gather_json(run.workers, run.data.train.bad_records)),
        images_per_second=images / max(run.logger.training_seconds, 1e-9),
        seconds=run.progress.seconds,
    )
    if run.workers.rank == 0:
        run.logger.contents()
        identity.write_again(run)
        write_sealed_json(os.path.join(config.save_dir, "result.json"), result)
    if final:
        shown = [figure for figure in figures if figure.name != "loss"]
        said = ", ".join(figure.text(final[figure.name]) for figure in shown)
        said_best = best_figure(run.task).text(best[run.task.best])
        run.logger.say(
            f"{said} on {final['images']} images; best {said_best} after epoch {best['epoch']}"
        )


def has_result(run):
    """Whether rank 0 sees a ``result.json``: a run may be killed just before it writes one."""
    path = os.path.join(run.config.save_dir, "result.json")
    return gather_json(run.workers, os.path.exists(path))[0]
