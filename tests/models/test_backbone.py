"""The features of each kind of network: channels, strides, and shared parameters."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.models import features, get_model, input_size

RESNET = ([64, 128, 256, 512], [4, 8, 16, 32])
BOTTLENECKS = ([256, 512, 1024, 2048], [4, 8, 16, 32])


def stages_of(name, **options):
    _, stages = features(get_model(name, **options), input_size(name))
    return [stage.channels for stage in stages], [stage.stride for stage in stages]


@pytest.mark.parametrize("variant", ["v1", "v1b", "v1d"])
def test_our_networks_have_four_stages(variant):
    assert stages_of("resnet18_" + variant) == RESNET
    assert stages_of("resnet50_" + variant) == BOTTLENECKS


def test_a_dilated_network_keeps_the_resolution_of_its_second_stage():
    assert stages_of("resnet50_v1b", dilated=True) == ([256, 512, 1024, 2048], [4, 8, 8, 8])


@pytest.mark.parametrize(
    "name, last",
    [
        ("resnet18_v2", RESNET),
        ("se_resnet18_v1", RESNET),
        ("resnet18_v1b_0.89", ([8, 56, 208, 512], [4, 8, 16, 32])),
        ("resnest14", BOTTLENECKS),
        ("resnext50_32x4d", BOTTLENECKS),
        ("vgg11", ([256, 512, 512, 512], [4, 8, 16, 32])),
        ("alexnet", ([64, 192, 256, 256], [4, 8, 16, 32])),
        ("squeezenet1.1", ([128, 256, 512], [4, 8, 16])),
        ("googlenet", ([192, 480, 832, 1024], [4, 8, 16, 32])),
        ("inceptionv3", ([192, 288, 768, 2048], [4, 8, 16, 32])),
        ("densenet121", ([128, 256, 512, 1024], [4, 8, 16, 32])),
        ("mobilenet0.25", ([32, 64, 128, 256], [4, 8, 16, 32])),
        ("mobilenetv2_0.25", ([36, 48, 144, 1280], [4, 8, 16, 32])),
        ("mobilenetv3_small", ([72, 96, 288, 576], [4, 8, 16, 32])),
        ("shufflenet_v2", ([24, 116, 232, 1024], [4, 8, 16, 32])),
        ("xception", ([128, 256, 728, 2048], [4, 8, 16, 32])),
        ("darknet53", ([128, 256, 512, 1024], [4, 8, 16, 32])),
        ("dla34", ([64, 128, 256, 512], [4, 8, 16, 32])),
        ("cifar_resnet20_v1", ([16, 32, 64], [1, 2, 4])),
        ("cifar_wideresnet16_10", ([160, 320, 640], [1, 2, 4])),
        ("cifar_resnext29_32x4d", ([256, 512, 1024], [1, 2, 4])),
        pytest.param("senet_154", BOTTLENECKS, marks=pytest.mark.slow),
        pytest.param("residualattentionnet56", BOTTLENECKS, marks=pytest.mark.slow),
    ],
)
def test_the_zoos_networks_end_a_stage_at_each_resolution(name, last):
    channels, strides = stages_of(name)
    assert (channels[-len(last[0]) :], strides[-len(last[1]) :]) == last


@pytest.mark.parametrize("name", ["hrnet_w18_small_v1_c", "nasnet_4_1056"])
def test_a_network_that_keeps_several_resolutions_has_no_stages(name):
    with pytest.raises(UserError, match="no consecutive stages"):
        stages_of(name)


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet18_v1d", "cifar_resnet20_v1"])
def test_a_backbone_computes_with_the_networks_own_parameters(name):
    net = get_model(name, classes=5)
    backbone, stages = features(net, input_size(name))
    net.initialize(mx.init.Xavier())
    x = mx.nd.random.normal(shape=(2, 3, 32, 32))
    logits = net(x).asnumpy()
    outputs = backbone(x)
    for output, stage in zip(outputs, stages):
        assert output.shape == (2, stage.channels, 32 // stage.stride, 32 // stage.stride)
    last = outputs[-1].mean(axis=(2, 3))
    head = net.fc if hasattr(net, "fc") else net.output
    np.testing.assert_allclose(head(last).asnumpy(), logits, atol=1e-5)
    shared = backbone.collect_params()
    assert all(net.collect_params()[key] is held for key, held in shared.items())
    others = [key for key in net.collect_params().keys() if key not in shared.keys()]
    assert others == [head.weight.name, head.bias.name]
