"""``--deterministic``: what a GPU needs to compute the same bits in two runs of the same seed.

MXNet reads these settings from the environment. Without them cuDNN sums in an order that changes
from run to run, and chooses its algorithms by their speed at the start. A CPU computes the same
bits without them.
"""

import os

from .errors import UserError

SETTINGS = {"MXNET_ENFORCE_DETERMINISM": "1", "MXNET_CUDNN_AUTOTUNE_DEFAULT": "0"}


def prepare():
    """Make those of the settings that are not made; before MXNet is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def check(config):
    """UserError if the run is to be deterministic and the environment has another setting."""
    for name, value in SETTINGS.items() if config.deterministic else ():
        found = os.environ.get(name)
        if found != value:
            raise UserError(
                f"--deterministic needs {name}={value}, which is {found or 'unset'} here: set it "
                "before the start"
            )


def environment():
    """The variables of the environment on which the bits of a run depend, as a dict."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith("MXNET_") or name in ("NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG")
    }
