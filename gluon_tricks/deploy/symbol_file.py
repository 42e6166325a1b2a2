"""Checks a symbol's JSON file from elsewhere before MXNet, which trusts its contents, sees it.

The JSON is written anew from the parts that were checked, so that nothing else reaches MXNet's
parser.
"""

import collections
import itertools
import json

from ..errors import UserError
from ..files import plain_file
from ..text import printable
from . import regions
from .operators import OPERATORS, RANGE, TRUE

MOST_BYTES = 64 << 20  # of the JSON; the zoo's largest has 3.6 MB
MOST_NODES = 100000  # the zoo's most are 9,307
# Elements of the arrays computed for one image: of the largest, and of all. The zoo's largest
# network needs 0.5e9.
LARGEST = 1 << 26
MOST_ELEMENTS = 1 << 30
MOST_DIMENSIONS = 5
VERSION = 10901  # of MXNet, so that it does not convert from an older version
FUSED = {"_sg_mkldnn_conv": "Convolution", "_sg_mkldnn_fully_connected": "FullyConnected"}
ACTIVATIONS = ("Activation", "LeakyReLU", "clip")


class _Wrong(Exception):
    """What is wrong with a graph."""


def read(path):
    """The text of a symbol's JSON file, checked and written anew; UserError says what is wrong with
    it.
    """
    try:
        with open(path, "rb", opener=plain_file) as file:
            held = file.read(MOST_BYTES + 1)
        if len(held) > MOST_BYTES:
            raise _Wrong(f"it has more than {MOST_BYTES >> 20} MiB")
        return json.dumps(checked(json.loads(held)))
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else printable(error)
        raise UserError(
            f"{printable(path)}: not a symbol file of MXNet: {reason}; export again"
        ) from None
    except _Wrong as wrong:
        raise UserError(
            f"{printable(path)}: not a symbol that gluon-tricks exports: {wrong}; export again"
        ) from None


def checked(graph, inside=None):
    """The graph (the parsed JSON) with only its known parts; ``inside``: the name of the node that
    contains it.
    """
    nodes = _list(graph, "nodes", dict)
    if not 0 < len(nodes) <= MOST_NODES:
        raise _Wrong(f"it has {len(nodes)} nodes")
    made, outputs = [], []
    for place, node in enumerate(nodes):
        made.append(_node(node, made, outputs, place, inside))
        outputs.append(_outputs(made[-1]))
    variables = [place for place, node in enumerate(made) if node["op"] == "null"]
    name, count = (
        collections.Counter(made[place]["name"] for place in variables).most_common(1)[0]
        if variables
        else ("", 0)
    )
    if count > 1:
        raise _Wrong(f"{count} variables have the name {printable(name)}")
    heads = [_entry(entry, outputs) for entry in _list(graph, "heads", list)]
    if not heads:
        raise _Wrong("it has no outputs (heads)")
    if graph.get("arg_nodes", variables) != variables:
        raise _Wrong("arg_nodes are not its variables")
    result = dict(nodes=made, arg_nodes=variables, heads=heads)
    return result if inside else dict(result, attrs=dict(mxnet_version=["int", VERSION]))


def by_node(nodes, values):
    """For each node the list of its outputs' values; ``values`` has them one after another."""
    values = iter(values)
    return [list(itertools.islice(values, _outputs(node))) for node in nodes]


def check_shapes(path, shapes, images=1):
    """Raise UserError if an image needs larger arrays than in any network here; ``shapes`` are
    (name, shape) pairs of arrays for ``images`` images.
    """
    total = 0
    for name, shape in shapes:
        if len(shape) > MOST_DIMENSIONS:
            raise UserError(
                f"{printable(path)}: {printable(name)} has {len(shape)} dimensions, more than in "
                "any network here"
            )
        elements = 1
        for length in shape:
            elements *= max(0, int(length))
        total += elements
        if elements > images * LARGEST or total > images * MOST_ELEMENTS:
            limit = (
                f"an array of more than {LARGEST:,}"
                if elements > images * LARGEST
                else f"arrays of more than {MOST_ELEMENTS:,}"
            )
            raise UserError(
                f"{printable(path)}: one image needs {limit} elements ({printable(name)}: "
                f"{'x'.join(map(str, shape))}), more than in any network here"
            )


