"""Steps of our loop against a loop of GluonCV's FCN, on the same images from the same parameters:
the paper's loss from its formula, and the authors' step with GluonCV's loss and metric.
"""

import json

import gluoncv
import mxnet as mx
import numpy as np
import pytest
from gluoncv.loss import MixSoftmaxCrossEntropyLoss
from gluoncv.utils.metrics.segmentation import SegmentationMetric
from mask_scenes import CLASSES, folder_of
from mxnet import autograd, gluon

import gluon_tricks.config as flags
from gluon_tricks.training.run import build, finish

pytestmark = pytest.mark.slow

SIZE, BATCH, RATE = 32, 2, 0.001  # BATCH images on each of two devices, all in a step
DEVICES = [mx.cpu(0), mx.cpu(1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("scenes"), train=4)


class Case:
    """A run of ours of so many steps: its batches, logs, parameters before and after."""

    def __init__(self, data, folder, steps, words):
        self.start, log = str(folder / "start.params"), folder / "run" / "log.jsonl"
        config = flags.parse(
            f"--task segmentation --model fcn_resnet50_v1s --classes {CLASSES} --lr {RATE} "
            f"--input-size {SIZE} --base-size {SIZE} --batch-size {BATCH} --cpu-contexts 2 "
            f"--rec-train {data}/train.rec "
            f"--num-epochs {steps} --log-interval 1 --save-frequency 0 --save-dir {log.parent} "
            f"{words}".split()
        )
        run = build(config)
        try:
            for head in (run.learner.net.head, run.learner.net.auxlayer):
                head.block[3]._rate = 0  # dropout, whose random numbers are each loop's own
            run.learner.net.hybridize()
            run.learner.net.save_parameters(self.start)
            self.batches = [
                (batch.images.copy(), batch.labels.copy())
                for batch in run.data.train.batches(0, steps)
            ]
            finish(run)
            self.parameters = trained(run.learner.net)
        finally:
            run.close()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.lines = [line for line in lines if line["event"] == "train"]
        assert len(self.lines) == steps


def trained(net):
    return {
        name: parameter.list_data()[0].asnumpy()
        for name, parameter in net._collect_params_with_prefix().items()
        if parameter.grad_req != "null"
    }


def theirs(start):
    """GluonCV's FCN on both devices, with the parameters of a file."""
    net = gluoncv.model_zoo.FCN(
        CLASSES, backbone="resnet50", pretrained_base=False, height=SIZE, width=SIZE
    )
    net.load_parameters(start)
    net.collect_params().reset_ctx(DEVICES)
    for head in (net.head, net.auxlayer):
        head.block[3]._rate = 0
        head.collect_params().setattr("lr_mult", 10)
    return net


def papers_loss(outputs, target):
    """The mean over the labelled pixels, and half of the auxiliary head's."""
    labelled = (target >= 0).astype("float32")
    return sum(
        -(mx.nd.log_softmax(output, axis=1).pick(target * labelled, axis=1) * labelled).sum()
        / labelled.sum()
        * weight
        for output, weight in zip(outputs, (1, 0.5))
    )


def authors_loss(outputs, target):
    return MixSoftmaxCrossEntropyLoss(aux=True, aux_weight=0.5)(*outputs, target)


def loop(case, loss_of, divisor):
    """(network, figures of each step) of a loop as GluonCV's script has it."""
    net, figures = theirs(case.start), []
    options = dict(learning_rate=0.0, momentum=0.9, wd=1e-4)
    trainer = gluon.Trainer(net.collect_params(), "sgd", options)
    for step, (images, masks) in enumerate(case.batches):
        signed = masks.asnumpy().astype("float32")
        signed[signed == 255] = -1
        metric, losses = SegmentationMetric(CLASSES), []
        with autograd.record():
            for number, device in enumerate(DEVICES):
                rows = slice(number * BATCH, (number + 1) * BATCH)
                target = mx.nd.array(signed[rows], ctx=device)
                outputs = net(images[rows].as_in_context(device))
                metric.update(target, outputs[0])
                losses.append(loss_of(outputs, target))
        autograd.backward(losses)
        mx.nd.waitall()  # BatchNorm's backward pass on two CPU contexts
        trainer.set_learning_rate(RATE * (1 - step / len(case.batches)) ** 0.9)
        trainer.step(divisor)
        figures.append(metric.get())
    return net, figures


@pytest.mark.parametrize(
    "steps, words, loss_of, divisor",
    [
        (2, "", papers_loss, len(DEVICES)),
        # One step: GluonCV's loss rounds otherwise, and what is after 1e-6 in a gradient here is
        # after 1e-2 in the next step's.
        (1, "--fidelity gluoncv", authors_loss, len(DEVICES) * BATCH),
    ],
)
def test_steps_are_those_of_gluoncvs_network(folder, tmp_path, steps, words, loss_of, divisor):
    case = Case(folder, tmp_path, steps, words)
    net, figures = loop(case, loss_of, divisor)
    found = [line["miou"] for line in case.lines]
    np.testing.assert_allclose(found, [100 * miou for _, miou in figures], atol=0.1)
    start = mx.nd.load(case.start)
    for name, value in trained(net).items():
        moved = np.abs(value - start[name].asnumpy()).max()
        assert moved > 0, name
        np.testing.assert_allclose(case.parameters[name], value, atol=0.01 * moved, err_msg=name)
