"""Images as a classifier takes them: resized, cropped and normalised the way its validation images
were.
"""

import os

import numpy as np

from ..data import image_files
from ..data.prepare.images import normal_form
from ..data.records import RecordError, RecordFile
from ..data.transforms.paper import eval_transform
from ..errors import UserError


def transform_of(model):
    """What evaluation does to the images of a classifier."""
    return eval_transform(model.data_config())


def image_of(transform, payload):
    """float32 (3, size, size) of an encoded image; ValueError says why it cannot be decoded."""
    return transform.apply(payload, transform.sample(0, 0, np.zeros(1, np.int64)), 0)


def spread(record, count):
    """Keys of ``count`` records (or all, if there are fewer), evenly spread over a RecordIO file."""
    with RecordFile(record) as file:
        if not len(file):
            raise UserError(f"{record}: holds no records")
        places = np.unique(np.linspace(0, len(file) - 1, min(count, len(file))).astype(np.int64))
        return file.keys[places]


def records(model, record, keys, index=None):
    """Yield ``(key, true class or None, float32 image or RecordError)`` of the records with these
    keys.

    A key that the file does not have is a UserError.
    """
    transform = transform_of(model)
    with RecordFile(record, index) as file:
        places = {int(key): place for place, key in enumerate(file.keys)}
        absent = [key for key in keys if int(key) not in places]
        if absent:
            raise UserError(f"{record}: has no record with key {absent[0]}")
        for key in map(int, keys):
            try:
                label, payload = file.read(places[key])
                true = int(label) if np.size(label) == 1 and float(label).is_integer() else None
                yield key, true, image_of(transform, payload)
            except RecordError as error:
                yield key, None, error
            except ValueError as error:
                yield key, true, RecordError(record, key, f"cannot be decoded: {error}")


def sample(model, record, count):
    """float32 (n, 3, size, size): images spread over a RecordIO file; RecordError for a broken one."""
    images = []
    for _, _, image in records(model, record, spread(record, count)):
        if isinstance(image, Exception):
            raise image
        images.append(image)
    return np.stack(images)


def random_pixels(count, size, seed=0):
    """uint8 (count, size, size, 3), every pixel of its own: nothing that a network has seen."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def files(model, paths):
    """Yield ``(path, None, float32 image or the error)`` for image files.

    An image is first brought into the form in which ``gluon-tricks prepare`` stores it: upright,
    for instance.
    """
    transform = transform_of(model)
    for path in paths:
        yield path, None, _file_image(transform, path)


def _file_image(transform, path):
    try:
        data = image_files.read_image(path)
    except ValueError as error:
        return UserError(f"{path}: {error}")
    try:
        return image_of(transform, normal_form(data)[0])
    except ValueError as error:
        return UserError(f"{path}: cannot be decoded: {error}")


def files_in(paths):
    """The files that ``paths`` name; of a folder all images in it and below, by
    :mod:`gluon_tricks.data.image_files`.

    Says how many files of a folder are passed over. UserError where it has no images.
    """
    found = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = image_files.images_below(path)
        inside.say(path)
        if not inside.paths:
            raise UserError(
                f"{path}: no images in this folder ({' '.join(image_files.EXTENSIONS)})"
            )
        found += inside.paths
    return found


def pixels_of(images, mean, std):
    """uint8 (N, H, W, 3) whose normalisation gave ``images``, float32 (N, 3, H, W).

    Exact where the images came from uint8 pixels.
    """
    planes = np.asarray(images) * np.reshape(std, (1, 3, 1, 1)) + np.reshape(mean, (1, 3, 1, 1))
    return np.ascontiguousarray(
        np.clip(np.rint(planes), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    )
