"""The plan: the authors' published commands parse, and their logs' learning rates come out to the
last printed digit.
"""

import csv
import pathlib
import re
import shlex

import pytest

import gluon_tricks.config as flags
from gluon_tricks.cli import main
from gluon_tricks.config import ConfigError
from gluon_tricks.errors import UserError
from gluon_tricks.training import plan

REC = (
    " --rec-train /media/ramdisk/rec/train.rec --rec-train-idx /media/ramdisk/rec/train.idx"
    " --rec-val /media/ramdisk/rec/val.rec --rec-val-idx /media/ramdisk/rec/val.idx --use-rec"
    " --mode hybrid"
)
COSINE = REC + " --lr-mode cosine --warmup-epochs 5"
EIGHT = COSINE + " --batch-size 128 --num-gpus 8 -j 60 --lr 0.4"
FOUR = COSINE + " --batch-size 256 --num-gpus 4 -j 30 --lr 0.4"
STEP = (
    " --batch-size 64 --num-gpus 4 -j 32 --mode hybrid --num-epochs 150 --lr 0.1 --momentum 0.9"
    " --wd 0.0001"
    " --lr-decay 0.1 --lr-decay-epoch 30,60,90"
)
MOBILE2 = (
    " --batch-size 40 --num-gpus 4 -j 32 --mode hybrid --num-epochs 480 --lr 0.045 --wd 0.00004"
    " --lr-decay 0.98 --lr-decay-period 1"
)
VGG = (
    " --batch-size 32 --num-gpus 8 -j 64 --mode hybrid --num-epochs 100 --lr 0.01"
    " --lr-decay 0.1 --lr-decay-epoch 50,80"
)
HALF, TRICKS, MIXED = (
    " --dtype float16",
    " --no-wd --label-smoothing",
    " --no-wd --label-smoothing --mixup",
)
GAMMA, E120, E180, E200 = (
    " --last-gamma",
    " --num-epochs 120",
    " --num-epochs 180",
    " --num-epochs 200",
)

# Flags of the published commands: dmlc/web-data, gluoncv/logs/classification/imagenet/*.sh (names
# without .sh).
COMMANDS = {
    "darknet53": "darknet53 --save-dir darknet53" + EIGHT + E180 + HALF,
    "darknet53-mixup": "darknet53 --logging-file darknet53_mixup.log" + EIGHT + E200 + HALF + MIXED,
    "googlenet_mixup": "googlenet --input-size 224" + EIGHT + E200 + HALF + MIXED,
    "inceptionv3-mixup": "inceptionv3 --input-size 299" + EIGHT + E200 + HALF + MIXED,
    "resnet50_v1": "resnet50_v1" + STEP,
    "resnet50_v2": "resnet50_v2" + EIGHT + E120,
    "resnet50_v1b": "resnet50_v1b" + EIGHT + E120 + GAMMA,
    "resnet50_v1b_gn": "resnet50_v1b --dtype float32 --use-gn" + EIGHT + E120 + GAMMA + TRICKS,
    "resnet50_v1c": "resnet50_v1c" + EIGHT + E120 + GAMMA + HALF + TRICKS,
    "resnet50_v1d": "resnet50_v1d" + EIGHT + E120 + GAMMA + HALF + TRICKS,
    "resnet50_v1d-mixup": "resnet50_v1d" + EIGHT + E200 + GAMMA + HALF + MIXED,
    "resnet101_v1b": "resnet101_v1b" + EIGHT + E120 + GAMMA + HALF,
    "resnet101_v1c": "resnet101_v1c" + EIGHT + E120 + GAMMA + HALF + TRICKS,
    "resnet101_v1d": "resnet101_v1d" + EIGHT + E200 + GAMMA + HALF + MIXED,
    "resnet152_v1": "resnet152_v1" + EIGHT + E180 + HALF,
    "resnet152_v1d": "resnet152_v1d --lr 0.2 --batch-size 64 --num-gpus 8 -j 60"
    + COSINE
    + E120
    + GAMMA
    + TRICKS,
    "resnet18_v1b": "resnet18_v1b" + FOUR + E120 + GAMMA,
    "resnet34_v1b": "resnet34_v1b" + FOUR + E120 + GAMMA,
    "mobilenetv2_1.0": "mobilenetv2_1.0 --lr 0.05 --wd 0.00004 --num-epochs 150 --batch-size 64"
    " --num-gpus 4 -j 32" + COSINE + TRICKS,
    "vgg16_bn": "vgg16_bn --batch-norm --use-rec --save-dir params_vgg16_bn" + VGG,
    "xception": "xception --input-size 299 --lr 0.1 --batch-size 32 --num-gpus 8 -j 60 --dtype"
    " float32" + COSINE + E200 + TRICKS,
    "se_resnext101_64x4d": "se_resnext101_64x4d --lr 0.4 --batch-size 64 --num-gpus 8 -j 90"
    " --dtype float32" + COSINE + E200 + GAMMA + MIXED,
}
for width in ("0.25", "0.5", "0.75", "1.0"):
    COMMANDS["mobilenet" + width] = "mobilenet" + width + EIGHT + E120 + HALF + TRICKS
