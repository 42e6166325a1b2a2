"""No bias decay (section 3.1): weight decay only on weights of convolution and dense layers.

Code that leaves out the norms alone (Assembled-CNN's, torchvision's) decays biases as well: mostly
that of the last layer.
"""

ENDS = {"paper": ("weight",), "norms": ("weight", "bias")}  # of the names of what is decayed


def decayed(name, form="paper"):
    """Whether the parameter called ``name`` is a convolution's or dense layer's weight, or with the
    form ``norms`` its bias; gamma and beta are not.
    """
    return name.endswith(ENDS[form])


def exempt_biases(net, form="paper"):
    """Set ``wd_mult`` to 0 on every parameter of ``net`` but the weights of convolution and dense
    layers, and with the form ``norms`` their biases.
    """
    for name, parameter in net.collect_params().items():
        if not decayed(name, form):
            parameter.wd_mult = 0.0
