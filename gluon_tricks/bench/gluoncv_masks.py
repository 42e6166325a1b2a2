"""GluonCV's loading of images with masks: Gluon's DataLoader over its SegmentationDataset."""

import io
import os
import random

from gluoncv.data.segbase import SegmentationDataset
from PIL import Image

from ..data.mask_files import mask_path_of
from ..data.records import RecordFile


class Scenes(SegmentationDataset):
    """The images and masks in RecordIO files, read and augmented as by ADE20KSegmentation."""

    def __init__(self, path, transform, base_size, crop_size):
        folder = os.path.dirname(os.path.abspath(path))  # has to exist, but is not read
        super().__init__(folder, "train", "train", transform, base_size, crop_size)
        self._images, self._masks = RecordFile(path), RecordFile(mask_path_of(path))

    def __len__(self):
        return len(self._images)

    def __getitem__(self, place):
        image, mask = (
            Image.open(io.BytesIO(records.read(place)[1]))
            for records in (self._images, self._masks)
        )
        image, mask = self._sync_transform(image.convert("RGB"), mask)
        return self.transform(image), mask


def loader(config):
    """The DataLoader of the batches that the flags ask for."""
    from mxnet.gluon.data import DataLoader
    from mxnet.gluon.data.vision import transforms

    mean, std = ([value / 255 for value in each] for each in (config.rgb_mean, config.rgb_std))
    normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    random.seed(config.seed)
    return DataLoader(
        Scenes(config.rec_train, normalise, config.base_size, config.input_size),
        batch_size=config.batch_size,
        shuffle=True,
        last_batch="rollover",
        num_workers=config.num_data_workers,
    )
