"""How much MXNet keeps of what oneDNN prepares for a layer: ``MXNET_MKLDNN_CACHE_NUM``, which it
reads at its first layer.

For each kind of layer MXNet keeps a primitive for every shape that it has met, for ever if nobody
limits it. Where images have many sizes, as in detection and whole images of segmentation, the
memory of a process then grows with every new one.
"""

import os

NAME = "MXNET_MKLDNN_CACHE_NUM"
# Of a kind. Of seven large networks of many layers none needs more for images of one size:
# DenseNet-201 has the most different convolutions, 106.
MOST = 128


def limit_cache():
    """Limit it, if the user has not said otherwise; before MXNet is imported."""
    os.environ.setdefault(NAME, str(MOST))
