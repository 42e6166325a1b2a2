"""A detector's symbol from elsewhere: what its ROIAlign looks up is inside of its images."""

import copy
import json

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.deploy import shapes, symbol_file
from gluon_tricks.deploy.detection.detector import Detector
from gluon_tricks.errors import UserError


@pytest.fixture(scope="module")
def described(network):
    symbol = Detector.computed(network)(mx.sym.var("data", dtype=np.float32))
    return json.loads(symbol.tojson())


def the(graph, kind, before=None):
    """The last node of a kind, before a place."""
    found = [node for node in graph["nodes"][:before] if node["op"] == kind]
    return found[-1]


def align_and_regions(graph):
    """ROIAlign, and what its regions are joined of."""
    align = the(graph, "_contrib_ROIAlign")
    block = graph["nodes"][align["inputs"][1][0]]
    return align, graph["nodes"][block["inputs"][0][0]]


def test_a_detector_passes(described):
    checked = symbol_file.checked(described)
    assert [node["op"] for node in checked["nodes"]] == [node["op"] for node in described["nodes"]]


def other_images(graph, align, joined):
    align["inputs"][0] = [0, 0, 0]  # which are fewer than those that are counted


def any_numbers(graph, align, joined):
    joined["inputs"][0] = joined["inputs"][1]


def unguarded_corners(graph, align, joined):
    joined["inputs"][1] = graph["nodes"][joined["inputs"][1][0]]["inputs"][1]


def guard_of_others(graph, align, joined):
    guard = graph["nodes"][joined["inputs"][1][0]]
    guard["inputs"][1] = guard["inputs"][2]


def a_wide_guard(graph, align, joined):
    guard = graph["nodes"][joined["inputs"][1][0]]
    graph["nodes"][guard["inputs"][0][0]]["attrs"]["scalar"] = "1e38"


def moved_numbers(graph, align, joined):
    numbers = graph["nodes"][joined["inputs"][0][0]]
    graph["nodes"][numbers["inputs"][0][0]]["op"] = "broadcast_sub"


def nothing_joined(graph, align, joined):
    joined["op"] = "broadcast_add"
    del joined["attrs"]


@pytest.mark.parametrize(
    "change",
    [
        other_images,
        any_numbers,
        unguarded_corners,
        guard_of_others,
        a_wide_guard,
        moved_numbers,
        nothing_joined,
    ],
)
def test_regions_that_may_be_anywhere_are_refused(described, change):
    graph = copy.deepcopy(described)
    change(graph, *align_and_regions(graph))
    with pytest.raises(symbol_file._Wrong, match="would look for regions outside its images"):
        symbol_file.checked(graph)


@pytest.mark.parametrize(
    "kind, values",
    [
        ("_contrib_ROIAlign", dict(spatial_scale="1e30")),  # makes coordinates infinite again
        ("_contrib_ROIAlign", dict(sample_ratio="-1")),  # looks up as many points as it likes
        ("_contrib_ROIAlign", dict(pooled_size="(-1, 2)")),
        ("_contrib_arange_like", dict(start="5")),
        ("_contrib_box_nms", dict(coord_start="9")),
        ("SliceChannel", dict(num_outputs="2")),
        ("slice_axis", dict(end="x")),
    ],
)
def test_attributes_of_other_graphs_are_refused(described, kind, values):
    graph = copy.deepcopy(described)
    the(graph, kind)["attrs"].update(values)
    with pytest.raises(
        symbol_file._Wrong, match=f"the attribute {next(iter(values))} of {kind} is"
    ):
        symbol_file.checked(graph)


def test_a_choice_between_arrays_of_other_shapes_is_refused():
    names = ("is", "one", "other")
    symbol = mx.sym.where(*map(mx.sym.var, names))
    known = dict(zip(names, [(6, 1), (2, 3), (2, 3)]))
    assert symbol.infer_shape(**known)[1] == [(2, 3)]  # MXNet takes it
    with pytest.raises(UserError, match="where.* cannot make 2x3 of 6x1 and 2x3 and 2x3"):
        shapes.check(symbol, known, 1, "m")
