"""The examples of docs/export.md in C: compiled here, run on an export, and compared with the
network.
"""

import glob
import os
import shutil
import subprocess

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy import int8, onnx
from gluon_tricks.deploy.fold import fold_batch_norm

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "docs", "examples")
MXNET = os.path.dirname(mx.__file__)

pytestmark = pytest.mark.slow


def missing(what):
    """Without a compiler there is nothing to test, but the machine that checks the project must
    have one.
    """
    (pytest.fail if os.environ.get("CI") else pytest.skip)("needs " + what)


@pytest.fixture(scope="module")
def compile_example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")

    def build(name, library, *includes):
        compiler = (
            os.environ.get("CC")
            or shutil.which("cc")
            or shutil.which("gcc")
            or missing("a C compiler (gcc)")
        )
        program = str(folder / name)
        command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-std=c99"] + [
            "-I" + path for path in includes
        ]
        command += [os.path.join(EXAMPLES, name + ".c"), "-o", program, library]
        subprocess.run(
            command + ["-Wl,-rpath," + os.path.dirname(library)], check=True, timeout=300
        )
        return program

    return build


@pytest.fixture(scope="module")
def predict_mxnet(compile_example):
    return compile_example(
        "predict_mxnet", os.path.join(MXNET, "libmxnet.so"), os.path.join(MXNET, "include")
    )


@pytest.fixture(scope="module")
def predict_onnxruntime(compile_example, tmp_path_factory):
    """Built with the headers in $ONNXRUNTIME_INCLUDE, or the few declarations next to this test."""
    import onnxruntime

    found = glob.glob(
        os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.1*")
    )
    library = found[0] if found else missing("an onnxruntime wheel with libonnxruntime.so")
    # Programs look for it under this name, which a release has as a link and the wheel has not.
    link = str(tmp_path_factory.mktemp("lib") / "libonnxruntime.so.1")
    os.symlink(library, link)
    headers = os.environ.get("ONNXRUNTIME_INCLUDE", os.path.join(HERE, "onnxruntime_abi"))
    return compile_example("predict_onnxruntime", link, headers)


@pytest.fixture(scope="module")
def exported(network, examples, tmp_path_factory):
    """Graphs of one network in all formats, and images as raw floats."""
    folder = tmp_path_factory.mktemp("export")
    graph = graphs.trace(network("cifar_resnet20_v1"))
    graphs.save(graph, str(folder / "model-symbol.json"), str(folder / "model-0000.params"))
    onnx.convert(graph, str(folder / "model.onnx"), (3, 32, 32))
    images, _ = examples(8)
    quantized = int8.quantize(fold_batch_norm(graph)[0], [images])
    graphs.save(quantized, str(folder / "int8-symbol.json"), str(folder / "int8-0000.params"))
    images.asnumpy().tofile(str(folder / "images.f32"))
    return (
        folder,
        images,
        network("cifar_resnet20_v1")(images).asnumpy(),
        graphs.block(quantized)(images).asnumpy(),
    )


def run(program, *arguments):
    return subprocess.run(
        [program] + [str(a) for a in arguments],
        timeout=300,
        universal_newlines=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def logits_of(done):
    assert done.returncode == 0, done.stderr
    return np.array([line.split() for line in done.stdout.splitlines()], np.float64)


@pytest.mark.parametrize("file", ["model", "int8"])
def test_mxnets_c_api_computes_the_exported_network(predict_mxnet, exported, file):
    folder, _, logits, quantized = exported
    expected = logits if file == "model" else quantized
    files = folder / (file + "-symbol.json"), folder / (file + "-0000.params")
    outputs = logits_of(run(predict_mxnet, *files, 32, folder / "images.f32"))
    # Not to the bit: the C API fuses operators on its own.
    np.testing.assert_allclose(outputs, expected, atol=1e-5 * np.abs(expected).max())


def test_onnxruntimes_c_api_computes_the_exported_network(predict_onnxruntime, exported):
    folder, _, logits, _ = exported
    outputs = logits_of(run(predict_onnxruntime, folder / "model.onnx", 32, folder / "images.f32"))
    np.testing.assert_allclose(outputs, logits, atol=1e-4 * np.abs(logits).max())


def test_the_examples_say_what_is_wrong(predict_mxnet, predict_onnxruntime, exported):
    folder = exported[0]
    (folder / "short.f32").write_bytes(b"1234")
    symbol, params = folder / "model-symbol.json", folder / "model-0000.params"
    for done, code, message in [
        (run(predict_mxnet), 2, "usage"),
        (
            run(predict_mxnet, "nowhere.json", params, 32, folder / "images.f32"),
            2,
            "nowhere.json: No such file",
        ),
        (
            run(predict_mxnet, symbol, params, 32, folder / "short.f32"),
            2,
            "are no images of 3 x 32 x 32",
        ),
        (run(predict_mxnet, params, params, 32, folder / "images.f32"), 1, "MXNet: "),
        (run(predict_onnxruntime), 2, "usage"),
        (run(predict_onnxruntime, folder / "model.onnx", 32, folder / "short.f32"), 2, "no images"),
        (run(predict_onnxruntime, params, 32, folder / "images.f32"), 1, "ONNX Runtime: "),
        (
            run(predict_onnxruntime, folder / "model.onnx", 16, folder / "images.f32"),
            1,
            "ONNX Runtime: ",
        ),
    ]:
        assert done.returncode == code and message in done.stderr
