"""The features inside a network, for segmentation and detection: the output of each of its stages.

A network says itself which they are (``stage_outputs``), as ours do. Of the others it is computed:
a stage ends with the last layer of its resolution that all of the later layers depend on. A ResNet
has its four stages like that; a network that keeps several resolutions alive to its end (HRNet,
NASNet) has no such layers.
"""

import collections
import json
import math
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet import gluon
from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import complexity


class Stage(NamedTuple):
    """One output of a backbone."""

    name: str
    channels: int
    stride: int  # pixels of the image for each of its own, in height and in width


def features(net: HybridBlock, input_size: int = 224) -> Tuple[gluon.SymbolBlock, List[Stage]]:
    """The backbone of ``net`` and what it returns.

    Parameters
    ----------
    net : HybridBlock
        A network of :func:`gluon_tricks.models.get_model`. Its parameters may be uninitialised.
    input_size : int
        Height and width of an image that it takes; the backbone takes every other size too.

    Returns
    -------
    backbone : SymbolBlock
        Images, float (N, 3, H, W), to the list of the stages' outputs (N, channels, about
        H / stride, about W / stride). It shares its parameters with ``net``.
    stages : list of Stage
        What is in that list, from the highest resolution to the lowest.

    Raises
    ------
    UserError
        If ``net`` has no stages that follow one another.
    """
    with mx.autograd.train_mode():  # DropBlock is only in a graph of training
        if hasattr(net, "stage_outputs"):
            outputs = complexity.trace_with(net, net.stage_outputs)
        else:
            outputs = _computed(net, input_size)
    if len(outputs) < 2:
        raise UserError(f"{net.name.rstrip('_')} has no stages that follow one another")
    symbols = list(outputs.values())
    _, shapes, _ = mx.sym.Group(symbols).infer_shape(data=(1, 3, input_size, input_size))
    stages = [
        Stage(name, channels, _stride(input_size, height))
        for name, (_, channels, height, _) in zip(outputs, shapes)
    ]
    data = mx.sym.var("data", dtype="float32")
    return gluon.SymbolBlock(symbols, data, params=net.collect_params()), stages


def _computed(net: HybridBlock, input_size: int) -> Dict[str, mx.sym.Symbol]:
    """The last output of each resolution among those that all later feature maps depend on; {} if
    a resolution has none.
    """
    internals = complexity.trace(net).get_internals()
    nodes = json.loads(internals.tojson())["nodes"]
    heights = _heights(nodes, complexity.infer_shapes(internals, net.name, input_size))
    outputs = collections.Counter(internals.list_outputs())
    last = {}
    for number in _passed_by_all(nodes, heights):
        name = nodes[number]["name"]
        if outputs[name + "_output"] == 1:  # a layer that is used twice has two of that name
            last[_stride(input_size, heights[number])] = name
    if any(2 * stride not in last for stride in list(last)[:-1]):
        return {}
    return {name: internals[name + "_output"] for name in last.values()}


def _heights(nodes: Sequence[dict], shapes: Dict[str, tuple]) -> Dict[int, int]:
    """The heights of the operations' outputs that are feature maps, by the operations' numbers."""
    found = {}
    for number, node in enumerate(nodes):
        first = node["name"] + "_output"
        shape: tuple = shapes.get(first) or shapes.get(first + "0") or ()
        if len(shape) == 4 and min(shape[2:]) > 1:
            found[number] = shape[2]
    return found


def _passed_by_all(nodes: Sequence[dict], maps: Iterable[int]) -> Iterator[int]:
    """The numbers of the operations that every path of feature maps to the head goes through.

    nodes: those of the graph, in the order in which they are computed. maps: the numbers of those
    whose outputs are feature maps. A Dropout of a map that all depends on begins the head.
    """
    last_use: Dict[int, int] = {}  # of an operation's output: the last operation that takes it
    for number in maps:
        last_use.update((source, number) for source, *_ in nodes[number]["inputs"])
    furthest = 0
    for number in maps:
        if furthest <= number:
            if nodes[number]["op"] == "Dropout":
                return
            yield number
        furthest = max(furthest, last_use.get(number, number))


def _stride(image: int, height: int) -> int:
    """The power of two by which a height is smaller than the image's, which padding may blur."""
    return 2 ** round(math.log2(image / height))
