"""Detection through the whole loop: exact resume, validation by mAP, what the flags add, and what
they refuse.
"""

import json

import mxnet as mx
import numpy as np
import pytest
from box_scenes import CLASSES, TINY, folder_of

from gluon_tricks import config as flags
from gluon_tricks import models
from gluon_tricks.config import ConfigError
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.detection import Detection
from gluon_tricks.training import run as training
from gluon_tricks.training.loop import whose
from gluon_tricks.training.schedule import learning_rate
from gluon_tricks.training.step import StepResult
from gluon_tricks.training.stopping import Diverged
from gluon_tricks.training.update import optimizer_of

MODEL = "faster_rcnn_resnet18_v1b"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("boxes"))


@pytest.fixture
def detect(scenes, tmp_path):
    """``detect(name, words)`` trains in this process in the folder ``name``; gives its path."""

    def detect(name, words=""):
        run = training.build(
            flags.parse(
                f"--task detection --model {MODEL} --classes {CLASSES} --data-dir {scenes} {TINY} "
                f"--batch-size 2 --num-epochs 1 -j 1 --log-interval 2 --lr 0.01 "
                f"--save-dir {tmp_path / name} {words}".split()
            )
        )
        try:
            training.finish(run)
        finally:
            run.close()
        return tmp_path / name

    return detect


def file_of(run, name="net.params"):
    (checkpoint,) = sorted((run / "checkpoints").iterdir())[-1:]
    return checkpoint / name


def lines(run, event):
    found = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line for line in found if line["event"] == event]


def values(run):
    return {name: each.asnumpy() for name, each in mx.nd.load(str(file_of(run))).items()}


@pytest.mark.slow
def test_a_run_that_was_interrupted_is_the_run_to_the_byte(detect):
    whole = detect("whole")
    detect("part", "--max-steps 3 --save-interval 1")
    part = detect("part", "--resume auto")
    for name in ("net.params", "optimizer.states"):
        assert file_of(whole, name).read_bytes() == file_of(part, name).read_bytes()
    assert (whole / "log.jsonl").read_bytes() == (part / "log.jsonl").read_bytes()
    (line,) = lines(whole, "validation")
    assert line["images"] == 5 and 0 <= line["map07"] <= 100
    first = lines(whole, "train")[0]
    parts = sum(first[name] for name in ("rpn_object", "rpn_box", "class", "box"))
    assert first["loss"] == pytest.approx(parts, rel=1e-5)
    result = json.loads((whole / "result.json").read_text())
    assert result["best"]["map07"] == result["map07"] == line["map07"]


@pytest.mark.slow
def test_devices_are_parts_of_a_step_and_a_backbone_comes_from_a_classifier(detect, tmp_path):
    backbone = models.get_model("resnet18_v1b", classes=5)
    backbone.initialize(mx.init.Xavier())
    file = str(tmp_path / "classifier.params")
    backbone.save_parameters(file)
    more = f"--batch-size 1 --num-training-samples 4 --backbone-params {file}"
    runs = [detect(name, f"{more} --{name} 2") for name in ("cpu-contexts", "accumulate")]
    first, second = map(values, runs)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, atol=1e-5, err_msg=name)
    validated = [lines(run, "validation")[0] for run in runs]
    assert validated[0]["images"] == validated[1]["images"] == 5
    assert validated[0]["map07"] == pytest.approx(validated[1]["map07"], abs=1)
    start = {name: each.asnumpy() for name, each in mx.nd.load(file).items()}
    frozen, trained = "features.4.0.conv1.weight", "features.5.0.conv1.weight"
    np.testing.assert_array_equal(first[frozen], start["layer1.0.conv1.weight"])
    assert (first[trained] != start["layer2.0.conv1.weight"]).any()
    with pytest.raises(UserError, match="comes from a run with --task detection; --use-params"):
        detect("other", f"--backbone-params {runs[0]}")


def parse(words):
    return flags.parse(["--task", "detection", *words.split()])


@pytest.mark.parametrize(
    "words, images, expected",
    [("", 4, 0.001), ("", 1, 0.00025), ("--lr 0.02", 1, 0.02), ("--fidelity gluoncv", 8, 0.001)],
)
def test_the_rate_is_that_of_four_images_in_proportion(words, images, expected):
    rate = learning_rate(parse(words), images, 100, 100 * images)
    assert rate(0) == pytest.approx(expected)
    assert [rate(100 * epoch) / rate(0) for epoch in (13, 14)] == pytest.approx([1, 0.1])


