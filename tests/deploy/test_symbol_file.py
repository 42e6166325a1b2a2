"""A symbol from elsewhere: what our exports and the zoo write passes, and nothing that could hurt
reaches MXNet.
"""

import copy
import json
import random

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import models
from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy import int8, symbol_file
from gluon_tricks.deploy.fold import fold_batch_norm
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

# Of each family of the zoo one: together they have all operators of all its networks.
FAMILIES = (
    "alexnet",
    "assemble_resnet50",
    "blseresnext50_32x4d",
    "cifar_residualattentionnet56",
    "cifar_resnet20_v1",
    "darknet53",
    "densenet121",
    "hrnet_w18_small_v1_c",
    "mobilenetv2_0.25",
    "mobilenetv3_small",
    "nasnet_4_1056",
    "resnest14",
    "resnet18_v1d",
    "resnet18_v2",
    "resnet50_v1b_gn",
    "se_resnet18_v1",
    "shufflenet_v1",
    "shufflenet_v2",
    "squeezenet1.1",
    "vgg11_bn",
    "xception",
)
PREPROCESSING = Preprocessing(32, 0.875, (123.68, 116.779, 103.939), (58.393, 57.12, 57.375))


def described(graph):
    return json.loads(graph.symbol.tojson())


def same(one, other):
    """Whether MXNet finds the same in both: arguments, states, outputs and operators."""
    symbols = [mx.sym.load_json(json.dumps(graph)) for graph in (one, other)]
    found = [
        (
            s.list_arguments(),
            s.list_auxiliary_states(),
            s.get_internals().list_outputs(),
            s.list_outputs(),
        )
        for s in symbols
    ]
    return found[0] == found[1]


@pytest.fixture(scope="module")
def graph(network):
    return graphs.trace(network("cifar_resnet20_v1"))


@pytest.fixture(scope="module")
def quantized(graph):
    return int8.quantize(fold_batch_norm(graph)[0], [mx.nd.random.normal(shape=(4, 3, 32, 32))])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_zoos_networks_pass_and_stay_what_they_are(name):
    symbol = models.get_model(name, classes=10)(mx.sym.var("data", dtype=np.float32))
    whole = json.loads(symbol.tojson())
    assert same(symbol_file.checked(whole), whole)


def test_what_options_add_to_our_networks_passes():
    for options in (dict(attention="se", anti_alias=5), dict(attention="sk", gem=True)):
        net = models.get_model("resnet50_v1b", classes=10, drop_block=0.1, drop_path=0.1, **options)
        whole = json.loads(net(mx.sym.var("data", dtype=np.float32)).tojson())
        assert same(symbol_file.checked(whole), whole)


@pytest.mark.slow
def test_all_other_networks_of_the_zoo_pass():
    for name in sorted(set(models.names()) - set(FAMILIES)):
        net = models.get_model(
            name, **({} if "_0." in name and name.startswith("resnet") else dict(classes=10))
        )
        symbol_file.checked(json.loads(net(mx.sym.var("data", dtype=np.float32)).tojson()))


def test_every_variant_of_an_export_passes(graph, quantized):
    folded = fold_batch_norm(graph)[0]
    for variant in (graph, folded, quantized):
        for whole in (
            variant,
            graphs.with_softmax(graphs.with_preprocessing(variant, PREPROCESSING)),
        ):
            assert same(symbol_file.checked(described(whole)), described(whole))


def change(place, **values):
    """A function that changes a node; ``place`` is its number or its operator."""

    def apply(graph):
        node = next(n for i, n in enumerate(graph["nodes"]) if place in (i, n["op"]))
        node.update(values)

    return apply


def attribute(operator, **values):
    def apply(graph):
        next(n for n in graph["nodes"] if n["op"] == operator)["attrs"].update(values)

    return apply