for width in ("0.25", "0.5", "0.75"):
    COMMANDS["mobilenetv2_" + width] = "mobilenetv2_" + width + MOBILE2
for name in ("mobilenetv3_large", "mobilenetv3_small"):
    COMMANDS[name] = (
        name
        + " --wd 0.00003 --lr 2.6 --num-epochs 360 --batch-size 256 --num-gpus 8 -j 96"
        + COSINE
    )
    COMMANDS[name] += GAMMA + HALF + TRICKS
for name in ("resnet152_v1b", "resnet152_v1c", "resnet152_v1d-mixup"):
    COMMANDS[name] = (
        name.replace("-mixup", "") + " --lr 0.1 --batch-size 32 --num-gpus 8 -j 60" + COSINE + GAMMA
    )
    COMMANDS[name] += E200 + MIXED if name.endswith("mixup") else E120 + TRICKS
for name in (
    "resnet101_v1",
    "resnet18_v1",
    "resnet34_v1",
    "resnet18_v2",
    "resnet34_v2",
    "resnet101_v2",
    "resnet152_v2",
):
    COMMANDS[name] = name + STEP
for name in (
    "resnext50_32x4d",
    "resnext101_32x4d",
    "resnext101_64x4d",
    "se_resnext50_32x4d",
    "se_resnext101_32x4d",
):
    precision = " --dtype float32" if name.startswith("se_") else HALF
    COMMANDS[name] = name + EIGHT + E200 + GAMMA + precision + MIXED
for name in ("vgg16", "vgg19", "vgg19_bn"):
    COMMANDS[name] = name + VGG
COMMANDS = {name: "--model " + words for name, words in COMMANDS.items()}

# Published commands of train_horovod.py, which all have --auto_aug.
HOROVOD = [
    "--model {} --lr {} --num-epochs 270 --batch-size {} --use-rec --dtype float32"
    " --warmup-epochs 5"
    " --last-gamma --no-wd"
    " --label-smoothing --mixup --log-interval 100 --eval-frequency 5 --auto_aug --input-size"
    " {}{}".format(*row)
    for row in (
        ("resnest14", 0.05, 128, 224, " --data-nthreads 10"),
        ("resnest26", 0.05, 128, 224, " --data-nthreads 10"),
        ("resnest50", 0.05, 128, 224, ""),
        ("resnest101", 0.025, 64, 224, ""),
        ("resnest200", 0.0125, 32, 256, ""),
        ("resnest269", 0.0125, 32, 320, ""),
    )
]

# What the logs next to the commands print: epoch/batch lr.
LOGS = {
    "resnet18_v1": "0/49 0.003133, 0/99 0.006331, 0/1249 0.079872, 1/49 0.083133, 2/649"
    " 0.201503, 4/1249"
    " 0.399872,"
    " 5/49 0.400000, 5/149 0.399999, 5/599 0.399983, 5/1249 0.399926, 119/599 0.000020, 119/849"
    " 0.000008,"
    " 119/1149 0.000000",
    "resnet50_v1d": "60/49 0.213435, 100/49 0.029005, 114/49 0.002646, 119/299 0.000043,"
    " 119/649 0.000017",
    "resnet50_v1d-mixup": "102/49 0.201485, 198/49 0.000100",
    "resnet50_v1b_gn": "119/299 0.000043, 119/649 0.000017",
    "mobilenet0.25": "119/249 0.000048, 119/649 0.000017",
    "inceptionv3-mixup": "199/249 0.000017, 199/449 0.000011",
    "darknet53": "179/299 0.000019, 179/349 0.000017, 179/649 0.000007",
    "resnet152_v1": "179/349 0.000017, 179/649 0.000007",
    "se_resnext101_64x4d": "199/1449 0.000005, 199/1749 0.000002, 199/2199 0.000000",
    "xception": "198/1299 0.000020, 198/1749 0.000018, 199/1299 0.000004, 199/1349 0.000003",
    "vgg16": "49/1249 0.010000, 49/4999 0.010000, 50/49 0.001000, 99/4999 0.000100",
    "mobilenetv3_large": "0/49 0.041613, 0/599 0.499360, 1/49 0.562612, 3/49 1.603777, 4/599"
    " 2.582522,"
    " 5/49 2.600000,"
    " 5/99 2.599999, 8/299 2.599381, 12/599 2.596767, 358/549 0.000032, 359/49 0.000018,"
    " 359/349 0.000001",
    "mobilenetv3_small": "359/149 0.000009, 359/249 0.000004",
    "googlenet_mixup": "102/49 0.201442, 104/1249 0.191909, 105/49 0.191778, 108/49 0.182131,"
    " 199/249"
    " 0.000016,"
    " 199/699 0.000005",
}
# The published log of this one is of another run than the command next to it.
LOGGED = dict(COMMANDS, resnet18_v1="--model resnet18_v1" + FOUR + E120)


