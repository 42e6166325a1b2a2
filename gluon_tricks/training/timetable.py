"""When a run logs, validates and saves: all follows from the number of finished steps."""

from dataclasses import dataclass

from ..errors import UserError
from ..tricks.batch_growth import BatchGrowth
from ..tricks.schedule import LearningRate


@dataclass
class Timetable:
    """Learning rate, epochs, updates, lines of the log, validations and checkpoints, by the step.

    An update uses the gradients of one step, and with ``--batch-growth`` of several. ``done`` is a
    number of steps after which there was an update.
    """

    steps_per_epoch: int
    num_epochs: int
    learning_rate: LearningRate  # a function of the step
    log_interval: int  # steps between two lines of the log
    val_frequency: int  # epochs between validations; 0: there are none
    save_frequency: int  # epochs between checkpoints; 0: only at the end
    save_interval: int  # steps between checkpoints; 0: none but those of save_frequency
    growth: BatchGrowth = BatchGrowth()
    stop_step: int = 0  # where this session of the run ends

    def __post_init__(self):
        if self.most_steps > self.steps_per_epoch:
            raise UserError(
                f"--batch-growth: the updates of the last epoch take {self.most_steps} steps each, "
                f"and an epoch has {self.steps_per_epoch}: say where to stop with --max-batch"
            )

    @property
    def most_steps(self):
        """Of an update, in the last epoch."""
        return self.growth.steps(self.num_epochs - 1)

    @property
    def total_steps(self):
        """Steps of the whole run."""
        return self.num_epochs * self.steps_per_epoch

    def epoch(self, step):
        """The epoch that ``step`` belongs to; both count from 0."""
        return step // self.steps_per_epoch

    def steps_of_update(self, step):
        """How many steps the update has that ``step`` belongs to."""
        return self.growth.steps(self.epoch(step))

    def ends_update(self, step):
        """Whether it is the last of them."""
        return (step % self.steps_per_epoch + 1) % self.steps_of_update(step) == 0

    def after(self, step):
        """How many steps are done after ``step``: what is left of an epoch and too little for
        another update is left out.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        is_last = index + 1 == self._used_in(epoch)
        return (epoch + 1) * self.steps_per_epoch if is_last else step + 1

    def stop_at(self, step):
        """Let the session stop with the update that ``step`` belongs to, or the last one before."""
        epoch, index = divmod(step, self.steps_per_epoch)
        steps = self.growth.steps(epoch)
        number = min(index // steps + 1, self.updates_in(epoch))
        self.stop_step = self.after(epoch * self.steps_per_epoch + number * steps - 1)

    def stretches(self, step):
        """(start, stop) pairs of the steps from ``step`` to where the session stops; those that are
        left out lie between them.
        """
        last = self.epoch(self.stop_step - 1)
        for epoch in range(self.epoch(step), last + 1):
            begin, end = epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch
            if epoch == last or begin + self._used_in(epoch) < end:
                yield step, min(begin + self._used_in(epoch), self.stop_step)
                step = end

    def updates_in(self, epoch):
        """How many updates ``epoch`` has."""
        return self.steps_per_epoch // self.growth.steps(epoch)

    @property
    def total_updates(self):
        """Updates of the whole run."""
        return sum(self.updates_in(epoch) for epoch in range(self.num_epochs))

    @property
    def trained_steps(self):
        """Steps of the whole run without those that are left out."""
        return sum(self._used_in(epoch) for epoch in range(self.num_epochs))

    def _before(self, step):
        """How many steps are done before the update of ``step``, or before the last one of its
        epoch if ``step`` is left out.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        number = min(index // self.growth.steps(epoch), self.updates_in(epoch) - 1)
        return epoch * self.steps_per_epoch + number * self.growth.steps(epoch)

    def _used_in(self, epoch):
        return self.updates_in(epoch) * self.growth.steps(epoch)

    def ends_epoch(self, done):
        """Whether an epoch ends after ``done`` steps."""
        return done % self.steps_per_epoch == 0

    def should_log(self, done):
        """Whether the log gets a line: all workers meet for it."""
        return self.reaches(done, self.log_interval) or self.ends_epoch(done)

    def should_validate(self, done):
        """Whether the epoch that ends with ``done`` steps ends with a validation."""
        if not self.val_frequency or not self.ends_epoch(done):
            return False
        return done == self.total_steps or self.epoch(done) % self.val_frequency == 0

    def should_save(self, done):
        """Whether a checkpoint is written."""
        every = self.save_frequency * self.steps_per_epoch
        return bool(
            done == self.stop_step
            or (every and done % every == 0)
            or (self.save_interval and self.reaches(done, self.save_interval))
        )

    def reaches(self, done, every):
        """Whether the update that ends with ``done`` steps reaches a multiple of ``every``."""
        return done // every > self._before(done - 1) // every
