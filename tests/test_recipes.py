"""Each recipe is its row: its flags are the row's settings, and it trains, here two steps on small
images.
"""

import argparse
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import box_scenes
import pytest

from gluon_tricks import cli, literature, paper, transfer
from gluon_tricks import config as flags
from gluon_tricks.commands import launch
from gluon_tricks.data.prepare import boxed_scenes, scenes
from gluon_tricks.distributed.launch_plan import plan
from gluon_tricks.tricks.schedule import linear_scaling

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECIPES = os.path.join(ROOT, "recipes")
ROWS = {row.recipe: row for row in paper.ROWS}
LATER = {row.recipe: row for row in literature.ROWS}
ELSEWHERE = {row.recipe: row for row in transfer.ROWS}
DISTINCT_RUNS = [row.recipe for row in paper.ROWS if not row.same_run_as]
SHARED = {
    *("launch", "demo_digits", "demo_segmentation", "demo_detection"),
    *("ablation_digits", "ablation_fashion"),
}
# What makes a recipe small enough for a test; the last of a flag wins.
SMALL = (
    "--num-gpus 0 --cpu-contexts 1 --batch-size 2 --dtype float32 --max-steps 2 --classes 4"
    " --input-size 33 "
    "-j 1 --log-interval 1".split()
)
VARIABLES = ("GPUS", "NP", "HOSTS", "LAUNCHER", "ACCUMULATE", "RUNS", "DATA", "THREADS", "RESTARTS")


def script(name):
    return os.path.join(RECIPES, name + ".sh")


def run(name, *more, **variables):
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    environment = {**environment, "PYTHON": sys.executable, **variables}
    command = [script(name)] + list(more)
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def before_path(folder):
    """The search path with a folder of stand-ins at its head."""
    return "{}:{}".format(folder, os.environ["PATH"])


def arguments(name, *more, **variables):
    """What the recipe gives to `gluon-tricks train`."""
    words = shlex.split(run(name, *more, LAUNCHER="print", **variables).stdout)
    assert words[:4] == [sys.executable, "-m", "gluon_tricks", "train"]
    return words[4:]


def test_every_row_has_a_script_and_every_script_a_row():
    scripts = {name[:-3] for name in os.listdir(RECIPES) if name.endswith(".sh")}
    assert scripts - SHARED == set(ROWS) | set(LATER) | set(ELSEWHERE)
    for name in scripts:
        assert os.stat(script(name)).st_mode & stat.S_IXUSR, name


def test_a_recipe_is_short_and_says_first_what_it_is():
    for row in paper.ROWS:
        with open(script(row.recipe)) as file:
            lines = file.read().splitlines()
        assert len(lines) <= 15 and lines[0] == "#!/usr/bin/env bash"
        assert lines[1].startswith("# " + row.title)
        if row.score:
            assert row.score.words in lines[1]
        assert "8 V100, {} images a step".format(row.settings["global_batch"]) in lines[2]
        assert (f"{row.hours:.1f} hours" if row.hours else "hours not published") in lines[2]
        assert not row.needs or f"# First: recipes/{row.needs}.sh" in lines
        assert lines[-1].endswith('"$@"')


def test_a_later_recipe_is_short_and_says_first_what_it_is():
    for row in LATER.values():
        with open(script(row.recipe)) as file:
            lines = file.read().splitlines()
        work = literature.WORKS[row.work]
        assert len(lines) <= 15 and lines[0] == "#!/usr/bin/env bash"
        assert lines[1] == f"# {row.title}: {row.figure} ({row.origin})."
        assert f"# {work.hardware}, {row.settings['global_batch']} images a step" in lines[2]
        assert not row.teacher or lines[3].endswith(f"-o DATA/{row.teacher}.logits")
        assert lines[-1].endswith('"$@"')


def test_a_recipe_for_other_data_is_short_and_says_first_what_it_is_and_needs():
    for row in ELSEWHERE.values():
        with open(script(row.recipe)) as file:
            lines = file.read().splitlines()
        assert len(lines) <= 15 and lines[0] == "#!/usr/bin/env bash"
        assert lines[1] == f"# {row.title}: {row.figure} ({row.origin})."
        assert f"# {row.hardware}, {row.settings['global_batch']} images a step" in lines[2]
        first = f"recipes/{row.backbone}.sh; " * bool(row.backbone)
        assert lines[3] == f"# First: {first}gluon-tricks prepare {row.data.prepare} SOURCE DATA"
        assert lines[-1].endswith('"$@"')