def planned(command, workers=0):
    return plan.RunPlan(flags.parse(shlex.split(command)), workers)


def printed(text, capsys):
    assert main(["plan"] + shlex.split(text)) == 0
    return capsys.readouterr().out


def test_all_published_commands_of_train_imagenet_are_here():
    assert len(COMMANDS) == 49 and len(HOROVOD) == 6


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("fidelity", ["", " --fidelity gluoncv"])
def test_a_published_command_parses_and_has_a_schedule(name, fidelity):
    run = planned(COMMANDS[name] + fidelity)
    given = dict(re.findall(r"--(batch-size|num-gpus|num-epochs) (\d+)", COMMANDS[name]))
    batch = int(given["batch-size"]) * int(given["num-gpus"])
    assert run.layout.global_batch == batch
    assert run.steps_per_epoch == 1281167 // batch
    assert run.total_steps == int(given["num-epochs"]) * run.steps_per_epoch
    assert run.schedule(run.total_steps - 1) >= 0


@pytest.mark.parametrize("log", LOGS)
def test_the_authors_logs_come_out_to_the_last_digit(log):
    run = planned(LOGGED[log] + " --fidelity gluoncv")
    for epoch, batch, rate in re.findall(r"(\d+)/(\d+) ([\d.]+)", LOGS[log]):
        found = run.schedule(int(epoch) * run.steps_per_epoch + int(batch))
        assert f"{found:.6f}" == rate, (epoch, batch)


@pytest.mark.parametrize("command", HOROVOD)
def test_a_published_command_with_auto_augment_is_refused_by_that_flag(command):
    with pytest.raises(ConfigError, match="^--auto_aug: "):
        flags.parse(shlex.split(command))
    flags.parse(shlex.split(command.replace("--auto_aug ", "")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name in COMMANDS if "101" not in name and "152" not in name and "vgg1" not in name],
)
def test_the_network_of_a_published_command_is_planned(name, capsys):
    text = printed(COMMANDS[name] + " --fidelity gluoncv", capsys)
    assert (
        re.search(r"network +\S+: [\d.]+ M parameters", text)
        and "1,281,167 an epoch (ImageNet's" in text
    )


SMALL = (
    "--model resnet18_v1d --classes 10 --input-size 32 --num-training-samples 1000 --num-epochs 4"
    " --batch-size 8 --cpu-contexts 2"
)


def test_the_rates_of_every_batch_are_written(tmp_path, capsys):
    path = tmp_path / "rates.csv"
    printed(f"{SMALL} --lr-mode cosine --warmup-epochs 1 --lr-csv {path}", capsys)
    with open(path) as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "batch", "lr"]
    schedule = planned(SMALL + " --lr-mode cosine --warmup-epochs 1").schedule
    assert [(int(epoch), int(batch)) for epoch, batch, _ in rows[1:]] == [
        (e, b) for e in range(4) for b in range(62)
    ]
    assert [float(rate) for _, _, rate in rows[1:]] == [schedule(step) for step in range(4 * 62)]
    assert float(rows[1][2]) == pytest.approx(0.1 / 62, abs=1e-15)


def test_every_nth_batch_of_each_epoch(tmp_path, capsys):
    path = tmp_path / "rates.csv"
    printed(f"{SMALL} --lr-csv {path} --every 50", capsys)
    assert [row[:2] for row in csv.reader(open(path))][1:] == [
        [str(e), b] for e in range(4) for b in ("0", "50")
    ]


def test_the_plot_is_an_image(tmp_path, capsys):
    path = tmp_path / "rate.png"
    printed(f"{SMALL} --plot {path}", capsys)
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 3000


