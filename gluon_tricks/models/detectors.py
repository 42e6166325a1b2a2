"""The detectors by name: Faster-RCNN on all our ResNets except v1, with the numbers from the
flags.
"""

from typing import Any, Sequence, Tuple

from . import published, registry
from .faster_rcnn import FasterRCNN, Settings, faster_rcnn
from .fcn import OF_CLASSIFIERS

NUMBERS = "anchor_scales", "rpn_channels", "roi_size", "proposals", "rpn_sample", "roi_sample"
# Options of a classifier that the backbone does not have: its norms are frozen BatchNorms, and
# dropping activations has never been tried in it.
LEFT_OUT = OF_CLASSIFIERS | {"use_gn", "drop_block", "drop_block_from", "drop_path"}
# GluonCV's names of its published networks, by our names.
ZOO = {"faster_rcnn_resnet50_v1b": "faster_rcnn_resnet50_v1b_voc"}


def settings_of(
    anchor_scales: Sequence[float] = (),
    rpn_channels: int = 0,
    roi_size: int = 0,
    proposals: Tuple[int, ...] = (),
    rpn_sample: int = 0,
    roi_sample: int = 0,
) -> Settings:
    """The Settings with these numbers; those not given are the defaults."""
    known = Settings()
    train, test = proposals or (known.train.after, known.test.after)
    return known._replace(
        anchors=known.anchors._replace(scales=tuple(anchor_scales or known.anchors.scales)),
        rpn_channels=rpn_channels or known.rpn_channels,
        roi_size=roi_size or known.roi_size,
        train=known.train._replace(before=max(train, known.train.before), after=train),
        test=known.test._replace(before=max(test, known.test.before), after=test),
        rpn_sample=rpn_sample or known.rpn_sample,
        sample=roi_sample or known.sample,
    )


def detector(name: str, classes: int = 20, **options: Any) -> FasterRCNN:
    """The FasterRCNN called ``name``; ``options``: NUMBERS, and those of the backbone."""
    numbers = {each: options.pop(each) for each in NUMBERS if each in options}
    net = faster_rcnn(name, classes, settings_of(**numbers), **options)
    net.backbone.made_as = name[len("faster_rcnn_") :], options
    return net


def _published_file(name, **_):
    return published.file_called(ZOO[name]) if name in ZOO else None


def _register(backbone):
    own = [each for each in registry.get(backbone).options if each not in LEFT_OUT]
    name = "faster_rcnn_" + backbone
    registry.register(
        name,
        options=[*own, *NUMBERS],
        input_size=600,
        sizes_vary=True,
        for_task="detection",
        published_file=_published_file,
        load_published=published.load_file,
    )(detector)


for _name in registry.names(sources=False):
    if _name.startswith("resnet") and "dilated" in (registry.get(_name).options or ()):
        _register(_name)
