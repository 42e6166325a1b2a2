"""Segmentation through the whole loop: every launch, exact resume, and what the flags add."""

import json
import pathlib

import mxnet as mx
import numpy as np
import pytest
from mask_scenes import CLASSES, folder_of
from mxnet import gluon

from gluon_tricks import config as flags
from gluon_tricks import models
from gluon_tricks.errors import UserError
from gluon_tricks.models import registry
from gluon_tricks.training import run as training

WITHOUT_GEMM = "pixels"


@registry.register(WITHOUT_GEMM, input_size=32, for_task="segmentation")
class Pixels(gluon.HybridBlock):
    """A BatchNorm and a product with a matrix for each pixel, of operators that have float16 on a
    CPU; and the same again for an auxiliary head.
    """

    def __init__(self, name, classes):
        super().__init__(prefix=name + "_")
        with self.name_scope():
            self.bn = gluon.nn.BatchNorm(in_channels=3)
            for head in ("weight", "auxiliary"):
                about = dict(shape=(1, classes, 3, 1, 1), init=mx.init.Uniform(0.1), lr_mult=10)
                setattr(self, head, self.params.get(head, **about))

    def hybrid_forward(self, F, x, weight, auxiliary):
        x = self.bn(x).expand_dims(1)
        outputs = [F.sum(F.broadcast_mul(x, head), axis=2) for head in (weight, auxiliary)]
        return outputs if mx.autograd.is_training() else outputs[0]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def segment(scenes, tmp_path):
    """``segment(name, words)`` trains in this process in the folder ``name``; gives its path."""

    def segment(name, words="", model=WITHOUT_GEMM):
        run = training.build(
            flags.parse(
                f"--task segmentation --model {model} --classes {CLASSES} --data-dir {scenes} "
                f"--input-size 32 --base-size 32 --batch-size 4 --num-epochs 2 -j 1 "
                f"--log-interval 2 --save-dir {tmp_path / name} {words}".split()
            )
        )
        try:
            training.finish(run)
        finally:
            run.close()
        return tmp_path / name

    return segment


def bytes_of(run, *names):
    (checkpoint,) = sorted((run / "checkpoints").iterdir())[-1:]
    return [(checkpoint / name).read_bytes() for name in names or ("net.params",)]


def lines(run, event):
    found = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line for line in found if line["event"] == event]


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "--ema 0.9 --dtype float16 --repeated-augmentation 2"])
def test_a_run_that_was_interrupted_is_the_run_to_the_byte(segment, words):
    whole = segment("whole", words)
    segment("part", words + " --max-steps 3 --save-interval 1")
    part = segment("part", words + " --resume auto")
    names = "net.params", "optimizer.states", "log.jsonl"
    assert bytes_of(whole, *names) == bytes_of(part, *names)


def test_the_best_checkpoint_is_that_of_the_best_miou(segment):
    run = segment("run", "--num-epochs 4 --lr 0.3 --keep-checkpoints 9")
    found = lines(run, "validation")
    assert len(found) == 4 and all({"loss", "miou", "accuracy"} <= line.keys() for line in found)
    best = json.loads((run / "result.json").read_text())["best"]
    assert best["miou"] == max(line["miou"] for line in found)
    assert pathlib.Path(run / "best").resolve().name == f"step-{best['step']:08}"


def test_it_learns_which_color_is_which(segment):
    found = lines(segment("run", "--num-epochs 12 --lr 0.5 --val-frequency 12"), "validation")
    assert found[-1]["miou"] > 60 and found[-1]["images"] == 7


def values(run):
    (checkpoint,) = sorted((run / "checkpoints").iterdir())[-1:]
    return {name: array.asnumpy() for name, array in mx.nd.load(f"{checkpoint}/net.params").items()}


def same(one, other, atol=1e-6):
    assert values(one).keys() == values(other).keys()
    for name, value in values(one).items():
        np.testing.assert_allclose(values(other)[name], value, atol=atol, err_msg=name)


def test_devices_and_micro_batches_are_the_same_parts(segment):
    parts = segment("devices", "--cpu-contexts 2 --batch-size 2")
    same(parts, segment("micro-batches", "--accumulate 2 --batch-size 2"))


def test_float16_trains_like_float32(segment):
    same(segment("single"), segment("half", "--dtype float16"), atol=2e-3)


@pytest.mark.slow
def test_flags_that_change_nothing_else_change_no_bytes(segment):
    run = segment("plain")
    plain = bytes_of(run)
    assert bytes_of(segment("processes", "--data-processes 1")) == plain
    same(run, segment("device", "--device-augment"), atol=1e-4)
    for other in ("--blur 0", "--scale-side long", "--aux-weight 0.1", "--pixel-mean gluoncv"):
        assert bytes_of(segment(other.split()[0][2:], other)) != plain, other


@pytest.mark.slow
def test_a_backbone_comes_from_a_run_a_checkpoint_or_a_file(segment, train, tmp_path):
    train(model="resnet18_v1d", save_dir=str(tmp_path / "classifier"), max_steps=1)
    (file,) = (tmp_path / "classifier" / "checkpoints").glob("*/net.params")
    found = [
        bytes_of(
            segment(f"{number}", f"--max-steps 1 --backbone-params {path}", "fcn_resnet18_v1d")
        )
        for number, path in enumerate((file.parent.parent.parent, file.parent, file))
    ]
    assert found[0] == found[1] == found[2]
    net, start = models.get_model("fcn_resnet18_v1d", classes=CLASSES), mx.nd.load(str(file))
    with pytest.raises(UserError, match="fcn_resnet34_v1d.*no layer1.2.conv1.weight"):
        segment("other", f"--backbone-params {file}", "fcn_resnet34_v1d")
    with pytest.raises(UserError, match="it was trained with --anti-alias 0, and this run has 3"):
        segment("blurred", f"--backbone-params {file} --anti-alias 3", "fcn_resnet18_v1d")
    models.load_parameters(net.backbone, str(file))
    for name, parameter in net.backbone._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), start[name].asnumpy())


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The path of the command with the network of this file; what :func:`start` starts."""
    path, here = tmp_path_factory.mktemp("driver") / "driver.py", pathlib.Path(__file__)
    path.write_text(
        f"import sys\nsys.path[:0] = {[str(here.parent), str(here.parent.parent)]}\n"
        f"import {here.stem}\nfrom gluon_tricks import cli\nsys.exit(cli.main(sys.argv[1:]))\n"
    )
    return str(path)


@pytest.mark.slow
def test_every_launch_is_the_same_run(finish, scenes, tmp_path):
    words = f"--task segmentation --model {WITHOUT_GEMM} --classes {CLASSES} --data-dir {scenes} "
    words += "--base-size 32 --batch-size 2 --num-training-samples 16 --label-smoothing 0"
    finish("local", "one", *words.split(), "--cpu-contexts", "2")
    for launch in ("horovod", "dist_sync"):
        finish(launch, launch, *words.split())
        same(tmp_path / "one", tmp_path / launch)
        for line, other in zip(*(lines(tmp_path / name, "validation") for name in ("one", launch))):
            assert (line["miou"], line["images"]) == (other["miou"], 7)
