"""Builds the networks of a run: the one that is trained, on all devices, and its teacher."""

import json
import os

import mxnet as mx
import numpy as np
from mxnet import autograd

from .. import models
from ..errors import UserError
from ..tricks.initialization import initializer
from ..tricks.weight_decay import exempt_biases
from . import checkpoint

# Their backward pass fails in oneDNN ("could not construct a sub-memory"); without oneDNN they train.
WITHOUT_ONEDNN = ("nasnet_4_1056", "nasnet_6_4032", "nasnet_7_1920")

# Operators that fail in float16 on a CPU.
NO_FLOAT16_ON_CPU = {"Convolution", "Deconvolution", "FullyConnected", "dot", "batch_dot"}


def student(config, devices, say=print, accumulate=1):
    """The network to train, initialised on ``devices``, cast to ``config.dtype`` and compiled.

    With ``accumulate`` above 1, the gradients of that many backward passes add up.
    """
    on_cpu, onednn = devices[0].device_type == "cpu", os.environ.get("MXNET_MKLDNN_ENABLED") != "0"
    if config.model.lower() in WITHOUT_ONEDNN and on_cpu and onednn:
        raise UserError(
            "--model {}: oneDNN cannot train it on a CPU; set MXNET_MKLDNN_ENABLED=0 in the environment".format(config.model)
        )
    options = options_of(config)
    net = models.get_model(config.model, classes=config.classes, input_size=config.input_size, **options)
    if config.dtype == "float16" and on_cpu and ops_of(net) & NO_FLOAT16_ON_CPU:
        raise UserError("--dtype float16: MXNet multiplies no float16 matrices on a CPU; take --num-gpus 1, or float32")
    # MXNet's generator gives seeds that are neighbours mostly the same numbers.
    mx.random.seed(int(np.random.SeedSequence([config.seed]).generate_state(1)[0] >> 1))
    net.initialize(initializer(config.init), ctx=devices)
    know_shapes(net, config.input_size)
    file = config.use_params or config.resume_params
    not_loaded = []
    if config.use_pretrained:
        not_loaded = models.load_pretrained(net, config.model, **options)
    elif file:
        not_loaded = models.load_parameters(net, file, new_head=bool(config.use_params))
    if not_loaded:
        say("not in {}, so newly initialised: {}".format(file or "the published file", ", ".join(not_loaded)))
    if config.no_wd:
        exempt_biases(net)
    if accumulate > 1:
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                parameter.grad_req = "add"
    _compile(net, config)
    if config.mode == "hybrid":  # the graph is made once: now, as ResNeSt's DropBlock is only in one of training
        with autograd.train_mode():
            net.infer_shape(mx.nd.zeros((1, 3, config.input_size, config.input_size)))
    return net


def options_of(config):
    """The flags that shape the network, for :func:`gluon_tricks.models.get_model`."""
    return {name: True for name in ("last_gamma", "use_se", "use_gn", "batch_norm") if getattr(config, name)}


def teacher(config, devices):
    """The teacher on ``devices``, or None. ``--teacher`` is a run's folder, a parameter file or a zoo name."""
    if not config.teacher:
        return None
    name, path = teacher_source(config)
    net = models.get_model(name, classes=config.classes)
    net.initialize(ctx=devices)
    know_shapes(net, config.input_size)
    models.load_parameters(net, path) if path else models.load_pretrained(net, name)
    net.collect_params().setattr("grad_req", "null")
    return _compile(net, config)


def teacher_source(config):
    """(network name, parameter file or None for the published one) of ``--teacher``.

    Raises :class:`UserError` where it is none of a run's folder, a file with ``--teacher-model``, and a known name.
    """
    path = config.teacher
    if os.path.isdir(path):
        flags = read_flags(path)
        if flags["classes"] != config.classes:
            raise UserError("--teacher {}: it knows {} classes, the student {}".format(path, flags["classes"], config.classes))
        best = os.path.join(path, "best")
        found = best if os.path.exists(best) else (checkpoint.checkpoints(path) or [None])[0]
        if found is None:
            raise UserError("--teacher {}: this run has no checkpoint yet".format(path))
        return config.teacher_model or flags["model"], os.path.join(found, "net.params")
    if os.path.exists(path):
        if not config.teacher_model:
            raise UserError("--teacher {} is a parameter file: name its network with --teacher-model".format(path))
        return config.teacher_model, path
    if path in models.names():
        return path, None
    raise UserError("--teacher {}: no such folder or file, and no network of that name".format(path))


def read_flags(run_folder):
    """The flags of a run's ``config.json``."""
    path = os.path.join(run_folder, "config.json")
    try:
        with open(path) as file:
            return json.load(file)["flags"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError("{} is not the folder of a run: {}".format(run_folder, error)) from None


def know_shapes(net, input_size):
    """Give deferred parameters their shapes and values without computing anything."""
    net.infer_shape(mx.nd.zeros((1, 3, input_size, input_size)))
    for parameter in net.collect_params().values():
        parameter._finish_deferred_init()


def restore_layout(net):
    """Undo what inference did to the weights of a net that is trained on: has to follow every evaluation.

    On a CPU, MXNet keeps a weight that inference has used in oneDNN's blocked layout, and turns it back when training
    uses it again, at a moment that depends on the clock: the updates until then differ in their last bits from run to
    run. An operator that writes a whole array leaves it in the plain layout.
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
        return any(word in op.lower() for op in ops_of(net) for word in ("dropout", "random", "sample"))


def ops_of(net):
    """The names of the operators that ``net`` computes with."""
    return {node["op"] for node in json.loads(net(mx.sym.var("data")).tojson())["nodes"]}


def _compile(net, config):
    net.cast(config.dtype)
    mx.nd.waitall()  # BatchNorm's backward pass writes its statistics without waiting for their initial values
    if config.mode == "hybrid":
        net.hybridize(static_alloc=True, static_shape=True)
    return net