def config_of(name, settings, gpus=8):
    """The flags of a recipe, after they were compared with the settings of its row."""
    config = flags.parse(arguments(name, DATA="/data", RUNS="/runs"))
    batch = config.batch_size * config.num_gpus * config.accumulate
    peak = linear_scaling(batch, config.base_lr) if config.linear_scaling else config.lr
    found = dict(vars(config), global_batch=batch, peak=peak, distilled=bool(config.teacher))
    assert {key: found[key] for key in settings} == settings
    # Whatever the row does not name is at its default, the paper's, or says on what the run runs.
    derived = {"batch_size", "lr", "linear_scaling", "base_lr", "mixup", "mixup_alpha"}
    derived |= {"teacher", "teacher_logits", "use_params", "backbone_params"}
    for key in set(flags.FLAGS) - set(settings) - derived:
        assert flags.FLAGS[key].metadata["free"] or found[key] == flags.FLAGS[key].default, key
    assert config.mixup_alpha == settings.get("mixup_alpha", 0)
    assert (config.num_gpus, config.kvstore, config.resume) == (gpus, "device", "auto")
    assert config.rec_train == "/data/train.rec"
    return config


@pytest.mark.parametrize("name", ROWS)
def test_a_recipes_flags_are_its_rows_settings(name):
    row = ROWS[name]
    config = config_of(name, row.settings)
    assert config.base_lr == flags.FLAGS["base_lr"].default
    assert config.save_dir == "/runs/" + (row.same_run_as or name)
    assert config.teacher == ("/runs/" + row.needs if row.needs else "")
    assert not config.teacher_logits and not config.use_params


@pytest.mark.parametrize("name", LATER)
def test_a_later_recipes_flags_are_its_rows_settings(name):
    row = LATER[name]
    config = config_of(name, row.settings)
    assert config.save_dir == "/runs/" + name and not config.teacher and not config.use_params
    assert config.teacher_logits == (f"/data/{row.teacher}.logits" if row.teacher else "")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_flags_of_a_recipe_for_other_data_are_its_rows_settings(name):
    row = ELSEWHERE[name]
    config = config_of(name, row.settings, gpus=int(row.hardware.split()[0]))
    assert config.save_dir == "/runs/" + name and not config.teacher and not config.teacher_logits
    run = f"/runs/{row.backbone}" if row.backbone else ""
    assert config.backbone_params == (run if row.network else "")
    assert config.use_params == ("" if config.backbone_params else run)
    elsewhere = flags.parse(arguments(name, DATA=""))
    assert elsewhere.rec_train == f"data/{row.data.prepare}/train.rec"


def test_the_batch_stays_the_rows_on_other_machines():
    one_gpu = flags.parse(arguments("table6_resnet50_v1d_mixup", GPUS="1", ACCUMULATE="16"))
    assert (one_gpu.num_gpus, one_gpu.accumulate, one_gpu.batch_size) == (1, 16, 64)
    cpu = flags.parse(arguments("table2_mobilenet_baseline", GPUS="0"))
    assert (cpu.num_gpus, cpu.batch_size) == (0, 256)
    refused = run("table2_mobilenet_baseline", GPUS="3")
    assert refused.returncode == 2
    assert "256 images per step cannot be divided into 3 equal parts" in refused.stderr


