"""BatchNorm folded into the convolution before it: the same function in fewer operators, for
inference only.

In inference BatchNorm is a fixed affine map of each channel. After a convolution with weight W and
bias b (0 if it has none)::

    gamma (W x + b - mean) / sqrt(var + eps) + beta  =  (s W) x + (b - mean) s + beta,
    s = gamma / sqrt(var + eps)

so the convolution can compute it. The new weights are computed in float64 and rounded once. A
BatchNorm stays if its input is not a convolution, or one whose output has other readers
(pre-activation networks, DenseNet).
"""

import json

import mxnet as mx
import numpy as np

from .graph import Graph


def fold_batch_norm(graph):
    """``(folded Graph, number of BatchNorms folded, number that stayed)``."""
    described = json.loads(graph.symbol.tojson())
    nodes = described["nodes"]
    values = {key.split(":", 1)[1]: array for key, array in graph.params.items()}
    readers = [0] * len(nodes)
    for source, *_ in [entry for node in nodes for entry in node["inputs"]] + described["heads"]:
        readers[source] += 1

    folded = {}  # index of a BatchNorm -> index of the convolution that replaces it
    for index, node in enumerate(nodes):
        if node["op"] == "BatchNorm" and _can_fold(node, nodes, readers):
            convolution = nodes[node["inputs"][0][0]]
            names = [
                nodes[source]["name"] for source, *_ in convolution["inputs"] + node["inputs"][1:]
            ]
            _fold(convolution, node, names, values)
            folded[index] = node["inputs"][0][0]
    stayed = sum(node["op"] == "BatchNorm" for node in nodes) - len(folded)
    symbol = mx.sym.load_json(json.dumps(_without(described, folded)))
    auxiliary = set(symbol.list_auxiliary_states())
    used = auxiliary | set(symbol.list_arguments())
    params = {
        ("aux:" if name in auxiliary else "arg:") + name: a
        for name, a in values.items()
        if name in used
    }
    return Graph(symbol, params), len(folded), stayed


def _can_fold(node, nodes, readers):
    source, output, *_ = node["inputs"][0]
    convolution = nodes[source]
    return (
        convolution["op"] == "Convolution"
        and output == 0
        and readers[source] == 1
        and int(node.get("attrs", {}).get("axis", 1)) == 1
        and all(
            readers[entry[0]] == 1 for entry in convolution["inputs"][1:]
        )  # weights without other readers
    )


def _fold(convolution, norm, names, values):
    """Change the convolution's values and attributes; ``names`` are data, weight, (bias), gamma,
    beta, mean, variance.
    """
    gamma, beta, mean, variance = (values[name].asnumpy().astype(np.float64) for name in names[-4:])
    attributes = norm.get("attrs", {})
    if attributes.get("fix_gamma", "True") in ("True", "1", "true"):
        gamma = np.ones_like(gamma)
    scale = gamma / np.sqrt(variance + float(attributes.get("eps", 1e-3)))
    weight = values[names[1]].asnumpy().astype(np.float64)
    has_bias = len(convolution["inputs"]) == 3
    bias = values[names[2]].asnumpy().astype(np.float64) if has_bias else 0.0
    values[names[1]] = mx.nd.array(
        weight * scale.reshape((-1,) + (1,) * (weight.ndim - 1)), dtype="float32"
    )
    bias_name = names[2] if has_bias else convolution["name"] + "_bias"
    values[bias_name] = mx.nd.array((bias - mean) * scale + beta, dtype="float32")
    if not has_bias:
        convolution["attrs"]["no_bias"] = "False"
        convolution["new_bias"] = bias_name


def _without(described, folded):
    """The graph's JSON without the folded BatchNorms and the nodes that only they needed, and with
    the new biases.
    """
    old = described["nodes"]
    needed, stack = set(), [folded.get(head[0], head[0]) for head in described["heads"]]
    while stack:
        index = stack.pop()
        if index not in needed:
            needed.add(index)
            stack += [folded.get(source, source) for source, *_ in old[index]["inputs"]]
    nodes, place = [], {}
    for index, node in enumerate(old):
        if index not in needed:
            continue
        node = dict(
            node,
            inputs=[[place[folded.get(source, source)], *rest] for source, *rest in node["inputs"]],
        )
        bias = node.pop("new_bias", None)
        if bias:
            nodes.append({"op": "null", "name": bias, "inputs": []})
            node["inputs"].append([len(nodes) - 1, 0, 0])
        place[index] = len(nodes)
        nodes.append(node)
    return dict(
        nodes=nodes,
        arg_nodes=[index for index, node in enumerate(nodes) if node["op"] == "null"],
        heads=[[place[folded.get(source, source)], *rest] for source, *rest in described["heads"]],
        attrs=described["attrs"],
    )
