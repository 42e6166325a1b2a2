"""--deterministic: its settings are made before MXNet is imported, checked by the run, and written
down.
"""

import json
import os
import subprocess
import sys

import pytest

from gluon_tricks import cli, determinism, models
from gluon_tricks import config as flags
from gluon_tricks.errors import UserError
from gluon_tricks.models.sync_batch_norm import synchronise
from gluon_tricks.training import network

ENFORCE, AUTOTUNE = "MXNET_ENFORCE_DETERMINISM", "MXNET_CUDNN_AUTOTUNE_DEFAULT"


@pytest.fixture(autouse=True)
def unset(unset_variables):
    unset_variables(ENFORCE, AUTOTUNE)


@pytest.mark.parametrize(
    "argv, asked",
    [
        ([], False),
        (["--deterministic"], True),
        (["--model", "x", "--deterministic", "--lr", "0.1"], True),
        (["--deterministic=1", "--unknown"], True),
        (["--deterministic", "0"], False),
        (["--deterministic", "--deterministic=0"], False),
    ],
)
def test_the_flag_is_found_among_the_others(argv, asked):
    assert cli.early_flags(argv, "gluon-tricks train").deterministic is asked


def test_a_setting_of_the_users_stays_and_is_refused(monkeypatch):
    monkeypatch.setenv(AUTOTUNE, "2")
    determinism.prepare()
    assert os.environ[ENFORCE] == "1"
    config = flags.parse(["--deterministic"])
    with pytest.raises(
        UserError, match="--deterministic needs MXNET_CUDNN_AUTOTUNE_DEFAULT=0, which is 2 here"
    ):
        determinism.check(config)
    determinism.check(flags.parse([]))
    monkeypatch.setenv(AUTOTUNE, "0")
    determinism.check(config)


def test_a_run_in_a_process_without_the_settings_is_refused(train):
    with pytest.raises(
        UserError, match="--deterministic needs MXNET_ENFORCE_DETERMINISM=1, which is unset here"
    ):
        train(deterministic=True)


@pytest.mark.parametrize(
    "model, options, operator",
    [
        ("resnet18_v1d", {}, None),
        ("resnet18_v1d", dict(anti_alias=3), "Pad"),
        ("fcn_resnet18_v1b", {}, "BilinearResize2D"),
        ("faster_rcnn_resnet18_v1b", {}, "ROIAlign"),
        ("cifar_residualattentionnet56", {}, "BilinearResize2D"),
        ("resnest14", {}, None),  # its adaptive pooling is over the whole image
        ("xception", {}, None),  # pads with zeros
    ],
)
def test_the_first_operator_is_found_that_sums_in_any_order(model, options, operator):
    net = models.get_model(model, **options)
    assert determinism.inexact(network.nodes_of(net)) == operator


@pytest.mark.parametrize("output_size, operator", [("3", "AdaptiveAvgPooling2D"), ("(1, 1)", None)])
def test_an_adaptive_pooling_is_exact_if_it_has_one_output(output_size, operator):
    node = dict(op="_contrib_AdaptiveAvgPooling2D", attrs=dict(output_size=output_size))
    assert determinism.inexact([dict(op="null", name="data"), node]) == operator


@pytest.mark.parametrize("gpus, operator", [(1, None), (2, None), (3, "SyncBatchNorm")])
def test_batch_norm_over_gpus_is_exact_for_two_of_them(gpus, operator):
    net = models.get_model("resnet18_v1d")
    synchronise(net, gpus)
    assert determinism.inexact(network.nodes_of(net)) == operator


def test_a_network_without_the_same_bits_on_a_gpu_is_refused_before_anything_is_there():
    argv = "--task detection --model faster_rcnn_resnet18_v1b --rec-train x.rec --deterministic"
    config = flags.parse([*argv.split(), "--num-gpus", "1"])
    expected = "--deterministic: MXNet has no ROIAlign .*, and faster_rcnn_resnet18_v1b needs one"
    with pytest.raises(UserError, match=expected):
        network.untrained(config, 1)


@pytest.mark.slow
def test_a_runs_environment_has_the_settings(tmp_path):
    small = "--synthetic 4 --model cifar_resnet20_v1 --classes 3 --input-size 32 --batch-size 4"
    small = (small + " --num-epochs 1 -j 1").split()
    command = [
        sys.executable,
        "-m",
        "gluon_tricks",
        "train",
        "--deterministic",
        "--save-dir",
        str(tmp_path),
    ] + small
    done = subprocess.run(
        command,
        env=dict(os.environ, NVIDIA_TF32_OVERRIDE="0"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "environment.json").read_text())["settings"]
    assert settings.items() >= {ENFORCE: "1", AUTOTUNE: "0", "NVIDIA_TF32_OVERRIDE": "0"}.items()
