"""Checks the regions of ROIAlign in a symbol from elsewhere.

A region is the number of an image and four coordinates, which MXNet does not check: a number
without an image, or a coordinate that is not finite, makes it read outside the array and crash. The
values are known only at run time. So they have to be computed by the graph of
:meth:`gluon_tricks.models.faster_rcnn.FasterRCNN.judge`, whose numbers are those of the images in
the batch and whose coordinates are finite.
"""

from typing import Any, List

from ..models.box_ops import LARGEST


class Unlike(Exception):
    """The graph is not the expected one."""


def are_safe(nodes: List[dict], align: dict) -> bool:
    """Whether the regions of the node ``align`` lie within its features; ``nodes`` are the nodes
    before it, which have been checked.
    """
    features, regions = align["inputs"]
    try:
        joined = inputs_of(nodes, inputs_of(nodes, regions, "BlockGrad")[0], "Concat", dim="1")
        numbers, corners = joined
        _check_numbers(nodes, numbers, features)
        _check_corners(nodes, corners)
    except (Unlike, ValueError):  # ValueError: another number of inputs
        return False
    return True


def _check_numbers(nodes, numbers, features):
    (numbers,) = inputs_of(nodes, numbers, "Reshape", shape="(-1, 1)")
    zeros, images = inputs_of(nodes, numbers, "broadcast_add")
    inputs_of(nodes, zeros, "zeros_like")
    (images,) = inputs_of(nodes, images, "Reshape")
    (numbered,) = inputs_of(nodes, images, "_contrib_arange_like", axis="0")
    if numbered != features:
        raise Unlike


def _check_corners(nodes, corners):
    is_small, kept, zeros = inputs_of(nodes, corners, "where")
    inputs_of(nodes, zeros, "zeros_like")
    (size,) = inputs_of(nodes, is_small, "_lesser_scalar", scalar=str(LARGEST))
    if inputs_of(nodes, size, "abs") != [kept]:
        raise Unlike


def inputs_of(nodes: List[dict], entry: List[int], kind: str, **attributes: str) -> List[Any]:
    """The inputs of the node with the output ``entry``; Unlike if its operator is not ``kind``, or
    its ``attributes`` differ.
    """
    node = nodes[entry[0]]
    held = node.get("attrs", {})
    if node["op"] != kind or any(held.get(name) != value for name, value in attributes.items()):
        raise Unlike
    return node["inputs"]
