"""The paths of the pictures that ``gluon-tricks predict`` writes."""

import os

from ..config import user_path
from ..errors import UserError
from ..text import printable


def add_output(add):
    """Add the flag that names the folder."""
    add(
        "--output",
        "-o",
        type=user_path,
        metavar="DIR",
        help="write pictures of each image into this folder: for segmentation NAME.mask.png, whose "
        "pixels are the classes, and NAME.overlay.png; for detection NAME.boxes.png; subfolders of "
        "a folder of images are kept",
    )


class Paths:
    """The paths of an image's pictures: its name in the folder ``output``, in the same subfolders
    as it was found in. ``ending`` is that of one picture, for the message.
    """

    def __init__(self, output, given, ending):
        self._output, self._used, self._ending = output, {}, ending
        self._folders = [path for path in given if os.path.isdir(path)]

    def of(self, name):
        """The path without an ending, in a folder that is created if necessary; UserError if
        another image already has it.
        """
        inside = str(name)
        if isinstance(name, str):
            folder = next((one for one in self._folders if _is_below(name, one)), None)
            inside = os.path.relpath(name, folder) if folder else os.path.basename(name)
            inside = os.path.splitext(inside)[0]
        path = os.path.join(self._output, inside)
        if self._used.setdefault(path, name) != name:
            raise UserError(
                f"{printable(name)} and {printable(self._used[path])} would both become "
                f"{printable(path)}{self._ending}: predict them in two commands"
            )
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        except OSError as error:
            raise UserError(f"{printable(path)}: cannot be written: {error.strerror}") from None
        return path


def _is_below(path, folder):
    return os.path.commonpath([os.path.abspath(path), os.path.abspath(folder)]) == os.path.abspath(
        folder
    )
