"""The features of a network, for segmentation and detection: the output of each of its stages.

Our networks name their stages (``stage_outputs``). For others the stages are found in the graph: a
stage ends with the last layer of its resolution on which all later layers depend. That gives the
four stages of a ResNet; a network that keeps several resolutions to its end (HRNet, NASNet) has no
such layers.
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
    stride: int  # pixels of the image per pixel of the output, in height and width


def features(net: HybridBlock, input_size: int = 224) -> Tuple[gluon.SymbolBlock, List[Stage]]:
    """The backbone of ``net``, and its outputs.

    Parameters
    ----------
    net : HybridBlock
        A network of :func:`gluon_tricks.models.get_model`. Its parameters may be uninitialised.
    input_size : int
        Height and width of an image that it takes; the backbone also takes every other size.

    Returns
    -------
    backbone : SymbolBlock
        Images, float (N, 3, H, W), to the list of the stages' outputs (N, channels, about
        H / stride, about W / stride). It shares its parameters with ``net``.
    stages : list of Stage
        The elements of that list, from the highest resolution to the lowest.

    Raises
    ------
    UserError
        If ``net`` has no consecutive stages.
    """
    with mx.autograd.train_mode():  # graphs contain DropBlock only in training mode
        if hasattr(net, "stage_outputs"):
            outputs = complexity.trace_with(net, net.stage_outputs)
        else:
            outputs = _computed(net, input_size)
    if len(outputs) < 2:
        raise UserError(f"{net.name.rstrip('_')} has no consecutive stages")
    symbols = list(outputs.values())
    _, shapes, _ = mx.sym.Group(symbols).infer_shape(data=(1, 3, input_size, input_size))
    stages = [
        Stage(name, channels, _stride(input_size, height))
        for name, (_, channels, height, _) in zip(outputs, shapes)
    ]
    data = mx.sym.var("data", dtype="float32")
    return gluon.SymbolBlock(symbols, data, params=net.collect_params()), stages


def _computed(net: HybridBlock, input_size: int) -> Dict[str, mx.sym.Symbol]:
    """The last output of each resolution on which all later feature maps depend; {} if a resolution
    has none.
    """
    internals = complexity.trace(net).get_internals()
    nodes = json.loads(internals.tojson())["nodes"]
    heights = _heights(nodes, complexity.infer_shapes(internals, net.name, input_size))
    outputs = collections.Counter(internals.list_outputs())
    last = {}
    for number in _passed_by_all(nodes, heights):
        name = nodes[number]["name"]
        # a layer that is used twice has two outputs of that name
        if outputs[name + "_output"] == 1:
            last[_stride(input_size, heights[number])] = name
    if any(2 * stride not in last for stride in list(last)[:-1]):
        return {}
    return {name: internals[name + "_output"] for name in last.values()}


def _heights(nodes: Sequence[dict], shapes: Dict[str, tuple]) -> Dict[int, int]:
    """The heights of those outputs that are feature maps, by operation."""
    found = {}
    for number, node in enumerate(nodes):
        first = node["name"] + "_output"
        shape: tuple = shapes.get(first) or shapes.get(first + "0") or ()
        if len(shape) == 4 and min(shape[2:]) > 1:
            found[number] = shape[2]
    return found


def _passed_by_all(nodes: Sequence[dict], maps: Iterable[int]) -> Iterator[int]:
    """Yield the numbers of the operations that lie on every path of feature maps to the head.

    nodes: the graph's nodes in order of computation. maps: the numbers of those whose outputs are
    feature maps. A Dropout of a map on which everything later depends is the start of the head.
    """
    last_use: Dict[int, int] = {}  # by operation: the last operation that uses its output
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
    """The power of two nearest to the ratio of image height to map height, which padding changes
    slightly.
    """
    return 2 ** round(math.log2(image / height))
