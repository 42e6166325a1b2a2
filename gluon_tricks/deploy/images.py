"""Reads images from files or records, and preprocesses them."""

import os
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..data import image_files
from ..data.prepare.images import normal_form
from ..data.records import RecordError, RecordFile
from ..errors import UserError

Image = Union[np.ndarray, Exception]  # the preprocessed image, or why there is none


def spread_keys(record: str, count: int) -> np.ndarray:
    """Keys of ``count`` records, or all if there are fewer, spread evenly over a RecordIO file."""
    with RecordFile(record) as file:
        places = np.unique(np.linspace(0, len(file) - 1, min(count, len(file))).astype(np.int64))
        return file.keys[places]


def from_records(
    preprocessing: Any, record: str, keys: Union[Sequence[int], np.ndarray]
) -> Iterator[Tuple[int, Optional[int], Image]]:
    """Yield ``(key, true class or None, image)`` of the records with these keys.

    Raises UserError for a key that the file does not have.
    """
    with RecordFile(record) as file:
        places = {int(key): place for place, key in enumerate(file.keys)}
        absent = [key for key in keys if int(key) not in places]
        if absent:
            raise UserError(f"{record}: has no record with key {absent[0]}")
        for key in map(int, keys):
            try:
                label, payload = file.read(places[key])
                true = int(label) if np.size(label) == 1 and float(label).is_integer() else None
                yield key, true, preprocessing.image(payload)
            except RecordError as error:
                yield key, None, error
            except ValueError as error:
                yield key, true, RecordError(record, key, f"cannot be decoded: {error}")


def spread(preprocessing: Any, record: str, count: int) -> Iterator[np.ndarray]:
    """Yield images spread over a RecordIO file; RecordError names a broken one."""
    for _, _, image in from_records(preprocessing, record, spread_keys(record, count)):
        if isinstance(image, Exception):
            raise image
        yield image


def sample(preprocessing: Any, record: str, count: int) -> np.ndarray:
    """float32 (n, 3, size, size): images spread over a RecordIO file; RecordError names a broken
    one.
    """
    return np.stack(list(spread(preprocessing, record, count)))


def random_pixels(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, height, width, 3) of independent random values: unlike anything a network has
    seen.
    """
    shape = (count, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def of_several_sizes(
    preprocessing: Any, record: str, fitted: Callable[[np.ndarray], np.ndarray]
) -> List[np.ndarray]:
    """Batches of uint8 (N, H, W, 3), each of a different size, on which an export is compared:
    random ones, and, unless ``record`` is "", three real ones from it, each ``fitted`` to the
    network.
    """
    side = preprocessing.input_size
    shapes = (2, side // 2, side // 2), (1, side // 3 + 1, side // 4 + 1)
    found = [random_pixels(*shape, seed=number) for number, shape in enumerate(shapes)]
    if record:
        found += [fitted(picture)[None] for picture in spread(preprocessing, record, 3)]
    return found


def from_files(preprocessing: Any, paths: Sequence[str]) -> Iterator[Tuple[str, None, Image]]:
    """Yield ``(path, None, image)`` of image files.

    Each image first goes through the same changes as in ``gluon-tricks prepare``: it is turned
    upright, for instance.
    """
    for path in paths:
        yield path, None, from_file(preprocessing, path)


def from_file(preprocessing: Any, path: str) -> Image:
    """The image of a file, as in :func:`from_files`, or the UserError that names it."""
    try:
        data = image_files.read_image(path)
    except ValueError as error:
        return UserError(f"{path}: {error}")
    try:
        return preprocessing.image(normal_form(data)[0])
    except ValueError as error:
        return UserError(f"{path}: cannot be decoded: {error}")


def files_in(paths: Sequence[str]) -> List[str]:
    """The files that ``paths`` name; for a folder, all images in it and in its subfolders, by
    :mod:`gluon_tricks.data.image_files`.

    Prints how many files of a folder are skipped. UserError if a folder has no images.
    """
    found = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = image_files.images_below(path)
        inside.say(path)
        if not inside.paths:
            extensions = " ".join(image_files.EXTENSIONS)
            raise UserError(f"{path}: no images in this folder ({extensions})")
        found += inside.paths
    return found
