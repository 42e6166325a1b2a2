"""What is exported is what was trained, whole or not at all, and runs without this package."""

import argparse
import hashlib
import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from scipy.special import softmax

from gluon_tricks import models
from gluon_tricks.commands import export as export_command
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.deploy import evaluation, export
from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.compare import ExportError
from gluon_tricks.deploy.convert import convert
from gluon_tricks.deploy.opening import open_model
from gluon_tricks.deploy.writer import Options
from gluon_tricks.errors import UserError
from gluon_tricks.locking import Lock


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("params") / "net.params")
    mx.random.seed(3)
    net = models.get_model("cifar_resnet20_v1", classes=5)
    net.initialize(mx.init.MSRAPrelu())
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.save_parameters(path)
    return path


@pytest.fixture
def model(params):
    return open_model(params, model="cifar_resnet20_v1", classes=5)


def command(*arguments):
    parser = argparse.ArgumentParser()
    export_command.add_arguments(parser)
    return export_command.main(parser.parse_args([str(argument) for argument in arguments]))


def figures(model, record):
    found = evaluation.evaluate(model, str(record))
    return found["top1"], found["top5"], found["images"]


def agreement(one, other, record):
    """The percentage of images on which the first format of one and INT8 of the other agree."""
    opened = open_model(one), open_model(other, format="int8")
    answers = [
        np.concatenate(
            [
                model.predict(batch.images).argmax(axis=1)
                for batch in evaluation.batches(model, str(record))
            ]
        )
        for model in opened
    ]
    return 100 * (answers[0] == answers[1]).sum() / len(answers[0])


def names(folder):
    """What is in the folder next to ``out``, hidden things included."""
    return sorted(os.listdir(str(folder)))


# -- the whole way


@pytest.fixture
def few_digits(digits, tmp_path):
    """A RecordIO file of 64 of the validation images."""
    with RecordFile(str(digits / "val.rec")) as held, RecordWriter(tmp_path / "val.rec") as few:
        for position in range(64):
            few.write(int(held.keys[position]), *held.read(position))
    return tmp_path / "val.rec"


