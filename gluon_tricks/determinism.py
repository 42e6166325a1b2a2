"""``--deterministic``: what a GPU needs to compute the same bits in two runs of the same seed.

MXNet reads these settings from the environment. Without them cuDNN sums in an order that changes
from run to run, and chooses its algorithms by their speed at the start. A CPU computes the same
bits without them.
"""

import os

from .errors import UserError

SETTINGS = {"MXNET_ENFORCE_DETERMINISM": "1", "MXNET_CUDNN_AUTOTUNE_DEFAULT": "0"}
# Operators of MXNet 1.9.1 that sum in no fixed order on GPUs, and the attributes with which each
# sum has only one or two terms, so that the order does not matter. SyncBatchNorm adds the devices'
# means as they arrive; the others accumulate gradients by atomicAdd.
EXACT_IF = {
    "_contrib_SyncBatchNorm": lambda attributes: int(attributes["ndev"]) <= 2,
    "_contrib_BilinearResize2D": lambda attributes: False,
    "_contrib_ROIAlign": lambda attributes: False,
    "_contrib_AdaptiveAvgPooling2D": lambda attributes: (
        attributes["output_size"] in ("1", "(1, 1)")
    ),
    "Pad": lambda attributes: attributes["mode"] == "constant",
}


def prepare():
    """Set those variables that are not set; call it before MXNet is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def check(config):
    """UserError if ``--deterministic`` is on but the environment has other settings."""
    for name, value in SETTINGS.items() if config.deterministic else ():
        found = os.environ.get(name)
        if found != value:
            raise UserError(
                f"--deterministic needs {name}={value}, which is {found or 'unset'} here: set it "
                "before the start"
            )


def inexact(nodes):
    """The first operator in a graph (the list of nodes of its JSON) that sums on GPUs in an order
    that no setting fixes; None if there is none.
    """
    for node in nodes:
        sums_in_order = EXACT_IF.get(node["op"], lambda attributes: True)
        if not sums_in_order(node.get("attrs", {})):
            return node["op"].replace("_contrib_", "")
    return None


def check_network(model, nodes):
    """UserError if a network's training cannot be bit-identical from run to run on GPUs."""
    operator = inexact(nodes)
    if operator:
        raise UserError(
            f"--deterministic: MXNet has no {operator} that trains with the same bits in every run "
            f"on GPUs, and {model} needs one: leave the flag out"
        )


def environment():
    """The environment variables on which a run's bits depend, as a dict."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith("MXNET_") or name in ("NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG")
    }
