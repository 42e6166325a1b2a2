"""Comparison of an export with its network: in a separate process, and no error gets through."""

import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.deploy import compare, onnx
from gluon_tricks.deploy import graph as graphs

slow = pytest.mark.slow  # each of them starts a process that imports MXNet or onnxruntime


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("formats"))
    graph = graphs.with_softmax(graphs.trace(network("cifar_resnet20_v1")))
    graphs.save(
        graph, os.path.join(path, "model-symbol.json"), os.path.join(path, "model-0000.params")
    )
    onnx.convert(graph, os.path.join(path, "model.onnx"), (3, 32, 32))
    return path


@pytest.fixture
def references(network, images):
    logits = network("cifar_resnet20_v1")(mx.nd.array(images))
    return [[logits.asnumpy(), mx.nd.softmax(logits).asnumpy()]]


@slow
def test_a_symbol_gives_the_very_bits_in_a_fresh_process(folder, images, references):
    outcome = compare.compare(folder, "symbol", [images], references)
    assert (
        outcome["equal_to_the_bit"]
        and outcome["relative_difference"] == 0
        and outcome["images"] == 4
    )


@slow
def test_onnx_is_near_in_a_fresh_process(folder, images, references):
    outcome = compare.compare(
        folder, "onnx", [images, images[:1]], references + [[r[:1] for r in references[0]]]
    )
    assert outcome["relative_difference"] < 1e-5 and outcome["batches"] == [4, 1]


@slow
@pytest.mark.parametrize("format, change", [("symbol", 1e-6), ("onnx", 1e-3)])
def test_a_difference_above_the_tolerance_is_an_error(folder, images, references, format, change):
    scale = np.abs(references[0][0]).max()
    references[0][0][2, 1] += change * scale
    with pytest.raises(
        compare.ExportError, match=f"the {format} format differs from the network by"
    ):
        compare.compare(folder, format, [images], references)


@slow
def test_a_file_that_does_not_load_is_an_error(folder, images, tmp_path):
    (tmp_path / "model.onnx").write_text("no model")
    with pytest.raises(compare.ExportError, match="a new process cannot run the onnx format: "):
        compare.replay(str(tmp_path), "onnx", [images])


def test_the_fresh_process_notices_when_it_is_not_independent(tmp_path, folder, images):
    """Were the package imported by whatever means, the run would be an error; here sitecustomize
    does it.
    """
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['gluon_tricks'] = sys\n")
    with open(os.path.join(os.path.dirname(compare.__file__), "replay.py")) as file:
        source = (
            file.read()
            .replace("def run_onnx", "def unused")
            .replace("(run_onnx if", "((lambda f, x: [[a] for a in x]) if")
        )
    np.savez(tmp_path / "in.npz", **{"0": images})
    task = '{"format": "onnx", "files": [], "inputs": "in.npz", "outputs": "out.npz"}'
    done = subprocess.run(
        [sys.executable, "-c", source],
        input=task,
        universal_newlines=True,
        cwd=str(tmp_path),
        timeout=60,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        stderr=subprocess.PIPE,
    )
    assert done.returncode == 1 and "gluon_tricks was imported" in done.stderr


def test_the_largest_difference_is_also_given_as_a_share_of_the_largest_output():
    a, b = np.array([1.0, -8.0]), np.array([1.5, 2.0])
    assert compare.difference([a + 0.5, b], [a, b]) == (0.5, 0.5 / 8)
    # each as a share of its own largest
    assert compare.difference([a + 0.5, b + 0.25], [a, b]) == (0.5, 0.25 / 2)
    assert compare.difference([b, a], [b, a]) == (0, 0)
    assert compare.difference([np.zeros(2)], [np.zeros(2)]) == (0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_never_agree(value):
    assert compare.difference([np.array([value])], [np.array([value])])[1] == np.inf
    assert compare.difference([np.array([1.0])], [np.array([value])])[1] == np.inf


def test_outputs_of_other_shapes_or_numbers_are_an_error(monkeypatch):
    with pytest.raises(compare.ExportError, match=r"shape \(2, 3\) instead of \(3, 2\)"):
        compare.difference([np.zeros((2, 3))], [np.zeros((3, 2))])
    monkeypatch.setattr(compare, "replay", lambda *arguments: [[np.zeros(1)]])
    with pytest.raises(compare.ExportError, match="1 outputs instead of 2"):
        compare.compare("folder", "onnx", [np.zeros(1)], [[np.zeros(1), np.zeros(1)]])