@pytest.mark.slow
def test_a_run_becomes_a_folder_of_all_formats_that_evaluate_like_it(
    train, digits, few_digits, tmp_path, capsys
):
    folder, out = tmp_path / "run", tmp_path / "out"
    train(num_epochs=1, rec_val=str(few_digits))
    calibration = ["--calibrate", digits / "train.rec", "--calibration-images", 64]
    assert command(folder, "-o", out, "--format", "all", *calibration, "--rec-val", few_digits) == 0
    manifest = json.loads((out / "manifest.json").read_text())

    expected = figures(open_model(str(folder)), few_digits)
    best = json.loads((folder / "best" / "state.json").read_text())["best"]
    measured = manifest["measured"]
    assert (measured["top1"], measured["top5"], measured["images"]) == expected
    assert expected[0] == best["top1"]  # as training measured it
    for format in ("symbol", "onnx"):
        assert figures(open_model(str(out), format=format), few_digits) == expected
    int8 = manifest["formats"]["int8"]
    assert figures(open_model(str(out), format="int8"), few_digits)[:2] == (
        int8["top1"],
        int8["top5"],
    )
    assert int8["top1_lost"] == expected[0] - int8["top1"]
    assert int8["agreement"] == agreement(str(folder), str(out), few_digits)
    assert int8["calibration"] == dict(mode="naive", images=64, file="train.rec")

    entries = manifest["formats"]
    assert (
        entries["symbol"]["comparison"]["equal_to_the_bit"]
        and entries["symbol"]["difference_to_network"] == 0
    )
    assert entries["onnx"]["comparison"]["relative_difference"] < 1e-4
    # 3 and 1 random, 8 real
    assert [entry["comparison"]["images"] for entry in entries.values()] == [12, 12, 12]
    assert (manifest["model"], manifest["classes"], manifest["input_size"]) == (
        "cifar_resnet20_v1",
        10,
        32,
    )
    assert manifest["input"] == dict(
        name="data", dtype="float32", layout="NCHW", shape=[None, 3, 32, 32]
    )
    assert (out / "labels.txt").read_text().split() == [str(digit) for digit in range(10)]
    assert manifest["source"]["step"] == best["step"]

    assert set(manifest["files"]) | {"manifest.json"} == set(names(out))
    for name, entry in manifest["files"].items():
        content = (out / name).read_bytes()
        assert entry == dict(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        assert content[:1] != b"\x80"  # no pickle
    printed = capsys.readouterr().out
    assert f"top-1 {expected[0]:.2f} %" in printed and "equal to the bit" in printed
    assert names(tmp_path) == ["out", "run", "val.idx", "val.rec"]


@pytest.mark.slow
def test_a_run_whose_index_has_another_name_is_exported(train, few_digits, tmp_path):
    index = few_digits.with_suffix(".idx").rename(tmp_path / "index")
    train(max_steps=1, rec_val=str(few_digits), rec_val_idx=str(index))
    assert command(tmp_path / "run", "-o", tmp_path / "out", "--format", "symbol") == 0


@pytest.mark.slow
def test_a_folder_with_everything_inside_needs_pixels_alone(model, tmp_path):
    """uint8 in, probabilities out, in a process that has only numpy, MXNet and onnxruntime."""
    export.export(model, str(tmp_path / "out"), ("symbol", "onnx"), Options(True, True, True))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.save(str(tmp_path / "pixels.npy"), pixels)
    program = """
import numpy, mxnet, onnxruntime
pixels = numpy.load("pixels.npy")
net = mxnet.gluon.SymbolBlock.imports("out/model-symbol.json", ["data"], "out/model-0000.params")
symbol = [array.asnumpy() for array in net(mxnet.nd.array(pixels, dtype="uint8"))]
session = onnxruntime.InferenceSession("out/model.onnx")
onnx = session.run(["logits", "probabilities"], {"data": pixels})
numpy.savez("outputs.npz", *symbol, *onnx)
"""
    subprocess.run([sys.executable, "-c", program], cwd=str(tmp_path), check=True, timeout=300)
    with np.load(str(tmp_path / "outputs.npz")) as held:
        outputs = [held[f"arr_{i}"] for i in range(4)]
    images = (
        ((pixels - np.array(model.preprocessing.rgb_mean)) / model.preprocessing.rgb_std)
        .transpose(0, 3, 1, 2)
        .astype(np.float32)
    )
    logits = model.predict(images)
    for mine, theirs in zip(outputs, [logits, softmax(logits, axis=1)] * 2):
        np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["input"] == dict(
        name="data", dtype="uint8", layout="NHWC", shape=[None, 32, 32, 3]
    )
    assert manifest["outputs"] == ["logits", "probabilities"]
    assert manifest["formats"]["symbol"]["batch_norm"] == dict(folded=21, stayed=0)
    assert 0 < manifest["formats"]["symbol"]["difference_to_network"] < 1e-4
    # and here it takes images as every classifier does
    again = open_model(str(tmp_path / "out")).predict(images)
    np.testing.assert_allclose(again, logits, atol=1e-4 * np.abs(logits).max())


@pytest.mark.slow
def test_a_format_that_computes_something_else_is_an_error_and_leaves_nothing(
    model, tmp_path, monkeypatch
):
    def save(graph, *paths):
        changed = {
            name: array * (1.001 if "conv0_weight" in name else 1)
            for name, array in graph.params.items()
        }
        return whole(graphs.Graph(graph.symbol, changed), *paths)

    whole = graphs.save
    monkeypatch.setattr(graphs, "save", save)
    with pytest.raises(
        ExportError, match="the symbol format differs from the network by .*; 0 is allowed"
    ):
        export.export(model, str(tmp_path / "out"))
    assert names(tmp_path) == []


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_leaves_nothing(params, tmp_path):
    program = """
import resource, signal, sys
import mxnet
from gluon_tricks import cli
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
sys.exit(cli.main(sys.argv[1:]))
"""
    arguments = [
        "export",
        params,
        "--model",
        "cifar_resnet20_v1",
        "--classes",
        "5",
        "-o",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", program] + arguments,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=300,
        cwd=os.path.join(os.path.dirname(__file__), "..", ".."),
    )
    assert done.returncode == 2
    assert "model-0000.params: cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert names(tmp_path) == []


# -- the folder; the formats are written by a stand-in


@pytest.fixture
def quick(monkeypatch):
    """A writer that writes a line and compares nothing."""

    class FormatWriter:
        def __init__(self, model, folder, options, real=""):
            self.folder = folder

        def write(self, format, calibration=None):
            with open(os.path.join(self.folder, "model-symbol.json"), "w") as file:
                file.write("new")
            return dict(
                files=["model-symbol.json"], comparison=dict(images=1, equal_to_the_bit=True)
            )

    monkeypatch.setattr(export, "FormatWriter", FormatWriter)
    return FormatWriter


def fail(*arguments):
    raise ExportError("it differs")


def test_missing_folders_above_are_made_and_all_may_read_them(model, tmp_path, quick):
    export.export(model, str(tmp_path / "a" / "b" / "out"))
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat(str(tmp_path / "a" / "b" / "out")).st_mode & 0o777 == 0o777 & ~mask
    assert names(tmp_path / "a" / "b") == ["out"]


def test_an_empty_folder_is_filled(model, tmp_path, quick):
    (tmp_path / "out").mkdir()
    export.export(model, str(tmp_path / "out"))
    assert names(tmp_path / "out") == ["manifest.json", "model-symbol.json"]


def test_an_earlier_export_is_replaced_with_force_alone(model, tmp_path, quick):
    out = tmp_path / "out"
    export.export(model, str(out))
    (out / "of the old one").touch()
    with pytest.raises(
        UserError, match="holds an export; name another folder with -o, or replace it with --force"
    ):
        export.export(model, str(out))
    assert "of the old one" in names(out)
    export.export(model, str(out), force=True)
    assert names(out) == ["manifest.json", "model-symbol.json"] and names(tmp_path) == ["out"]


def test_a_failed_export_leaves_the_earlier_one_whole(model, tmp_path, quick, monkeypatch):
    export.export(model, str(tmp_path / "out"))
    monkeypatch.setattr(quick, "write", fail)
    with pytest.raises(ExportError):
        export.export(model, str(tmp_path / "out"), force=True)
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == [
        "manifest.json",
        "model-symbol.json",
    ]


def test_what_is_no_export_is_never_replaced(model, tmp_path, quick):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text('{"classes": []}')
    (tmp_path / "file").touch()
    for name, message in [
        ("work", "is neither empty nor an earlier export"),
        ("data", "nor an earlier export"),
        ("file", "is a file"),
    ]:
        with pytest.raises(UserError, match=message):
            export.export(model, str(tmp_path / name), force=True)
    assert names(tmp_path / "work") == ["thesis.tex"] and names(tmp_path) == [
        "data",
        "file",
        "work",
    ]


def test_what_came_into_the_folder_meanwhile_is_never_replaced(model, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"

    def write(*arguments):
        out.mkdir()
        (out / "thesis.tex").touch()
        return {}

    monkeypatch.setattr(quick, "write", write)
    with pytest.raises(UserError, match="out: cannot be written: Directory not empty"):
        export.export(model, str(out), force=True)
    assert names(out) == ["thesis.tex"] and names(tmp_path) == ["out"]


def test_a_link_to_a_folder_is_followed(model, tmp_path, quick):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    for force in (False, True):
        export.export(model, str(tmp_path / "out"), force=force)
        assert "manifest.json" in names(tmp_path / "elsewhere")
    assert (tmp_path / "out").is_symlink() and names(tmp_path) == ["elsewhere", "out"]


def test_an_empty_name_is_not_the_current_folder(model, params, tmp_path, quick, monkeypatch):
    (tmp_path / "thesis.tex").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        command(params, "--model", "cifar_resnet20_v1", "--classes", 5, "-o", "")
    with pytest.raises(UserError, match="cannot be written: Directory not empty"):
        export.export(model, "")
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("write, name", [(export.export, "out"), (convert, "net.params")])
def test_a_path_that_mxnet_does_not_take_is_refused_first(model, tmp_path, quick, write, name):
    with pytest.raises(UserError, match=name + ": MXNet takes no path that is not UTF-8"):
        write(model, os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + name.encode()))
    assert not any(found.endswith(name) for found in names(tmp_path))


def test_a_place_that_cannot_be_written_is_named(model, tmp_path, quick):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/out: cannot be written: "):
        export.export(model, str(tmp_path / "file" / "out"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "int8"], "--format int8 needs --calibrate"),
        (["--format", "all"], "--format int8 needs --calibrate"),
        (["--calibrate", "x.rec"], "--calibrate has no effect without --format int8"),
        (["--rec-val", "nowhere.rec"], "nowhere.rec: cannot be read"),
        (
            ["--format", "int8", "--calibrate", "x.rec", "--calibration-images", "0"],
            "--calibration-images 0",
        ),
    ],
)
def test_wrong_flags_say_what_is_wrong_and_write_nothing(params, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        command(
            params,
            "--model",
            "cifar_resnet20_v1",
            "--classes",
            5,
            "-o",
            tmp_path / "out",
            *arguments,
        )
    assert names(tmp_path) == []


# -- what a killed export leaves, and two at once


def test_what_a_killed_export_left_is_removed_and_what_it_set_aside_comes_back(
    model, tmp_path, quick
):
    export.export(model, str(tmp_path / "out"))
    os.rename(tmp_path / "out", tmp_path / ".out.old-abcd_123")
    (tmp_path / ".out.writing-abcd_123").mkdir()
    (tmp_path / ".out.writing-abcd_123" / "half").touch()
    for other in (
        ".out.writing-x.writing-abcd_123",
        ".other.writing-abcd_123",
        ".out.writing-short",
    ):
        (tmp_path / other).mkdir()
    with pytest.raises(UserError, match="out: holds an export"):
        export.export(model, str(tmp_path / "out"))
    assert "manifest.json" in names(tmp_path / "out")
    export.export(model, str(tmp_path / "out"), force=True)
    assert names(tmp_path) == [
        ".other.writing-abcd_123",
        ".out.writing-short",
        ".out.writing-x.writing-abcd_123",
        "out",
    ]


def test_one_export_at_a_time_writes_a_folder(model, tmp_path, quick):
    with Lock(str(tmp_path / ".out.lock"), "it"):
        with pytest.raises(UserError, match="-o .*out: process .* is writing to it"):
            export.export(model, str(tmp_path / "out"))
        export.export(model, str(tmp_path / "other"))
    export.export(model, str(tmp_path / "out"))
    assert names(tmp_path) == ["other", "out"]


# -- what the flags and the numbers have to be


@pytest.mark.parametrize(
    "name, value", [("features.1.running_mean", np.nan), ("output.weight", np.inf)]
)
def test_parameters_that_are_not_finite_are_named(params, tmp_path, name, value):
    arrays = mx.nd.load(params)
    changed = arrays[name].asnumpy()
    changed.flat[-1] = value
    mx.nd.save(str(tmp_path / "bad.params"), dict(arrays, **{name: mx.nd.array(changed)}))
    with pytest.raises(UserError, match=f"bad.params: {name} has values that are NaN or infinite"):
        open_model(str(tmp_path / "bad.params"), model="cifar_resnet20_v1", classes=5)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--crop-ratio", "2"], "--crop-ratio is 2.0"),
        (["--rgb-std", "0,1,1"], "--rgb-std is 0,1,1"),
        (["--rgb-mean", "inf,0,0"], "--rgb-mean is inf,0,0"),
        (["--input-size", "0"], "--input-size is 0"),
        (["--gpu", "0"], "--gpu 0, but MXNet sees 0 GPUs here"),
        (["--gpu", "-1"], "--gpu -1, but MXNet sees"),
    ],
)
def test_flags_are_checked_as_train_checks_them(params, tmp_path, flags, message):
    if "--gpu" in flags and mx.context.num_gpus():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=message):
        command(params, "--model", "cifar_resnet20_v1", "-o", tmp_path / "out", *flags)
    assert names(tmp_path) == []


def test_a_network_computes_on_another_device_and_is_exported_from_the_cpu(params):
    """A second CPU context stands in for the GPU."""
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    here = open_model(params, model="cifar_resnet20_v1")
    there = open_model(params, model="cifar_resnet20_v1", device=mx.cpu(1))
    np.testing.assert_array_equal(there.predict(images), here.predict(images))
    assert all(mx.cpu(1) in held.list_ctx() for held in there.trained.net.collect_params().values())
    assert {array.context for array in graphs.trace(there.trained.net).params.values()} == {
        mx.cpu()
    }


def test_the_number_of_classes_is_that_of_the_files_last_layer(params):
    assert open_model(params, model="cifar_resnet20_v1").classes == 5
