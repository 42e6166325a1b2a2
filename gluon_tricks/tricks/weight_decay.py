"""No bias decay (section 3.1): weight decay only on weights of convolution and dense layers."""


def decayed(name):
    """Whether the parameter called ``name`` is a convolution's or dense layer's weight; biases,
    gamma and beta are not.
    """
    return name.endswith("weight")


def exempt_biases(net):
    """Set ``wd_mult`` to 0 on every parameter of ``net`` but the weights of convolution and dense
    layers.
    """
    for name, parameter in net.collect_params().items():
        if not decayed(name):
            parameter.wd_mult = 0.0
