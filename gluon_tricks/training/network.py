"""Builds the networks of a run: the one that is trained, on all devices, and its teacher."""

import json
import os
from typing import NamedTuple, Optional

import mxnet as mx
import numpy as np
from mxnet import autograd

from .. import determinism, many_sizes, models
from ..config import Config, spelling
from ..errors import UserError
from ..models import complexity, foreign, registry
from ..tricks.initialization import initializer
from ..tricks.weight_decay import exempt_biases
from . import run_folder

# Operators that fail in float16 on a CPU.
NO_FLOAT16_ON_CPU = {"Convolution", "Deconvolution", "FullyConnected", "dot", "batch_dot"}


def student(config, devices, say=print, accumulate=1):
    """The network to train, initialised on ``devices``, cast to ``config.dtype`` and compiled.

    With ``accumulate`` above 1, the gradients of that many backward passes add up.
    """
    net = untrained(config, len(devices))
    if registry.get(config.model).sizes_vary:
        many_sizes.expect(devices[0])
    # MXNet's generator draws mostly the same numbers for neighbouring seeds.
    mx.random.seed(int(np.random.SeedSequence([config.seed]).generate_state(1)[0] >> 1))
    net.initialize(initializer(config.init), ctx=devices)
    know_shapes(net, config.model, config.input_size)
    check_sizes(net, config)
    _load_start(net, config, say)
    if config.no_wd:
        exempt_biases(net, config.no_wd_form)
    if accumulate > 1:
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                parameter.grad_req = "add"
    _compile(net, config)
    # The graph is made once: now, in training mode, since otherwise ResNeSt's would lack DropBlock.
    if config.mode == "hybrid":
        with autograd.train_mode():
            net.infer_shape(mx.nd.zeros((1, 3, config.input_size, config.input_size)))
    return net


def untrained(config, devices):
    """The network to train on so many devices, without values yet.

    Raises UserError if it cannot be trained as the flags ask, on whatever machine.
    """
    net = models.get_model(config.model, **models.arguments_of(config))
    models.synchronised(net, config, devices)
    if not config.num_gpus:
        _check_cpu_can_train(net, config, devices)
    elif config.deterministic:
        determinism.check_network(config.model, nodes_of(net))
    if config.use_pretrained:
        models.published_file(config.model, **models.options_of(config))
    return net


def _check_cpu_can_train(net, config, devices):
    if config.sync_bn and devices > 1:
        raise UserError(
            f"--sync-bn: MXNet's SyncBatchNorm crashes on {devices} CPU contexts; it is for GPUs"
        )
    onednn = os.environ.get("MXNET_MKLDNN_ENABLED") != "0"
    if onednn and registry.get(config.model).untrainable_on_onednn:
        raise UserError(
            f"--model {config.model}: oneDNN cannot train it on a CPU; set MXNET_MKLDNN_ENABLED=0 "
            "in the environment"
        )
    if config.dtype == "float16" and ops_of(net) & NO_FLOAT16_ON_CPU:
        raise UserError(
            "--dtype float16: MXNet cannot multiply float16 matrices on a CPU; take --num-gpus 1, "
            "or float32"
        )


def _load_start(net, config, say):
    """Load the parameters from which the run starts, if its flags name any."""
    file, not_loaded = config.resume_params, []
    if config.use_pretrained:
        not_loaded = models.load_pretrained(net, config.model, **models.options_of(config))
    elif config.use_params:
        file, _ = parameter_file("--use-params", config.use_params, say)
        not_loaded = models.load_parameters(net, file, new_head=True)
    elif file:
        not_loaded = models.load_parameters(net, run_folder.checked(file))
    elif config.backbone_params:
        file, run = parameter_file("--backbone-params", config.backbone_params, say)
        _check_backbone(config, run)
        models.load_parameters(net.backbone, file)
    if not_loaded:
        source = file or "the published file"
        say(f"not in {source}, so newly initialised: {', '.join(not_loaded)}")
    run = run_folder.run_of(file) if file else None
    trained_with = Config() if config.use_pretrained else run and run.config
    if file and foreign.is_foreign(file):
        trained_with = _config_of(foreign.describe(file))
    if trained_with and _normalisation(trained_with) != _normalisation(config):
        say(
            "the parameters to start from were trained with another --rgb-mean or --rgb-std than "
            "this run's"
        )


def _config_of(about):
    """The Config with the input images of a folder in timm's form; None if nothing is known."""
    return about and Config(**about.images(), classes=about.classes)


# Options that change a network's outputs but leave no trace in its parameters.
UNSEEN_OPTIONS = "anti_alias", "anti_alias_shortcut", "bn_eps"


