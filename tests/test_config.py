"""The flags: defaults, spellings, off by 0, ranges, contradictions, flags without effect, JSON, and
what a resumed run may change.
"""

import argparse
import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys

import pytest
from help_text import shown_defaults

from gluon_tricks import cli, fidelity
from gluon_tricks.config import (
    FLAGS,
    Config,
    ConfigError,
    add_arguments,
    differences,
    from_dict,
    parse,
    resolve,
    to_json,
    user_path,
)
from gluon_tricks.tasks import registry


def test_defaults_are_the_papers():
    config = parse([])
    paper = dict(
        model="resnet50_v1d",
        num_epochs=120,
        momentum=0.9,
        wd=1e-4,
        optimizer="nag",
        lr=0.1,
        lr_mode="step",
        lr_decay=0.1,
        lr_decay_epoch=(30, 60, 90),
        init="xavier",
        input_size=224,
        crop_ratio=0.875,
        crop_area=(0.08, 1.0),
        flip=0.5,
        color_jitter=0.4,
        color_form="paper",
        pca_noise=0.1,
        rgb_mean=(123.68, 116.779, 103.939),
        rgb_std=(58.393, 57.12, 57.375),
        label_smoothing=0.0,
        smoothing_form="paper",
        mixup_alpha=0.0,
        mixup_partner="random",
        temperature=20.0,
        hard_weight=-1.0,
        warmup_from=1,
        lr_counting="steps",
        val_last_batch="exact",
        last_gamma=False,
        no_wd=False,
        dtype="float32",
    )
    assert {name: getattr(config, name) for name in paper} == paper
    assert config.crop_aspect == pytest.approx((3 / 4, 4 / 3))


@pytest.mark.parametrize(
    "argv, expected",
    [
        (["--label-smoothing"], dict(label_smoothing=0.1)),
        (["--label-smoothing", "0.2"], dict(label_smoothing=0.2)),
        (["--mixup"], dict(mixup=True, mixup_alpha=0.2)),
        (["--mixup-alpha", "0.4"], dict(mixup=True, mixup_alpha=0.4)),
        (
            ["--mixup", "--mixup-alpha", "1", "--mixup-off-epoch", "20"],
            dict(mixup_alpha=1.0, mixup_off_epoch=20),
        ),
        (["--last-gamma"], dict(last_gamma=True)),
        (["--no-wd"], dict(no_wd=True)),
        (["--dtype", "float16"], dict(dtype="float16", loss_scale="dynamic")),
        (["--dtype", "float16", "--loss-scale", "128"], dict(loss_scale=128.0)),
        (["--linear-scaling"], dict(linear_scaling=True, base_lr=0.1)),
        (["--warmup-epochs", "5"], dict(warmup_epochs=5, warmup_from=1)),
        (["--lr-mode", "exp"], dict(lr_decay=0.94, lr_decay_period=2)),
        (
            ["--lr-mode", "exp", "--lr-decay", "0.9", "--lr-decay-period", "3"],
            dict(lr_decay=0.9, lr_decay_period=3),
        ),
        (["--lr-decay-period", "40"], dict(lr_decay_epoch=(40, 80))),
        (["--lr-decay-epoch", "50,80"], dict(lr_decay_epoch=(50, 80))),
        (["--teacher", "resnet152_v1d"], dict(temperature=20.0, hard_weight=-1.0)),
        (["--teacher", "resnet152_v1d", "--hard-weight", "0.5"], dict(hard_weight=0.5)),
        (["-j", "60"], dict(num_data_workers=60)),
        (["-j60"], dict(num_data_workers=60)),
        (["--use_se"], dict(use_se=True)),
        (["--use-se"], dict(use_se=True)),
        (
            ["--rgb-mean", "1,2,3", "--rgb-std", "4,5,6"],
            dict(rgb_mean=(1, 2, 3), rgb_std=(4, 5, 6)),
        ),
        (["--data-backend", "mxnet"], dict(data_backend="native")),
        (["--synthetic"], dict(synthetic=1024)),
        (["--synthetic", "64"], dict(synthetic=64)),
        (["--mode", "symbolic"], dict(mode="symbolic")),
    ],
)
def test_flags_and_their_bare_forms(argv, expected):
    config = parse(argv)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    "on, off",
    [
        (["--label-smoothing"], ["--label-smoothing", "0"]),
        (["--mixup"], ["--mixup-alpha", "0"]),
        (["--mixup"], ["--mixup", "0"]),
        (["--mixup"], ["--mixup", "--mixup-alpha", "0"]),
        (["--last-gamma"], ["--last-gamma", "0"]),
        (["--no-wd"], ["--no-wd", "0"]),
        (["--linear-scaling"], ["--linear-scaling", "0"]),
        (["--warmup-epochs", "5"], ["--warmup-epochs", "0"]),
        (["--color-jitter", "0.2"], ["--color-jitter", "0.4"]),
        (["--device-augment"], ["--device-augment", "0"]),
        (["--use-se"], ["--use_se", "false"]),
    ],
)
def test_the_value_0_turns_a_trick_off(on, off):
    assert parse(on) != parse([])
    assert parse(off) == parse([])


