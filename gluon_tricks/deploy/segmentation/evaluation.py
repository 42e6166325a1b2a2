"""The exact figures of a network for segmentation on images with masks, each counted once."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator, NamedTuple, Tuple

import numpy as np

from ...data import loader, processes
from ...data.decode import decode, size_of
from ...data.masks import MaskFile
from ...data.records import RecordError, RecordFile
from ...tasks.confusion import confusion_matrix, summary
from .protocols import Protocol, protocol
from .segmenter import Segmenter

BATCH = 8  # centre crops per batch
THREADS = 4  # decoding threads


class Pair(NamedTuple):
    """An image and its mask."""

    key: int
    picture: np.ndarray  # uint8 (H, W, 3)
    mask: np.ndarray  # uint8 (H, W), classes or 255


def pairs(record: str, index: str, classes: int) -> Iterator[Pair]:
    """Yield the images of a RecordIO file with their masks.

    Raises UserError naming a record that is broken, or whose mask has another size.
    """
    with RecordFile(record, index) as images, contextlib.closing(
        MaskFile(images, classes)
    ) as masks:
        for position, key in enumerate(images.keys.tolist()):
            _, payload = images.read(position)
            try:
                mask = masks.read(key, size_of(payload))
                yield Pair(key, decode(payload), mask)
            except ValueError as error:
                raise RecordError(record, key, f"cannot be decoded: {error}") from None


def confusion(model: Segmenter, record: str, index: str, how: Protocol) -> Tuple[np.ndarray, int]:
    """``(int64 (K, K), images)``: :func:`.confusion_matrix` of all pixels of a RecordIO file."""
    matrix, count = np.zeros((model.classes, model.classes), np.int64), 0
    for masks, predicted in _predictions(model, record, index, how):
        matrix += confusion_matrix(masks, predicted, model.classes)
        count += len(masks)
    return matrix, count


def _predictions(model, record, index, how):
    """Yield ``(masks, predictions)``, uint8 (n, H, W), of all images."""
    if how.views is None:
        yield from _centre_crops(model, record, index)
        return
    for key, picture, mask in pairs(record, index, model.classes):
        yield mask[None], model.segment(picture, how.views, f"record {key}")[None]


def _centre_crops(model, record, index):
    """Yield them as in training's validation."""
    config = model.preprocessing.config(
        classes=model.classes, rec_val=record, rec_val_idx=index, num_data_workers=THREADS
    )
    with processes.started(config) as data_processes, contextlib.closing(
        loader.eval_loader(config, BATCH, processes=data_processes)
    ) as images:
        for batch in images.batches(0):
            pixels, masks = (a.asnumpy()[: batch.valid] for a in (batch.images, batch.labels))
            yield masks, model.predict(pixels, "a centre crop").argmax(axis=1)


def measure(model: Segmenter, record: str) -> Dict[str, Any]:
    """The figures of the protocol ``single`` for a manifest."""
    how = protocol("single", model.preprocessing)
    matrix, images = confusion(model, record, "", how)
    return dict(of_training(matrix), images=images, protocol=how.words)


def of_training(matrix: np.ndarray) -> Dict[str, float]:
    """The figures that training has, too."""
    found = summary(matrix)
    return {name: found[name] for name in ("miou", "accuracy")}


def compare_figures(model: Segmenter, quantized: Segmenter, record: str) -> Tuple[dict, dict]:
    """Figures of a network and of its INT8 variant on all images of a RecordIO file: two dicts.

    The second also has the loss in mIoU, and the percentage of pixels on which both agree.
    """
    how, models = protocol("single", model.preprocessing), (model, quantized)
    assert how.views, "the protocol is single"
    matrices = np.zeros((2, model.classes, model.classes), np.int64)
    agreed = pixels = count = 0
    for key, picture, mask in pairs(record, "", model.classes):
        found = [each.segment(picture, how.views, f"record {key}") for each in models]
        matrices += [confusion_matrix(mask, each, model.classes) for each in found]
        agreed += int((found[0] == found[1]).sum())
        pixels, count = pixels + mask.size, count + 1
    before, after = (of_training(each) for each in matrices)
    measured = dict(images=count, protocol=how.words)
    differences = dict(
        miou_float32=before["miou"],
        miou_lost=before["miou"] - after["miou"],
        agreement=100 * agreed / pixels,
    )
    return dict(before, **measured), dict(after, **measured, **differences)
