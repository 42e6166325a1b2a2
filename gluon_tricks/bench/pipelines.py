"""The pipelines that ``gluon-tricks bench data`` compares: generators of the sizes of batches, with
at least ``images`` images together.

Our own run in the :class:`..data.processes.DataProcesses` ``processes`` or, if that is None, in
``config.num_data_workers`` threads of this process.
"""

import contextlib

import numpy as np

from ..data import decode as decoding
from ..data import jpeg
from ..data.batches import BatchMaker
from ..data.loader import TrainLoader, train_loader
from ..data.records import RecordError, RecordFile


def decode(config, images, processes=None):
    """Full decoding (JPEGs by libjpeg-turbo) of the images that our loader reads, nothing else."""
    records = RecordFile(config.rec_train, config.rec_train_idx)
    maker = BatchMaker(WholeImages(records), config.num_data_workers, processes)
    batch = min(config.batch_size, len(records))
    loader = TrainLoader(records, maker, config.seed, len(records), batch)
    return sizes(loader, images // batch + 2)


class WholeImages:
    """A source (see :mod:`..data.sources`) whose rows stay empty."""

    image_shape, image_dtype, matrix_shape = (1,), np.uint8, None
    label_shape, label_dtype = (), np.float32

    def __init__(self, records):
        self._records = records

    def fill(self, rows, task, scratch):
        for position in task.places:
            payload = self._records.read(position)[1]
            try:
                self._decode(payload)
            except ValueError as error:
                key, problem = int(self._records.keys[position]), f"cannot be decoded: {error}"
                raise RecordError(self._records.path, key, problem) from None
        return []

    def _decode(self, payload):
        import simplejpeg

        if payload.startswith(jpeg.BEGIN):
            simplejpeg.decode_jpeg(payload)
        else:
            decoding.decode(payload)

    def close(self):
        self._records.close()


def loader_float32(config, images, processes=None):
    """Our loader, float32 batches ready for the network."""
    loader = train_loader(config, config.batch_size, processes=processes)
    return sizes(loader, images // config.batch_size + 2)


def loader_uint8(config, images, processes=None):
    """Our loader, uint8 batches whose colour step is left to the device."""
    config.device_augment = True
    return loader_float32(config, images, processes)


def loader_autoaugment(config, images, processes=None):
    """Our loader, float32, with AutoAugment."""
    config.auto_augment = "imagenet"
    return loader_float32(config, images, processes)


def loader_randaugment(config, images, processes=None):
    """Our loader, float32, with two operations of RandAugment."""
    config.auto_augment = "randaugment"
    return loader_float32(config, images, processes)


def pillow_autoaugment(config, images, processes=None):
    """The same by Pillow, as in torchvision, without PCA noise."""
    from .pillow import batches

    config.auto_augment = "imagenet"
    return batches(config, images)


def sizes(loader, steps):
    """The sizes of a loader's batches. Closes the loader at the end."""
    with contextlib.closing(loader):
        for batch in loader.batches(0, steps):
            yield batch.valid


def gluon_sizes(loader, config, images):
    """The sizes of the batches of a Gluon DataLoader, which is restarted until there are enough."""
    done = 0
    while done < images + config.batch_size:
        for data, *_ in loader:
            data[0].wait_to_read()
            done += config.batch_size
            yield config.batch_size


def image_record_iter(config, images, processes=None):
    """MXNet's ImageRecordIter."""
    from ..data.native import refuse_what_it_cannot, train_iterator

    refuse_what_it_cannot(config)
    iterator = train_iterator(config, config.batch_size)
    done = 0
    while done < images + config.batch_size:
        iterator.reset()
        for batch in iterator:
            batch.data[0].wait_to_read()
            done += config.batch_size
            yield config.batch_size


def gluoncv_masks(config, images, processes=None):
    """GluonCV's loader of images with masks."""
    from . import gluoncv_masks

    return gluon_sizes(gluoncv_masks.loader(config), config, images)


def gluoncv_boxes(config, images, processes=None):
    """GluonCV's loader of images with boxes."""
    from . import gluoncv_boxes

    return gluon_sizes(gluoncv_boxes.loader(config), config, images)


def gluoncv(config, images, processes=None):
    """GluonCV's loader: Gluon's DataLoader, with worker processes, over ImageRecordDataset and its
    transforms.
    """
    import mxnet as mx
    from mxnet.gluon.data.vision import ImageRecordDataset, transforms

    jitter = config.color_jitter
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                config.input_size, scale=config.crop_area, ratio=config.crop_aspect
            ),
            transforms.RandomFlipLeftRight(),
            transforms.RandomColorJitter(brightness=jitter, contrast=jitter, saturation=jitter),
            transforms.RandomLighting(config.pca_noise),
            transforms.ToTensor(),
            transforms.Normalize(
                [mean / 255 for mean in config.rgb_mean], [std / 255 for std in config.rgb_std]
            ),
        ]
    )
    loader = mx.gluon.data.DataLoader(
        ImageRecordDataset(config.rec_train).transform_first(transform),
        batch_size=config.batch_size,
        shuffle=True,
        last_batch="discard",
        num_workers=config.num_data_workers,
    )
    return gluon_sizes(loader, config, images)
