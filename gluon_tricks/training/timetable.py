"""When a run logs, validates and saves: all follows from the number of finished steps."""

from dataclasses import dataclass

from ..tricks.schedule import LearningRate


@dataclass
class Timetable:
    """Learning rate, epochs, lines of the log, validations and checkpoints, by the step."""

    steps_per_epoch: int
    num_epochs: int
    learning_rate: LearningRate  # a function of the step
    log_interval: int  # steps between two lines of the log
    val_frequency: int  # epochs between validations; 0: there are none
    save_frequency: int  # epochs between checkpoints; 0: only at the end
    save_interval: int  # steps between checkpoints; 0: none but those of save_frequency
    stop_step: int = 0  # where this session of the run ends

    @property
    def total_steps(self):
        """Steps of the whole run."""
        return self.num_epochs * self.steps_per_epoch

    def epoch(self, step):
        """The epoch that ``step`` belongs to; both count from 0."""
        return step // self.steps_per_epoch

    def ends_epoch(self, done):
        """Whether an epoch ends after ``done`` steps."""
        return done % self.steps_per_epoch == 0

    def should_log(self, done):
        """Whether the log gets a line: all workers meet for it."""
        return done % self.log_interval == 0 or self.ends_epoch(done)

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
            or (self.save_interval and done % self.save_interval == 0)
        )