def test_horovod_starts_a_worker_a_gpu_with_its_share_of_the_batch(tmp_path):
    stub = tmp_path / "horovodrun"
    stub.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$OMP_NUM_THREADS" "$MXNET_SAFE_ACCUMULATION" "$@"\n'
    )
    stub.chmod(0o755)
    variables = dict(LAUNCHER="horovod", NP="32", HOSTS="a:8,b:8,c:8,d:8", THREADS="4")
    variables.update(OMP_NUM_THREADS="", MXNET_SAFE_ACCUMULATION="", PATH=before_path(tmp_path))
    out = run("table6_resnet50_v1d_mixup", "--seed", "3", **variables)
    words = out.stdout.splitlines()
    assert words[:6] == ["1", "1", "-np", "32", "-H", "a:8,b:8,c:8,d:8"], out.stderr
    assert words[6:10] == [sys.executable, "-m", "gluon_tricks", "train"]
    config = flags.parse(words[10:])
    assert (config.kvstore, config.num_gpus, config.batch_size, config.num_data_workers) == (
        "horovod",
        1,
        32,
        4,
    )
    assert config.seed == 3 and config.mixup_alpha == 0.2


def test_horovod_is_started_again_by_the_launcher_if_asked_to(tmp_path):
    stub = tmp_path / "python"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    variables = dict(LAUNCHER="horovod", NP="16", HOSTS="a:8,b:8", RESTARTS="3", PYTHON=str(stub))
    words = run("table6_resnet50_v1d_mixup", **variables).stdout.splitlines()
    assert words[:3] == ["-m", "gluon_tricks", "launch"]
    parser = argparse.ArgumentParser()
    launch.add_arguments(parser)
    args = parser.parse_args(words[3:])
    assert (args.kvstore, args.workers, args.hosts, args.restarts) == ("horovod", 16, "a:8,b:8", 3)
    (process,) = plan(launch.launch_of(args))
    config = flags.parse(process.command[process.command.index("train") + 1 :])
    assert (config.kvstore, config.num_gpus, config.batch_size, config.elastic) == (
        "horovod",
        1,
        64,
        "keep-batch",
    )


SETTINGS = (
    "MXNET_SAFE_ACCUMULATION",
    "MXNET_ENFORCE_DETERMINISM",
    "MXNET_CUDNN_AUTOTUNE_DEFAULT",
    "NVIDIA_TF32_OVERRIDE",
)


def settings(tmp_path, name, *more, **variables):
    """SETTINGS as the recipe's command sees them, with a stand-in for Python that says what they
    are.
    """
    stub = tmp_path / "python"
    stub.write_text(
        '#!/bin/sh\nprintf "%s\\n" {}\n'.format(" ".join('"$' + each + '"' for each in SETTINGS))
    )
    stub.chmod(0o755)
    unset = dict.fromkeys(SETTINGS, "")  # which counts as unset
    return run(name, *more, **dict(unset, PYTHON=str(stub), **variables)).stdout.splitlines()


@pytest.mark.parametrize("row", paper.ROWS, ids=lambda row: row.recipe)
def test_rows_of_float32_are_not_tf32_and_all_are_deterministic(tmp_path, row):
    assert settings(tmp_path, row.recipe) == [
        "1",
        "1",
        "0",
        "0" if row.settings["dtype"] == "float32" else "",
    ]


def test_settings_of_ones_own_and_flags_behind_a_recipe_win(tmp_path):
    own = dict(
        MXNET_ENFORCE_DETERMINISM="0", MXNET_CUDNN_AUTOTUNE_DEFAULT="1", NVIDIA_TF32_OVERRIDE="1"
    )
    assert settings(tmp_path, "table2_resnet50_v1_baseline", **own) == ["1", "0", "1", "1"]
    assert settings(tmp_path, "table2_resnet50_v1_baseline", "--dtype", "float16")[3] == ""
    assert settings(tmp_path, "table5_resnet50_v1", "--dtype=float32")[3] == "0"
    assert settings(tmp_path, "table2_resnet50_v1_baseline", GPUS="0") == [""] * 4


def test_an_unknown_launcher_is_named():
    refused = run("table2_mobilenet_baseline", LAUNCHER="slurm")
    assert refused.returncode == 2 and "LAUNCHER=slurm: has to be" in refused.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two small RecordIO files of noise."""
    import cv2
    import numpy as np

    from gluon_tricks.data.records import RecordWriter

    folder = tmp_path_factory.mktemp("data")
    random = np.random.RandomState(0)
    for name, count in (("train", 8), ("val", 2)):
        with RecordWriter(str(folder / (name + ".rec"))) as writer:
            for key in range(count):
                image = random.randint(0, 256, (40, 40, 3)).astype(np.uint8)
                writer.write(key, key % 4, cv2.imencode(".png", image)[1].tobytes())
    return str(folder)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Images with boxes of three classes."""
    return box_scenes.folder_of(tmp_path_factory.mktemp("boxes"), 6, 2)


