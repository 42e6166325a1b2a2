"""A run: its parts are built from the flags, trained, and closed.

A run's folder holds ``config.json`` (the resolved flags, the layout, the data's fingerprints),
``environment.json`` (command, versions, commit, threads, settings), ``log.jsonl``,
``timing.jsonl``, ``train.log``, ``checkpoints/``, ``best`` and, at the end, ``result.json``.
"""

import contextlib
import functools
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import determinism, threads
from ..data import loader, processes
from ..distributed import elastic
from ..distributed.workers import connect, layout_of
from ..models import complexity
from ..tasks import registry as tasks
from ..text import counted
from ..tricks.precision import LossScale
from . import checkpoint, folder, identity, network
from .logger import Logger
from .loop import train as train_steps
from .objective import Objective
from .progress import Progress
from .resuming import restore, take_over
from .running_statistics import RunningStatistics, averaged
from .saving import has_result, write_result
from .schedule import batch_growth, learning_rate
from .step import Learner
from .stopping import Diverged, Stop
from .stored_teacher import stored_teacher
from .sums import Sums
from .timetable import Timetable
from .update import Update, optimizer_of
from .validation import check_last, is_finite, validate


def train(config):
    """Train as the flags ask and return the exit code 0. Every other end is an exception."""
    tasks.of(vars(config))  # a wrong name is reported before its consequences
    # They start before anything here uses MXNet's engine or CUDA: see data/processes.py.
    with processes.started(config) as data_processes:
        session_with_data = functools.partial(session, data_processes=data_processes)
        if config.kvstore == "horovod" and elastic.is_driven():
            return elastic.train(config, session_with_data, Stop)
        workers = connect(config)
        try:
            return session_with_data(config, workers, Stop())
        except Exception as error:
            workers.abort(error)
            raise


def session(config, workers, stop, data_processes=None):
    """Train with these workers to the end of the run, or until ``stop`` asks to stop. Returns the
    exit code 0. Images come from the data processes or, without any, from threads of this process.
    """
    with folder.locked(config, workers):
        run = build(config, workers, stop, data_processes)
        try:
            finish(run)
        finally:
            run.close()
    return 0


class Data(NamedTuple):
    """The loaders; ``validation`` is None without a validation file."""

    train: Any
    validation: Any


@dataclass
class Run:
    """The parts that the loop, validation, saving and resuming work on."""

    config: Any
    workers: Any
    stop: Stop
    layout: Any
    data: Data
    timetable: Timetable
    logger: Logger
    learner: Learner
    progress: Progress
    about: dict  # see identity.about

    @property
    def task(self):
        """What the network is trained for."""
        return self.learner.objective.task

    @contextlib.contextmanager
    def averaged_statistics(self):
        """A context in which the network is the one to validate and save: every device has the mean
        of all parts' running statistics. Yields those of each part.
        """
        # BatchNorm writes them in the backward pass, and copying them does not wait for it.
        self.workers.wait_all()
        learner, workers = self.learner, self.workers
        with averaged(learner.running, learner.net, workers, self.layout) as every:
            with learner.update.in_place():
                yield every

    def close(self):
        """Stop the loaders' threads and close the files."""
        for data in self.data:
            if data is not None:
                data.close()
        self.logger.close()


def build(config, workers=None, stop=None, data_processes=None):
    """The :class:`Run` that the flags ask for, at its first step or its checkpoint's, with its
    folder checked and written.
    """
    determinism.check(config)
    workers = workers or connect(config)
    resumed = folder.prepare(config, workers)  # (checkpoint's folder, its state) or None
    workers.watch(os.path.join(config.save_dir, "workers"))
    if not resumed:
        identity.refuse_forgotten_classes(config)
    began_with = identity.began_with(config, workers, resumed and resumed[0])
    layout = layout_of(config, workers, began_with)
    data = _data(config, layout, workers, data_processes)
    timetable = _timetable(config, layout, data, began_with)
    task = tasks.of(vars(config)).from_config(config)
    folder_of_rank_0 = config.save_dir if workers.rank == 0 else None
    logger = Logger(task, folder_of_rank_0, config.logging_file, config.tensorboard)
    learner = _learner(config, task, layout, workers, timetable, logger)
    first_step = config.resume_epoch * timetable.steps_per_epoch
    progress = Progress(first_step, Sums(task.sums), Sums(task.sums))
    about = identity.about(config, layout, timetable, began_with)
    identity.agree(workers, about)
    # This comes before a checkpoint gives each part its own statistics.
    workers.broadcast(learner.net, learner.trainer)
    learner.running = RunningStatistics(learner.net, layout, workers.devices)
    run = Run(
        config, workers, stop or Stop(), layout, data, timetable, logger, learner, progress, about
    )
    _begin(run, resumed)
    return run


