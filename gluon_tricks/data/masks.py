"""The masks of a file's images, which training and evaluation read along with the images."""

from typing import Any, Tuple

import numpy as np

from ..config import MOST_CLASSES_OF_MASKS, Config
from ..errors import UserError
from .decode import decode_mask, size_of
from .mask_files import IGNORED, first_strange, mask_path_of, other_keys
from .records import RecordError, RecordFile
from .transforms.transform import Parameters, Transform


def has_masks(config: Config) -> bool:
    """Whether a run learns from masks."""
    return config.task == "segmentation"


class MaskFile:
    """The masks of the images in a RecordFile, of this many classes.

    It is a plain value: a pickle of it gives another process the same masks. Raises UserError if
    the file is missing, RecordError if the two files have different keys.
    """

    label_dtype = np.uint8  # of a row of a batch

    def __init__(self, images: RecordFile, classes: int) -> None:
        if classes > MOST_CLASSES_OF_MASKS:
            raise UserError(f"--classes {classes}: masks have at most {MOST_CLASSES_OF_MASKS}")
        self._images, self._classes = images.path, classes
        self._records = RecordFile(mask_path_of(images.path))
        for key, wrong in other_keys(self._records.keys, images.keys):
            self.close()
            raise RecordError(self.path, key, wrong)
        self._order = np.argsort(self._records.keys, kind="stable")
        self._keys = self._records.keys[self._order]

    @property
    def path(self) -> str:
        return self._records.path

    def label_shape(self, size: int) -> Tuple[int, ...]:
        """The shape of a row's mask, for square images of this size."""
        return size, size

    def label(
        self, key: int, label: Any, payload: bytes, transform: Transform, drawn: Parameters, i: int
    ) -> np.ndarray:
        """The mask of the record with this key, moved as the ``i``-th image is."""
        return transform.mask(self.read(key, size_of(payload)), drawn, i)

    def read(self, key: int, size: Tuple[int, int]) -> np.ndarray:
        """uint8 (height, width), the mask of the image with this key, which has this ``size``.

        RecordError if it is damaged; UserError if it has another size, or a value that is no class.
        """
        _, payload = self._records.read(int(self._order[np.searchsorted(self._keys, key)]))
        try:
            mask = decode_mask(payload)
        except ValueError as error:
            raise RecordError(self.path, key, f"cannot be decoded: {error}") from None
        if mask.shape != tuple(size):
            raise UserError(
                f"{self.path}, record {key}: the mask has {mask.shape[1]} x {mask.shape[0]} "
                f"pixels, and the image in {self._images} {size[1]} x {size[0]}"
            )
        strange = first_strange(mask, self._classes)
        if strange:
            raise UserError(
                f"{self.path}, record {key}: {strange}, which is none of --classes {self._classes} "
                f"(0 to {self._classes - 1}, or {IGNORED} for none)"
            )
        return mask

    def close(self) -> None:
        self._records.close()
