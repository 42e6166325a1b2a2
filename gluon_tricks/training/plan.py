"""``gluon-tricks plan``: what a train command would do, from its flags and the index of its data
alone.
"""

import math
import os

from .. import config as flags
from .. import fidelity as authors
from .. import paper
from ..errors import UserError

# Where launchers tell a process how many workers there are.
LAUNCHERS = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "DMLC_NUM_WORKER")


def add_arguments(parser):
    flags.add_arguments(parser)
    group = parser.add_argument_group("plan")
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="workers of the launch [those of this one, or 1]",
    )
    group.add_argument(
        "--plot",
        type=flags.user_path,
        metavar="FILE.png",
        help="also draw the learning rate into this file",
    )
    group.add_argument(
        "--lr-csv",
        type=flags.user_path,
        metavar="FILE",
        help="also write epoch,batch,lr: the rate that each batch's update uses",
    )
    group.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="--lr-csv: only batches 0, N, 2N ... of each epoch [1]",
    )


def main(args):
    if args.every < 1:
        raise UserError(f"--every is {args.every}, but has to be at least 1")
    if args.every > 1 and not args.lr_csv:
        raise UserError("--every has no effect without --lr-csv: leave one out or add the other")
    plan = Plan(flags.resolve(vars(args)), args.workers)
    print("\n".join(plan.lines()))
    if args.lr_csv:
        _write("--lr-csv", args.lr_csv, lambda path: plan.write_rates(path, args.every))
    if args.plot:
        _write("--plot", args.plot, plan.draw)
    return 0


def _write(flag, path, write):
    try:
        write(path)
    except (
        OSError,
        ValueError,
    ) as error:  # matplotlib: ValueError for a kind of file that it does not know
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{flag} {path} cannot be written: {reason}") from None
    print(f"{path} is written")


class Plan:
    """What the run of ``config`` will be on ``workers`` workers (0: those of this launch, or 1).

    Needs neither the GPUs nor the record files that the flags name. Raises UserError for all that
    the flags and the index show to be wrong.
    """

    def __init__(self, config, workers=0):
        from ..data.loader import steps_in
        from ..distributed.local import Layout
        from .schedule import learning_rate

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

    def lines(self):
        """The report, as lines of text."""
        config, layout = self.config, self.layout
        cost, groups = network_of(config)
        yield f"network       {config.model}: {cost.parameters / 1e6:.2f} M parameters, {cost.multiply_adds / 1e9:.2f} G multiply-adds at {config.input_size}x{config.input_size}"
        yield f"images        {self.images:,} an epoch ({self.images_from})"
        yield "global batch  " + layout.in_words()
        yield f"steps         {self.steps_per_epoch:,} an epoch ({self.images % layout.global_batch} images left over each), {config.num_epochs} epochs, {self.total_steps:,} in all"
        yield "weight decay  {:g} on {} tensors, {:,} parameters; none on {} tensors, {:,} parameters".format(
            config.wd, *(groups["decayed"] + groups["not decayed"])
        )
        yield "\ntricks"
        for name, section, state in tricks(config, self.schedule, layout.global_batch):
            yield f"  {name:18} {section:5} {state}"
        found = differences(config, layout.global_batch)
        yield "\nother than in the paper" + ("" if found else ": nothing")
        for flag, here, there, section in found:
            yield f"  {flag} {here}, paper: {there} ({section})"
        yield "\nlearning rate"
        for line in curve(self.schedule):
            yield "  " + line

    def write_rates(self, path, every=1):
        """Write ``epoch,batch,lr`` of batches 0, every, 2 every ... of each epoch; epochs begin
        with 0.
        """
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
    """(devices of a worker, workers) of a launch; a Horovod worker has one device, however many
    --num-gpus.
    """
    devices = max(1, config.num_gpus, config.cpu_contexts)
    if config.kvstore in ("local", "device"):
        if workers > 1:
            raise UserError(f"--workers {workers} needs --kvstore horovod or dist_sync")
        return devices, 1
    launched = [os.environ[name] for name in LAUNCHERS if name in os.environ]
    return 1 if config.kvstore == "horovod" else devices, workers or int((launched or [1])[0])


def images_of(config):
    """(images in an epoch, where the number comes from). Reads the index if it is there, and no
    images.
    """
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
    return paper.TRAINING_IMAGES, f"ImageNet's; {missing}"