@pytest.fixture(scope="module")
def masks(data, tmp_path_factory):
    """The same images with masks of noise."""
    import cv2
    import numpy as np

    from gluon_tricks.data.records import RecordWriter

    folder, random = tmp_path_factory.mktemp("masks"), np.random.RandomState(1)
    for name, count in (("train", 8), ("val", 2)):
        for end in ("rec", "idx"):
            shutil.copy(os.path.join(data, f"{name}.{end}"), folder)
        with RecordWriter(str(folder / f"{name}.mask.rec")) as writer:
            for key in range(count):
                mask = random.randint(0, 4, (40, 40)).astype(np.uint8)
                writer.write(key, 0, cv2.imencode(".png", mask)[1].tobytes())
    return str(folder)


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    """A trained run of a small network: the recipes' own teachers are tested as recipes."""
    folder = str(tmp_path_factory.mktemp("runs") / "teacher")
    return train(["--model", "mobilenet0.25", "--data-dir", data, "--save-dir", folder] + SMALL)


def train(given):
    from gluon_tricks.training.run import build, finish

    run = build(flags.parse(given))
    try:
        finish(run)
    finally:
        run.close()
    return run.config.save_dir


# The smallest network that takes the flags of a recipe's own.
SMALLER = {
    "resnet50_v1": "resnet18_v1",
    "resnet50_v1b": "resnet18_v1b",
    "resnet50_v1c": "resnet18_v1c",
    "resnet50_v1d": "resnet18_v1d",
    "resnet152_v1d": "resnet18_v1d",
    "mobilenet1.0": "mobilenet0.25",
    "inceptionv3": "mobilenet0.25",
}
# Of each network the last row of Tables 2 to 6, which has the most tricks.
LARGE = {ROWS[name].settings["model"]: name for name in DISTINCT_RUNS if ROWS[name].table < 8}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, model",
    [(name, SMALLER[ROWS[name].settings["model"]]) for name in DISTINCT_RUNS]
    + [(name, model) for model, name in LARGE.items()],
)
def test_a_recipe_trains(name, model, data, teacher, tmp_path, monkeypatch):
    from gluon_tricks.training import checkpoint

    # Hundreds of megabytes a recipe; checkpoints have their own tests.
    monkeypatch.setattr(checkpoint, "save", lambda *arguments: None)
    small = SMALL + ["--data-dir", data, "--model", model]
    small += ["--input-size", "75"] if model == "inceptionv3" else []
    small += ["--teacher", teacher] if ROWS[name].needs else []
    check_two_steps(train(arguments(name, *small, RUNS=str(tmp_path))))


def check_two_steps(folder):
    with open(os.path.join(folder, "log.jsonl")) as file:
        logged = [json.loads(line) for line in file]
    assert [record["step"] for record in logged if record["event"] == "train"] == [1, 2]
    assert all(0 < record["loss"] < float("inf") for record in logged)


# The same of the later rows.
SMALLER_LATER = {
    **SMALLER,
    "assemble_resnet152": "assemble_resnet50",
    "blresnet101": "blresnet50",
    "blresnext101_32x4d": "blresnext50_32x4d",
    "blresnext101_64x4d": "blresnext50_32x4d",
    "blseresnext101_32x4d": "blseresnext50_32x4d",
}