@pytest.mark.parametrize("flag", ["--lr-csv", "--plot"])
def test_a_file_that_cannot_be_written_is_named(flag, tmp_path, capsys):
    path = str(tmp_path / "missing" / "file.png")
    assert main(["plan"] + shlex.split(f"{SMALL} {flag} {path}")) == 2
    assert f"{path}: cannot be written: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, words",
    [
        ("--every 0 --lr-csv x", "--every is 0"),
        ("--every 5", "--every has no effect without --lr-csv"),
    ],
)
def test_every_needs_a_file_and_a_positive_number(argv, words, capsys):
    assert main(["plan"] + shlex.split(SMALL + " " + argv)) == 2
    assert words in capsys.readouterr().err


def test_the_report_says_what_the_run_will_be(capsys):
    text = printed(
        SMALL
        + " --lr-mode cosine --warmup-epochs 1 --last-gamma --no-wd --label-smoothing 0.2 --mixup"
        " --linear-scaling",
        capsys,
    )
    assert "1,000 an epoch (--num-training-samples)" in text
    assert "global batch  16 = 8 images x 2 parts; 1 worker with 2 devices\n" in text
    assert "62 an epoch (8 images left over in each), 4 epochs, 248 in all" in text
    lines = {
        line.split("  ")[1].strip(): line for line in text.splitlines() if line.startswith("  ")
    }
    assert lines["linear scaling"].endswith("peak 0.00625")
    assert lines["warmup"].endswith("1 epoch, 62 steps")
    assert (
        lines["zero gamma"].endswith(" on")
        and lines["no bias decay"].endswith(" on")
        and lines["cosine decay"].endswith(" on")
    )
    assert lines["label smoothing"].endswith(" 0.2") and lines["mixup"].endswith("alpha 0.2")
    assert lines["distillation"].endswith(" off") and lines["low precision"].endswith(" off")
    assert "--label-smoothing 0.2, paper: 0.1 (5.2)" in text
    assert "--num-epochs 4, paper: 200 (2.1)" in text
    assert "--input-size 32, paper: 224 (2.1)" in text
    assert "epoch 4" in text.splitlines()[-1] and text.count("*") >= 64


def test_the_papers_own_run_differs_in_nothing(capsys):
    text = printed(
        "--model resnet50_v1d --num-gpus 8 --batch-size 128 --dtype float16 --linear-scaling"
        " --warmup-epochs 5 --last-gamma --no-wd"
        " --lr-mode cosine --label-smoothing --mixup --num-epochs 200 --num-training-samples"
        " 1281167",
        capsys,
    )
    assert "differences from the paper: none" in text
    assert "25.58 M parameters, 4.33 G multiply-adds at 224x224" in text
    assert "peak 0.4\n" in text


def test_what_fidelity_gluoncv_changes_is_listed(capsys):
    text = printed(
        SMALL
        + " --fidelity gluoncv --label-smoothing --mixup --warmup-epochs 1 --teacher resnet18_v1",
        capsys,
    )
    for flag in (
        "--smoothing-form gluoncv",
        "--color-form gluoncv",
        "--init msra",
        "--hard-weight 0.5",
        "--mixup-partner reverse",
        "--warmup-from 0",
        "--val-last-batch wrap",
        "--lr-decay-epoch 40,60",
    ):
        assert re.search(flag + ", paper: ", text), flag


def test_flags_without_effect_are_no_difference(capsys):
    text = printed(SMALL + " --fidelity gluoncv", capsys)
    assert (
        "--mixup-partner" not in text
        and "--smoothing-form" not in text
        and "--hard-weight" not in text
    )


@pytest.mark.parametrize("model", ["resnet18_v1d", "mobilenet0.25"])
def test_the_weight_decay_groups_hold_every_trained_parameter(model):
    from gluon_tricks.training.plan import network_of

    argv = ["--model", model, "--classes", "10", "--input-size", "32"]
    cost, plain = network_of(flags.parse(argv))
    assert plain["not decayed"] == (0, 0) and plain["decayed"][1] == cost.parameters
    _, exempt = network_of(flags.parse(argv + ["--no-wd"]))
    assert exempt["decayed"][1] + exempt["not decayed"][1] == cost.parameters
    assert exempt["decayed"][0] + exempt["not decayed"][0] == plain["decayed"][0]
    _, none = network_of(flags.parse(argv + ["--wd", "0"]))
    assert none["decayed"] == (0, 0)