def _begin(run, resumed):
    """Write the folder of a new run, or resume from the checkpoint."""
    if resumed:
        restore(run, *resumed)
        take_over(run, *resumed)
    else:
        run.learner.update.begin(run.workers, run.learner.running)
        identity.write(run)
    timetable, stop = run.timetable, run.progress.step + run.config.max_steps
    if run.config.max_steps and stop < timetable.total_steps:
        timetable.stop_at(stop - 1)
    else:
        timetable.stop_step = timetable.total_steps


def _data(config, layout, workers, data_processes):
    device = workers.devices[0]
    how = dict(
        processes=data_processes, gpu=device.device_id if device.device_type == "gpu" else None
    )
    train_data = loader.train_loader(
        config, layout.global_batch, layout.first, layout.worker_batch, **how
    )
    if not config.rec_val and not config.synthetic:
        return Data(train_data, None)
    folder.check_validation_file(config)
    loader.check_labels(config, workers.rank, workers.world_size)
    batch = config.batch_size * len(workers.devices)
    return Data(
        train_data, loader.eval_loader(config, batch, workers.rank, workers.world_size, **how)
    )


def _timetable(config, layout, data, began_with):
    steps, batch = data.train.steps_per_epoch, layout.global_batch
    return Timetable(
        steps,
        config.num_epochs,
        learning_rate(config, batch, steps, data.train.images, began_with),
        config.log_interval,
        config.val_frequency if data.validation is not None else 0,
        config.save_frequency,
        config.save_interval,
        batch_growth(config, batch),
    )


def _learner(config, task, layout, workers, timetable, logger):
    devices = workers.devices
    net = network.student(config, devices, logger.say, layout.accumulate * timetable.most_steps)
    teacher = network.teacher(config, devices, logger.say)
    trainer = workers.trainer(net, optimizer_of(config, timetable.learning_rate(0)))
    loss_scale = LossScale(config.loss_scale if config.dtype == "float16" else 1.0)
    return Learner(
        net,
        Objective.from_config(
            config, task, timetable.steps_per_epoch, teacher, stored_teacher(config)
        ),
        trainer,
        Update.from_config(config, net, trainer, loss_scale, timetable, layout, devices),
        complexity.count(net, config.input_size),
        config.seed if network.is_stochastic(net) else None,
    )


def finish(run):
    """Train to the end of the run and write the result, or to where ``--max-steps`` stops it."""
    say, progress, total = run.logger.say, run.progress, run.timetable.total_steps
    _say_what_it_is(run)
    if progress.step >= total and not progress.awaits_validation and has_result(run):
        say(f"this run has finished: {os.path.join(run.config.save_dir, 'result.json')}")
        run.workers.close()
        return
    begin = progress.step
    try:
        with run.stop.listening(say):
            # The run was killed after this checkpoint and before its epoch was validated.
            if progress.awaits_validation:
                validate(run)
            train_steps(run)
        if progress.step >= total:
            check_last(run)
    except Diverged as error:
        raise _with_advice(error, run) from None
    if progress.step < total:
        say(
            f"stopped after {counted(progress.step - begin, 'step')} as --max-steps asked, at step "
            f"{progress.step} of {total}; --resume auto continues"
        )
    else:
        write_result(run)
    run.workers.close()


def _with_advice(error, run):
    """The error, with the learning rate, the last good checkpoint, and what to try."""
    whole = checkpoint.latest(
        run.config.save_dir, say=lambda text: None, fits=lambda state: is_finite(state["validated"])
    )
    last = f"the last good checkpoint is {whole[0]}" if whole else "there is no checkpoint yet"
    rate = run.timetable.learning_rate(error.step)
    return Diverged(
        error.what,
        error.step,
        f" (learning rate {rate:.6g}); {last}. Try a smaller rate, a longer warmup or other data",
    )


def _say_what_it_is(run):
    config, say, cost, size = run.config, run.logger.say, run.learner.complexity, "{0}x{0}"
    say(
        f"{config.model}: {cost.parameters / 1e6:.2f} M parameters, "
        f"{cost.multiply_adds / 1e9:.2f} G multiply-adds at {size.format(config.input_size)}"
    )
    timetable = run.timetable
    say(
        f"global batch {run.layout.in_words()}; {timetable.steps_per_epoch} steps an epoch, "
        f"{timetable.total_steps} in all"
    )
    if config.batch_growth:
        most = timetable.most_steps * run.layout.global_batch
        say(f"{timetable.total_updates} updates, the last ones of {most} images")
    if config.ema:
        say(f"the average of the weights is validated and saved (--ema {config.ema:g})")
    if run.data.validation is None:
        say(
            "no --rec-val, so there is no validation and no best checkpoint, and the figures are "
            "the training set's"
        )
    say(f"{threads.in_words()}; the run's folder is {config.save_dir}")