@pytest.fixture(scope="module")
def logits(data, tmp_path_factory):
    """Stored logits of the training images."""
    import numpy as np

    from gluon_tricks.data.fingerprint import fingerprint
    from gluon_tricks.data.teacher_logits import About, TeacherLogitsWriter

    path = str(tmp_path_factory.mktemp("logits") / "x.logits")
    about = About(8, 4, "float16", {}, {}, fingerprint(os.path.join(data, "train.rec")))
    with TeacherLogitsWriter(path, about, np.arange(8)) as writer:
        writer.write(np.random.RandomState(0).normal(size=(8, 4)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", LATER)
def test_a_later_recipe_trains(name, data, logits, tmp_path, monkeypatch):
    from gluon_tricks.training import checkpoint

    monkeypatch.setattr(checkpoint, "save", lambda *arguments: None)
    settings = LATER[name].settings
    model = settings["model"]
    if settings.get("attention") != "sk":  # which needs bottlenecks
        model = SMALLER_LATER.get(model, model)
    small = SMALL + ["--data-dir", data, "--model", model]
    small += ["--teacher-logits", logits] if LATER[name].teacher else []
    small += ["--max-batch", "4"] if "max_batch" in settings else []
    words = arguments(name, *small, RUNS=str(tmp_path))
    if "--loss-scale" in words:  # has no effect in float32
        place = words.index("--loss-scale")
        del words[place : place + 2]
    check_two_steps(train(words))


# Of each network the last row: the others have fewer ingredients, or another number of classes.
OF_EACH_NETWORK = {(row.work, row.settings["model"]): name for name, row in ELSEWHERE.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EACH_NETWORK.values())
def test_a_recipe_for_other_data_trains(name, data, masks, boxes, tmp_path, monkeypatch):
    import mxnet as mx

    from gluon_tricks import models
    from gluon_tricks.training import checkpoint

    monkeypatch.setattr(checkpoint, "save", lambda *arguments: None)
    row = ELSEWHERE[name]
    model = row.settings["model"][len(row.network) :]
    model = SMALLER_LATER.get(model, model)
    if row.data is transfer.VOC:
        model = model.replace("50", "18")
        small = [*SMALL, "--data-dir", boxes, *box_scenes.TINY.split()]
    else:
        small = [*SMALL, "--data-dir", masks if row.data is transfer.ADE20K else data]
    small += ["--model", row.network + model]
    if row.backbone:  # what was trained on other classes
        net = models.get_model(model, classes=7)
        net.initialize()
        net.infer_shape(mx.nd.zeros((1, 3, 33, 33)))
        net.save_parameters(str(tmp_path / "net.params"))
        start = "--backbone-params" if row.network else "--use-params"
        small += [start, str(tmp_path / "net.params")]
    check_two_steps(train(arguments(name, *small, RUNS=str(tmp_path))))


@pytest.mark.slow
def test_a_recipe_typed_again_goes_on(data, tmp_path):
    small = SMALL + ["--data-dir", data, "--model", "mobilenet0.25"]
    for steps in (2, 4):
        out = run("table6_mobilenet_mixup", *small, RUNS=str(tmp_path))
        assert out.returncode == 0, out.stderr
        assert f"at step {steps} of" in out.stdout


def asked_by(tmp_path, recipe, *more, **others):
    """``(folder of the runs, commands)``: what a recipe asks of Python, by a stand-in that writes
    it down. The docs have a real run.
    """
    stub = tmp_path / "python"
    # A run's folder has to be there for the report's pattern to find it.
    make_folder = (
        'while (($# > 1)); do if [ "$1" = --save-dir ]; then mkdir -p "$2"; fi; shift; done\n'
    )
    stub.write_text('#!/bin/bash\necho "$*" >> "$ASKED"\n' + make_folder)
    stub.chmod(0o755)
    asked, runs = tmp_path / "asked", str(tmp_path / "runs")
    variables = dict(RUNS=runs, ASKED=str(asked), JOBS="1", PATH=before_path(tmp_path), **others)
    out = run(recipe, *more, **variables)
    assert out.returncode == 0, out.stderr
    # without -m gluon_tricks
    return runs, [line.split()[2:] for line in asked.read_text().splitlines()]


def test_the_ablation_is_table_6_with_three_seeds_a_rung(tmp_path):
    runs, commands = asked_by(tmp_path, "ablation_digits", "--wd", "0")
    assert commands[0] == ["prepare", "digits", runs + "/data"]
    rungs = ["efficient", "cosine", "smoothing", "distill", "mixup", "distill_mixup", "longer"]
    folders = [f"{runs}/{rung}-{seed}" for rung in rungs for seed in range(3)]
    assert commands[-1] == ["report"] + folders + ["-o", runs + "/report"]

    configs = {
        config.save_dir: config for config in (flags.parse(words[1:]) for words in commands[1:-1])
    }
    teachers = [runs + "/teachers/smoothing", runs + "/teachers/mixup"]
    assert list(configs)[:2] == teachers and set(configs) == set(teachers + folders)
    assert all(config.wd == 0 for config in configs.values())
    of_seed_1 = [configs[f"{runs}/{rung}-1"] for rung in rungs]
    efficient, cosine, smoothing, distill, mixup, both, longer = of_seed_1
    quarters = "--lr-decay-epoch: 1,2,3 -> 30,60,90"
    assert flags.differences(efficient, cosine) == ["--lr-mode: step -> cosine", quarters]
    assert flags.differences(cosine, smoothing) == ["--label-smoothing: 0.0 -> 0.1"]
    assert flags.differences(smoothing, distill) == ["--teacher:  -> " + teachers[0]]
    assert flags.differences(smoothing, mixup)[:1] == ["--num-epochs: 4 -> 7"]
    assert flags.differences(smoothing, mixup)[1:] == [
        "--mixup: False -> True",
        "--mixup-alpha: 0.0 -> 0.2",
    ]
    assert flags.differences(mixup, both) == ["--teacher:  -> " + teachers[1]]
    assert flags.differences(smoothing, longer) == ["--num-epochs: 4 -> 7"]
    for teacher, student in zip(teachers, (smoothing, mixup)):
        model, seed = flags.differences(configs[teacher], student)
        assert (model, seed) == ("--model: resnet34_v1d -> resnet18_v1d", "--seed: 0 -> 1")
    first, second, third = [configs[f"{runs}/mixup-{seed}"] for seed in range(3)]
    assert flags.differences(first, second) == ["--seed: 0 -> 1"]
    assert flags.differences(first, third) == ["--seed: 0 -> 2"]


def test_the_later_ablation_changes_one_thing_a_row(tmp_path):
    runs, commands = asked_by(tmp_path, "ablation_fashion", "--wd", "0")
    prepare, teacher, logits, *trainings, report = commands
    assert prepare[:2] == ["prepare", "idx"] and teacher[0] == "train"
    stored = runs + "/teacher.logits"
    assert logits == ["logits", runs + "/teacher", runs + "/data/train.rec", "-o", stored]
    training = ["plain", "anti_alias", "drop_block", "auto_augment", "ema", "logits"]
    rows = training + ["decay", "growth", "resnet50", "se", "sk", "big_little"]
    folders = [f"{runs}/{row}-{seed}" for row in rows for seed in range(3)]
    assert report == ["report"] + folders + ["-o", runs + "/report"]

    parsed = [flags.parse(words[1:]) for words in trainings]
    configs = {os.path.basename(config.save_dir): config for config in parsed}
    assert sorted(configs) == sorted(map(os.path.basename, folders))
    assert all(config.wd == 0 and config.val_frequency == 5 for config in parsed)
    plain, resnet50 = configs["plain-1"], configs["resnet50-1"]
    changes = {row: flags.differences(plain, configs[row + "-1"]) for row in training[1:]}
    assert changes == {
        "anti_alias": ["--anti-alias: 0 -> 3"],
        "drop_block": ["--drop-block: 0.0 -> 0.1"],
        "auto_augment": ["--auto-augment: none -> imagenet"],
        "ema": ["--ema: 0.0 -> 0.996"],
        "logits": [f"--teacher-logits:  -> {stored}", "--temperature: 20.0 -> 1.0"],
    }
    assert flags.differences(resnet50, configs["se-1"]) == ["--attention: none -> se"]
    assert flags.differences(resnet50, configs["sk-1"]) == ["--attention: none -> sk"]
    assert flags.differences(resnet50, configs["big_little-1"]) == [
        "--model: resnet50_v1d -> blresnet50"
    ]
    assert "--batch-growth:  -> 3:x5,4:x5" in flags.differences(
        configs["decay-1"], configs["growth-1"]
    )


def test_the_demo_of_segmentation_differs_in_the_backbones_start_alone(tmp_path):
    runs, commands = asked_by(tmp_path, "demo_segmentation", "--wd", "0", SEEDS="0 1")
    prepare_digits, prepare_scenes, *trainings, report = commands
    assert prepare_digits == ["prepare", "digits", runs + "/digits"]
    assert prepare_scenes == ["prepare", "scenes", runs + "/scenes"]
    starts = [f"{runs}/{start}-{seed}" for start in ("pretrained", "random") for seed in (0, 1)]
    assert report == ["report", *starts, "-o", runs + "/report"]

    parsed = [flags.parse(words[1:]) for words in trainings]
    configs = {os.path.basename(config.save_dir): config for config in parsed}
    order = ["classifier", "pretrained", "random"]
    assert list(configs) == [f"{name}-{seed}" for seed in (0, 1) for name in order]
    assert all(config.wd == 0 for config in parsed)
    for seed in (0, 1):
        classifier, pretrained, random = [configs[f"{name}-{seed}"] for name in order]
        assert (classifier.seed, classifier.task) == (seed, "classification")
        assert flags.differences(random, pretrained) == [
            f"--backbone-params:  -> {runs}/classifier-{seed}"
        ]
        assert pretrained.model == "fcn_" + classifier.model
        steps = pretrained.num_epochs * (scenes.SCENES["train"] // pretrained.batch_size)
        assert steps == pytest.approx(1000, abs=10)
    assert flags.differences(configs["random-0"], configs["random-1"]) == ["--seed: 0 -> 1"]


def test_the_demo_of_detection_differs_in_the_backbones_start_alone(tmp_path):
    runs, commands = asked_by(tmp_path, "demo_detection", "--wd", "0", SEEDS="0 1")
    prepare_digits, prepare_scenes, *trainings, predict, evaluate, export, report = commands
    assert prepare_digits == ["prepare", "digits", runs + "/digits"]
    assert prepare_scenes == ["prepare", "boxed-scenes", runs + "/scenes"]
    scenes, drawn = runs + "/scenes/val.rec", runs + "/drawn"
    best = runs + "/pretrained-1"
    assert predict == ["predict", best, "--rec", scenes, "--keys", "0-11", "-o", drawn]
    assert evaluate == ["evaluate", best, "--rec-val", scenes]
    assert export == ["export", best, "-o", runs + "/exported", "--force"]
    starts = [f"{runs}/{start}-{seed}" for start in ("pretrained", "random") for seed in (0, 1)]
    assert report == ["report", *starts, "-o", runs + "/report"]

    configs = [flags.parse(words[1:]) for words in trainings]
    names = [os.path.basename(config.save_dir) for config in configs]
    order = ["classifier", "pretrained", "random"]
    assert names == [f"{name}-{seed}" for seed in (0, 1) for name in order]
    assert all(config.wd == 0 for config in configs)
    for seed, (classifier, pretrained, random) in enumerate((configs[:3], configs[3:])):
        assert (classifier.seed, classifier.task) == (seed, "classification")
        start = f"--backbone-params:  -> {runs}/classifier-{seed}"
        assert flags.differences(random, pretrained) == [start]
        assert pretrained.model == "faster_rcnn_" + classifier.model
    assert flags.differences(configs[2], configs[5]) == ["--seed: 0 -> 1"]


@pytest.mark.slow
def test_the_demo_of_detection_runs_to_its_end(tmp_path, monkeypatch, capfd):
    """Its own commands, on a few scenes and for a step of each training."""
    monkeypatch.setattr(boxed_scenes, "SCENES", {"train": 4, "val": 12})
    small = "--num-training-samples 4 --batch-size 4 --num-epochs 1 --val-frequency 1"
    small += " --warmup-epochs 0 --lr-mode constant"
    runs, commands = asked_by(tmp_path, "demo_detection", *small.split())
    for words in commands:
        assert cli.main(words) == 0, words
    runs, printed = Path(runs), capfd.readouterr().out
    assert len(list((runs / "drawn").glob("*.boxes.png"))) == 12
    assert "mAP by area" in printed and list((runs / "exported").glob("*symbol.json"))
    page = (runs / "report" / "report.html").read_text()
    assert "pretrained-0" in page and "random-0" in page
