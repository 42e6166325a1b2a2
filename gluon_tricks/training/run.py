"""``gluon-tricks train``: puts a run together from its flags, trains it, and leaves its folder
behind.

A run's folder holds ``config.json`` (the resolved flags, the layout, the data's fingerprints),
``environment.json`` (command, versions, commit, threads, settings), ``log.jsonl``,
``timing.jsonl``, ``train.log``, ``checkpoints/``, ``best`` and, at the end, ``result.json``.
"""

import contextlib
import dataclasses
import math
import os
import time

import mxnet as mx
import numpy as np

from .. import config as flags
from .. import determinism
from ..data import loader
from ..data.transforms.color_map import apply_on_device
from ..distributed import elastic
from ..distributed.local import gather_json, gather_parts, join, layout_of
from ..errors import UserError
from ..files import write_json
from ..models import complexity
from ..models.parameters import first_not_finite
from ..tricks.precision import LossScale
from . import checkpoint, folder, network
from .logger import Journal
from .loop import gradients_are_finite, train
from .metrics import Tally, evaluate
from .objective import Objective
from .running_statistics import RunningStatistics
from .schedule import learning_rate, same_place
from .stopping import Stop

add_arguments = flags.add_arguments


class Diverged(UserError):
    """Loss, gradients or parameters are not finite."""

    exit_code = 3


def main(args):
    """Train; the exit code is 0, 2 (wrong input), 3 (diverged), 4 (the other workers are lost), or
    that of a signal: 129 (SIGHUP), 130 (Ctrl-C), 143 (SIGTERM)."""
    config = flags.resolve(vars(args))
    if config.kvstore == "horovod" and elastic.is_driven():
        return elastic.train(config, session)
    cluster = join(config)
    try:
        return session(config, cluster, Stop())
    except Exception as error:
        cluster.leave(error)
        raise


def session(config, cluster, stop):
    """Train with these workers, to the end of the run or until ``stop`` says so; the exit code is
    0.
    """
    with folder.locked(config, cluster):
        run = Run(config, cluster, stop)
        try:
            return run.train()
        finally:
            run.close()


