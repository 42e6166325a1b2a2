"""Which images of the global batch belong to which worker, micro-batch and device: arithmetic
alone.
"""

from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True)
class Layout:
    """How the images of a step, the global batch, are shared out.

    The global batch is a row of ``parts`` of ``batch_size`` images, one for each forward and
    backward pass. Each worker has a run of neighbouring parts, as many as the others or one more;
    within it they go micro-batch after micro-batch, and within that device after device. BatchNorm
    and mixup's pairs live inside one part, so that launches with the same parts compute the same.
    """

    batch_size: int
    parts: int = 1
    devices: int = 1  # of a worker
    workers: int = 1
    rank: int = 0

    def __post_init__(self):
        if self.parts < self.workers * self.devices:
            raise UserError(
                f"the global batch of {self.global_batch} images has {self.parts} parts of --batch-size {self.batch_size}, too few for {self.workers} workers with {self.devices} devices each: "
                "start fewer"
            )

    @property
    def global_batch(self):
        """Images in a step."""
        return self.batch_size * self.parts

    def parts_of(self, rank):
        """The numbers of a worker's parts, as a range."""
        return range(self.parts * rank // self.workers, self.parts * (rank + 1) // self.workers)

    @property
    def own_parts(self):
        """The numbers of this worker's parts, as a range."""
        return self.parts_of(self.rank)

    @property
    def worker_batch(self):
        """Images of a step that this worker reads."""
        return self.batch_size * len(self.own_parts)

    @property
    def first(self):
        """Position in the global batch of the first image of this worker."""
        return self.batch_size * self.own_parts.start

    @property
    def accumulate(self):
        """Micro-batches of this worker; not all devices need to have a part of the last one."""
        return -(-len(self.own_parts) // self.devices)

    def in_words(self):
        """The global batch as a product."""
        return f"{self.global_batch} = {self.batch_size} images x {self.parts} parts; {self.workers} workers with {self.devices} devices each"

    def micro_batch(self, micro):
        """(device's number, part's number) pairs of a micro-batch of this worker."""
        return enumerate(self.own_parts[micro * self.devices : (micro + 1) * self.devices])

    def split(self, batch, part):
        """The images of a part, of an array with this worker's images."""
        start = (part - self.own_parts.start) * self.batch_size
        return batch[start : start + self.batch_size]


def layout_of(config, cluster, began_with=None):
    """How this launch shares out a step; ``began_with`` is the global batch of a run that is
    resumed.
    """
    workers, devices = cluster.world_size, len(cluster.devices)
    parts = workers * devices * config.accumulate
    if began_with and config.elastic == "keep-batch":
        parts, rest = divmod(began_with, config.batch_size)
        if rest:
            raise UserError(
                f"--elastic keep-batch: the run's {began_with} images a step are no multiple of --batch-size {config.batch_size}"
            )
    return Layout(config.batch_size, parts, devices, workers, cluster.rank)
