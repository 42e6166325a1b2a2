"""Faster-RCNN against GluonCV's block, and what GluonCV's cannot do."""

import functools
import re

import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo import get_model as gluoncv_model
from gluoncv.model_zoo.rcnn.faster_rcnn import get_faster_rcnn
from mxnet.gluon import nn

from gluon_tricks.errors import UserError
from gluon_tricks.models import classes_in, get_model, load_parameters
from gluon_tricks.models.faster_rcnn import BEFORE, Learned, Settings, Training, faster_rcnn
from gluon_tricks.models.rpn import Anchors, Proposals
from gluon_tricks.tasks.detection_losses import losses

CLASSES = 3
SMALL = Settings(
    anchors=Anchors(scales=(1, 2, 4)),
    rpn_channels=16,
    roi_size=4,
    train=Proposals(300, 60),
    test=Proposals(200, 30),
    most=CLASSES * 30,
    rpn_sample=32,
    sample=16,
)


@functools.lru_cache(maxsize=None)
def network(variant="v1d"):
    """A small one of random values, whose detections are of all classes."""
    mx.random.seed(3)
    net = faster_rcnn(f"faster_rcnn_resnet18_{variant}", CLASSES, SMALL)
    net.initialize(mx.init.Xavier())
    for name, layer in (("class", net.class_predictor), ("box", net.box_predictor)):
        layer.initialize(mx.init.Normal(0.3 if name == "class" else 0.1), force_reinit=True)
    net.rpn.loc.initialize(mx.init.Normal(0.1), force_reinit=True)
    return net


def gluoncvs(variant="v1d", **more):
    """GluonCV's block on our backbone, with the numbers of SMALL."""
    base = get_model(f"resnet18_{variant}", norm_kwargs={"use_global_stats": True})
    features, top = nn.HybridSequential(), nn.HybridSequential()
    features.add(*(getattr(base, name) for name in BEFORE))
    top.add(base.layer4)
    net = get_faster_rcnn(
        "resnet18",
        "voc",
        features=features,
        top_features=top,
        classes=list("abc"),
        train_patterns=".*",
        roi_size=(4, 4),
        rpn_channel=16,
        scales=(1, 2, 4),
        rpn_train_pre_nms=300,
        rpn_train_post_nms=60,
        rpn_test_pre_nms=200,
        rpn_test_post_nms=30,
        num_sample=16,
        **more,
    )
    net.initialize()
    return net


def images(count=1, height=80, width=96, seed=0):
    random = np.random.RandomState(seed)
    return mx.nd.array(random.normal(0, 1, (count, 3, height, width)))


def detections(outputs, i=0):
    """(classes, scores, boxes) of an image, without what is none."""
    classes, scores, boxes = (output[i].asnumpy() for output in outputs)
    there = classes[:, 0] >= 0
    return classes[there, 0], scores[there, 0], boxes[there]


@pytest.mark.parametrize("variant", ["v1b", "v1d"])
def test_detections_are_those_of_gluoncvs_block(variant, tmp_path):
    net, known = network(variant), gluoncvs(variant)
    net.save_parameters(str(tmp_path / "net.params"))
    known.load_parameters(str(tmp_path / "net.params"), allow_missing=True)
    found, expected = detections(net(images())), detections(known(images()))
    order = np.argsort(-expected[1], kind="stable")
    assert len(found[0]) > 20 and set(found[0]) == {0, 1, 2}
    np.testing.assert_array_equal(found[0], expected[0][order])
    for ours, theirs in zip(found[1:], expected[1:]):
        np.testing.assert_allclose(ours, theirs[order], rtol=1e-5, atol=1e-4)


def test_a_file_of_gluoncvs_zoo_loads_and_the_same_layers_are_trained(tmp_path):
    known = gluoncv_model("faster_rcnn_resnet50_v1b_voc", pretrained_base=False)
    ours = faster_rcnn("faster_rcnn_resnet50_v1b")
    theirs = known._collect_params_with_prefix()
    anchors = theirs.pop("rpn.anchor_generator.anchors")
    names = ours._collect_params_with_prefix()
    assert set(names) == set(theirs)
    trained = {name for name, one in names.items() if one.grad_req != "null"}
    pattern = re.compile(known.train_patterns)
    assert trained == {name for name, one in theirs.items() if pattern.match(one.name)}
    assert len(trained) == 52
    values = {"rpn.anchor_generator.anchors": anchors.value[:, :, :1, :1]}
    for name, one in names.items():  # the shapes that GluonCV knows before it has seen an image
        assert len(theirs[name].shape) == len(one.shape)
        assert all(known in (0, own) for known, own in zip(theirs[name].shape, one.shape))
        values[name] = mx.nd.full(one.shape, len(values) % 7)
    mx.nd.save(str(tmp_path / "zoo.params"), values)
    ours.load_parameters(str(tmp_path / "zoo.params"), ignore_extra=True)
    for name, one in names.items():
        assert (one.data().reshape(-1)[0] == values[name].reshape(-1)[0]).asscalar()