def _check_backbone(config, run):
    """UserError if a run has no classifier, or if that differs from the backbone to be."""
    if run and run.config.task != "classification":
        raise UserError(
            f"--backbone-params {config.backbone_params}: comes from a run with --task "
            f"{run.config.task}; --use-params starts from the whole network"
        )
    for name in UNSEEN_OPTIONS if run else ():
        theirs, ours = getattr(run.config, name), getattr(config, name)
        if theirs != ours:
            raise UserError(
                f"--backbone-params {config.backbone_params}: it was trained with "
                f"{spelling(name)} {theirs}, and this run has {ours}"
            )


def teacher(config, devices, say=print):
    """The teacher on ``devices``, which takes the student's inputs, or None.

    ``--teacher`` is a run's folder, a checkpoint, a parameter file or the name of a network with
    published parameters.
    """
    if not config.teacher:
        return None
    source = teacher_source(config, say)
    net = models.get_model(source.model, classes=config.classes, **source.options)
    net.initialize(ctx=devices)
    own_size = source.trained_with.input_size if source.trained_with else config.input_size
    know_shapes(net, source.model, own_size)
    _check_sizes_of_teacher(net, source.model, own_size, config)
    if source.path:
        models.load_parameters(net, source.path)
    elif models.load_pretrained(net, source.model, **source.options):
        raise UserError(
            f"--teacher {config.teacher}: its published parameters are for another number of "
            f"classes than --classes {config.classes}, and a new last layer would be untrained: "
            "train a teacher on these classes and name its folder"
        )
    if source.trained_with:
        net = _with_inputs_of(net, source.trained_with, config, devices, say)
    net.collect_params().setattr("grad_req", "null")
    return _compile(net, config)


class TeacherSource(NamedTuple):
    """What ``--teacher`` names: ``path`` is its parameter file, or None for the published one;
    ``trained_with`` is the Config of its input images, or None if that is unknown.
    """

    model: str
    options: dict
    path: Optional[str]
    trained_with: Optional[Config]


def teacher_source(config, say=print):
    """The :class:`TeacherSource` of ``--teacher``, whose checkpoint's checksums were verified.

    Raises :class:`UserError` if the flag names neither a run's folder, a checkpoint, a file with
    ``--teacher-model``, nor a network.
    """
    path = config.teacher
    if foreign.is_foreign(path) and os.path.exists(path):
        return _foreign_teacher(config, path)
    if not os.path.exists(path):
        if path in models.names():
            models.published_file(path)  # an error if nobody publishes one
            return TeacherSource(path, {}, None, Config(input_size=models.input_size(path)))
        raise UserError(f"--teacher {path}: no such folder or file, and no network of that name")
    if not os.path.isdir(path) and not config.teacher_model:
        raise UserError(
            f"--teacher {path} is a parameter file: name its network with --teacher-model"
        )
    path, run = parameter_file("--teacher", path, say)
    if run is None:
        return TeacherSource(config.teacher_model, {}, path, None)
    if run.config.classes != config.classes:
        raise UserError(
            f"--teacher {config.teacher}: it knows {run.config.classes} classes, the student "
            f"{config.classes}"
        )
    return TeacherSource(
        config.teacher_model or run.config.model, models.options_of(run.config), path, run.config
    )


def _foreign_teacher(config, path):
    """The TeacherSource of weights with timm's or torchvision's names."""
    identity, about = foreign.identity_in(path), foreign.describe(path)
    model, options = identity or (config.teacher_model, ())
    if not model:
        raise UserError(
            f"--teacher {path}: of which network? Name it with --teacher-model, as there is no "
            "config.json next to the file"
        )
    if config.teacher_model not in ("", model):
        raise UserError(
            f"--teacher-model {config.teacher_model}: but {path} says {model}; leave the flag out"
        )
    return TeacherSource(model, dict(options), foreign.file_of(path), _config_of(about))


def parameter_file(flag, path, say=print):
    """(the parameter file that ``path`` means, the RunFolder that holds it or None).

    ``path`` is a run's folder (which means its best checkpoint), a checkpoint, a folder in timm's
    form, or the file itself. The checksums of a checkpoint are verified.
    """
    if os.path.exists(path) and foreign.is_foreign(path):
        return foreign.file_of(path), None
    run = run_folder.run_of(path)
    if os.path.isdir(path):
        if run is None:
            raise UserError(f"{flag} {path}: is neither the folder of a run nor inside one")
        if os.path.isfile(os.path.join(path, run_folder.CONFIG)):
            path, _ = run.checkpoint(say=say)
        path = os.path.join(path, run_folder.PARAMETERS)
    return run_folder.checked(path), run