def test_clipping_and_recalls_are_those_of_the_papers_time_or_gluoncvs():
    paper, gluoncv = parse(""), parse("--fidelity gluoncv")
    assert paper.clip_gradient == gluoncv.clip_gradient == 5
    assert parse("--fidelity gluoncv --clip-gradient 0").clip_gradient == 0
    steps = [Detection.from_config(each)._float_steps for each in (paper, gluoncv)]
    assert steps == [False, True]


@pytest.mark.parametrize("most", [5, 0.25, 0])
def test_each_number_of_the_gradient_is_clipped(most):
    optimizer = optimizer_of(parse(f"--clip-gradient {most} --momentum 0 --wd 0"), 1.0)
    weight, gradient = mx.nd.zeros(3), mx.nd.array([-7, 0.5, 9])
    optimizer.update(0, weight, gradient, optimizer.create_state(0, weight))
    bounds = (-most, most) if most else (-np.inf, np.inf)
    np.testing.assert_allclose(weight.asnumpy(), -np.clip([-7, 0.5, 9], *bounds))


@pytest.mark.parametrize(
    "words, message",
    [
        ("--mixup", "--mixup True does not apply to --task detection, whose labels are boxes"),
        ("--dtype float16", "--dtype float16 does not apply to --task detection"),
        ("--max-side 500", "--max-side 500 is below --input-size 600"),
        ("--roi-sample 200 --proposals 100,50", "--roi-sample 200 is more than the 100 regions"),
        ("--roi-sample 3", "--roi-sample is 3, but has to be at least 4"),  # a quarter of them
        ("--rpn-sample 1", "--rpn-sample is 1, but has to be at least 2"),  # half of them
        ("--optimizer lars --clip-gradient 1", "--clip-gradient has no effect without"),
        ("--crop-area 0.5,1", "--crop-area has no effect without"),
    ],
)
def test_what_boxes_cannot_have_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)
    with pytest.raises(ConfigError, match="--roi-size has no effect without --task detection"):
        flags.parse(["--roi-size", "7"])


@pytest.mark.slow
def test_every_launch_is_the_same_run(finish, scenes, tmp_path):
    words = f"--task detection --model {MODEL} --classes {CLASSES} --data-dir {scenes} {TINY}"
    words += " --batch-size 1 --num-epochs 1 --num-training-samples 4 --label-smoothing 0"
    finish("local", "one", *words.split(), "--cpu-contexts", "2")
    expected, (validation,) = values(tmp_path / "one"), lines(tmp_path / "one", "validation")
    for launch in ("horovod", "dist_sync"):
        finish(launch, launch, *words.split())
        for name, value in values(tmp_path / launch).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)
        (line,) = lines(tmp_path / launch, "validation")
        assert line["images"] == 5 and line["map07"] == pytest.approx(validation["map07"], abs=1)


def test_a_loss_that_is_not_finite_names_the_records(detect):
    expected = "is (nan|inf) \\(of record(s [0-7],)? [0-7]\\) at step .*rate"
    with pytest.raises(Diverged, match=expected) as error:
        detect("diverged", "--lr 1e15 --clip-gradient 0 --num-epochs 3")
    assert error.value.exit_code == 3


def test_only_images_whose_own_loss_is_not_finite_are_named():
    losses = [mx.nd.array([1, 2]), mx.nd.array([3, np.inf])]
    sums = [mx.nd.array([3.0]), mx.nd.array([np.inf])]
    result = StepResult(sums, losses, np.array([40, 41, 42, 43]))
    assert whose(result) == " (of record 43)"
    mixed = result._replace(keys=np.arange(8))  # two images have one loss
    assert whose(mixed) == " (of records 4, 5, 6, 7)"
    many = StepResult(sums[:1], [mx.nd.full(12, np.nan)], np.arange(12))
    assert whose(many).endswith("0, 1, 2, 3, 4, 5, 6, 7 and 4 more)")
    assert whose(StepResult(sums[:1], losses[:1], np.arange(2))) == ""
