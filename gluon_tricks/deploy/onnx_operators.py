"""Conversions to ONNX of operators that MXNet's converter gets wrong, or whose sizes it leaves
unknown until run time.

The converter's box_nms suppresses first and then takes the best, where MXNet takes the best first,
and the sizes of its arrays depend on what is found. It computes the sizes of the others in ways
that shape inference cannot follow, so no limit on memory could be checked.
"""

import ast
import contextlib
from typing import Any, Collection, Dict, Iterator, List

import numpy as np

OPSET = 13  # of the converters that these replace
NONE = -1.0  # in the rows that box_nms drops
ALL = 2**31 - 1
NMS = "_contrib_box_nms"


@contextlib.contextmanager
def in_place_for(operators: Collection[str]) -> Iterator[None]:
    """Within the block, MXNet's converter uses the conversions of this module if ``operators``,
    those of the graph, include box_nms; other graphs are converted as usual.
    """
    if NMS not in operators:
        yield
        return
    from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph

    known = MXNetGraph.registry_[OPSET]
    before = dict(known)
    known.update(OURS)
    try:
        yield
    finally:
        known.clear()
        known.update(before)


class Nodes:
    """The ONNX nodes that replace an operator; all their names begin with the operator's."""

    def __init__(self, node: dict, kwargs: Dict[str, Any]) -> None:
        from mxnet.onnx.mx2onnx._op_translations._op_translations_opset12 import get_inputs

        self.name, self.inputs, self.attributes = get_inputs(node, kwargs)
        self.made: List[Any] = []
        self._initializer = kwargs["initializer"]

    def number(self, key: str, default: float) -> float:
        """An attribute of the operator."""
        return float(self.attributes.get(key, default))

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Add a constant array; its name."""
        from onnx import numpy_helper

        name = f"{self.name}_constant{len(self._initializer)}"
        self._initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(
        self, kind: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any
    ) -> Any:
        """Add a node; the name of its output, or the names of several."""
        from onnx import helper

        first = f"{self.name}_node{len(self.made)}"
        names = [name] if name else [f"{first}_{i}" for i in range(outputs)]
        self.made.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if len(names) == 1 else names

    def part(self, array: str, begin: int, end: int, axis: int, name: str = "") -> str:
        """A slice along one axis."""
        places = (self.constant([number]) for number in (begin, end, axis))
        return self.add("Slice", array, *places, name=name)

    def ones(self, shape: str, dtype: Any = np.float32) -> str:
        """Ones of a shape."""
        from onnx import numpy_helper

        return self.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.ones(1, dtype)))


def arange_like(nodes: Nodes) -> None:
    """0, 1, ..., up to the length of an axis minus 1."""
    axis = int(nodes.attributes["axis"])
    length = nodes.part(nodes.add("Shape", nodes.inputs[0]), axis, axis + 1, 0)
    counted = nodes.add("CumSum", nodes.ones(length), nodes.constant(0))
    nodes.add("Sub", counted, nodes.constant(1, np.float32), name=nodes.name)


def broadcast_axis(nodes: Nodes) -> None:
    """An array repeated ``size`` times along an axis of length 1."""
    axis, size = (ast.literal_eval(nodes.attributes[key]) for key in ("axis", "size"))
    shape = nodes.add("Shape", nodes.inputs[0])
    before, after = nodes.part(shape, 0, axis, 0), nodes.part(shape, axis + 1, ALL, 0)
    wanted = nodes.add("Concat", before, nodes.constant([size]), after, axis=0)
    nodes.add("Expand", nodes.inputs[0], wanted, name=nodes.name)


def slice_axis(nodes: Nodes) -> None:
    """A slice along one axis."""
    axis, begin, end = (ast.literal_eval(nodes.attributes[key]) for key in ("axis", "begin", "end"))
    nodes.part(nodes.inputs[0], begin, ALL if end is None else end, axis, nodes.name)


def where(nodes: Nodes) -> None:
    """Elements of the second array where the first, of the same shape, is not 0, and of the third
    elsewhere.
    """
    from onnx import TensorProto

    condition, *arrays = nodes.inputs
    nodes.add("Where", nodes.add("Cast", condition, to=TensorProto.BOOL), *arrays, name=nodes.name)


def box_nms(nodes: Nodes) -> None:
    """The best of the rows (B, N, C) in descending order of score, without those that overlap a
    better one in the same batch item; the others are -1. If rows have classes, those of a batch
    item have to be of the same class.
    """
    (rows,), score = nodes.inputs, int(nodes.number("score_index", 1))
    least = nodes.constant(nodes.number("valid_thresh", 0), np.float32)
    scores = nodes.add("Squeeze", nodes.part(rows, score, score + 1, 2), nodes.constant([2]))
    same, best = _places(nodes, rows), _are_among_best(nodes, scores)
    scores, rows = _ranked(nodes, scores, rows)
    kept = nodes.add("And", nodes.add("Greater", scores, least), best)
    if nodes.number("overlap_thresh", 0.5) <= 1:
        kept = _not_suppressed(nodes, _or_none(nodes, kept, scores), rows, least)
    scores, rows = _ranked(nodes, _or_none(nodes, kept, scores), rows)
    there = nodes.add("Unsqueeze", nodes.add("Greater", scores, least), nodes.constant([2]))
    rows = _or_none(nodes, there, rows)
    # The same rows, but with the shape of an array whose shape is known before run time.
    nodes.add("GatherElements", rows, same, axis=1, name=nodes.name + "0")


def _ranked(nodes, scores, rows):
    """(scores (B, N), rows (B, N, C)) in descending order of score."""
    count = nodes.part(nodes.add("Shape", rows), 1, 2, 0)
    scores, order = nodes.add("TopK", scores, count, outputs=2, axis=1)
    order = nodes.add("Unsqueeze", order, nodes.constant([2]))
    return scores, nodes.add("GatherND", rows, order, batch_dims=1)


def _or_none(nodes, kept, values):
    return nodes.add("Where", kept, values, nodes.constant(NONE, np.float32))


def _places(nodes, rows):
    """int64 (B, N, C): 0 to N - 1 along the second axis."""
    ones = nodes.ones(nodes.add("Shape", rows), np.int64)
    return nodes.add("Sub", nodes.add("CumSum", ones, nodes.constant(1)), nodes.constant(1))


def _are_among_best(nodes, scores):
    """bool (B, N), like ``scores``: whether a place is among the first ``topk``."""
    most = int(nodes.number("topk", -1))
    place = nodes.add("CumSum", nodes.ones(nodes.add("Shape", scores)), nodes.constant(1))
    return nodes.add("LessOrEqual", place, nodes.constant(most if most > 0 else ALL, np.float32))


def _not_suppressed(nodes, scores, rows, least):
    """bool (B, N): whether a row has a score above ``least`` and is not suppressed by a better
    one.
    """
    corner = int(nodes.number("coord_start", 2))
    overlap = nodes.constant([nodes.number("overlap_thresh", 0.5)], np.float32)
    boxes = nodes.part(rows, corner, corner + 4, 2)
    scored = nodes.add("Unsqueeze", scores, nodes.constant([1]))
    least = nodes.add("Reshape", least, nodes.constant([1]))
    # (batch item, class, place) of each remaining row
    left = nodes.add("NonMaxSuppression", boxes, scored, nodes.constant([ALL]), overlap, least)
    places = nodes.add("Gather", left, nodes.constant([0, 2]), axis=1)
    values = nodes.add("GatherND", scores, places)
    marked = nodes.add("ScatterND", nodes.add("Sub", scores, scores), places, values)
    return nodes.add("Greater", marked, nodes.constant(0, np.float32))


def _converter(build):
    """A function with the signature that MXNet's converter calls."""

    def convert(node, **kwargs):
        nodes = Nodes(node, kwargs)
        build(nodes)
        return nodes.made

    return convert


OURS = {
    "_contrib_arange_like": _converter(arange_like),
    NMS: _converter(box_nms),
    "broadcast_axis": _converter(broadcast_axis),
    "slice_axis": _converter(slice_axis),
    "where": _converter(where),
}
