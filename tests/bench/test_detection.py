"""``gluon-tricks bench``: our detection compared with GluonCV's."""

import argparse
import json

import pytest
from box_scenes import TINY, write
from help_text import shown_defaults
from own_process import run_alone

from gluon_tricks import cli, models
from gluon_tricks.bench import data, detection, gluoncv_boxes

RESNET_18 = "--model faster_rcnn_resnet18_v1b --classes 3".split()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("boxes") / "some.rec"
    write(path, 8, seed=0)
    return str(path)


def test_gluoncvs_network_has_our_parameters(records, tmp_path):
    parser = argparse.ArgumentParser()
    detection.add_arguments(parser)
    args = parser.parse_args(["--rec", records, *RESNET_18, *TINY.split()])
    config = detection.config_of(args, str(tmp_path))
    ours = models.get_model(config.model, **models.arguments_of(config))
    own, theirs = (
        {name: each.shape[0] for name, each in net._collect_params_with_prefix().items()}
        for net in (ours, gluoncv_boxes.network(config))
    )
    assert theirs.pop("rpn.anchor_generator.anchors") and theirs == own


def test_the_help_has_the_defaults_of_what_is_measured(tmp_path):
    parser = argparse.ArgumentParser()
    detection.add_arguments(parser)
    config = detection.config_of(parser.parse_args(["--rec", "some.rec"]), str(tmp_path))
    shown = shown_defaults(parser, "detection")
    assert set(shown) == set(detection.FLAGS) - {"rec_train_idx"}
    assert shown == {name: getattr(config, name) for name in shown}


@pytest.mark.slow
def test_steps_take_turns_with_gluoncvs(records, tmp_path, capsys):
    path = tmp_path / "steps.json"
    flags = ["--rec", records, *RESNET_18, *TINY.split(), "--steps", "1", "--rounds", "1"]
    assert cli.main(["bench", "detection", *flags, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert tuple(found) == detection.LOOPS
    assert all(each["seconds"] > 0 and each["cpu_seconds"] > 0 for each in found.values())
    printed = capsys.readouterr().out
    assert "cpu seconds, gluoncv_with_images : ours_with_images" in printed


def test_a_network_that_gluoncv_has_not_is_refused(records, capfd):
    flags = ["--rec", records, "--model", "faster_rcnn_resnet18_v1d"]
    assert cli.main(["bench", "detection", *flags]) == 2
    assert "--model faster_rcnn_resnet18_v1d: GluonCV's" in capfd.readouterr().err


@pytest.mark.slow
def test_the_loader_of_boxes_is_measured_next_to_gluoncvs(records, tmp_path):
    path, small = tmp_path / "rows.json", "--input-size 48 --max-side 64 --threads 1"
    flags = f"--task detection --rec {records} {small} --images 8 --rounds 1 --json {path}"
    printed = run_alone("bench", "data", *flags.split())
    names = [row["pipeline"] for row in json.loads(path.read_text())]
    assert tuple(names) == data.OF_TASK["detection"]
    assert "loader_float32 : gluoncv_boxes" in printed
