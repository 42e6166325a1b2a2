"""What unpacked sets of image files with lists of classes and splits have in common.

The module of a set reads its lists, and :func:`read` makes splits of them. A list's contents are
compared with the files and with the published counts.
"""

import os
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Tuple

import numpy as np

from ...config import user_path
from ...errors import UserError
from ..file_reading import open_for_reading, read_bytes
from ..image_files import read_image
from . import images
from .counts import refuse_partial
from .mat_file import variables
from .split import Split

MOST_OF_A_LIST = 1 << 24  # bytes, packed or not; the longest, of Food-101, has two million


class Lists(NamedTuple):
    """The contents of a set's lists: the names of the classes in the order of their labels, and for
    ``train`` and ``val`` the label of each image, by its path below the set's folder.
    """

    classes: List[str]
    labels: Dict[str, Dict[str, int]]


class Published(NamedTuple):
    """How many classes and images a set has."""

    classes: int
    train: int
    val: int


def add_arguments(parser: Any, source: str) -> None:
    """The arguments of every such set; ``source`` says what its folder holds."""
    parser.add_argument("source", type=user_path, metavar="SOURCE", help=source)
    images.add_seed(parser)
    images.add_arguments(parser)
    parser.add_argument(
        "--allow-partial", action="store_true", help="continue if images are missing"
    )


def read(
    args: Any, data_set: str, lists: Lists, published: Published
) -> Tuple[Dict[str, Split], List[str], Dict[str, Any]]:
    """``({"train": Split, "val": Split}, class names, settings)``; UserError for anything that is
    not as published, except images that are missing with ``args.allow_partial``.
    """
    source, classes = args.source, lists.classes
    if len(classes) != published.classes:
        raise UserError(f"{source}: lists {len(classes)} classes instead of {published.classes}")
    refuse_shared(source, **lists.labels)
    splits = {name: split_of(source, found, args) for name, found in lists.labels.items()}
    for split in splits.values():
        refuse_strange(source, split, published.classes)
    found = {name: len(split) for name, split in splits.items()}
    refuse_partial(source, found, published._asdict(), args.allow_partial)
    splits["train"] = splits["train"].shuffled(args.seed)
    return splits, classes, dict(images.settings(args), data_set=data_set, seed=args.seed)


def split_of(source: str, labels: Mapping[str, int], args: Any) -> Split:
    """The Split of the images of a list, in the order of their paths; UserError that names the
    first if some are missing, unless ``args.allow_partial``.
    """
    there = [path for path in sorted(labels) if os.path.isfile(os.path.join(source, path))]
    if len(there) < len(labels) and not args.allow_partial:
        first = min(set(labels) - set(there))
        raise UserError(
            f"{source}: {len(labels) - len(there):,} of {len(labels):,} listed images are missing, "
            f"the first is {first}; --allow-partial continues with what is there"
        )
    size = sum(os.path.getsize(os.path.join(source, path)) for path in there)
    return Split(
        there,
        [labels[path] for path in there],
        lambda position: read_image(os.path.join(source, there[position])),
        lambda data: images.stored_form(data, args),
        images.size_after(size, len(there), args.resize),
    )


def refuse_shared(source: str, train: Mapping[str, int], val: Mapping[str, int]) -> None:
    """UserError if an image is in the lists of both."""
    shared = sorted(set(train) & set(val))
    if shared:
        raise UserError(f"{source}: {shared[0]} is listed for training and for the test")


def refuse_strange(source: str, split: Split, classes: int) -> None:
    """UserError for a label that is not one of the classes."""
    for name, label in zip(split.names, split.labels):
        if not 0 <= label < classes:
            raise UserError(
                f"{source}: {name} is listed with the class {label + 1}, of 1 to {classes}"
            )


# ---- lists


def content(path: str) -> bytes:
    """The bytes of a list; UserError if it cannot be read, or is too long for one."""
    descriptor, size = open_for_reading(path)
    try:
        if size > MOST_OF_A_LIST:
            raise UserError(f"{path}: has {size:,} bytes; at most {MOST_OF_A_LIST:,} are read")
        return read_bytes(descriptor, size, 0, path)
    finally:
        os.close(descriptor)


def lines(path: str) -> List[str]:
    """The lines of a list, without those that are empty."""
    text = content(path).decode("utf-8", "surrogateescape")
    return [line.strip() for line in text.split("\n") if line.strip()]


def mat(path: str, *names: str) -> List[np.ndarray]:
    """These variables of a list in a .mat file, each at least one-dimensional."""
    found = variables(content(path), path, MOST_OF_A_LIST)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{path}: has no {missing[0]}; is it the set's own file?")
    return [np.atleast_1d(found[name]) for name in names]


def whole(path: str, numbers: Iterable[Any]) -> List[int]:
    """Numbers of the list ``path`` as int; UserError if one is not a number."""
    try:
        return [int(number) for number in numbers]
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: has something other than a number: {error}") from None


def of_files(
    folder: str, files: Mapping[str, str], pairs: Callable[[str], Iterable[Tuple[str, int]]]
) -> Dict[str, Dict[str, int]]:
    """The labels of :class:`Lists` from a file for each split; ``pairs`` reads one, given its path:
    ``(path of an image, label)`` of each entry.
    """
    paths = {name: os.path.join(folder, file) for name, file in files.items()}
    return {name: labelled(path, pairs(path)) for name, path in paths.items()}


def by_names(
    folder: str, names: str, files: Mapping[str, str], entry: Callable[[str], Tuple[str, str]]
) -> Lists:
    """The :class:`Lists` of a set whose classes are the lines of the file ``names``; ``entry``
    reads a line of the other files: ``(path of an image, name of its class)``.
    """
    classes = lines(os.path.join(folder, names))
    label_of = {name: label for label, name in enumerate(classes)}

    def pairs(path):
        for line in lines(path):
            image, name = entry(line)
            if name not in label_of:
                raise UserError(f"{path}: {line} is of a class that is not in {names}")
            yield image, label_of[name]

    return Lists(classes, of_files(folder, files, pairs))


def labelled(path: str, pairs: Iterable[Tuple[str, int]]) -> Dict[str, int]:
    """``{path of an image: label}`` of the list ``path``; UserError for an image that is listed
    twice, or lies outside the set's folder.
    """
    found: Dict[str, int] = {}
    for image, label in pairs:
        if os.path.isabs(image) or ".." in image.split("/"):
            raise UserError(f"{path}: {image} lies outside the folder of the images")
        if image in found:
            raise UserError(f"{path}: has {image} twice")
        found[image] = label
    return found