def _node(node, made, outputs, place, inside):
    name, kind = node.get("name"), node.get("op")
    if not isinstance(name, str) or not isinstance(kind, str) or not 0 < len(name) <= 1000:
        raise _Wrong(f"node {place} has no name or no operator")
    known, where = OPERATORS.get(kind), f"node {place} ({printable(name[:100])})"
    if known is None or (inside and kind in FUSED):
        raise _Wrong(f"{where} is the operator {printable(kind[:100])}, which is not run")
    attributes = node.get("attrs", {})
    if not isinstance(attributes, dict):
        raise _Wrong(f"{where}: its attributes are not names and values")
    for key, value in attributes.items():
        if (
            key not in known.attributes
            or not isinstance(value, str)
            or not known.attributes[key](value)
        ):
            raise _Wrong(
                f"{where}: the attribute {printable(key[:100])} of {kind} is "
                f"{printable(str(value)[:100])}"
            )
    if (
        set(RANGE) & set(known.attributes)
        and not set(RANGE) <= set(attributes)
        and not _gives_floats(attributes)
    ):
        raise _Wrong(f"{where}: {kind} has no range of its output, on which its memory depends")
    inputs = [_entry(entry, outputs, where) for entry in _list(node, "inputs", list)]
    result = dict(op=kind, name=name, inputs=inputs)
    if attributes:
        result["attrs"] = attributes
    if kind in FUSED:
        result["subgraphs"] = [checked(part, name) for part in _list(node, "subgraphs", dict)]
        _check_fused(result, where)
    elif "subgraphs" in node:
        raise _Wrong(f"{where}: {kind} has a graph inside")
    if len(inputs) not in (known.inputs or (_inputs(result),)):
        raise _Wrong(f"{where}: {kind} has {len(inputs)} inputs")
    if any(made[inputs[state][0]]["op"] != "null" for state in known.states):
        raise _Wrong(f"{where}: {kind} would write to another operator's output")
    if kind == "_contrib_ROIAlign" and not regions.are_safe(made, result):
        raise _Wrong(f"{where}: {kind} would look for regions outside its images")
    return result


def _entry(entry, outputs, where="the outputs (heads)"):
    """An output of an earlier node: [node, output, version]."""
    numbers = (
        isinstance(entry, list)
        and 2 <= len(entry) <= 3
        and all(type(number) is int for number in entry)
    )
    if not numbers or not 0 <= entry[0] < len(outputs):
        raise _Wrong(f"{where}: {printable(str(entry)[:100])} is not an earlier node")
    if not 0 <= entry[1] < outputs[entry[0]]:
        raise _Wrong(f"{where}: node {entry[0]} has no output {entry[1]}")
    return [entry[0], entry[1], 0]


def _inputs(node):
    """The number of inputs that an operator has to have, from its attributes or the graph inside
    it.
    """
    attributes = node.get("attrs", {})
    if node["op"] in ("Convolution", "FullyConnected"):
        return 2 if attributes.get("no_bias") in TRUE else 3
    if node["op"] == "_contrib_BilinearResize2D":  # to a given size, or to another array's
        return 1 + ("mode" in attributes)
    if node["op"] in FUSED:
        inner = len(node["subgraphs"][0]["arg_nodes"])
        ranges = 2 + 2 * (attributes.get("with_sum") in TRUE)
        return inner + ranges if node["op"] == "_sg_mkldnn_conv" else 3 * inner
    count = attributes.get("num_args", "")
    return (int(count) if count.isdecimal() else 0) * OPERATORS[node["op"]].outputs


def _outputs(node):
    return 1 if _gives_floats(node.get("attrs", {})) else OPERATORS[node["op"]].outputs


def _gives_floats(attributes):
    """Whether an operator on integers outputs real numbers, which have no range."""
    return attributes.get("enable_float_output") in TRUE


def _check_fused(node, where):
    """The graph inside a fused operator has to be the chain that its attributes describe, since
    oneDNN's code relies on it.
    """
    on = {key for key, value in node.get("attrs", {}).items() if value in TRUE}
    if len(node["subgraphs"]) != 1 or "quantized" not in on:
        raise _Wrong(f"{where}: {node['op']} has {len(node['subgraphs'])} graphs inside")
    expected = [(FUSED[node["op"]],)]
    if node["op"] == "_sg_mkldnn_conv":
        if on & {"with_bn", "with_eltwise", "enable_float_output"}:
            raise _Wrong(f"{where}: {node['op']} has attributes of another")
        expected += [ACTIVATIONS] * ("with_act" in on) + [("elemwise_add",)] * ("with_sum" in on)
        expected += [ACTIVATIONS] * ("with_postsum_act" in on)
    else:
        if on & {"with_bn", "with_act", "with_sum", "with_postsum_act"}:
            raise _Wrong(f"{where}: {node['op']} has attributes of another")
        expected += [ACTIVATIONS] * ("with_eltwise" in on)
    (graph,) = node["subgraphs"]
    chain = [(place, inner) for place, inner in enumerate(graph["nodes"]) if inner["op"] != "null"]
    used = [entry[0] for _, inner in chain for entry in inner["inputs"]]
    right = (
        len(chain) == len(expected)
        and all(inner["op"] in allowed for (_, inner), allowed in zip(chain, expected))
        and all(
            before[0] in [entry[0] for entry in inner["inputs"]]
            for before, (_, inner) in zip(chain, chain[1:])
        )
        and graph["heads"] == [[chain[-1][0], 0, 0]]
        and sorted(used) == [place for place in range(len(graph["nodes"])) if place != chain[-1][0]]
        and [entry[0] for entry in chain[0][1]["inputs"]]
        == graph["arg_nodes"][: len(chain[0][1]["inputs"])]
    )
    if not right:
        raise _Wrong(f"{where}: the graph inside is not the one that {node['op']} computes")


def _list(held, name, kind):
    found = held.get(name) if isinstance(held, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
        raise _Wrong(f"{name} is missing or not a list of the right type")
    return found
