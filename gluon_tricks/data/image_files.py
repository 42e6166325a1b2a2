"""The image files below a folder, the other files there, and the bytes of an image."""

import collections
import os
import pathlib
import sys
from typing import NamedTuple

from ..errors import UserError
from ..text import counted, printable
from .recordio import LENGTH_MASK

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class Found(NamedTuple):
    """What is below a folder, without hidden files and folders."""

    paths: list  # of the images, sorted
    passed_over: collections.Counter  # of the extensions of the other files
    linked: list  # folders to which links lead

    def say(self, folder):
        """Print what a user may not expect."""
        if self.linked:
            first, *others = self.linked
            more = f" and {counted(len(others), 'other')}" if others else ""
            links = f"links to folders are followed: {first}{more}"
            print(printable(f"{folder}: {links}"), file=sys.stderr)
        if self.passed_over:
            said = ", ".join(
                f"{count} of {printable(extension)}" if extension else f"{count} without extension"
                for extension, count in sorted(self.passed_over.items())
            )
            print(f"{printable(folder)}: files passed over: {said}", file=sys.stderr)


def images_below(folder):
    """The :class:`Found` of a folder.

    Links to folders are followed, and each folder is read once, so circles of links end. A dead
    link with the name of an image is among the paths, since an image is missing there; any other is
    a UserError, as is a folder that cannot be read.
    """
    found = Found([], collections.Counter(), [])
    top = pathlib.Path(folder).resolve()
    # a link to one of these is a circle, too
    seen = {identity(directory) for directory in (top, *top.parents)}
    for directory, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        names, folders[:] = sorted(folders), []
        for name in names:
            inside = os.path.join(directory, name)
            if name.startswith(".") or identity(inside) in seen:
                continue
            seen.add(identity(inside))
            folders.append(name)
            if os.path.islink(inside):
                found.linked.append(inside)
        for name in files:
            path = os.path.join(directory, name)
            if name.startswith("."):
                continue
            if name.lower().endswith(EXTENSIONS) and (os.path.isfile(path) or is_dead_link(path)):
                found.paths.append(path)
            else:
                refuse_dead_link(path)
                found.passed_over[extension_of(name)] += 1
    found.paths.sort()
    return found


def extension_of(name):
    return os.path.splitext(name)[1].lower()


def refuse(error):
    """Raise a UserError that names the file of an OSError."""
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}")


def identity(folder):
    """What is the same for all paths to a folder."""
    try:
        status = os.stat(folder)
    except OSError as error:
        refuse(error)
    return status.st_dev, status.st_ino


def is_dead_link(path):
    return os.path.islink(path) and not os.path.exists(path)


def refuse_dead_link(path):
    if is_dead_link(path):
        raise UserError(f"{path}: this link leads nowhere; repair it or remove it")


def read_image(path):
    """The bytes of an image file; ValueError if it cannot be read, or is too large to be a
    record's image.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LENGTH_MASK + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    if len(data) > LENGTH_MASK:
        raise ValueError("holds 512 MiB or more, too many for a record")
    return data