class Renormalise(mx.gluon.HybridBlock):
    """Images (N, 3, H, W) normalised with one mean and standard deviation of R, G, B -> the same
    normalised with others.
    """

    def __init__(self, mean, std, new_mean, new_std):
        super().__init__()
        mean, std, new_mean, new_std = (
            np.reshape(values, (1, 3, 1, 1)) for values in (mean, std, new_mean, new_std)
        )
        with self.name_scope():
            self.scale = self.params.get_constant("scale", (std / new_std).astype("float32"))
            self.shift = self.params.get_constant(
                "shift", ((mean - new_mean) / new_std).astype("float32")
            )

    def hybrid_forward(self, F, images, scale, shift):
        return F.broadcast_add(F.broadcast_mul(images, scale), shift)


def _normalisation(config):
    return config.rgb_mean, config.rgb_std


def _with_inputs_of(net, trained_with, config, devices, say):
    """A network that computes ``net``, which takes the images of ``trained_with``, on those of
    ``config``.
    """
    if trained_with.input_size != config.input_size:
        say(
            f"the teacher was trained at {trained_with.input_size} pixels and sees the student's "
            f"images of {config.input_size}"
        )
    theirs, ours = _normalisation(trained_with), _normalisation(config)
    if theirs == ours:
        return net
    say(
        "the teacher was trained with another --rgb-mean or --rgb-std, so its images are "
        "normalised its way"
    )
    both = mx.gluon.nn.HybridSequential()
    both.add(Renormalise(*ours, *theirs), net)
    both[0].initialize(ctx=devices)
    return both


def know_shapes(net, name, input_size):
    """Give deferred parameters their shapes and values without a forward pass. UserError if the
    network called ``name`` cannot take images of this size.
    """
    with autograd.train_mode():  # only this mode's graph has all parameters
        complexity.infer_shapes(complexity.trace(net), name, input_size)
        net.infer_shape(mx.nd.zeros((1, 3, input_size, input_size)))
    for parameter in net.collect_params().values():
        parameter._finish_deferred_init()


def check_sizes(net, config):
    """UserError if the network to train cannot take one of its image sizes besides --input-size."""
    for flag, in_training in (("test_size", False), ("progressive_resizing", True)):
        size = getattr(config, flag)
        if size and not _takes(net, size, in_training):
            raise UserError(
                f"{spelling(flag)} {size}: {config.model} for images of {config.input_size} pixels "
                f"cannot take others of {size}"
            )


def _check_sizes_of_teacher(net, name, own_size, config):
    """UserError if the teacher cannot take a size of the student's training images."""
    for flag in ("input_size", "progressive_resizing"):
        size = getattr(config, flag)
        if size and not _takes(net, size):
            raise UserError(
                f"--teacher {config.teacher}: {name} for images of {own_size} pixels cannot take "
                f"the student's of {size} ({spelling(flag)})"
            )


def _takes(net, size, in_training=False):
    """Whether a network whose shapes are known takes images of ``size`` pixels."""
    with autograd.train_mode() if in_training else autograd.predict_mode():
        symbol = complexity.trace(net)
    inputs, shapes = symbol.list_inputs(), net.collect_params().items()
    known = {name: parameter.shape for name, parameter in shapes if name in inputs}
    try:
        complexity.infer_shapes(symbol, net.name, size, known=known)
    except UserError:
        return False
    return True


def restore_layout(net):
    """Undo what inference did to the weights of a network that is then trained further: call it
    after every evaluation.

    On a CPU, MXNet keeps a weight that inference has used in oneDNN's blocked layout and converts
    it back when training uses it, at a moment that depends on timing: until then, updates differ in
    their last bits from run to run. An operator that writes the whole array leaves it in the plain
    layout.
    """
    mx.nd.waitall()
    for parameter in net.collect_params().values():
        for data in parameter.list_data():
            if data.context.device_type == "cpu":
                mx.nd._internal._mul_scalar(data.copy(), scalar=1.0, out=data)
    mx.nd.waitall()


def is_stochastic(net):
    """Whether a forward pass of ``net`` in training draws random numbers, as Dropout does."""
    with autograd.train_mode():
        return any(
            word in op.lower() for op in ops_of(net) for word in ("dropout", "random", "sample")
        )


def ops_of(net):
    """The names of ``net``'s operators."""
    return {node["op"] for node in nodes_of(net)}


def nodes_of(net):
    """The nodes of ``net``'s graph, as its JSON has them."""
    return json.loads(complexity.trace(net).tojson())["nodes"]


def _compile(net, config):
    net.cast(config.dtype)
    # BatchNorm's backward pass does not wait for the initial values before it writes statistics.
    mx.nd.waitall()
    if config.mode == "hybrid":
        static = not registry.get(config.model).sizes_vary
        net.hybridize(static_alloc=static, static_shape=static)
    return net
