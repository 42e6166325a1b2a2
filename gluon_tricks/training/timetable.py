"""When a run updates, logs, validates and saves: all follow from the number of finished steps."""

from dataclasses import dataclass

from ..errors import UserError
from ..tricks.batch_growth import BatchGrowth
from ..tricks.schedule import LearningRate


@dataclass
class Timetable:
    """Learning rate, epochs, updates, lines of the log, validations and checkpoints, by the step.

    An update uses the gradients of one step or, with ``--batch-growth``, of several. ``done``
    counts steps up to the end of an update.
    """

    steps_per_epoch: int
    num_epochs: int
    learning_rate: LearningRate  # a function of the step
    log_interval: int  # steps between two lines of the log
    val_frequency: int  # epochs between validations; 0: there are none
    save_frequency: int  # epochs between checkpoints; 0: only at the end
    save_interval: int  # steps between checkpoints; 0: none but those of save_frequency
    growth: BatchGrowth = BatchGrowth()
    stop_step: int = 0  # after so many steps this session of the run ends

    def __post_init__(self):
        if self.most_steps > self.steps_per_epoch:
            raise UserError(
                f"--batch-growth: the updates of the last epoch take {self.most_steps} steps each, "
                f"and an epoch has {self.steps_per_epoch}: limit them with --max-batch"
            )

    @property
    def most_steps(self):
        """Steps of an update in the last epoch, where there are most."""
        return self.growth.steps(self.num_epochs - 1)

    @property
    def total_steps(self):
        """Steps of the whole run."""
        return self.num_epochs * self.steps_per_epoch

    def epoch(self, step):
        """The epoch that ``step`` belongs to; both count from 0."""
        return step // self.steps_per_epoch

    def steps_of_update(self, step):
        """How many steps the update of ``step`` has."""
        return self.growth.steps(self.epoch(step))

    def ends_update(self, step):
        """Whether ``step`` is the last one of its update."""
        return (step % self.steps_per_epoch + 1) % self.steps_of_update(step) == 0

    def after(self, step):
        """How many steps are done after ``step``. Steps at the end of an epoch that are too few for
        another update are left out, and count as done.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        is_last = index + 1 == self._used_in(epoch)
        return (epoch + 1) * self.steps_per_epoch if is_last else step + 1

    def stop_at(self, step):
        """Let the session stop after the update of ``step``, or of the last step before that is not
        left out.
        """
        epoch, index = divmod(step, self.steps_per_epoch)
        steps = self.growth.steps(epoch)
        number = min(index // steps + 1, self.updates_in(epoch))
        self.stop_step = self.after(epoch * self.steps_per_epoch + number * steps - 1)

    def stretches(self, step):
        """(start, stop) pairs that cover the steps from ``step`` until the session stops, without
        those that are left out.
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
        """Whether the log gets a line, for which all workers meet."""
        return self.reaches(done, self.log_interval) or self.ends_epoch(done)

    def should_validate(self, done):
        """Whether an epoch ends after ``done`` steps, and is validated."""
        if not self.val_frequency or not self.ends_epoch(done):
            return False
        return done == self.total_steps or self.epoch(done) % self.val_frequency == 0

    def should_save(self, done):
        """Whether a checkpoint is written after ``done`` steps."""
        every = self.save_frequency * self.steps_per_epoch
        return bool(
            done == self.stop_step
            or (every and done % every == 0)
            or (self.save_interval and self.reaches(done, self.save_interval))
        )

    def reaches(self, done, every):
        """Whether the update that ends with ``done`` steps reaches a multiple of ``every``."""
        return done // every > self._before(done - 1) // every
