"""A limit on MXNet's cache of oneDNN primitives: ``MXNET_MKLDNN_CACHE_NUM``, which it reads at its
first layer.

For each kind of layer MXNet keeps a primitive for every shape it has met, without limit by default.
If images have many sizes, as in detection and in segmentation of whole images, the memory of a
process then grows with every new size.
"""

import os

NAME = "MXNET_MKLDNN_CACHE_NUM"
# Primitives per kind of layer. None of seven networks with many layers needs more for images of one
# size; DenseNet-201 has the most distinct convolutions, 106.
MOST = 128


def limit_cache():
    """Set the limit unless the user has set one; call it before MXNet is imported."""
    os.environ.setdefault(NAME, str(MOST))