@pytest.mark.parametrize(
    "damage, message",
    [
        (
            change("Activation", op="_Native", attrs=dict(info="0x1234", need_top_grad="False")),
            "operator _Native",
        ),
        (change("Activation", op="_NDArray", attrs=dict(info="1")), "operator _NDArray"),
        (change("Activation", op="Custom", attrs=dict(op_type="x")), "operator Custom"),
        (change("null", op="_zeros", attrs=dict(shape="(99999, 99999)")), "operator _zeros"),
        (change("Activation", inputs=[[0, 1, 0]]), "node 0 has no output 1"),
        (change("Activation", inputs=[[0, -1, 0]]), "node 0 has no output -1"),
        (change("Activation", inputs=[[400, 0, 0]]), "is not an earlier node"),
        (change("Activation", inputs=[[-1, 0, 0]]), "is not an earlier node"),
        (change("Activation", inputs=[["0", 0, 0]]), "is not an earlier node"),
        (change("Activation", inputs=[]), "Activation has 0 inputs"),
        (change("BatchNorm", inputs=[[0, 0, 0]] * 3), "BatchNorm has 3 inputs"),
        (change("BatchNorm", inputs=[[2, 0, 0]] * 5), "would write to another operator's output"),
        (change("Activation", subgraphs=[]), "has a graph inside"),
        (change("Activation", attrs=[]), "are not names and values"),
        (change("Activation", name=7), "has no name"),
        (attribute("Convolution", kernel="(99999999, 3)"), "attribute kernel of Convolution is"),
        (attribute("Convolution", kernel=[3, 3]), "attribute kernel of Convolution is"),
        (attribute("Convolution", workspace="99"), "attribute workspace of Convolution is"),
        (attribute("Convolution", pad="(" + "1, " * 2000 + ")"), "attribute pad of Convolution is"),
        (attribute("BatchNorm", eps="nan"), "attribute eps of BatchNorm is nan"),
        (lambda graph: graph.update(heads=[]), r"no outputs \(heads\)"),
        (lambda graph: graph.pop("heads"), "heads is missing"),
        (lambda graph: graph.update(nodes={}), "nodes is missing"),
        (lambda graph: graph.update(heads=[[0, 3, 0]]), "node 0 has no output 3"),
        (lambda graph: graph.update(arg_nodes=[0]), "arg_nodes are not its variables"),
        (lambda graph: graph["nodes"][1].update(name="data"), "2 variables have the name data"),
    ],
)
def test_what_could_hurt_is_refused_in_one_line_that_names_it(graph, tmp_path, damage, message):
    damaged = described(graph)
    damage(damaged)
    (tmp_path / "m-symbol.json").write_text(json.dumps(damaged))
    with pytest.raises(
        UserError, match="m-symbol.json: not a symbol that gluon-tricks exports: .*" + message
    ) as raised:
        symbol_file.read(str(tmp_path / "m-symbol.json"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda node: node["attrs"].update(with_sum="true"), "the graph inside is not the one"),
        (lambda node: node["attrs"].update(with_bn="true"), "attributes of another"),
        (lambda node: node.update(subgraphs=[]), "has 0 graphs inside"),
        (lambda node: node["attrs"].pop("max_calib_range"), "has no range of its output"),
        (lambda node: node["inputs"].pop(), "_sg_mkldnn_conv has 4 inputs"),
        (lambda node: node["subgraphs"][0]["nodes"].pop(), "is not an earlier node"),
        (
            lambda node: node["subgraphs"][0]["nodes"][-1].update(op="Dropout", attrs={}),
            "the graph inside is not the one",
        ),
        (
            lambda node: node["subgraphs"][0].update(heads=[[0, 0, 0]]),
            "the graph inside is not the one",
        ),
    ],
)
def test_graphs_inside_of_fused_operators_are_checked_too(quantized, damage, message):
    damaged = described(quantized)
    damage(next(node for node in damaged["nodes"] if "with_act" in node.get("attrs", {})))
    with pytest.raises(symbol_file._Wrong, match=message):
        symbol_file.checked(damaged)


@pytest.mark.parametrize(
    "text, message",
    [
        (b"no graph", "not a symbol file of MXNet"),
        (b"[" * 100000, "nested too deeply"),
        (b"\xff\xfe", "not a symbol file of MXNet"),
        (b"[]", "nodes is missing"),
        (b'{"nodes": [], "heads": []}', "it has 0 nodes"),
    ],
)
def test_what_is_no_graph_is_named(tmp_path, text, message):
    (tmp_path / "m-symbol.json").write_bytes(text)
    with pytest.raises(UserError, match="m-symbol.json: .*" + message):
        symbol_file.read(str(tmp_path / "m-symbol.json"))


def test_what_one_image_takes_is_bounded_before_it_is_run(graph, tmp_path):
    damaged = described(graph)
    attribute("Convolution", pad="(60000, 60000)")(damaged)
    paths = str(tmp_path / "m-symbol.json"), str(tmp_path / "m-0000.params")
    graphs.save(graph, *paths)
    (tmp_path / "m-symbol.json").write_text(json.dumps(damaged))
    with pytest.raises(
        UserError, match="m-symbol.json: one image needs an array of more than 67,108,864 elements"
    ):
        graphs.load(*paths, (3, 32, 32))
    shapes = [(str(i), (1, 1 << 25)) for i in range(32)]
    symbol_file.check_shapes("m", shapes)
    with pytest.raises(UserError, match="m: x has 6 dimensions"):
        symbol_file.check_shapes("m", [("x", (1,) * 6)])
    with pytest.raises(
        UserError, match="m: one image needs arrays of more than 1,073,741,824 elements"
    ):
        symbol_file.check_shapes("m", shapes + [("one more", (1,))])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_mutated_graphs_are_refused_or_run(graph, quantized, tmp_path, seed):
    """Damage that nobody thought of: an exception that is no UserError, or the end of this process,
    is a fault.
    """
    draw = random.Random(seed)
    for variant in (graph, quantized):
        paths = str(tmp_path / "m-symbol.json"), str(tmp_path / "m-0000.params")
        graphs.save(variant, *paths)
        whole = described(variant)
        for _ in range(25):
            (tmp_path / "m-symbol.json").write_text(json.dumps(mutated(whole, draw)))
            try:
                loaded = graphs.load(*paths, (3, 32, 32))
                graphs.block(loaded)(mx.nd.zeros((2, 3, 32, 32)))
                mx.nd.waitall()
            except UserError as error:
                assert "\n" not in str(error)


def mutated(whole, draw):
    graph = copy.deepcopy(whole)
    operators = [node for node in graph["nodes"] if node["op"] != "null"]
    node = draw.choice(operators)
    if node.get("subgraphs") and draw.random() < 0.5:
        node = draw.choice(node["subgraphs"][0]["nodes"])
    other = draw.choice(operators)
    kind = draw.randrange(6)
    if kind == 0 and node.get("attrs"):
        node["attrs"][draw.choice(sorted(node["attrs"]))] = draw.choice(
            ["0", "-1", "(9999999, 1)", "()", "True", "1e9", ""]
        )
    elif kind == 1 and node["inputs"]:
        draw.choice(node["inputs"])[draw.randrange(2)] = draw.choice([-1, 0, 1, 2, 3, 2**31])
    elif kind == 2:
        node["op"] = draw.choice([other["op"], "_Native"])
    elif kind == 3:
        node["inputs"] = copy.deepcopy(other["inputs"])
    elif kind == 4:
        node["attrs"] = copy.deepcopy(other.get("attrs", {}))
    elif kind == 5:
        graph["heads"] = [[draw.randrange(len(graph["nodes"])), draw.randrange(2), 0]]
    return graph
