"""The split of the images in a tar, and a cache of its headers."""

import os
import zipfile
import zlib

import numpy as np

from ...errors import UserError
from ..file_reading import read_bytes
from ..recordio import LENGTH_MASK
from . import images, tar
from .split import Split


def members_of(descriptor, start, end, path):
    """``{name: (offset, size)}`` of the files in an archive, named without their folders; UserError
    if two have the same name.
    """
    found = {}
    for name, offset, size in tar.members(descriptor, start, end, path):
        name = os.path.basename(name)
        if name in found:
            raise UserError(f"{path}: holds {name} twice")
        found[name] = offset, size
    return found


def split_of(path, descriptor, names, labels, offsets, sizes, args):
    """The Split of images that are ranges of bytes of one file."""

    def read(position):
        if sizes[position] > LENGTH_MASK:
            raise ValueError("holds 512 MiB or more, too many for a record")
        return read_bytes(descriptor, int(sizes[position]), int(offsets[position]), path)

    def encode(data):
        return images.stored_form(data, args, keep_png=False)

    return Split(
        names, labels, read, encode, images.size_after(int(np.sum(sizes)), len(names), args.resize)
    )


def keep_members(cache, path, names, labels, offsets, sizes):
    """Keep the result of the scan for a run that continues this one after an interruption."""
    os.makedirs(os.path.dirname(os.path.abspath(cache)), exist_ok=True)
    with open(cache + ".new", "wb") as file:
        np.savez(
            file,
            archive=identity(path),
            names=np.array([name.encode("utf-8", "surrogateescape") for name in names]),
            labels=labels,
            offsets=offsets,
            sizes=sizes,
        )
    os.replace(cache + ".new", cache)


def recall_members(cache, path):
    """What ``keep_members`` kept of this archive, or None."""
    try:
        with np.load(cache, allow_pickle=False) as kept:
            if kept["archive"].tolist() == identity(path):
                names = [name.decode("utf-8", "surrogateescape") for name in kept["names"].tolist()]
                return names, kept["labels"], kept["offsets"], kept["sizes"]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile):
        pass
    return None


def identity(path):
    status = os.stat(path)
    return [os.path.abspath(path), str(status.st_size), str(status.st_mtime_ns)]