def test_zero_turns_augmentation_steps_off():
    config = parse(["--color-jitter", "0", "--pca-noise", "0", "--flip", "0"])
    assert (config.color_jitter, config.pca_noise, config.flip) == (0, 0, 0)


@pytest.mark.parametrize(
    "argv, name",
    [
        (["--base-lr", "0.2"], "--base-lr"),
        (["--warmup-lr", "0.01"], "--warmup-lr"),
        (["--warmup-from", "1"], "--warmup-from"),
        (
            ["--warmup-epochs", "5", "--lr-counting", "updates", "--warmup-from", "1"],
            "--warmup-from",
        ),
        (["--lr-mode", "cosine", "--lr-decay", "0.5"], "--lr-decay"),
        (["--lr-mode", "poly", "--lr-decay-epoch", "1,2"], "--lr-decay-epoch"),
        (["--lr-decay-period", "3", "--lr-decay-epoch", "1,2"], "--lr-decay-epoch"),
        (["--lr-mode", "constant", "--lr-decay-period", "3"], "--lr-decay-period"),
        (["--mixup-off-epoch", "5"], "--mixup-off-epoch"),
        (["--mixup-partner", "reverse"], "--mixup-partner"),
        (["--smoothing-form", "gluoncv"], "--smoothing-form"),
        (["--label-smoothing", "0", "--smoothing-form", "gluoncv"], "--smoothing-form"),
        (["--temperature", "10"], "--temperature"),
        (["--attention-reduction", "2"], "--attention-reduction"),
        (["--hard-weight", "0.5"], "--hard-weight"),
        (["--teacher-model", "resnet18_v1d"], "--teacher-model"),
        (["--color-jitter", "0", "--color-form", "gluoncv"], "--color-form"),
        (["--loss-scale", "128"], "--loss-scale"),
        (["--max-skipped", "3"], "--max-skipped"),
        (["--resume-epoch", "3"], "--resume-epoch"),
    ],
)
def test_a_flag_without_effect_is_an_error_that_names_it(argv, name):
    with pytest.raises(ConfigError, match=name + " .*no effect without"):
        parse(argv)


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--lr", "0.2", "--linear-scaling"], "--lr .*--linear-scaling"),
        (["--num-gpus", "2", "--cpu-contexts", "2"], "--num-gpus and --cpu-contexts"),
        (["--kvstore", "horovod", "--cpu-contexts", "2"], "horovod: .* instead of --cpu-contexts"),
        (
            ["--resume-params", "x.params", "--resume-epoch", "3", "--num-epochs", "3"],
            "--resume-epoch 3 leaves no epoch to train of --num-epochs 3",
        ),
        (["--use-pretrained", "--use-params", "x.params"], "--use-pretrained and --use-params"),
        (["--mixup", "0", "--mixup-alpha", "0.2"], "--mixup 0 and --mixup-alpha"),
        (["--synthetic", "--rec-train", "x.rec"], "--synthetic"),
        (["--mixup", "--num-epochs", "3", "--mixup-off-epoch", "3"], "--mixup-off-epoch"),
        (["--warmup-epochs", "5", "--num-epochs", "3"], "--warmup-epochs 5 is longer"),
        (["--cutout", "448"], "--cutout 448 covers .* --input-size 224"),
        (
            ["--sync-bn", "--dtype", "float16"],
            "--sync-bn and --dtype float16: .* takes only float32",
        ),
        (["--resume-states", "x.states"], "--resume-states .*pickle.*--resume-params"),
    ],
)
def test_contradictions_name_both_flags(argv, words):
    with pytest.raises(ConfigError, match=words):
        parse(argv)