def network_of(config):
    """What the network of the flags is.

    Returns (:class:`.models.complexity.Complexity`, {"decayed" and "not decayed": (tensors,
    parameters)}).
    """
    import mxnet as mx

    from .. import models
    from ..models import complexity
    from ..tricks.weight_decay import exempt_biases

    net = models.get_model(
        config.model,
        classes=config.classes,
        input_size=config.input_size,
        **models.options_of(config),
    )
    cost = complexity.count(net, config.input_size)
    net.infer_shape(mx.nd.zeros((1, 3, config.input_size, config.input_size)))
    if config.no_wd:
        exempt_biases(net)
    sizes = {"decayed": [], "not decayed": []}
    for parameter in net.collect_params().values():
        if parameter.grad_req != "null":
            group = "decayed" if config.wd * parameter.wd_mult else "not decayed"
            sizes[group].append(math.prod(parameter.shape))
    return cost, {name: (len(group), sum(group)) for name, group in sizes.items()}


def tricks(config, schedule, global_batch):
    """(name, section, what is on, or "off") of each of the paper's tricks."""
    scaled = paper_rate(global_batch)
    states = [
        ("linear scaling", "3.1", f"peak {schedule.peak:g}"),
        ("warmup", "3.1", "off"),
        ("zero gamma", "3.1", "on" if config.last_gamma else "off"),
        ("no bias decay", "3.1", "on" if config.no_wd else "off"),
        ("low precision", "3.2", "off"),
        ("cosine decay", "5.1", "on" if config.lr_mode == "cosine" else f"off: {config.lr_mode}"),
        (
            "label smoothing",
            "5.2",
            f"{config.label_smoothing:g}" if config.label_smoothing else "off",
        ),
        ("distillation", "5.3", "off"),
        ("mixup", "5.4", "off"),
    ]
    on = {}
    if not math.isclose(schedule.peak, scaled):
        on["linear scaling"] = f"peak {schedule.peak:g}, the paper's would be {scaled:g}"
    if config.warmup_epochs:
        on["warmup"] = f"{config.warmup_epochs:g} epochs, {schedule.warmup_steps:,} steps"
    if config.dtype == "float16":
        on["low precision"] = f"float16, loss scale {config.loss_scale}"
    if config.teacher:
        on["distillation"] = f"from {config.teacher}, T = {config.temperature:g}"
    if config.mixup:
        on["mixup"] = f"alpha {config.mixup_alpha:g}"
        if config.mixup_off_epoch:
            on["mixup"] += f", not in the last {config.mixup_off_epoch} epochs"
    return [(name, section, on.get(name, state)) for name, section, state in states]


# Flags that tricks() tells of, or that say how the work is spread: in themselves no difference from
# the paper.
NO_DIFFERENCE = {
    *(
        "model",
        "dtype",
        "batch_size",
        "accumulate",
        "lr",
        "linear_scaling",
        "base_lr",
        "lr_mode",
        "last_gamma",
    ),
    *("no_wd", "mixup", "teacher", "teacher_model", "loss_scale", "max_skipped"),
}


def differences(config, global_batch):
    """(flag, its value here, the paper's, section) of all that decides the result and is not the
    paper's.
    """
    useless = {name for name, has_effect, _ in flags.needs(config) if not has_effect}
    papers = paper_values(config)
    found = []
    for name, field in flags.FLAGS.items():
        section = field.metadata["section"] or ("2.1" if name in authors.FORMS else None)
        here, there = getattr(config, name), papers.get(name, field.default)
        if section and here != there and name not in NO_DIFFERENCE and name not in useless:
            found.append((flags.spelling(name), flags._text(here), flags._text(there), section))
    peak = paper_rate(global_batch, config.base_lr) if config.linear_scaling else config.lr
    there = paper_rate(global_batch)
    if not math.isclose(peak, there):
        flag = "--linear-scaling: a peak of" if config.linear_scaling else "--lr"
        found.append((flag, f"{peak:g}", f"{there:g} for a batch of {global_batch}", "3.1"))
    return found


def paper_rate(global_batch, base=paper.BASELINE["peak"]):
    """Linear scaling from the paper's baseline."""
    return base * global_batch / paper.BASELINE["global_batch"]


def paper_values(config):
    """The paper's values of flags that depend on others, where the default is not the answer."""
    values = dict(
        num_epochs=paper.MIXUP["num_epochs"] if config.mixup else paper.BASELINE["num_epochs"],
        warmup_epochs=paper.HEURISTICS["+ warmup"]["warmup_epochs"] if config.warmup_epochs else 0,
        label_smoothing=paper.SMOOTHING["label_smoothing"] if config.label_smoothing else 0.0,
        mixup_alpha=paper.MIXUP["mixup_alpha"] if config.mixup else 0.0,
        input_size=299 if config.model.lower() == "inceptionv3" else 224,
    )
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
