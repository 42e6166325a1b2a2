"""What MXNet's operators do not check of their arrays' shapes is refused before they run: each of
these graphs wrote or read beyond its memory.
"""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.exported import predictor_of
from gluon_tricks.errors import UserError

DATA = mx.sym.var("data", dtype=np.float32)


def batch_norm(**shapes):
    """Of the input's 3 channels; ``shapes`` are those of parameters that have not 3 numbers."""
    names = "gamma", "beta", "moving_mean", "moving_var"
    symbol = mx.sym.BatchNorm(DATA, name="norm")
    shapes = {name: shapes.get(name, (3,)) for name in names}
    params = {
        f"{'aux' if 'moving' in name else 'arg'}:norm_{name}": mx.nd.ones(shape)
        for name, shape in shapes.items()
    }
    return graphs.Graph(symbol, params)


def concat_of_integers(dim):
    quantized = mx.sym.contrib.quantize_v2(DATA, min_calib_range=0, max_calib_range=1)
    inputs = list(quantized)
    return mx.sym.contrib.quantized_concat(
        inputs[0], inputs[0], *inputs[1:], *inputs[1:], num_args=2, dim=dim
    )


@pytest.mark.parametrize(
    "graph, message",
    [
        (mx.sym.reshape(DATA, shape=(1, 47)), "cannot make 1x47 of 1x3x4x4; export again"),
        (mx.sym.reshape(DATA, shape=(-1, 7)), "cannot make 6x7 of 1x3x4x4"),
        (mx.sym.reshape(DATA, shape=(-2, 1)), None),
        (mx.sym.reshape(DATA, shape=(0, -1)), None),
        (mx.sym.transpose(DATA, axes=(0, 3, 2, 2)), "cannot make 1x4x4x4 of 1x3x4x4"),
        (mx.sym.transpose(DATA, axes=(0, 2, 3, 1)), None),
        (mx.sym.transpose(DATA), None),
        (batch_norm(), None),
        (batch_norm(beta=(2,)), "norm_beta has the shape 2, but 3 is needed"),
        (batch_norm(moving_var=(1, 1, 3)), "norm_moving_var has the shape 1x1x3, but 3 is needed"),
        (concat_of_integers(-2), "cannot make 1x3x8x4 and 1 and 1 of 1x3x4x4 and 1x3x4x4 and 1"),
        (concat_of_integers(2), None),
    ],
)
def test_what_an_operator_cannot_make_of_its_inputs_is_refused(graph, message):
    graph = graph if isinstance(graph, graphs.Graph) else graphs.Graph(graph, {})
    if message is None:
        return graphs.check_shapes(graph, (1, 3, 4, 4), "m")
    with pytest.raises(UserError, match=f"m: .*{message}"):
        graphs.check_shapes(graph, (1, 3, 4, 4), "m")


def test_what_fits_for_one_image_alone_is_refused_for_two(tmp_path):
    paths = str(tmp_path / "m-symbol.json"), str(tmp_path / "m-0000.params")
    symbol = mx.sym.broadcast_add(mx.sym.reshape(DATA, shape=(1, 48)), mx.sym.var("bias"))
    graphs.save(graphs.Graph(symbol, {"arg:bias": mx.nd.ones((1, 48))}), *paths)
    predict = predictor_of("symbol", paths, 4, None)
    assert predict(np.zeros((1, 3, 4, 4), np.float32)).shape == (1, 48)
    for _ in range(2):
        with pytest.raises(UserError, match="cannot make 1x48 of 2x3x4x4"):
            predict(np.zeros((2, 3, 4, 4), np.float32))
