"""ONNX files from elsewhere: what could hurt is refused in one line, and what others export is run
as it wants to be.
"""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax

from gluon_tricks.deploy import onnx_file
from gluon_tricks.deploy.opening import open_model
from gluon_tricks.deploy.prediction import predictions
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification

WEIGHT = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
IMAGES = np.random.default_rng(1).standard_normal((5, 3, 8, 8)).astype(np.float32)
LOGITS = IMAGES.mean(axis=(2, 3)) @ WEIGHT


def model(shape=("N", 3, 8, 8), nodes=(), output="logits", weight=WEIGHT, batch="N"):
    """A classifier: mean over the image, then a matrix; ``nodes`` come after it."""
    chain = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        *nodes,
    ]
    graph = helper.make_graph(
        chain,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (batch, 5))],
        [numpy_helper.from_array(weight, "weight")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


@pytest.fixture
def save(tmp_path):
    def save(made, name="m.onnx"):
        onnx.save(made, str(tmp_path / name))
        return str(tmp_path / name)

    return save


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_a_fixed_batch_is_fed_in_batches_of_its_size(save, size):
    opened = open_model(save(model((size, 3, 8, 8), batch=size)))
    np.testing.assert_allclose(opened.predict(IMAGES), LOGITS, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("after", [[], [helper.make_node("Identity", ["p"], ["q"])]])
def test_probabilities_are_shown_as_they_are_and_their_loss_is_right(save, after):
    nodes = [helper.make_node("Softmax", ["logits"], ["p"], axis=-1), *after]
    opened = open_model(save(model(nodes=nodes, output="q" if after else "p")))
    shares, labels = softmax(LOGITS, axis=1), np.array([0, 1, 2, 3, 4])
    found = list(predictions(opened, [(i, None, image) for i, image in enumerate(IMAGES)]))
    for item, row in zip(found, shares):
        for guess in item.top:
            assert guess.probability == pytest.approx(row[guess.number], abs=1e-6)
    losses = Classification.count_each(opened.predict(IMAGES), labels)[0]
    np.testing.assert_allclose(losses, -np.log(shares[np.arange(5), labels]), rtol=1e-5)


def test_a_probability_that_was_rounded_to_zero_has_a_finite_loss(save):
    nodes = [helper.make_node("Softmax", ["logits"], ["p"], axis=-1)]
    opened = open_model(save(model(nodes=nodes, output="p", weight=1e4 * WEIGHT)))
    assert np.isfinite(opened.predict(IMAGES)).all()


def test_onnxruntime_prints_nothing_of_its_own_about_damage(tmp_path, capfd):
    data = bytearray(model().SerializeToString())
    place = data.rindex(b"pooled")  # the name of an input that no node makes then, and no text
    data[place : place + 2] = b"\xff\xff"
    (tmp_path / "m.onnx").write_bytes(bytes(data))
    with pytest.raises(UserError, match="m.onnx: "):
        open_model(str(tmp_path / "m.onnx"))
    assert capfd.readouterr() == ("", "")


BELIEVED = {
    "batch_dims": [
        helper.make_node("Shape", ["image"], ["places"]),
        helper.make_node("GatherND", ["image", "places"], ["p"], batch_dims=-1000000),
    ],
    "strides": [helper.make_node("MaxPool", ["image"], ["p"], kernel_shape=[2, 2], strides=[0, 0])],
}


@pytest.mark.parametrize("name", BELIEVED)
def test_attributes_that_would_end_the_process_are_refused(save, name):
    with pytest.raises(UserError, match=f"m.onnx: {name} of .* is below"):
        open_model(save(model(nodes=BELIEVED[name], output="p")))


def test_an_array_of_one_huge_dimension_is_refused_at_once(save):
    size = helper.make_tensor("", TensorProto.INT64, [1], [2**62])
    nodes = [
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("Cast", ["zeros"], ["p"], to=TensorProto.FLOAT),
    ]
    with pytest.raises(UserError, match="m.onnx: one image needs an array of more than"):
        open_model(save(model(nodes=nodes, output="p")))


def test_onnxruntime_prints_nothing_of_its_own_about_what_it_cannot_compute(save, capfd):
    place = helper.make_tensor("", TensorProto.INT64, [1], [99])  # of 5
    nodes = [
        helper.make_node("Constant", [], ["place"], value=place),
        helper.make_node("Gather", ["logits", "place"], ["p"], axis=1),
    ]
    opened = open_model(save(model(nodes=nodes, output="p")))
    with pytest.raises(UserError, match="m.onnx: .*99"):
        opened.predict(IMAGES)
    assert capfd.readouterr() == ("", "")


def external(location, **entries):
    made = model()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in dict(entries, location=location).items():
        tensor.external_data.add(key=key, value=str(value))
    return made


def test_parameters_in_a_plain_file_next_to_it_are_read(save, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"head" + WEIGHT.tobytes())
    opened = open_model(save(external("weights.bin", offset=4, length=60)))
    np.testing.assert_allclose(opened.predict(IMAGES), LOGITS, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "location",
    ["../outside.bin", "/etc/passwd", "folder/inside.bin", "", "..", "link.bin", "absent.bin"],
)
def test_parameters_elsewhere_are_refused(save, tmp_path, location):
    (tmp_path / "folder").mkdir()
    (tmp_path / "target.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "link.bin").symlink_to(tmp_path / "target.bin")
    with pytest.raises(UserError, match="m.onnx: keeps weight in the file"):
        open_model(save(external(location)))


@pytest.mark.parametrize(
    "entries",
    [dict(offset=4), dict(length=64), dict(offset=-4), dict(offset="x"), dict(length=10**12)],
)
def test_parameters_that_the_file_next_to_it_does_not_have_are_refused(save, tmp_path, entries):
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(UserError, match="m.onnx: keeps weight in the file 'weights.bin'"):
        open_model(save(external("weights.bin", **entries)))


def damaged(change):
    made = model()
    change(made)
    return made


def add(*nodes):
    return lambda made: made.graph.node.extend(nodes)


LOOP = helper.make_graph([], "body", [], [])
SPARSE = helper.make_sparse_tensor(
    helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0]),
    helper.make_tensor("places", TensorProto.INT64, [1], [1 << 40]),
    [1 << 41],
)
BRANCH = helper.make_graph([], "branch", [], [], sparse_initializer=[SPARSE])


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda made: made.graph.initializer[0].dims.__setitem__(0, 1 << 40),
            "does not hold that many values",
        ),
        (
            add(helper.make_node("X", ["logits"], ["x"], domain="my.own")),
            "the operator X of my.own",
        ),
        (
            add(helper.make_node("EPContext", ["logits"], ["x"], domain="com.microsoft")),
            "the operator EPContext of com.micro",
        ),
        (add(helper.make_node("Loop", ["", "", "logits"], ["x"], body=LOOP)), "has a loop"),
        (lambda made: made.graph.sparse_initializer.append(SPARSE), "has sparse parameters"),
        (add(helper.make_node("Constant", [], ["x"], sparse_value=SPARSE)), "has sparse param"),
        (add(helper.make_node("If", ["c"], ["x"], then_branch=BRANCH)), "has sparse parameters"),
        (lambda made: made.functions.add(name="f", domain="x"), "defines its own operators"),
        (lambda made: made.graph.ClearField("output"), "no input or no output"),
        (
            lambda made: (
                made.graph.initializer.append(
                    numpy_helper.from_array(np.array([1 << 16, 1 << 16]), "big")
                ),
                add(helper.make_node("ConstantOfShape", ["big"], ["x"]))(made),
            ),
            "one image needs an array of more than",
        ),
        (
            lambda made: add(
                helper.make_node("Cast", ["logits"], ["numbers"], to=TensorProto.INT64),
                helper.make_node("ConstantOfShape", ["numbers"], ["x"]),
            )(made),
            "the size of x, which ConstantOfShape makes, is known only at run time",
        ),
        (
            lambda made: made.graph.initializer[0].CopyFrom(
                numpy_helper.from_array(WEIGHT * np.nan, "weight")
            ),
            "weight has .*NaN",
        ),
    ],
)
def test_what_could_hurt_is_refused_in_one_line_that_names_it(save, change, message):
    with pytest.raises(UserError, match="m.onnx: .*" + message) as raised:
        open_model(save(damaged(change)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "shape, message",
    [
        (("N", 8, 8, 3), r"images in the order NHWC, but only NCHW, \(N, 3, H, W\), can be run"),
        (("N", 1, 8, 8), "but float images .N, 3, H, W. are needed"),
        (("N", 3, 8, 16), "only square images"),
        (("N", 3), "are needed|no valid ONNX"),
    ],
)
def test_other_inputs_are_refused_in_a_whole_line(save, shape, message):
    made = model(shape)
    made.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.zeros((int(shape[1]), 5), np.float32), "weight")
    )
    with pytest.raises(UserError, match="m.onnx: .*(" + message + ")"):
        open_model(save(made))


