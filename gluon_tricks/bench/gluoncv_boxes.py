"""GluonCV's detection with the settings of our flags: its Faster-RCNN on its own classifier, the
step of its script, and its DataLoader, which also makes the proposals' targets.
"""

import warnings

import gluoncv
import mxnet as mx
from gluoncv.data import RecordFileDetection
from gluoncv.data.batchify import FasterRCNNTrainBatchify
from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultTrainTransform
from gluoncv.model_zoo.rcnn.faster_rcnn import get_faster_rcnn
from gluoncv.model_zoo.rcnn.faster_rcnn.data_parallel import ForwardBackwardTask
from gluoncv.utils.metrics import rcnn
from mxnet import gluon

from ..models.detectors import NUMBERS, settings_of
from ..models.faster_rcnn import BEFORE
from ..tasks.detection_losses import BOX_BEND, RPN_BEND

FIGURES = (
    *(mx.metric.Loss,) * 4,
    *(rcnn.RPNAccMetric, rcnn.RPNL1LossMetric, rcnn.RCNNAccMetric, rcnn.RCNNL1LossMetric),
)
TRAINED = ".*dense|.*rpn|.*down(2|3|4)_conv|.*layers(2|3|4)_conv"  # as in its published networks


def network(config):
    """GluonCV's Faster-RCNN with the settings of a Config."""
    settings = settings_of(**{name: getattr(config, name) for name in NUMBERS})
    base = gluoncv.model_zoo.get_model(
        config.model[len("faster_rcnn_") :], pretrained=False, use_global_stats=True
    )
    features, top_features = gluon.nn.HybridSequential(), gluon.nn.HybridSequential()
    features.add(*(getattr(base, name) for name in BEFORE))
    top_features.add(base.layer4)
    net = get_faster_rcnn(
        name=config.model,
        dataset="boxes",
        features=features,
        top_features=top_features,
        classes=[str(number) for number in range(config.classes)],
        train_patterns=TRAINED,
        roi_size=(settings.roi_size, settings.roi_size),
        rpn_channel=settings.rpn_channels,
        scales=settings.anchors.scales,
        rpn_train_pre_nms=settings.train.before,
        rpn_train_post_nms=settings.train.after,
        num_sample=settings.sample,
        max_num_gt=config.max_boxes,
        per_device_batch_size=config.batch_size,
    )
    net.initialize(mx.init.Xavier())
    return net


def transform(config, net):
    """The script's augmentation of an image and its boxes, and the proposals' targets."""
    return FasterRCNNDefaultTrainTransform(
        config.input_size,
        config.max_side,
        net,
        num_sample=config.rpn_sample,
        flip_p=config.flip,
        ashape=net.ashape,
    )


def loader(config):
    """GluonCV's DataLoader of the batches that the flags ask for."""
    net = network(config)
    return gluon.data.DataLoader(
        RecordFileDetection(config.rec_train).transform(transform(config, net)),
        batch_size=config.batch_size,
        shuffle=True,
        batchify_fn=FasterRCNNTrainBatchify(net),
        last_batch="discard",
        num_workers=config.num_data_workers,
    )


class Loop:
    """The script's step, with its figures, on the images with these keys. They form one batch; with
    ``is_fed``, it is read and augmented again for each step, as in the script's loader.
    """

    def __init__(self, config, keys, is_fed=False):
        self._net = network(config)
        self._config, self._data = config, RecordFileDetection(config.rec_train)
        self._change = transform(config, self._net)
        self._places = [self._data._record.keys.index(key) for key in keys]
        self._batch = None if is_fed else self._made()
        self._net.hybridize()
        self._trainer = trainer(config, self._net)
        self._task = task(self._net, self._trainer)
        self._figures = [figure() for figure in FIGURES]

    def round(self, steps):
        """Train so many steps."""
        for _ in range(steps):
            found = self._task.forward_backward(self._batch or self._made())
            self._trainer.step(self._config.batch_size)
            for figure, (labels, outputs) in zip(self._figures, pairs(found)):
                figure.update(labels, outputs)
        mx.nd.waitall()

    def _made(self):
        """[images, boxes, and the proposals' targets], on the CPU."""
        changed = [self._change(*self._data[place]) for place in self._places]
        images, boxes, *targets = FasterRCNNTrainBatchify(self._net)(changed)
        parts = [images, boxes, *(of_devices[0] for of_devices in targets)]
        return [part.as_in_context(mx.cpu()) for part in parts]


def pairs(found):
    """(labels, outputs) for each figure, from the results of a step."""
    return [*((0, loss) for loss in found[:4]), *found[4:]]


def trainer(config, net):
    """The script's Trainer, without the parameters that the script freezes."""
    net.collect_params().setattr("grad_req", "null")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one name matches the anchors, which are a constant
        net.collect_train_params().setattr("grad_req", "write")
    settings = dict(learning_rate=config.lr, wd=config.wd, momentum=config.momentum)
    store = mx.kvstore.create("device")  # as in the script, which has one even for a single device
    return gluon.Trainer(net.collect_train_params(), "sgd", settings, kvstore=store)


def task(net, trainer):
    """The script's forward and backward pass, with its losses."""
    return ForwardBackwardTask(
        net,
        trainer,
        gluon.loss.SigmoidBinaryCrossEntropyLoss(from_sigmoid=False),
        gluon.loss.HuberLoss(rho=RPN_BEND),
        gluon.loss.SoftmaxCrossEntropyLoss(),
        gluon.loss.HuberLoss(rho=BOX_BEND),
        mix_ratio=1.0,
        amp_enabled=False,
    )
