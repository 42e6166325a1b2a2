"""Initial weights (section 2.1). Gamma = 0 in the last BatchNorm of a block (section 3.1) is an
option of the networks.

Biases and beta start at 0 and gamma at 1: Gluon's defaults, which these initializers leave alone.
"""

import mxnet as mx


def initializer(form="xavier"):
    """The initializer of convolution and dense weights.

    - ``xavier``: uniform in [-a, a], a = sqrt(6 / (d_in + d_out)), where d_in and d_out are the
      numbers of a layer's inputs and outputs, times the kernel's area in a convolution (section
      2.1);
    - ``msra``: normal, as in the authors' train_imagenet.py;
    - ``xavier-gaussian``: normal with variance 2 / d_in, as in the authors' train_horovod.py.
    """
    if form == "xavier":
        # MXNet's magnitude m gives a = sqrt(m / ((d_in + d_out) / 2)).
        return mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3)
    if form == "msra":
        return mx.init.MSRAPrelu()
    if form == "xavier-gaussian":
        return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    raise ValueError(f"unknown form {form!r}: xavier, msra or xavier-gaussian")
