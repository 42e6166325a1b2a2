"""What a train command would do, told from its flags and the index of its data alone."""

import math
import os

from .. import fidelity, paper, transfer
from ..config import FLAGS, Config, spelling, without_effect
from ..errors import UserError
from ..flags import text_of
from ..text import counted
from ..threads import number_in
from ..tricks import nearest_row
from ..tricks.table import LATER, TRICKS, Training, paper_rate

# The variables in which launchers tell a process how many workers there are.
LAUNCHERS = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "DMLC_NUM_WORKER")


class RunPlan:
    """The run of ``config`` on ``workers`` workers (0: those of this launch, or 1), before it
    begins.

    Needs neither the GPUs nor the record files that the flags name. Raises UserError for every
    mistake that the flags and the index show; so does :meth:`lines`, which makes the network.
    """

    def __init__(self, config, workers=0):
        from ..data.loader import check_flags, steps_in
        from ..data.of_task import refuse_masks
        from ..distributed.layout import Layout
        from .identity import refuse_forgotten_classes
        from .schedule import batch_growth, learning_rate
        from .timetable import Timetable
        from .update import members_of

        self.config = config
        devices, workers = spread(config, workers)
        self.layout = Layout(
            config.batch_size, devices * workers * config.accumulate, devices, workers
        )
        self.images, self.images_from = images_of(config)
        self.steps_per_epoch = steps_in(self.images, self.layout.global_batch)
        self.total_steps = config.num_epochs * self.steps_per_epoch
        self.schedule = learning_rate(
            config, self.layout.global_batch, self.steps_per_epoch, self.images
        )
        self.timetable = Timetable(
            self.steps_per_epoch,
            config.num_epochs,
            self.schedule,
            config.log_interval,
            config.val_frequency,
            config.save_frequency,
            config.save_interval,
            batch_growth(config, self.layout.global_batch),
        )
        check_flags(config, workers)
        if not config.resume:
            refuse_forgotten_classes(config)
        refuse_masks(config, config.rec_train)
        members_of(config, self.layout, self.timetable)  # they refuse a run that is too short

    def lines(self):
        """The plan as lines of text."""
        config, layout = self.config, self.layout
        cost, groups = network_of(config, layout.devices)
        size, left_over = config.input_size, counted(self.images % layout.global_batch, "image")
        yield (
            f"network       {config.model}: {cost.parameters / 1e6:.2f} M parameters, "
            f"{cost.multiply_adds / 1e9:.2f} G multiply-adds at {size}x{size}"
        )
        yield f"images        {self.images:,} an epoch ({self.images_from})"
        yield "global batch  " + layout.in_words()
        yield (
            f"steps         {self.steps_per_epoch:,} an epoch ({left_over} left over in each), "
            f"{counted(config.num_epochs, 'epoch')}, {self.total_steps:,} in all"
        )
        if config.batch_growth:
            yield "updates       " + self.updates()
        yield (
            "weight decay  {:g} on {} tensors, {:,} parameters; none on {} tensors, {:,} parameters"
        ).format(config.wd, *groups["decayed"], *groups["not decayed"])
        yield "\ntricks"
        tricks = self.tricks()
        width = max(len(trick.name) for trick, _ in tricks)
        for trick, state in tricks:
            yield f"  {trick.name:{width}}  {trick.section:5} {state}"
        found = differences(config, layout.global_batch)
        yield "\ndifferences from the paper" + ("" if found else ": none")
        for flag, here, there, section in found:
            yield f"  {flag} {here}, paper: {there} ({section})"
        yield from nearest_row.lines(config, layout.global_batch, self.schedule.peak)
        yield "\nlearning rate"
        for line in curve(self.schedule):
            yield "  " + line

    def updates(self):
        """The number of updates, and their images at the beginning and at the end, in words."""
        first, last = (
            self.timetable.growth.steps(epoch) * self.layout.global_batch
            for epoch in (0, self.config.num_epochs - 1)
        )
        return f"{self.timetable.total_updates:,} in all, from {first:,} to {last:,} images each"

    def tricks(self):
        """(:class:`Trick`, its state or "off") for each of the paper's tricks, and for the later
        ones that are on.
        """
        run = Training(
            self.config,
            self.schedule.peak,
            self.layout.global_batch,
            self.schedule.warmup_steps,
            steps_per_epoch=self.steps_per_epoch,
        )
        on = {trick.name for trick in TRICKS if trick.applies(self.config)}
        return [
            (trick, trick.state(run) if trick.name in on else "off")
            for trick in TRICKS
            if trick.name in on or trick.section != LATER
        ]

    def write_rates(self, path, every=1):
        """Write ``epoch,batch,lr`` for batches 0, every, 2 every, ... of each epoch from 0."""
        with open(path, "w") as file:
            file.write("epoch,batch,lr\n")
            for epoch in range(self.config.num_epochs):
                for batch in range(0, self.steps_per_epoch, every):
                    rate = self.schedule(epoch * self.steps_per_epoch + batch)
                    file.write(f"{epoch},{batch},{float(rate)!r}\n")

    def draw(self, path):
        """Draw the learning rate over the epochs into an image file."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 3.5), tight_layout=True)
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        steps = sorted({round(i * (self.total_steps - 1) / 2000) for i in range(2001)})
        axes.plot(
            [step / self.steps_per_epoch for step in steps], [self.schedule(step) for step in steps]
        )
        axes.set(xlabel="epoch", ylabel="learning rate", title=self.config.model)
        axes.set(xlim=(0, self.config.num_epochs), ylim=(0, None))
        axes.grid(alpha=0.3)
        figure.savefig(path, dpi=120)


def spread(config, workers=0):
    """(devices of a worker, workers) of a launch; with Horovod, a worker has one device."""
    if workers < 0:
        raise UserError(f"--workers {workers}: has to be at least 0")
    devices = max(1, config.num_gpus, config.cpu_contexts)
    if config.kvstore in ("local", "device"):
        if workers > 1:
            raise UserError(f"--workers {workers} needs --kvstore horovod or dist_sync")
        return devices, 1
    launched = [number_in(name, os.environ[name]) for name in LAUNCHERS if name in os.environ]
    return 1 if config.kvstore == "horovod" else devices, workers or (launched or [1])[0]


def images_of(config):
    """(images in an epoch, where the number comes from), from the index if it exists."""
    from ..data.loader import epoch_length
    from ..data.records import read_index

    index, given = config.rec_train_idx, config.num_training_samples
    if config.synthetic:
        return epoch_length(config.synthetic, given, config.rec_train), "--synthetic"
    if index and os.path.exists(index):
        length = epoch_length(len(read_index(index, config.rec_train)[0]), given, config.rec_train)
        return length, "--num-training-samples" if given else index
    if given:
        return given, "--num-training-samples"
    missing = f"{index} is not here" if index else "no --rec-train was given"
    data = transfer.data_with(config.classes, config.task)
    name, images = (data.name, data.images) if data else ("ImageNet", paper.TRAINING_IMAGES)
    return images, f"{name}'s; {missing}"


def network_of(config, devices=1):
    """The size and cost of the network that the flags ask for, on so many devices.

    Returns (:class:`.models.complexity.Complexity`, {"decayed" and "not decayed": (tensors,
    parameters)}).
    """
    import mxnet as mx

    from .. import models
    from ..models import complexity
    from ..tricks.weight_decay import exempt_biases
    from .network import check_sizes, teacher_source, untrained

    net = untrained(config, devices)
    if config.teacher and config.teacher in models.names():  # a file may not exist yet
        teacher_source(config)
    cost = complexity.count(net, config.input_size)
    with mx.autograd.train_mode():  # only this mode's graph has all parameters
        net.infer_shape(mx.nd.zeros((1, 3, config.input_size, config.input_size)))
    check_sizes(net, config)
    if config.no_wd:
        exempt_biases(net, config.no_wd_form)
    sizes = {"decayed": [], "not decayed": []}
    for parameter in net.collect_params().values():
        if parameter.grad_req != "null":
            group = "decayed" if config.wd * parameter.wd_mult else "not decayed"
            sizes[group].append(math.prod(parameter.shape))
    return cost, {name: (len(group), sum(group)) for name, group in sizes.items()}


# Flags that make no difference from the paper by themselves: they spread the work, or a trick's
# line of the plan shows them.
NO_DIFFERENCE = {"model", "batch_size", "accumulate", "lr", "base_lr", "teacher_model"}
NO_DIFFERENCE |= {"loss_scale", "max_skipped"}
NO_DIFFERENCE |= {trick.flags[0] for trick in TRICKS if trick.flags[0] not in trick.values}


def differences(config, global_batch):
    """(flag, its value here, the paper's, section) for each setting that affects the result and is
    not the paper's.
    """
    ignored = NO_DIFFERENCE | set(without_effect(config))
    papers = paper_values(config)
    found = []
    for name, field in FLAGS.items():
        section = field.metadata["section"] or ("2.1" if name in fidelity.SETTINGS else "")
        here, there = getattr(config, name), papers.get(name, field.default)
        if section and here != there and name not in ignored:
            found.append((spelling(name), text_of(here), text_of(there), section))
    peak = paper_rate(global_batch, config.base_lr) if config.linear_scaling else config.lr
    there = papers.get("lr", paper_rate(global_batch, papers.get("base_lr", Config.base_lr)))
    if not math.isclose(peak, there):
        flag = "--linear-scaling: a peak of" if config.linear_scaling else "--lr"
        found.append((flag, f"{peak:g}", f"{there:g} for a batch of {global_batch}", "3.1"))
    return found


def paper_values(config):
    """The paper's values of the flags for which the default is not always the paper's value."""
    values = dict(
        num_epochs=paper.MIXUP["num_epochs"] if config.mixup else paper.BASELINE["num_epochs"],
        input_size=299 if config.model.lower() == "inceptionv3" else 224,
    )
    values.update(fidelity.TASKS.get(config.task, {}))
    for trick in TRICKS:
        for name, value in trick.values.items():
            values[name] = value if trick.applies(config) else getattr(config, name)
    if config.lr_mode == "exp":
        values.update(lr_decay=0.94, lr_decay_period=2)
    return values


def curve(schedule, width=64, height=10):
    """The learning rate over the run, drawn with characters: a list of lines."""
    rates = [
        schedule(round(column * (schedule.total_steps - 1) / (width - 1)))
        for column in range(width)
    ]
    top = max(rates) or 1.0
    rows = [[" "] * width for _ in range(height)]
    for column, rate in enumerate(rates):
        rows[height - 1 - round(rate / top * (height - 1))][column] = "*"
    labels = {0: f"{top:.4g}", height - 1: "0"}
    lines = [
        "{:>8} |{}".format(labels.get(number, ""), "".join(row).rstrip())
        for number, row in enumerate(rows)
    ]
    last = f"epoch {schedule.num_epochs}"
    return lines + [
        " " * 9 + "+" + "-" * width,
        " " * 10 + "0" + " " * (width - 1 - len(last)) + last,
    ]