def test_the_index_alone_is_read(tmp_path):
    index = tmp_path / "train.idx"
    index.write_text("".join(f"{i}\t{100 * i}\n" for i in range(70)))
    command = "--model resnet18_v1d --batch-size 8 --num-epochs 2 --rec-train {}".format(
        tmp_path / "train.rec"
    )
    run = planned(command)
    assert (run.images, run.steps_per_epoch, run.images_from) == (70, 8, str(index))
    assert planned(command + " --num-training-samples 40").steps_per_epoch == 5
    with pytest.raises(UserError, match="--num-training-samples 71"):
        planned(command + " --num-training-samples 71")
    with pytest.raises(UserError, match="fewer than one global batch of 128.*--batch-size"):
        planned(command + " --num-gpus 16")


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "train.idx").write_text("0 0\nnonsense\n")
    with pytest.raises(UserError, match="train.idx"):
        planned("--rec-train {}".format(tmp_path / "train.rec"))


def test_gpus_and_workers_need_not_be_here(monkeypatch):
    for name in plan.LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    command = (
        "--num-training-samples 100000 --batch-size 16 --num-gpus 8 --accumulate 2 --linear-scaling"
    )
    assert planned(command).layout.global_batch == 256
    servers = command + " --kvstore dist_sync"
    assert planned(servers, workers=4).layout.global_batch == 1024
    assert planned(servers, workers=4).schedule.peak == pytest.approx(0.4)
    horovod = command + " --kvstore horovod"  # one device a worker
    assert planned(horovod, workers=32).layout.global_batch == 1024
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    assert planned(horovod).layout.global_batch == 64
    assert planned(command).layout.global_batch == 256
    with pytest.raises(UserError, match="--workers 4 needs --kvstore"):
        planned(command, workers=4)


def test_synthetic_images_are_counted():
    assert planned("--synthetic 96 --batch-size 8").steps_per_epoch == 12


def test_a_flag_that_cannot_apply_is_refused_by_name(capsys):
    assert main(["plan", "--model", "vgg11", "--last-gamma"]) == 2
    assert "--last-gamma does not apply to vgg11" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, words",
    [
        ("--use-pretrained", "nobody publishes parameters of resnet18_v1d"),
        ("--teacher resnet18_v1d", "nobody publishes parameters of resnet18_v1d"),
        ("--dtype float16", "--dtype float16: MXNet cannot multiply float16"),
        ("--sync-bn", "--sync-bn: MXNet's SyncBatchNorm crashes on 2 CPU contexts"),
        ("--ema 0.9 --ema-every 999", "--ema-every 999 is more than the 16 steps"),
        ("--data-backend native --auto-augment trivial", "cannot do TrivialAugment"),
        ("--device-augment --cutout 8", "--device-augment cannot do Cutout"),
    ],
)
def test_what_a_training_refuses_for_its_flags_a_plan_refuses_in_the_same_words(
    more, words, digits, tmp_path, capfd
):
    small = SMALL.replace("1000", "64")
    flags = shlex.split(f"{small} --color-form gluoncv --data-dir {digits} {more}")
    assert main(["plan", *flags]) == 2
    planned = capfd.readouterr().err
    assert main(["train", *flags, "--save-dir", str(tmp_path / "run")]) == 2
    assert words in planned
    assert capfd.readouterr().err.splitlines()[-1] == planned.strip().replace(" plan:", " train:")


def test_a_plan_knows_what_several_workers_cannot_do():
    command = "--rec-train a.rec --rec-val b.rec --num-training-samples 100000 --fidelity gluoncv"
    assert planned(command).layout.workers == 1
    with pytest.raises(UserError, match="--val-last-batch wrap .* with 4 workers use exact"):
        planned(command + " --kvstore dist_sync", workers=4)
    with pytest.raises(UserError, match="--workers -1: has to be at least 0"):
        planned(command, workers=-1)


def test_a_launchers_variable_that_is_no_number_is_named(monkeypatch):
    for name in plan.LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DMLC_NUM_WORKER", "many")
    with pytest.raises(UserError, match="DMLC_NUM_WORKER=many: has to be a positive whole number"):
        planned("--num-training-samples 100000 --kvstore dist_sync")


def test_a_wrong_task_is_named(capfd):
    assert main("plan --synthetic 8 --task nan".split()) == 2
    assert "--task nan: there is no such task" in capfd.readouterr().err
    assert main("train --rec-train missing.rec --task nan".split()) == 2
    assert "--task nan: there is no such task" in capfd.readouterr().err


def test_a_wrong_network_is_named(capsys):
    assert main(["plan", "--model", "resnet50_v9"]) == 2
    assert "resnet50_v9" in capsys.readouterr().err


def test_every_test_that_the_fidelity_page_names_is_there():
    root = pathlib.Path(__file__).resolve().parents[2]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (root / "docs" / "fidelity.md").read_text())
    assert len(named) > 30
    for path, name in named:
        assert f"def {name}(" in (root / path).read_text(), (path, name)