@pytest.mark.parametrize(
    "flag, values",
    [
        ("--lr", ["0", "-1", "nan", "inf"]),
        ("--momentum", ["1", "-0.1", "nan"]),
        ("--wd", ["-1e-4", "nan"]),
        ("--num-epochs", ["0"]),
        ("--batch-size", ["0", "-3"]),
        ("--accumulate", ["0", str(2**31)]),
        ("--num-gpus", ["-1"]),
        ("--classes", ["0"]),
        ("--input-size", ["0"]),
        ("--label-smoothing", ["1", "-0.1", "nan"]),
        ("--mixup-alpha", ["-0.2", "nan"]),
        ("--crop-ratio", ["0", "0.09", "1.1"]),
        ("--crop-area", ["0,1", "0.5,0.2", "0.1,1.2"]),
        ("--crop-aspect", ["0,1", "2,1", "1e-320,1", "1,1e308"]),
        ("--flip", ["1.5"]),
        ("--rgb-std", ["0,1,1"]),
        ("--warmup-epochs", ["-1"]),
        ("--color-jitter", ["1.5", "-0.1"]),
        ("--pca-noise", ["-1"]),
        ("--lr", ["0", "1e-320", "1e308"]),
        ("--clip-norm", ["1e-320"]),
        ("--lr-decay", ["0"]),
        ("--lr-decay-epoch", ["-1", "30,-1"]),
        ("--num-data-workers", ["0"]),
        ("--max-bad-records", ["-1"]),
        ("--seed", ["-1"]),
        ("--save-frequency", ["-1"]),
        ("--val-frequency", ["0"]),
        ("--log-interval", ["0"]),
    ],
)
def test_values_out_of_range_name_the_flag(flag, values):
    for value in values:
        with pytest.raises(ConfigError, match=flag):
            parse([f"{flag}={value}"])


@pytest.mark.parametrize(
    "argv", [["--teacher", "x", "--hard-weight", "1.5"], ["--teacher", "x", "--hard-weight=-0.5"]]
)
def test_hard_weight_is_a_share_or_minus_1(argv):
    with pytest.raises(ConfigError, match="--hard-weight"):
        parse(argv)


def test_loss_scale_is_positive_or_dynamic(capsys):
    with pytest.raises(ConfigError, match="--loss-scale"):
        parse(["--dtype", "float16", "--loss-scale", "0"])
    with pytest.raises(SystemExit):
        parse(["--dtype", "float16", "--loss-scale", "big"])
    assert "neither a number nor 'dynamic'" in capsys.readouterr().err


