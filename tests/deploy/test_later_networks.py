"""Networks from after the paper in every format: the network's outputs, nothing of DropBlock."""

import mxnet as mx
import numpy as np
import pytest
from network_checks import assert_close, images, initialised, small_big_little, small_resnet

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy import int8, onnx, onnx_file
from gluon_tricks.deploy.fold import fold_batch_norm
from gluon_tricks.models import get_model
from gluon_tricks.models.big_little import Shape

DROPPING = dict(drop_block=0.2)
NETWORKS = {
    "assemble": lambda: small_big_little(
        shape=Shape(bl_projection=True), attention="sk", anti_alias=3, gem=True, **DROPPING
    ),
    "mobilenet": lambda: initialised(
        get_model("mobilenet0.25", classes=7, attention="se", **DROPPING)
    ),
    "resnet": lambda: small_resnet(attention="se", anti_alias=5, drop_path=0.2, **DROPPING),
}
SIZE = 48


@pytest.fixture(params=NETWORKS)
def net(request):
    net = NETWORKS[request.param]()
    net.hybridize()
    x = mx.nd.array(images(1, 3, SIZE, SIZE))
    with mx.autograd.record():
        net(x)  # so the compiled graph is one of training
    return net


@pytest.mark.slow
def test_every_format_computes_what_the_network_does(net, tmp_path):
    x = images(2, 3, SIZE, SIZE)
    expected = net(mx.nd.array(x)).asnumpy()
    graph = graphs.trace(net)
    assert not {op for op in graphs.operators(graph.symbol) if "random" in op or "Drop" in op}
    paths = str(tmp_path / "model-symbol.json"), str(tmp_path / "model-0000.params")
    graphs.save(graph, *paths)
    loaded = graphs.load(*paths, shape=(3, SIZE, SIZE))
    np.testing.assert_array_equal(graphs.block(loaded)(mx.nd.array(x)).asnumpy(), expected)

    folded, _, stayed = fold_batch_norm(graph)
    assert stayed == 0
    assert_close(graphs.block(folded)(mx.nd.array(x)), expected)
    path = str(tmp_path / "model.onnx")
    onnx.convert(folded, path, (3, SIZE, SIZE))
    onnx_file.check(path, SIZE)
    (outputs,) = onnx.session(path).run(None, {"data": x})
    assert_close(outputs, expected)

    quantised = int8.quantize(folded, [mx.nd.array(images(8, 3, SIZE, SIZE))])
    graphs.save(quantised, *paths)
    outputs = graphs.block(graphs.load(*paths, shape=(3, SIZE, SIZE)))(mx.nd.array(x)).asnumpy()
    direct = graphs.block(quantised)(mx.nd.array(x)).asnumpy()
    np.testing.assert_array_equal(outputs, direct)
    assert np.corrcoef(outputs.ravel(), expected.ravel())[0, 1] > 0.9