def test_an_error_of_onnxruntime_is_told_whole(save):
    nodes = [helper.make_node("Reshape", ["logits", "shape"], ["y"])]
    made = model(nodes=nodes, output="y")
    made.graph.initializer.append(numpy_helper.from_array(np.array([7, 3, 11]), "shape"))
    with pytest.raises(
        UserError, match="m.onnx: .*(cannot compute images of shape|no valid).*(7,3,11|reshape)"
    ) as raised:
        open_model(save(made)).predict(IMAGES)
    assert "\n" not in str(raised.value)


def test_cut_and_changed_files_are_refused_or_run(save, tmp_path):
    whole = model().SerializeToString()
    draw = np.random.default_rng(0)
    for _ in range(200):
        content = bytearray(
            whole[: draw.integers(1, len(whole) + 1)] if draw.random() < 0.3 else whole
        )
        for place in draw.integers(0, len(content), draw.integers(1, 4)):
            content[place] ^= 1 << int(draw.integers(8))
        (tmp_path / "m.onnx").write_bytes(content)
        try:
            open_model(str(tmp_path / "m.onnx")).predict(IMAGES)
        except UserError as error:
            assert "\n" not in str(error)


def test_softmax_is_found_behind_what_leaves_it_alone_and_not_elsewhere():
    nodes = [
        helper.make_node("Softmax", ["logits"], ["p"]),
        helper.make_node("Mul", ["p", "p"], ["q"]),
    ]
    assert onnx_file.gives_probabilities(model(nodes=nodes, output="p").graph)
    assert not onnx_file.gives_probabilities(model(nodes=nodes, output="q").graph)
    assert not onnx_file.gives_probabilities(model().graph)