def test_label_smoothing_needs_two_classes():
    with pytest.raises(ConfigError, match="--label-smoothing needs at least 2 classes"):
        parse(["--classes", "1", "--label-smoothing"])


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--batchsize", "3"], "--batchsize"),
        (["--batch"], "--batch"),
        (["--batch-size", "many"], "--batch-size.*many"),
        (["--lr-mode", "linear"], "--lr-mode.*linear"),
        (["--dtype", "bfloat16"], "--dtype.*bfloat16"),
        (["--last-gamma", "perhaps"], "--last-gamma.*neither 1 nor 0"),
        (["--rgb-mean", "1,2"], "--rgb-mean.*list of 2? ?3? ?numbers"),
        (["--lr-decay-epoch", "a,b"], "--lr-decay-epoch"),
        (["--data-backend", "dali-gpu"], "--data-backend.*DALI"),
    ],
)
def test_what_argparse_refuses_is_named(argv, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(argv)
    assert stop.value.code == 2
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.parametrize("flag", [name for name, why in fidelity.FOREIGN_FLAGS.items() if why])
def test_flags_of_the_authors_scripts_that_cannot_be_are_refused_with_a_reason(flag):
    with pytest.raises(ConfigError, match=flag + ": .*leave"):
        parse([flag])


def test_a_flag_that_the_authors_ignore_is_accepted():
    assert parse(["--logging-dir", "logs"]) == parse([])


def test_fidelity_gluoncv_selects_all_of_the_authors_settings():
    config = parse(
        [
            "--fidelity",
            "gluoncv",
            "--label-smoothing",
            "--mixup",
            "--teacher",
            "x",
            "--warmup-epochs",
            "1",
        ]
    )
    assert {name: getattr(config, name) for name in fidelity.SETTINGS} == fidelity.SETTINGS
    assert config.lr_counting == "steps"


def test_fidelity_gluoncv_gives_way_to_a_flag_that_is_given():
    config = parse(
        [
            "--fidelity",
            "gluoncv",
            "--label-smoothing",
            "--smoothing-form",
            "paper",
            "--num-epochs",
            "120",
        ]
    )
    assert (config.smoothing_form, config.num_epochs, config.init) == ("paper", 120, "msra")


# argparse's defaults of both scripts (GluonCV 0.10), but for those that name files, devices, batch
# and epochs; --mixup is off.
SCRIPTS = {
    "train_imagenet.py": "--dtype float32 --momentum 0.9 --wd 0.0001 --lr-decay 0.1"
    " --lr-decay-period 0 --lr-decay-epoch 40,60 "
    "--warmup-lr 0.0 --warmup-epochs 0 --input-size 224 --crop-ratio 0.875 --mixup 0"
    " --mixup-alpha 0.2 --mixup-off-epoch 0 "
    "--temperature 20 --hard-weight 0.5 --resume-epoch 0 --rgb-mean 123.68,116.779,103.939"
    " --rgb-std 58.393,57.12,57.375",
    "train_horovod.py": "--dtype float32 --momentum 0.9 --wd 0.0001 --warmup-lr 0.0 --mixup 0"
    " --mixup-alpha 0.2 "
    "--mixup-off-epoch 0 --temperature 20 --hard-weight 0.5 --input-size 224 --crop-ratio 0.875"
    " --resume-epoch 0 "
    "--dropblock-prob 0",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "more", [[], ["--lr-mode", "cosine"], ["--lr-decay-period", "1"]], ids=" ".join
)
def test_fidelity_gluoncv_accepts_the_defaults_of_both_scripts(script, more):
    given = ["--fidelity", "gluoncv", "--lr", "0.4"]
    assert parse(given + SCRIPTS[script].split() + more) == parse(given + more)


def test_fidelity_gluoncv_accepts_an_evaluation_at_the_end_alone():
    config = parse(["--fidelity", "gluoncv", "--eval-frequency", "0", "--num-epochs", "90"])
    assert config.val_frequency == 90


@pytest.mark.parametrize(
    "argv",
    [
        ["--lr-mode", "cosine", "--lr-decay", "0.2"],
        ["--lr-mode", "cosine", "--lr-decay-epoch", "30,60,90"],
        ["--temperature", "10"],
        ["--hard-weight", "0.3"],
    ],
)
def test_fidelity_gluoncv_refuses_other_values_without_effect(argv):
    with pytest.raises(ConfigError, match=argv[-2] + " has no effect"):
        parse(["--fidelity", "gluoncv"] + argv)


def test_an_alpha_alone_mixes_under_fidelity_gluoncv_too():
    assert parse(["--fidelity", "gluoncv", "--mixup-alpha", "0.2"]).mixup_alpha == 0.2
    assert parse(["--fidelity", "gluoncv", "--mixup", "0", "--mixup-alpha", "0.2"]).mixup_alpha == 0
    with pytest.raises(ConfigError, match="--mixup 0 and --mixup-alpha"):
        parse(["--fidelity", "gluoncv", "--mixup", "0", "--mixup-alpha", "0.4"])


@pytest.mark.parametrize(
    "model", ["googlenet", "mobilenetv3_large", "mobilenetv3_small", "MobileNetV3_Small"]
)
def test_fidelity_gluoncv_counts_as_the_script_that_the_network_was_published_with(model):
    assert parse(["--fidelity", "gluoncv", "--model", model]).lr_counting == "updates"
    assert (
        parse(["--fidelity", "gluoncv", "--model", model, "--lr-counting", "steps"]).lr_counting
        == "steps"
    )
    assert parse(["--model", model]).lr_counting == "steps"


def test_flags_of_published_commands_that_the_network_ignores_are_accepted():
    assert parse(["--model", "mobilenetv3_large", "--last-gamma"]).last_gamma is False
    assert parse(["--model", "vgg16_bn", "--batch-norm"]).batch_norm is False
    assert parse(["--model", "vgg16", "--batch-norm"]).batch_norm is True


@pytest.mark.parametrize("model", ["resnet18_v1b", "resnet34_v1b"])
def test_zero_gamma_is_off_if_the_authors_block_ignored_it(model):
    assert parse(["--model", model, "--last-gamma"]).last_gamma is True
    assert parse(["--model", model, "--last-gamma", "--fidelity", "gluoncv"]).last_gamma is False


def test_data_dir_names_the_four_files(tmp_path):
    config = parse(["--data-dir", str(tmp_path)])
    assert config.rec_train == str(tmp_path / "train.rec") and config.rec_val_idx == str(
        tmp_path / "val.idx"
    )
    inner = tmp_path / "rec"
    inner.mkdir()
    (inner / "train.rec").write_bytes(b"")
    assert parse(["--data-dir", str(tmp_path) + "/"]).rec_train == str(inner / "train.rec")
    (tmp_path / "train.rec").write_bytes(b"")
    assert parse(["--data-dir", str(tmp_path)]).rec_train == str(tmp_path / "train.rec")


def test_without_a_file_the_authors_folder_is_used_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse([]).rec_train == ""
    folder = tmp_path / ".mxnet" / "datasets" / "imagenet" / "rec"
    folder.mkdir(parents=True)
    (folder / "train.rec").write_bytes(b"")
    assert parse([]).rec_train == str(folder / "train.rec")
    assert parse(["--synthetic"]).rec_train == ""
    assert parse(["--rec-train", "~/a.rec"]).rec_train == str(tmp_path / "a.rec")
    assert parse(["--rec-train", "~/a.rec"]).rec_train_idx == str(tmp_path / "a.idx")


def test_a_path_may_begin_at_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    names = "use-params resume-params teacher save-dir logging-file resume".split()
    names += "rec-train rec-train-idx rec-val rec-val-idx".split()
    config = vars(parse([f"--{name}=~/{name}" for name in names]))
    assert {name: config[name.replace("-", "_")] for name in names} == {
        name: "/home/me/" + name for name in names
    }
    assert parse(["--data-dir=~/data"]).rec_val == "/home/me/data/val.rec"
    assert parse(["--resume", "auto"]).resume == "auto"


# What the help calls a path.
PATHS = (
    "ARCHIVE FILE FOLDER DIR PATH PNG SOURCE MODEL RUN IMAGE IMAGES MASKS ANNOTATIONS HOSTS".split()
)


def arguments_of(parser):
    """All arguments of a parser and of its sub-parsers."""
    for each in parsers_of(parser):
        yield from (a for a in each._actions if not isinstance(a, argparse._SubParsersAction))


def parsers_of(parser):
    """A parser and its sub-parsers."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers_of(sub)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_path_of_every_command_may_begin_at_the_home_folder(command):
    parser = cli.Parser()
    importlib.import_module(cli.COMMANDS[command][0]).add_arguments(parser)
    for action in arguments_of(parser):
        metavar = action.metavar[0] if isinstance(action.metavar, tuple) else str(action.metavar)
        assert (metavar.split(".")[0] in PATHS) == is_path(action.type), action


def is_path(kind):
    """Whether an argparse type puts the home folder in place of ~."""
    try:
        return kind is not None and kind("~/x") == os.path.expanduser("~/x")
    except (ValueError, argparse.ArgumentTypeError):
        return False


def test_no_path_but_one_of_a_training_may_be_empty():
    with pytest.raises(argparse.ArgumentTypeError, match="is empty, but a path is needed"):
        user_path("")
    assert parse(["--use-params", ""]).use_params == ""


def test_resolved_flags_survive_json():
    config = parse(
        [
            "--mixup",
            "--lr-decay-epoch",
            "3,5",
            "--dtype",
            "float16",
            "--crop-area",
            "0.2,0.9",
            "--rec-train",
            "x.rec",
        ]
    )
    assert from_dict(json.loads(to_json(config))) == config


def test_flags_of_another_version_are_named():
    with pytest.raises(ConfigError, match="new_flag"):
        from_dict(dict(json.loads(to_json(parse([]))), new_flag=1))


def test_resuming_may_change_harmless_flags_alone():
    old = parse([])
    free = dict(
        save_dir="x",
        log_interval=7,
        num_data_workers=9,
        save_frequency=3,
        max_steps=5,
        resume="auto",
        logging_file="l",
        num_gpus=8,
    )
    assert differences(old, resolve(free)) == []
    changed = resolve(dict(lr=0.2, seed=1, mixup=True, lr_counting="updates"))
    assert [line.split(":")[0] for line in differences(old, changed)] == [
        "--lr",
        "--lr-counting",
        "--mixup",
        "--mixup-alpha",
        "--seed",
    ]
    assert "--lr: 0.1 -> 0.2" in differences(old, changed)


def test_every_flag_has_help_and_a_metavar_and_the_papers_flags_have_their_section():
    for name, field in FLAGS.items():
        assert field.metadata["help"], name
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    assert {"--" + name.replace("_", "-") for name in FLAGS} <= known
    for trick in (
        "last_gamma",
        "no_wd",
        "label_smoothing",
        "mixup",
        "teacher",
        "linear_scaling",
        "warmup_epochs",
        "lr_mode",
        "dtype",
    ):
        assert FLAGS[trick].metadata["section"], trick


@pytest.mark.parametrize("task", registry.TASKS)
def test_the_help_has_the_defaults_of_every_task(task):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = dict(task=task)
    if task == "segmentation":
        given["classes"] = 2  # it has no default that can be
    shown, run = shown_defaults(parser, task), resolve(given)
    for name in set(FLAGS) - {*given, "mixup_alpha", "save_dir"}:  # the last two follow from others
        value = getattr(run, name)
        if name in shown:
            exact = isinstance(value, str)
            assert shown[name] == (value if exact else pytest.approx(value, rel=1e-5)), name
        else:
            assert value in ("", 0), name


def test_the_help_of_task_names_tasks_that_there_are():
    assert ": classification, segmentation, detection or" in FLAGS["task"].metadata["help"]
    assert {"classification", "segmentation", "detection"} <= set(registry.TASKS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_is_plain_text(command):
    parser = cli.Parser(description=cli.COMMANDS[command][1])
    importlib.import_module(cli.COMMANDS[command][0]).add_arguments(parser)
    for each in parsers_of(parser):
        text = each.format_help()
        assert "`" not in text, each.prog
        assert not re.search(r"\w-\n", text), each.prog  # within a flag's name


def test_the_flags_are_known_without_mxnet():
    code = (
        "import sys, gluon_tricks.cli, gluon_tricks.commands.plan; sys.exit('mxnet' in sys.modules)"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0


def test_every_flag_comes_back_from_json_with_the_values_that_it_can_have():
    numbers = {int: 5, float: 0.5}
    for name, field in FLAGS.items():
        meta, default = field.metadata, field.default
        value = default
        if meta["choices"]:
            value = meta["choices"][-1]
        elif field.type in numbers:
            value = numbers[field.type]
        elif isinstance(default, bool):
            value = not default
        elif name == "batch_growth":
            value = "3:x2"
        elif isinstance(default, str) and name != "loss_scale":
            value = "some/path"
        config = dataclasses.replace(Config(), **{name: value})
        again = from_dict(json.loads(to_json(config)))
        assert again == config, name


@pytest.mark.parametrize(
    "name, value",
    [
        ("classes", 3.0),
        ("classes", True),
        ("lr", "0.1"),
        ("mixup", 1),
        ("crop_area", [0.1]),
        ("crop_area", [0.1, None]),
        ("lr_decay_epoch", [1.5]),
        ("loss_scale", "static"),
        ("lr_mode", "sine"),
        ("model", None),
        ("batch_size", 0),
    ],
)
def test_a_value_from_json_that_a_flag_cannot_have_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match="--" + name.replace("_", "-")):
        from_dict({name: value})