def test_a_file_of_other_classes_gives_all_but_the_last_layers(tmp_path):
    made = get_model("faster_rcnn_resnet18_v1b", classes=5, rpn_channels=16)
    made.initialize()
    values = {name: one.data() for name, one in made._collect_params_with_prefix().items()}
    values["rpn.anchor_generator.anchors"] = mx.nd.zeros((1, 1, 8, 8, 60))
    file = str(tmp_path / "zoo.params")
    mx.nd.save(file, values)
    assert classes_in(file, "faster_rcnn_resnet18_v1b", rpn_channels=16) == 5
    net = get_model("faster_rcnn_resnet18_v1b", classes=3, rpn_channels=16)
    net.initialize()
    with pytest.raises(UserError, match="the file is for 5 classes, not 3"):
        load_parameters(net, file)
    kept = load_parameters(net, file, new_head=True)
    assert {name.split(".")[0] for name in kept} == {"class_predictor", "box_predictor"}
    loaded = net.rpn.score.weight.data().asnumpy()
    np.testing.assert_array_equal(loaded, values["rpn.score.weight"].asnumpy())


def test_anchors_are_gluoncvs_stored_ones():
    known = gluoncv_model("faster_rcnn_resnet50_v1b_voc", pretrained_base=False).rpn
    stored = known.anchor_generator.anchors.value[:, :, :3, :5].reshape((1, -1, 4))
    ours = faster_rcnn("faster_rcnn_resnet18_v1b").rpn
    for layer in (ours.conv1, ours.score, ours.loc):
        layer.initialize()
    for hybrid in (False, True):
        ours.hybridize(hybrid)
        *_, found = ours(mx.nd.zeros((2, 256, 3, 5)))
        np.testing.assert_array_equal(found.asnumpy(), stored.asnumpy())


def test_images_of_a_batch_and_hybridized_ones_are_as_alone():
    net, both = network(), images(2)
    alone = [detections(net(both[i : i + 1])) for i in range(2)]
    net.hybridize()
    try:
        outputs = net(both)
        again = net(images(1, 64, 48, seed=5))  # of another size
    finally:
        net.hybridize(False)
    for i in range(2):
        for found, expected in zip(detections(outputs, i), alone[i]):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    expected = detections(net(images(1, 64, 48, seed=5)))
    np.testing.assert_allclose(detections(again)[1], expected[1], rtol=1e-4)


