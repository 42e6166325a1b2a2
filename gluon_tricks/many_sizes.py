"""What MXNet needs on a GPU if a network sees images of many sizes, as in detection and in whole
images of segmentation.

By itself it times cuDNN's algorithms for every convolution at every new size, and keeps the memory
of each size apart. (:mod:`.onednn_cache` is the same on a CPU.)
"""

import os
from typing import Any

SETTINGS = {"MXNET_CUDNN_AUTOTUNE_DEFAULT": "0", "MXNET_GPU_MEM_POOL_TYPE": "Round"}


def expect(device: Any) -> None:
    """Make those of the settings that the user has not made, if the ``device``, a context of MXNet,
    is a GPU. MXNet reads them when the first array is there, and at the first convolution.
    """
    for name, value in SETTINGS.items() if device.device_type == "gpu" else ():
        os.environ.setdefault(name, value)
