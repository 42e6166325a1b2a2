"""MXNet's settings on a GPU for a network that sees images of many sizes, as in detection and in
segmentation of whole images.

By default MXNet times cuDNN's algorithms for every convolution at every new size, and pools the
memory of each size separately. (:mod:`.onednn_cache` is the counterpart for a CPU.)
"""

import os
from typing import Any

SETTINGS = {"MXNET_CUDNN_AUTOTUNE_DEFAULT": "0", "MXNET_GPU_MEM_POOL_TYPE": "Round"}


def expect(device: Any) -> None:
    """Set the variables that the user has not set, if ``device``, an MXNet context, is a GPU. MXNet
    reads them when it creates the first array and at the first convolution.
    """
    for name, value in SETTINGS.items() if device.device_type == "gpu" else ():
        os.environ.setdefault(name, value)
