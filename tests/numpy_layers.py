"""Layers and blocks in numpy, from their definitions, to hold networks against.

Parameters come as a dict of arrays by the names of a network's parameter file; ``at`` is the
beginning of a layer's names in it.
"""

import mxnet as mx
import numpy as np


def values(net):
    """The parameters of an initialised network by the names of its file."""
    mx.nd.waitall()  # a forward pass may still be changing the weights' layout
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


def windows(x, kernel, stride, dilation=1):
    """(N, C, H', W', kernel, kernel): what a kernel sees at each place."""
    reach = dilation * (kernel - 1) + 1
    seen = np.lib.stride_tricks.sliding_window_view(x, (reach, reach), axis=(2, 3))
    return seen[:, :, ::stride, ::stride, ::dilation, ::dilation]


def padded(x, border, mode="constant"):
    return np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)), mode=mode)


def conv(x, p, at, stride=1, dilation=1, groups=1):
    weight = p[at + ".weight"]
    kernel = weight.shape[2]
    seen = windows(padded(x, dilation * (kernel // 2)), kernel, stride, dilation)
    parts = [
        np.einsum("nchwij,ocij->nohw", one, w, optimize=True)
        for one, w in zip(np.split(seen, groups, axis=1), np.split(weight, groups))
    ]
    bias = p.get(at + ".bias", np.zeros(len(weight), "float32"))
    return np.concatenate(parts, axis=1) + bias.reshape(1, -1, 1, 1)


def norm(x, p, at):
    gamma, beta, mean, var = (
        p[f"{at}.{name}"].reshape(1, -1, 1, 1)
        for name in ("gamma", "beta", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def means(x):
    return x.mean(axis=(2, 3), keepdims=True)


def max_pool(x):
    border = padded(x, 1, mode="edge")  # a value at the border is no larger than its window's
    return windows(border, 3, 2).max(axis=(4, 5))


def average_pool(x, kernel, stride, border=0):
    return windows(padded(x, border), kernel, stride).mean(axis=(4, 5))


def mean_of_squares(x, side):
    """Means of squares side by side; those that the border cuts have fewer values."""
    n, c, height, width = x.shape
    missing = [(0, 0), (0, 0), (0, -height % side), (0, -width % side)]
    x = np.pad(x, missing, constant_values=np.nan)
    squares = x.reshape(n, c, x.shape[2] // side, side, x.shape[3] // side, side)
    return np.nanmean(squares, axis=(3, 5))


FILTERS = {2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1], 6: [1, 5, 10, 10, 5, 1]}
FILTERS[7] = [1, 6, 15, 20, 15, 6, 1]


def blur(x, size, stride=2):
    kernel = np.outer(FILTERS[size], FILTERS[size])
    border = ((size - 1) // 2, size // 2)
    x = np.pad(x, ((0, 0), (0, 0), border, border), mode="reflect")
    return (windows(x, size, stride) * kernel).sum(axis=(4, 5)) / kernel.sum()


def squeeze_excite(x, p, at):
    hidden = relu(conv(means(x), p, at + ".squeeze"))
    return x * sigmoid(conv(hidden, p, at + ".excite"))


def selective_kernel(x, p, at, stride=1, dilation=1):
    first, second = np.split(
        relu(norm(conv(x, p, at + ".conv", stride, dilation), p, at + ".bn")), 2, 1
    )
    hidden = relu(norm(conv(means(first + second), p, at + ".squeeze"), p, at + ".squeeze_bn"))
    a, b = np.split(np.exp(conv(hidden, p, at + ".excite")), 2, axis=1)
    return (a * first + b * second) / (a + b)


def bottleneck(x, p, at, stride=1, dilation=1, groups=1, blurred=0):
    """A bottleneck's branch, with the attention that its parameters have."""
    blurs = blurred and stride == 2
    own = 1 if blurs else stride
    y = relu(norm(conv(x, p, at + ".conv1"), p, at + ".bn1"))
    if at + ".sk.conv.weight" in p:
        y = selective_kernel(y, p, at + ".sk", own, dilation)
    else:
        y = relu(norm(conv(y, p, at + ".conv2", own, dilation, groups), p, at + ".bn2"))
    y = blur(y, blurred) if blurs else y
    y = norm(conv(y, p, at + ".conv3"), p, at + ".bn3")
    return squeeze_excite(y, p, at + ".se") if at + ".se.squeeze.weight" in p else y


def dense(x, p, at="fc"):
    return x.reshape(len(x), -1) @ p[at + ".weight"].T + p[at + ".bias"]
