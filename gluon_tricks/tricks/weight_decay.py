"""No bias decay (section 3.1): weight decay only on weights of convolution and dense layers.

Code that exempts only the norms (Assembled-CNN's, torchvision's) decays biases too, mostly that of
the last layer.
"""

ENDS = {"paper": ("weight",), "norms": ("weight", "bias")}  # of the names of decayed parameters


def decayed(name, form="paper"):
    """Whether the parameter called ``name`` is decayed: a weight of a convolution or dense layer,
    or with the form ``norms`` also a bias; never gamma or beta.
    """
    return name.endswith(ENDS[form])


def exempt_biases(net, form="paper"):
    """Set ``wd_mult`` to 0 on every parameter of ``net`` that is not :func:`decayed`."""
    for name, parameter in net.collect_params().items():
        if not decayed(name, form):
            parameter.wd_mult = 0.0