class Run:
    """All that the loop needs: the parts that the flags ask for, and the state that a checkpoint
    holds.
    """

    def __init__(self, config, cluster=None, stop=None):
        determinism.check(config)
        self.config = config
        self.cluster = cluster or join(config)
        self.stop = stop or Stop()
        resumed = folder.prepare(config, self.cluster)  # (checkpoint's folder, its state) or None
        self.resumed_from = resumed and resumed[0]
        self.cluster.watch(os.path.join(config.save_dir, "workers"))
        devices = self.cluster.devices
        self.began_with = folder.began_with(config, self.cluster, self.resumed_from)
        self.layout = layout_of(config, self.cluster, self.began_with)

        self.train_data = loader.train_loader(
            config, self.layout.global_batch, self.layout.first, self.layout.worker_batch
        )
        self.eval_data = None
        if config.rec_val or config.synthetic:
            folder.check_validation_file(config)
            loader.check_labels(config, self.cluster.rank, self.cluster.world_size)
            batch = config.batch_size * len(devices)
            self.eval_data = loader.eval_loader(
                config, batch, self.cluster.rank, self.cluster.world_size
            )
        self.steps_per_epoch = self.train_data.steps_per_epoch
        self.total_steps = config.num_epochs * self.steps_per_epoch
        self.schedule = learning_rate(
            config,
            self.layout.global_batch,
            self.steps_per_epoch,
            self.train_data.images,
            self.began_with,
        )

        self.journal = Journal(
            config.save_dir if self.cluster.rank == 0 else None,
            config.logging_file,
            config.tensorboard,
        )
        self.net = network.student(
            config, devices, self.journal.say, accumulate=self.layout.accumulate
        )
        self.stochastic = network.is_stochastic(self.net)
        self.trained = [p for p in self.net.collect_params().values() if p.grad_req != "null"]
        self.complexity = complexity.count(self.net, config.input_size)
        self.objective = Objective(
            config, self.steps_per_epoch, network.teacher(config, devices, self.journal.say)
        )
        settings = dict(learning_rate=self.schedule(0), momentum=config.momentum, wd=config.wd)
        self.trainer = self.cluster.trainer(
            self.net, config.optimizer, dict(settings, multi_precision=config.dtype == "float16")
        )
        self.loss_scale = LossScale(config.loss_scale if config.dtype == "float16" else 1.0)

        self.step = config.resume_epoch * self.steps_per_epoch
        # since the log's last line, since the epoch's begin
        self.interval, self.epoch = Tally(), Tally()
        self.best = self.validated = None
        # whether the epoch that has just ended is still to be validated
        self.awaits_validation = False
        self._started = time.time()  # moved back by the seconds of earlier sessions of the same run
        self.about = folder.about(self)
        folder.agree(self)
        # before a checkpoint gives each its own statistics
        self.cluster.broadcast(self.net, self.trainer)
        self.running = RunningStatistics(self.net, self.layout, devices)
        self._check_resume(resumed)
        self.cluster.publish(self.trainer)
        if resumed:
            self._settle_in(*resumed)
        self.stop_step = (
            min(self.total_steps, self.step + config.max_steps)
            if config.max_steps
            else self.total_steps
        )

    # -- the whole run

    def train(self):
        """From the first step, or the checkpoint's, to the last; writes the result."""
        self._say_what_it_is()
        if self.step >= self.total_steps and not self.awaits_validation and self._has_result():
            self.journal.say(
                "this run has finished: {}".format(
                    os.path.join(self.config.save_dir, "result.json")
                )
            )
            self.cluster.close()
            return 0
        begin = self.step
        with self.stop.listening(self.journal.say):
            # it was killed before the validation of the epoch that the checkpoint ends
            if self.awaits_validation:
                self.validate()
            train(self)
        if self.step < self.total_steps:
            self.journal.say(
                f"stopped after {self.step - begin} steps as --max-steps asked, at step {self.step} of {self.total_steps}; "
                "--resume auto goes on"
            )
        else:
            self._write_result()
        self.cluster.close()
        return 0

    def close(self):
        """Stop the loader's threads and close the files."""
        self.train_data.close()
        if self.eval_data is not None:
            self.eval_data.close()
        self.journal.close()

    # -- what the loop asks for

    def seed_devices(self, step):
        """Dropout and the like draw from MXNet's generator, which has no state to save: seed it by
        the step.
        """
        if self.stochastic:
            for number, device in enumerate(self.cluster.devices):
                key = np.random.SeedSequence(
                    [self.config.seed, step, self.layout.own_parts[number]]
                )
                mx.random.seed(int(key.generate_state(1)[0] >> 1), ctx=device)

    def to_device(self, batch, part, device):
        """(images float32 (n, 3, H, W), labels (n,)) of one part, on its device."""
        split = self.layout.split
        images, labels = (
            split(array, part).as_in_context(device) for array in (batch.images, batch.labels)
        )
        if self.config.device_augment:
            images = apply_on_device(images, split(batch.matrices, part).as_in_context(device))
        return images, labels

    def finish_micro_batch(self):
        """Where several parts of a step run on CPU contexts, wait for a backward pass before
        anything else starts.

        On a CPU, BatchNorm's backward pass writes the running statistics without the engine's
        knowledge, so that without this they would depend on the clock in their last bits. On GPUs
        the forward pass writes them, and nothing waits.
        """
        if len(self.layout.own_parts) > 1 and self.cluster.devices[0].device_type == "cpu":
            mx.nd.waitall()

    def tell_all(self, outcomes, step):
        """Where there are several workers, add to the statistics of a step what all of them have to
        hear of it.

        That is the loss of all and what any was asked: so they stop after the same step, and nobody
        waits for one who has left. It arrives with the statistics, some steps later. Workers who
        are not in step tell each other where they meet, for a line of the log.
        """
        if self.layout.workers == 1:
            self.stop.agreed = self.stop.asked
            return outcomes
        if not self.cluster.in_step and not self.log_is_due(step + 1):
            return outcomes
        device = self.cluster.devices[0]
        losses = [outcome[:1].as_in_context(device) for outcome in outcomes]
        votes = mx.nd.array(self.stop.votes(), ctx=device)
        return outcomes + [self.cluster.sum_later(mx.nd.concat(mx.nd.add_n(*losses), votes, dim=0))]

    def receive(self, outcomes, step):
        """Count the statistics of a step, once they are computed."""
        parts = len(self.layout.own_parts)
        for loss, *_ in outcomes:
            if not math.isfinite(loss):
                raise Diverged(self._what_now(f"the loss is {loss}", step))
        for outcome in outcomes[:parts]:
            self.interval.add(outcome, self.layout.batch_size)
            self.epoch.add(outcome, self.layout.batch_size)
        for _, *votes in outcomes[parts:]:
            self.stop.count(votes)

    def gradients_are_good(self, step):
        """False where the update has to be skipped, because float16 gradients are not finite."""
        if self.config.dtype != "float16":
            return True
        finite = gradients_are_finite(self.trained)
        self.loss_scale.update(finite)
        if self.loss_scale.skipped_in_a_row > self.config.max_skipped:
            raise Diverged(
                self._what_now(
                    f"gradients were not finite {self.loss_scale.skipped_in_a_row} times in a row",
                    step,
                )
            )
        return finite

    def log_is_due(self, done):
        """Whether a line of the log is due after ``done`` steps: all workers meet for it."""
        return done % self.config.log_interval == 0 or done % self.steps_per_epoch == 0

    def validate_is_due(self, done):
        """Whether the epoch that ends with ``done`` steps ends with a validation."""
        if self.eval_data is None or done % self.steps_per_epoch:
            return False
        return (
            done == self.total_steps
            or (done // self.steps_per_epoch) % self.config.val_frequency == 0
        )

    def validate(self):
        """Evaluate on all validation images the epoch that has just ended, and add that to its
        checkpoint.
        """
        started, epoch = time.time(), self.step // self.steps_per_epoch - 1
        with self._evaluation():
            tally = evaluate(
                self.net,
                self.eval_data.batches(epoch // self.config.val_frequency),
                self.cluster,
                self.objective.plain_losses,
                self.config.dtype,
                expected=self.eval_data.images if self.config.val_last_batch == "exact" else None,
            )
        self.validated = summary = tally.summary()
        self.journal.validation(self.step, epoch, summary, time.time() - started)
        is_best = self.best is None or summary["top1"] > self.best["top1"]
        if is_best:
            self.best = dict(summary, step=self.step, epoch=epoch)
        self.awaits_validation = False
        if self.cluster.rank == 0:
            path = checkpoint.path_of(self.config.save_dir, self.step)
            state = dict(
                best=self.best, validated=summary, awaits_validation=False, seconds=self.seconds()
            )
            checkpoint.amend(path, self.journal.contents(), **state)
            if is_best:
                checkpoint.mark_best(self.config.save_dir, path)

    def save_is_due(self, done):
        """Whether a checkpoint is due after ``done`` steps."""
        config = self.config
        every = config.save_frequency * self.steps_per_epoch
        return (
            done == self.stop_step
            or self.stop.agreed is not None
            or (every and done % every == 0)
            or (config.save_interval and done % config.save_interval == 0)
        )

    def save(self):
        """Write a checkpoint of this moment: all workers give their part, and rank 0 writes."""
        tallies = gather_json(
            self.cluster,
            (
                dataclasses.asdict(self.interval),
                dataclasses.asdict(self.epoch),
                self.train_data.bad_records,
            ),
        )
        intervals, epochs, bad_records = zip(*tallies)
        with self._averaged_statistics() as statistics:
            self._write_checkpoint(
                intervals, epochs, sum(bad_records), statistics if len(statistics) > 1 else ()
            )

    def _write_checkpoint(self, intervals, epochs, bad_records, statistics):
        if self.cluster.rank == 0:
            self._check_finite()
            log = self.journal.contents()
            folder.write_again(self)
            state = dict(
                epoch=self.step // self.steps_per_epoch,
                steps_per_epoch=self.steps_per_epoch,
                global_batch=self.layout.global_batch,
                intervals=intervals,
                epochs_so_far=epochs,
                best=self.best,
                validated=self.validated,
                awaits_validation=self.awaits_validation,
                loss_scale=self.loss_scale.state(),
                bad_records=bad_records,
                seconds=self.seconds(),
                training_seconds=self.journal.training_seconds,
            )
            checkpoint.save(
                self.config.save_dir,
                self.step,
                self.net,
                self.trainer,
                state,
                self.config.keep_checkpoints,
                statistics,
                log,
            )
            self.journal.clock("checkpoint", step=self.step)

    def _check_finite(self):
        """Of parameters and statistics alone: a float32 master copy that is not finite makes its
        float16 weight so.
        """
        name = first_not_finite(checkpoint.parameters_of(self.net))
        if name is not None:
            raise Diverged(
                self._what_now(f"{name} has values that are NaN or infinite", self.step - 1)
            )

    def stop_if_asked(self):
        """Raise what ends the run where it was asked to stop; the checkpoint of this step is
        written.
        """
        if self.stop.agreed is not None:
            self.cluster.close()  # the first one who leaves may take the others along
            self.stop.raise_after(self.step)

    # -- the pieces

    def _check_resume(self, resumed):
        if resumed is None:
            folder.write(self)
            return
        path, state = resumed
        folder.compare(self)
        layout = self.layout
        own = checkpoint.load(
            path, state, self.net, self.trainer, self.cluster.devices, layout.parts
        )
        self.running = RunningStatistics(self.net, layout, self.cluster.devices)
        self.running.put(own)
        self.step = same_place(state, self.layout.global_batch, self.steps_per_epoch)
        self._started = time.time() - state["seconds"]
        self.journal.training_seconds = state["training_seconds"]
        self.best, self.validated = state["best"], state["validated"]
        self.interval, self.epoch = (
            Tally.of_worker(state[name], layout) for name in ("intervals", "epochs_so_far")
        )
        self.loss_scale.restore(state["loss_scale"])
        self.awaits_validation = state.get("awaits_validation", False) and self.validate_is_due(
            self.step
        )
        self.journal.rewind(state["log_bytes"], checkpoint.read_log(path, state))
        self.journal.clock("resumed", step=self.step)
        self.journal.say(f"resuming from {path} at step {self.step} of {self.total_steps}")

    def _settle_in(self, path, state):
        """Make the folder that of this run where the checkpoint is another's, and give what it
        holds the numbers of now.

        Afterwards the checkpoint of this step and the mark of the best one are where they belong,
        so that all may begin.
        """
        config, first = self.config, self.cluster.rank == 0
        here = folder.is_same(path, checkpoint.path_of(config.save_dir, state["step"]))
        renumbered = state["step"] != self.step
        if not gather_json(self.cluster, here)[0] or renumbered:
            self.save()
        if first and renumbered:
            checkpoint.set_aside(config.save_dir, self.step)
        if (
            first
            and self.best
            and not checkpoint.find_best(config.save_dir, self.best, folder.run_of(path).path)
        ):
            self.journal.say(
                f"the checkpoint of the best validation (step {self.best['step']}) is not there any more"
            )

    def _say_what_it_is(self):
        config, say = self.config, self.journal.say
        say(
            f"{config.model}: {self.complexity.parameters / 1e6:.2f} M parameters, {self.complexity.multiply_adds / 1e9:.2f} G multiply-adds at {config.input_size}x{config.input_size}"
        )
        layout = self.layout
        say(
            f"global batch {layout.in_words()}; {self.steps_per_epoch} steps an epoch, {self.total_steps} in all"
        )
        if self.eval_data is None:
            say(
                "no validation, because there is no --rec-val: no best checkpoint, and the figures are the training set's"
            )
        say(
            "OMP_NUM_THREADS={}{}; the run's folder is {}".format(
                os.environ.get("OMP_NUM_THREADS", "unset: MXNet computes on one core"),
                " (all cores, as it was not set)"
                if os.environ.get("GLUON_TRICKS_SET_THREADS")
                else "",
                config.save_dir,
            )
        )

    def _what_now(self, what, step):
        whole = checkpoint.latest(self.config.save_dir, say=lambda text: None)
        return "{} at step {} (learning rate {:.6g}); {}. Try a smaller rate, a longer warmup or other data".format(
            what,
            step,
            self.schedule(step),
            f"the last good checkpoint is {whole[0]}" if whole else "there is no checkpoint yet",
        )

    @contextlib.contextmanager
    def _evaluation(self):
        """Within, every device has the mean of all parts' BatchNorm statistics; afterwards its own
        again.

        What comes after the evaluation is, to the bit, what it would be without.
        """
        with self._averaged_statistics():
            yield
        network.restore_layout(self.net)

    @contextlib.contextmanager
    def _averaged_statistics(self):
        """Within, every device has the mean of the statistics of all parts; gives (parts, n), each
        one's own.
        """
        # BatchNorm writes its statistics in the backward pass, which copying them does not wait
        # for.
        self.cluster.settle(self.trainer)
        own = self.running.get()
        every = gather_parts(self.cluster, self.layout, own)
        if len(every) > 1:
            for device in self.cluster.devices:
                checkpoint.put_statistics(self.net, device, checkpoint.mean_statistics(every))
        yield every
        if len(every) > 1:
            self.running.put(dict(zip(self.layout.own_parts, own)))
        mx.nd.waitall()

    def seconds(self):
        """Seconds that the run has taken so far, over all sessions."""
        return time.time() - self._started

    def _has_result(self):
        """Whether the run's end has been written down, as rank 0 sees it: it may have been killed
        just before.
        """
        return gather_json(
            self.cluster, os.path.exists(os.path.join(self.config.save_dir, "result.json"))
        )[0]

    def _write_result(self):
        best = self.best or {}
        final = self.validated or {}
        result = dict(
            {name: final.get(name) for name in ("top1", "top5", "loss", "images")},
            best=best,
            epochs=self.config.num_epochs,
            steps=self.total_steps,
            global_batch=self.layout.global_batch,
            parameters=self.complexity.parameters,
            multiply_adds=self.complexity.multiply_adds,
            skipped_steps=self.loss_scale.skipped,
            bad_records=sum(gather_json(self.cluster, self.train_data.bad_records)),
            images_per_second=self.total_steps
            * self.layout.global_batch
            / max(self.journal.training_seconds, 1e-9),
            seconds=self.seconds(),
        )
        if self.cluster.rank == 0:
            self.journal.contents()
            folder.write_again(self)
            write_json(os.path.join(self.config.save_dir, "result.json"), result)
        if final:
            self.journal.say(
                "top-1 {:.2f} %, top-5 {:.2f} % on {} images; best top-1 {:.2f} % after epoch {}".format(
                    final["top1"], final["top5"], final["images"], best["top1"], best["epoch"]
                )
            )
