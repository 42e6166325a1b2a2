"""Stanford Cars from the unpacked cars_train.tgz, cars_test.tgz and car_devkit.tgz

The classes of the test images are in a separate file, cars_test_annos_withlabels.mat, next to the
others or in devkit.
"""

import os

from ...errors import UserError
from . import listed

PUBLISHED = listed.Published(classes=196, train=8144, val=8041)
ANNOTATIONS = {"train": "cars_train_annos.mat", "val": "cars_test_annos_withlabels.mat"}
FOLDERS = {"train": "cars_train", "val": "cars_test"}


def add_arguments(parser):
    listed.add_arguments(
        parser, f"the folder with cars_train, cars_test, devkit and {ANNOTATIONS['val']}"
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    return listed.read(args, "cars", lists(args.source), PUBLISHED)


def lists(folder):
    """The Lists; the numbers of classes begin with 1."""
    devkit = os.path.join(folder, "devkit")
    (classes,) = listed.mat(os.path.join(devkit, "cars_meta.mat"), "class_names")
    found = {}
    for name, file in ANNOTATIONS.items():
        path = os.path.join(folder, file)
        path = path if os.path.exists(path) else os.path.join(devkit, file)
        found[name] = listed.labelled(path, pairs(path, FOLDERS[name]))
    return listed.Lists([str(name) for name in classes], found)


def pairs(path, images):
    """``(path of an image, label)`` of each annotation; UserError if they have no classes."""
    (annotations,) = listed.mat(path, "annotations")
    if not {"fname", "class"} <= set(annotations.dtype.names or ()):
        raise UserError(
            f"{path}: its annotations have no fname and class; is it the one with labels?"
        )
    for name, number in zip(annotations["fname"], listed.whole(path, annotations["class"])):
        yield f"{images}/{name}", number - 1