def test_an_image_with_fewer_anchors_than_proposals_has_no_detections_of_nothing():
    """Of 9 (18) anchors at most so many regions can come, with a detection of each class."""
    for height, width in ((16, 16), (16, 32)):
        classes, _, boxes = detections(network()(images(1, height, width)))
        assert len(classes) <= 9 * (width // 16) * CLASSES
        np.testing.assert_array_less(0, boxes[:, 2] - boxes[:, 0])
    with pytest.raises(mx.MXNetError):
        gluoncvs()(images(1, 16, 16))


def test_boxes_that_are_not_finite_end_no_process():
    """MXNet's ROIAlign reads beyond its memory for them."""
    net = network.__wrapped__("v1b")
    net.rpn.loc.weight.set_data(mx.nd.full(net.rpn.loc.weight.shape, np.nan))
    assert np.isnan(net(images(2))[2].asnumpy()).any()  # so that it can be seen


def test_the_best_of_all_classes_are_returned():
    net = network()
    whole = detections(net(images()))
    net.settings = SMALL._replace(most=7)
    try:
        outputs = net(images())
    finally:
        net.settings = SMALL
    assert [output.shape for output in outputs] == [(1, 7, 1), (1, 7, 1), (1, 7, 4)]
    for found, expected in zip(detections(outputs), whole):
        np.testing.assert_array_equal(found, expected[:7])
    assert (np.diff(whole[1]) <= 0).all()


def test_an_exported_symbol_gives_the_same_detections(tmp_path):
    net = network()
    net.hybridize()
    try:
        expected = [net(images(2)), net(images(1, 64, 48))]
        net.export(str(tmp_path / "net"))
    finally:
        net.hybridize(False)
    files = [str(tmp_path / name) for name in ("net-symbol.json", "net-0000.params")]
    symbol = mx.gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    for outputs, one in zip(expected, (images(2), images(1, 64, 48))):
        for found, known in zip(symbol(one), outputs):
            np.testing.assert_allclose(found.asnumpy(), known.asnumpy(), rtol=1e-5, atol=1e-4)


BOXES = [[10, 12, 50, 60, 1, 0], [40, 5, 90, 40, 2, 0]]


def labels(*boxes_of_images, size=(80, 96), most=3):
    result = np.full((len(boxes_of_images), 1 + most, 6), -1.0)
    result[:, 0, :2] = size
    for label, boxes in zip(result, boxes_of_images):
        label[1 : 1 + len(boxes)] = np.reshape(boxes, (-1, 6))
    return mx.nd.array(result)


def numbers(count, seed=0, most=3):
    random = np.random.RandomState(seed)
    shapes = (count, 9, 8, 8), (count, SMALL.train.after + most)
    return [mx.nd.array(random.uniform(size=shape)) for shape in shapes]


def learned(truth, seed=0, hybrid=False, **size):
    training = Training(network())
    training.hybridize(hybrid)
    return Learned(*training(images(truth.shape[0], **size), truth, *numbers(truth.shape[0], seed)))


def test_a_step_is_a_function_of_its_numbers():
    first, again, other = (learned(labels(BOXES), seed) for seed in (1, 1, 2))
    for one, same in zip(first, again):
        np.testing.assert_array_equal(one.asnumpy(), same.asnumpy())
    assert (first.rpn_weights != other.rpn_weights).sum().asscalar() > 10
    assert first.rpn_weights.sum().asscalar() == SMALL.rpn_sample
    assert first.weights.sum().asscalar() == SMALL.sample
    assert 0 < (first.labels > 0).sum().asscalar() <= SMALL.sample * SMALL.positive
    assert set(first.labels.asnumpy().ravel()) <= {0, 2, 3}


def test_images_without_boxes_are_background():
    found = learned(labels(BOXES, []))
    assert found.rpn_labels[1].sum().asscalar() == found.labels[1].sum().asscalar() == 0
    assert found.rpn_weights[1].sum().asscalar() == SMALL.rpn_sample
    assert found.weights[1].sum().asscalar() == SMALL.sample
    values = losses(found).asnumpy()
    assert np.isfinite(values).all() and (values[1, [1, 3]] == 0).all() and (values[0] > 0).all()


def test_what_lies_around_a_smaller_image_is_not_learned_from():
    height, width = 48, 64
    found = learned(labels([[8, 8, 40, 40, 0, 0]], size=(height, width)))
    net = network()
    *_, anchors = net.rpn(net.features(images()))
    drawn = anchors[0].asnumpy()[found.rpn_weights[0].asnumpy() > 0]
    assert len(drawn) and drawn.min() >= 0
    assert drawn[:, 2].max() < width and drawn[:, 3].max() < height


def test_losses_are_gluoncvs():
    """As its ForwardBackwardTask computes them of the same outputs, of one image."""
    found = learned(labels(BOXES))
    ignored = -mx.nd.ones_like(found.rpn_labels)
    wanted = mx.nd.where(found.rpn_weights, found.rpn_labels, ignored)
    counted = wanted >= 0
    positive = mx.nd.broadcast_axis((wanted > 0).expand_dims(2), axis=2, size=4)
    gluon = mx.gluon.loss
    classes = gluon.SoftmaxCrossEntropyLoss()(
        found.logits, found.labels, found.weights.expand_dims(2)
    )
    inside = mx.nd.broadcast_axis((found.labels > 0).expand_dims(2), axis=2, size=4)
    expected = [
        gluon.SigmoidBinaryCrossEntropyLoss()(found.rpn_scores, wanted, counted) * wanted.size,
        gluon.HuberLoss(rho=1 / 9.0)(found.rpn_offsets, found.rpn_targets, positive)
        * found.rpn_offsets.size,
        classes * found.labels.size,
        gluon.HuberLoss(rho=1)(found.offsets, found.targets, inside) * found.offsets.size,
    ]
    sizes = [counted.sum(), counted.sum(), found.weights.sum(), found.weights.sum()]
    expected = [(loss / size).asscalar() for loss, size in zip(expected, sizes)]
    np.testing.assert_allclose(losses(found).asnumpy()[0], expected, rtol=1e-5)


@pytest.mark.slow
def test_training_lowers_the_losses_and_changes_no_frozen_parameter():
    net = faster_rcnn("faster_rcnn_resnet18_v1d", CLASSES, SMALL)
    mx.random.seed(1)
    net.initialize(mx.init.Xavier())
    parameters = net.collect_params()
    before = {name: one.data().asnumpy() for name, one in parameters.items()}
    trained = {name: one for name, one in parameters.items() if one.grad_req != "null"}
    trainer = mx.gluon.Trainer(trained, "sgd", dict(learning_rate=0.02, momentum=0.9))
    training, truth = Training(net), labels(BOXES)
    training.hybridize()
    history = []
    for step in range(25):
        with mx.autograd.record():
            loss = losses(Learned(*training(images(), truth, *numbers(1, step))))
        loss.backward()
        trainer.step(1)
        history.append(loss.asnumpy().sum())
        if step == 0:
            net.hybridize()
            net(images())  # between two steps, by a network of its own
    assert np.mean(history[-5:]) < 0.7 * np.mean(history[:5])
    changed = {
        name for name, one in parameters.items() if (one.data().asnumpy() != before[name]).any()
    }
    assert changed == set(trained)
