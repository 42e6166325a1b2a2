"""The report says what runs were, compares what may be compared, and works with whatever runs left
behind.
"""

import json
import math
import os
import re
import struct

import pytest

from gluon_tricks import cli, literature, paper
from gluon_tricks import config as flags
from gluon_tricks.errors import UserError
from gluon_tricks.files import sealed
from gluon_tricks.locking import Lock
from gluon_tricks.pictures import legend_label
from gluon_tricks.reporting import phrases, plots, tables
from gluon_tricks.reporting.groups import Group, groups_of
from gluon_tricks.reporting.reading import find, read
from gluon_tricks.reporting.runs import by_data

EFFICIENT = (
    "--batch-size 128 --linear-scaling --warmup-epochs 5 --last-gamma --no-wd --dtype float16"
)
DIGITS = (
    dict(records=1442, bytes=1000, index_sha256="1"),
    dict(records=355, bytes=300, index_sha256="2"),
)
FCN, BACKBONE = "--task segmentation --model fcn_resnet18_v1d --classes 3", "--backbone-params"
IMAGENET = (
    dict(records=1281167, bytes=1, index_sha256="3"),
    dict(records=50000, bytes=1, index_sha256="4"),
)


def write_run(
    folder,
    given="",
    scores=(20.0, 60.0, 90.0),
    data=DIGITS,
    batch=64,
    finished=True,
    validation=True,
    started="",
    figures=lambda top1: dict(top1=top1, top5=top1 + 5),
):
    """What `train` leaves in a run's folder, with made-up figures; ``scores`` are the top-1 of the
    epochs, and ``figures`` all that a validation has of each.
    """
    os.makedirs(str(folder))
    config = flags.parse(given.split() + ["--save-dir", str(folder)])
    layout = dict(global_batch=batch, steps_per_epoch=20, total_steps=20 * config.num_epochs)
    files = dict(train=data[0], validation=data[1] if validation else None)
    contents = dict(flags=json.loads(flags.to_json(config)), layout=layout, data=files)
    log, timing = [], []
    for epoch, top1 in enumerate(scores):
        trained = dict(figures(top1 - 5), epoch=epoch, loss=3 / (1 + epoch), images=640)
        for step in (20 * epoch + 10, 20 * epoch + 20):
            log.append(dict(trained, event="train", step=step, learning_rate=0.1 / (1 + epoch)))
            timing.append(
                dict(event="train", time=float(step), step=step, images_per_second=100.0 + step)
            )
        log.append(dict(trained, event="epoch", step=step, top5=99.0))
        if validation:
            measured = dict(figures(top1), loss=2 / (1 + epoch), images=355)
            log.append(dict(measured, event="validation", step=step, epoch=epoch))
    for name, lines in (("log.jsonl", log), ("timing.jsonl", timing)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.json").write_text(json.dumps(contents))
    environment = dict(command="gluon-tricks train <&>", started=started, mxnet="1.9.1")
    (folder / "environment.json").write_text(json.dumps(environment))
    if finished:
        result = dict(seconds=12.0, parameters=1000, multiply_adds=2000)
        (folder / "result.json").write_text(json.dumps(result))
    return str(folder)


def report(*paths, output):
    return cli.main(["report"] + list(paths) + ["-o", str(output)])


def pictures_in(folder):
    """Name -> (width, height) of the PNG files in a folder."""
    sizes = {}
    for name in os.listdir(str(folder)):
        if name.endswith(".png"):
            data = (folder / name).read_bytes()
            assert data[:8] == b"\x89PNG\r\n\x1a\n"
            sizes[name] = struct.unpack(">II", data[16:24])
    return sizes


def cells(runs):
    """The two tables as a list of dicts."""
    (header, rows), (more, further) = (
        tables.results(groups_of(runs)),
        tables.next_to_published(groups_of(runs)),
    )
    return [dict(zip(header + more, row + others)) for row, others in zip(rows, further)]


# -- the page


@pytest.mark.slow
def test_the_page_needs_no_other_file_and_no_network(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "--mixup-alpha 0.2")
    assert report(str(tmp_path / "a"), str(tmp_path / "b"), output=tmp_path / "out") == 0
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (
        len(re.findall(r'src="data:image/png;base64,', text)) == len(re.findall("<img", text)) == 4
    )
    assert (
        not re.findall(r'(?:src|href)="(?!data:)', text)
        and "<script" not in text
        and "://" not in text
    )
    assert "gluon-tricks train &lt;&amp;&gt;" in text
    assert set(pictures_in(tmp_path / "out")) == {
        "ladder.png",
        "curves.png",
        "run-a.png",
        "run-b.png",
    }


@pytest.mark.slow
def test_the_markdown_names_pictures_that_are_there(tmp_path):
    write_run(tmp_path / "a b")
    write_run(tmp_path / "a-b", "--no-wd")
    report(str(tmp_path / "a b"), str(tmp_path / "a-b"), output=tmp_path / "out")
    named = re.findall(
        r"!\[[^]]*\]\(([^)]*)\)", (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    )
    assert sorted(named) == sorted(pictures_in(tmp_path / "out")) and len(named) == len(set(named))


def test_open_prints_the_path_and_nothing_else(tmp_path, capsys):
    folder = write_run(tmp_path / "a")
    assert cli.main(["report", folder, "--open"]) == 0
    assert capsys.readouterr().out == os.path.join(folder, "report", "report.html") + "\n"


@pytest.mark.parametrize("what", ["nothing there", "an empty folder", "damaged flags"])
def test_a_path_without_a_run_is_named(tmp_path, capsys, what):
    path = tmp_path / "x"
    if what != "nothing there":
        path.mkdir()
    if what == "damaged flags":
        (path / "config.json").write_text('{"flags": ')
    assert report(str(path), output=tmp_path / "out") == 2
    assert str(path) in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    write_run(tmp_path / "a")
    (tmp_path / "file").write_text("")
    assert report(str(tmp_path / "a"), output=tmp_path / "file") == 2
    assert "cannot be written into " + str(tmp_path / "file") in capsys.readouterr().err


# -- whatever runs leave behind


@pytest.mark.slow
def test_killed_unfinished_and_empty_runs_are_reported(tmp_path):
    write_run(tmp_path / "killed", finished=False)
    with open(str(tmp_path / "killed" / "log.jsonl"), "a") as file:
        file.write('{"event": "validation", "step": 80, "top1": 9')
    write_run(tmp_path / "started", "--no-wd", scores=(), finished=False)
    write_run(tmp_path / "plain", "--last-gamma", validation=False)
    write_run(tmp_path / "binary", "--wd 0")
    log = (tmp_path / "killed" / "log.jsonl").read_bytes()
    (tmp_path / "binary" / "log.jsonl").write_bytes(b"\x00\xff\n[1]\n" + log)
    for name in ("environment.json", "timing.jsonl"):
        (tmp_path / "binary" / name).unlink()
    names = ["killed", "started", "plain", "binary"]
    assert report(*[str(tmp_path / name) for name in names], output=tmp_path / "out") == 0
    # plain has no validation file, so it is a data set of its own.
    by_name = {row["run"]: row for row in cells(find([str(tmp_path / name) for name in names]))}
    assert by_name["killed"]["top-1 %"] == "90.00"
    assert by_name["killed"]["state"] == "unfinished: 3 of 120 epochs"
    assert by_name["started"]["top-1 %"] == "–" and by_name["plain"]["top-1 %"] == "–"
    assert by_name["binary"]["top-1 %"] == "90.00" and by_name["binary"]["images/s"] == "–"


@pytest.mark.slow
def test_each_run_alone_makes_a_report(tmp_path):
    none, one = dict(scores=(), finished=False), dict(scores=(50.0,))
    for name, settings in dict(whole={}, none=none, one=one, plain=dict(validation=False)).items():
        write_run(tmp_path / name, **settings)
        assert report(str(tmp_path / name), output=tmp_path / name / "out") == 0
        assert set(pictures_in(tmp_path / name / "out")) == {f"run-{name}.png"}


@pytest.mark.slow
def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    for name, given in (("a", ""), ("b", "--seed 1")):
        write_run(tmp_path / f"$\\bad$ {name}", given)
    assert report(str(tmp_path), output=tmp_path / "out") == 0
    assert {"ladder.png", "curves.png"} & set(pictures_in(tmp_path / "out")) == {"curves.png"}


def test_legends_show_dollars_and_names_that_begin_with_an_underscore():
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    label = legend_label("_$\\bad$")
    assert not label.startswith("_")  # matplotlib before 3.8 leaves these out
    figure = Figure()
    figure.legend(handles=[Patch(label=label)])
    figure.canvas.draw()  # a formula would be an error


@pytest.mark.slow
def test_a_dozen_runs_fit_on_the_page(tmp_path):
    for number in range(12):
        given = f"--wd {number / 1e4} --label-smoothing 0.{number + 1}"
        write_run(tmp_path / f"run{number:02d}", given)
    assert report(str(tmp_path), output=tmp_path / "out") == 0
    assert len(pictures_in(tmp_path / "out")) == 14
    assert all(
        width < 2000 and height < 2500 for width, height in pictures_in(tmp_path / "out").values()
    )


def test_losses_that_are_not_finite_do_not_stop_the_pictures(tmp_path):
    write_run(tmp_path / "a")
    with open(str(tmp_path / "a" / "log.jsonl"), "a") as file:
        for step, loss in ((70, "NaN"), (71, "Infinity")):
            file.write(f'{{"event": "train", "step": {step}, "loss": {loss}, "top1": 0.0}}\n')
    plots.run_curves(read(str(tmp_path / "a")), str(tmp_path / "curves.png"))
    assert "curves.png" in pictures_in(tmp_path)


def test_what_is_damaged_is_left_out_and_said(tmp_path, capsys):
    write_run(tmp_path / "a", scores=(50.0,))
    write_run(tmp_path / "b", "--no-wd")
    lines = [
        '{"event": "train", "step": 5, "loss": 1' + "0" * 400 + ', "top1": 1.0}',
        '{"event": "train", "step": Infinity}',
    ]
    # the last without top5
    lines += ["[1]", '{"event": "validation", "step": 20, "epoch": 0, "loss": 1.0, "top1": 3.0}']
    with open(str(tmp_path / "a" / "log.jsonl"), "a") as file:
        file.writelines(line + "\n" for line in lines)
    (tmp_path / "a" / "environment.json").unlink()
    (tmp_path / "a" / "environment.json").mkdir()
    (tmp_path / "a" / "result.json").write_text('{"seconds": "12", "parameters": {}, "images": 3')
    contents = json.loads((tmp_path / "b" / "config.json").read_text())
    contents["flags"]["lr"] = "fast"
    (tmp_path / "b" / "config.json").write_text(json.dumps(contents))
    assert report(str(tmp_path), output=tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert (
        "log.jsonl: 4 damaged lines left out" in said and "environment.json cannot be read" in said
    )
    assert "result.json cannot be read" in said and "config.json is damaged: --lr is 'fast'" in said
    (run,) = find([str(tmp_path)])
    assert run.last["top1"] == 50.0 and len(run.training) == 2


def test_a_report_has_one_writer(tmp_path, capsys):
    write_run(tmp_path / "a")
    (tmp_path / "out").mkdir()
    with Lock(tmp_path / "out" / ".lock", "it"):
        assert report(str(tmp_path / "a"), output=tmp_path / "out") == 2
    assert f"report -o {tmp_path / 'out'}: process" in capsys.readouterr().err
    assert os.listdir(str(tmp_path / "out")) == []


def test_a_resumed_runs_later_speed_counts(tmp_path):
    write_run(tmp_path / "a", scores=(50.0,))
    with open(str(tmp_path / "a" / "timing.jsonl"), "a") as file:
        file.write('{"event": "resumed", "time": 3.0, "step": 10}\n')
        file.write('{"event": "train", "time": 9.0, "step": 20, "images_per_second": 7.0}\n')
    assert read(str(tmp_path / "a")).speeds == [(0.5, 110.0), (1.0, 7.0)]


def test_times_that_are_damaged_or_lost_are_named(tmp_path):
    folder = write_run(tmp_path / "a", scores=(50.0,))
    times = [dict(event="train", step=step, images_per_second=100.0 + step) for step in (10, 20)]
    lines = "".join(json.dumps(sealed(line)) + "\n" for line in times)
    (tmp_path / "a" / "timing.jsonl").write_text(lines)
    assert read(folder).speeds == [(0.5, 110.0), (1.0, 120.0)] and not read(folder).damage
    (tmp_path / "a" / "timing.jsonl").write_text(lines.replace("120.0", "920.0"))
    assert read(folder).speeds == [(0.5, 110.0)]
    lost = "timing.jsonl has no times of {} of 2 lines of log.jsonl"
    assert read(folder).damage == ["timing.jsonl: 1 damaged line left out", lost.format(1)]
    for kept in (1, 0):
        (tmp_path / "a" / "timing.jsonl").write_text("".join(lines.splitlines(True)[:kept]))
        assert read(folder).damage == [lost.format(2 - kept)]


def test_a_run_whose_steps_were_renumbered_is_drawn_at_its_epochs(tmp_path):
    """As ``--elastic scale-lr`` leaves it: twenty steps an epoch before step 20, ten after."""
    folder = write_run(tmp_path / "a", scores=(50.0,), finished=False)
    later = dict(
        event="train", step=15, epoch=1, passes=1.5, loss=1.0, top1=50.0, learning_rate=0.1
    )
    timing = dict(event="train", time=9.0, step=15, passes=1.5, images_per_second=7.0)
    validation = dict(
        event="validation", step=20, epoch=1, loss=1.0, top1=50.0, top5=60.0, images=355
    )
    for name, lines in (("log.jsonl", (later, validation)), ("timing.jsonl", (timing,))):
        with open(os.path.join(folder, name), "a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    run = read(folder)
    assert [record["passes"] for record in run.training] == [0.5, 1.0, 1.5]
    assert [record["passes"] for record in run.validations] == [1, 2]
    assert run.speeds == [(0.5, 110.0), (1.0, 120.0), (1.5, 7.0)]
    assert run.status == "unfinished: 2 of 120 epochs"


def test_a_run_of_another_version_is_read(tmp_path):
    write_run(tmp_path / "a")
    contents = json.loads((tmp_path / "a" / "config.json").read_text())
    contents["flags"].pop("mixup_partner")
    contents["flags"]["of_another_version"] = 1
    (tmp_path / "a" / "config.json").write_text(json.dumps(contents))
    assert report(str(tmp_path / "a"), output=tmp_path / "out") == 0


# -- which runs, in which order


def test_a_folder_of_runs_stands_for_its_runs_in_the_order_of_their_starts(tmp_path):
    write_run(tmp_path / "b", started="2026-01-01T10:00:00")
    write_run(tmp_path / "a", "--no-wd", started="2026-01-01T11:00:00")
    (tmp_path / "notes").mkdir()
    assert [run.name for run in find([str(tmp_path)])] == ["b", "a"]
    assert [
        run.name for run in find([str(tmp_path / "a"), str(tmp_path), str(tmp_path / "a")])
    ] == ["a", "b"]
    with pytest.raises(UserError, match="notes: there is no run here"):
        find([str(tmp_path / "notes")])


# -- seeds


def test_runs_that_differ_in_their_seed_alone_are_one_row_with_mean_and_spread(tmp_path):
    for seed, top1 in enumerate((90.0, 91.0, 95.0)):
        given = f"--mixup-alpha 0.2 --seed {seed} -j {seed + 1}"
        write_run(tmp_path / f"mixup-{seed}", given, scores=(50.0, top1))
    for seed, top1 in enumerate((88.0, 90.0)):
        write_run(tmp_path / f"plain-{seed}", f"--seed {seed}", scores=(95.0, top1))
    names = ("plain-0", "plain-1", "mixup-0", "mixup-1", "mixup-2")
    plain, mixup = cells(find([str(tmp_path / name) for name in names]))
    assert (plain["run"], plain["seeds"], plain["top-1 %"]) == ("plain-*", "2", "89.00 ± 1.41")
    assert plain["best top-1 %"] == "95.00"
    # By hand: mean 92, squares 4 + 1 + 9 over n - 1 = 2.
    assert (mixup["run"], mixup["seeds"]) == ("mixup-*", "3")
    assert mixup["top-1 %"] == f"92.00 ± {math.sqrt(7):.2f}"
    assert mixup["against the first row"] == f"+3.00 ± {math.sqrt(2 / 2 + 7 / 3):.2f}"
    assert plain["against the first row"] == "–"


def test_seeds_that_start_from_seeds_of_one_training_are_one_row(tmp_path):
    for seed in (0, 1):
        classifier = write_run(tmp_path / f"plain-{seed}", f"--seed {seed}")
        mixed = write_run(tmp_path / f"mixed-{seed}", f"--seed {seed} --mixup-alpha 0.2")
        teacher = f"--seed {seed} --teacher {classifier}/checkpoints/step-60"
        write_run(tmp_path / f"fcn-plain-{seed}", f"{FCN} --seed {seed} {BACKBONE} {classifier}")
        write_run(tmp_path / f"fcn-mixed-{seed}", f"{FCN} --seed {seed} {BACKBONE} {mixed}")
        write_run(tmp_path / f"student-{seed}", teacher)
    other = write_run(tmp_path / "elsewhere", data=(IMAGENET[0], DIGITS[1]))
    write_run(tmp_path / "fcn-elsewhere", f"{FCN} {BACKBONE} {other}")
    write_run(tmp_path / "fcn-gone", f"{FCN} {BACKBONE} {tmp_path}/gone-0")
    write_run(tmp_path / "fcn-gone-too", f"{FCN} {BACKBONE} {tmp_path}/gone-1")
    starting = find([str(path) for path in sorted(tmp_path.glob("fcn-*"))])
    students = find([str(path) for path in sorted(tmp_path.glob("student-*"))])
    found = {group.name: group for group in [*groups_of(starting), *groups_of(students)]}
    assert {name: len(group.runs) for name, group in found.items()} == {
        **{"fcn-plain-*": 2, "fcn-mixed-*": 2, "student-*": 2},
        **dict.fromkeys(("fcn-elsewhere", "fcn-gone", "fcn-gone-too"), 1),
    }
    said = phrases.phrases(*found["fcn-plain-*"].runs)
    assert f"{BACKBONE} {tmp_path}/plain-*" in said


def test_runs_that_name_each_other_end(tmp_path):
    paths = [str(tmp_path / name) for name in "ab"]
    for path, other in zip(paths, reversed(paths)):
        write_run(tmp_path / path, "--teacher " + other)
    assert len(groups_of(find(paths))) == 2


def test_only_finished_seeds_are_averaged_once_there_are_any(tmp_path):
    write_run(tmp_path / "a0", "--seed 0", scores=(10.0,), finished=False)
    write_run(tmp_path / "a1", "--seed 1", scores=(80.0,))
    (row,) = cells(find([str(tmp_path)]))
    assert row["top-1 %"] == "80.00" and row["state"] == "1 of 2 finished, only these are counted"


def test_another_global_batch_is_another_row(tmp_path):
    write_run(tmp_path / "a", batch=64)
    write_run(tmp_path / "b", batch=128)
    assert len(cells(find([str(tmp_path)]))) == 2


@pytest.mark.parametrize("name", ["report.html", "REPORT.MD"])
def test_a_folder_is_not_given_the_name_of_a_page(tmp_path, capsys, name):
    write_run(tmp_path / "a")
    assert report(str(tmp_path / "a"), output=tmp_path / name) == 2
    assert f"{name}: names the folder that receives report.html" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


# -- the paper's words and figures


def test_flags_are_said_in_the_papers_words_and_order(tmp_path):
    given = "--model resnet50_v1d --lr-mode cosine --label-smoothing --mixup --flip 0"
    given += " --teacher runs/big"
    write_run(tmp_path / "a", EFFICIENT + " " + given, batch=1024)
    assert phrases.phrases(read(str(tmp_path / "a"))) == [
        "ResNet-50-D",
        "224 x 224 pixels",
        "BS = 1024",
        "learning rate 0.4 (linear scaling)",
        "warmup of 5 epochs",
        "zero gamma",
        "no bias decay",
        "FP16",
        "cosine decay",
        "label smoothing 0.1",
        "distillation from big (T = 20)",
        "mixup 0.2",
        "120 epochs",
        "--flip 0.0",
    ]


@pytest.mark.parametrize(
    "given, said",
    [
        ("--teacher x.params --teacher-model resnet152_v1d", True),
        ("--teacher x.params --teacher-model resnet152_v1d --temperature 1", False),
        ("--label-smoothing", False),
    ],
)
def test_the_large_loss_of_a_softened_teacher_is_explained(tmp_path, given, said):
    write_run(tmp_path / "a", given)
    assert report(str(tmp_path / "a"), output=tmp_path / "out") == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert ("T^2 times the soft cross entropy" in text) == said


def test_a_teacher_is_called_by_its_network_if_that_is_known(tmp_path):
    teacher = write_run(tmp_path / "big", "--model resnet34_v1d")
    file = "runs/x.params --teacher-model resnet152_v1d --temperature 4 --hard-weight 0.5"
    for name, given, said in (
        ("a", teacher, "distillation from ResNet-34-D (big; T = 20)"),
        ("b", file, "distillation from ResNet-152-D (x.params; T = 4, hard weight 0.5)"),
        ("c", "resnet152_v1d", "distillation from ResNet-152-D (T = 20)"),
    ):
        write_run(tmp_path / name, "--teacher " + given)
        assert said in phrases.phrases(read(str(tmp_path / name)))


@pytest.mark.parametrize(
    "model, said",
    [
        ("resnet50_v1", "ResNet-50"),
        ("resnet18_v1d", "ResNet-18-D"),
        ("resnet101_v1b", "ResNet-101-B"),
        ("inceptionv3", "Inception-V3"),
        ("mobilenet1.0", "MobileNet"),
        ("vgg11", "vgg11"),
    ],
)
def test_networks_have_the_papers_names(model, said):
    assert phrases.network(model) == said


ADE20K = (
    dict(records=20210, bytes=1, index_sha256="5"),
    dict(records=2000, bytes=1, index_sha256="6"),
)


@pytest.mark.slow
@pytest.mark.parametrize("data", [ADE20K, DIGITS])
def test_segmentation_is_said_in_its_own_words_and_stands_next_to_table_9_on_ade20k(tmp_path, data):
    write_run(
        tmp_path / "run",
        "--task segmentation --classes 150 --base-size 400",
        scores=(20.0, 38.5),
        data=data,
        figures=lambda miou: dict(miou=miou, accuracy=70 + miou / 5),
    )
    assert report(str(tmp_path / "run"), output=tmp_path / "report") == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "FCN on ResNet-50-D, 480 x 480 pixels" in text and "| 38.50 | 77.70 |" in text
    said = phrases.phrases(read(str(tmp_path / "run")))
    # What every training for segmentation has is not said, and what one has is.
    assert [each for each in said if each.startswith("--")] == ["--base-size 400"]
    assert "centre crop of each image" in text and "larger share" not in text
    assert ("The paper's Table 9" in text) == (data is ADE20K)
    if data is ADE20K:
        assert "ADE20K (20,210 training images, 2,000 validation images)" in text
        assert "| ResNet-50-D, + cosine | 79.25 | 39.33 |" in text


VOC = (
    dict(records=16551, bytes=1, index_sha256="7"),
    dict(records=4952, bytes=1, index_sha256="8"),
)


@pytest.mark.slow
@pytest.mark.parametrize("data", [VOC, DIGITS])
def test_detection_is_said_in_its_own_words_and_stands_next_to_table_8_on_voc(tmp_path, data):
    names = ("map07", "map_area", "coco_ap", "coco_ap50", "coco_ap75")
    for name, given in (("first", ""), ("second", "--flip 0")):
        write_run(
            tmp_path / "runs" / name,
            f"--task detection --classes 20 --model faster_rcnn_resnet50_v1d {given}",
            scores=(20.0, 77.5),
            data=data,
            figures=lambda mean: dict(zip(names, (mean, mean + 2, mean / 2, mean + 1, mean / 3))),
        )
    assert report(str(tmp_path / "runs"), output=tmp_path / "report") == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Faster-RCNN on ResNet-50-D, a shorter side of 600 pixels" in text
    assert "| 77.50 | – | 79.50 | 38.75 | 78.50 | 25.83 | 77.50 |" in text
    said = phrases.phrases(read(str(tmp_path / "runs" / "first")))
    assert not [each for each in said if each.startswith("--")]
    assert ("The paper's Table 8" in text) == (data is VOC)
    if data is VOC:
        assert "PASCAL VOC (16,551 training images, 4,952 validation images)" in text
        assert "| ResNet-50-D, + cosine | 79.23 |" in text and "| 81.33 |" in text


def test_every_flag_that_changes_a_run_is_said(tmp_path):
    """A flag that neither the words nor the spelled flags mention would make two rows look like
    one.
    """

    def said(given):
        folder = tmp_path / str(len(os.listdir(str(tmp_path))))
        write_run(folder, given, scores=())
        return phrases.phrases(read(str(folder)))

    plain = said("")
    changes = """
        --optimizer sgd; --wd 0; --momentum 0; --init msra; --color-form gluoncv; --pca-noise 0;
        --lr 0.2; --lr-mode exp; --lr-decay 0.5; --lr-decay-epoch 40; --num-epochs 5;
        --crop-aspect 1,1; --model vgg11; --input-size 32; --no-wd; --use-se;
        --num-training-samples 10; --label-smoothing; --last-gamma; --warmup-epochs 1; --dtype
        float16"""
    for given in changes.split(";"):
        assert said(given) != plain, given
    assert said("--warmup-epochs 1 --warmup-lr 0.01") != said("--warmup-epochs 1")
    assert said("--dtype float16 --loss-scale 128") != said("--dtype float16")
    smoothed = said("--label-smoothing")
    assert said("--label-smoothing --smoothing-form gluoncv") != smoothed
    assert (
        said("--mixup --mixup-partner reverse")
        != said("--mixup")
        != said("--mixup --mixup-off-epoch 3")
    )


def recipe_run(folder, recipe, **settings):
    """A run with the settings of a paper's row."""
    row = next(row for row in paper.ROWS if row.recipe == recipe).settings
    names = (
        "model input_size dtype num_epochs warmup_epochs lr_mode last_gamma no_wd label_smoothing"
    )
    given = [f"{flags.spelling(name)} {row[name]}" for name in names.split() + ["mixup_alpha"]]
    given += ["--num-gpus 8 --linear-scaling --batch-size", str(row["global_batch"] // 8)]
    given += ["--teacher runs/teacher"] if row["distilled"] else []
    given.append(settings.pop("more", ""))
    return write_run(folder, " ".join(given), batch=row["global_batch"], data=IMAGENET, **settings)


@pytest.mark.parametrize(
    "row", [row for row in paper.ROWS if row.score], ids=lambda row: row.recipe
)
def test_a_run_on_imagenet_is_found_in_the_papers_tables(row, tmp_path):
    recipe_run(tmp_path / "a", row.recipe)
    rows, differences = read(str(tmp_path / "a")).nearest_rows
    assert row in rows and differences == {}
    assert all(other.settings == row.settings for other in rows)


def test_a_run_is_shown_with_the_papers_figure_and_the_difference(tmp_path):
    recipe_run(tmp_path / "a", "table6_resnet50_v1d_mixup", scores=(50.0, 79.0))
    recipe_run(tmp_path / "b", "table5_resnet50_v1d", scores=(77.5,))
    mixup, efficient = cells(find([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert mixup["published row"] == "Table 6, ResNet-50-D, + mixup, no distillation"
    assert mixup["published top-1 / top-5 %"] == "79.15 / 94.58"
    assert mixup["difference"] == "-0.15 / -10.58"
    assert (
        efficient["published row"]
        == "Table 5, ResNet-50-D, efficient; Table 6, ResNet-50-D, efficient"
    )
    assert efficient["difference"] == "+0.34 / -11.02"


def later_flags(recipe):
    """The flags of a recipe of later work."""
    (row,) = [row for row in literature.ROWS if row.recipe == recipe]
    words = [f"--lr {row.settings['peak']}"]
    for name, value in row.settings.items():
        if name in flags.FLAGS:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"{flags.spelling(name)} {text}")
    return " ".join(words)


def test_a_run_of_a_later_row_is_found_and_shown_with_its_digits(tmp_path):
    write_run(
        tmp_path / "a",
        later_flags("torchvision_resnet50_v2"),
        batch=1024,
        data=IMAGENET,
        scores=(80.0,),
    )
    (row,) = cells(find([str(tmp_path / "a")]))
    assert row["published row"] == "torchvision, ResNet-50, IMAGENET1K_V2"
    assert row["published top-1 / top-5 %"] == "80.858 / 95.434"
    assert row["difference"] == "-0.86 / -10.43"


def test_a_figure_that_was_not_published_is_a_dash(tmp_path):
    write_run(
        tmp_path / "a",
        later_flags("assembled_mobilenet_se") + " --seed 3 --wd 0.0002",
        batch=1024,
        data=IMAGENET,
    )
    (row,) = cells(find([str(tmp_path / "a")]))
    title, other = row["published row"].split(", except for ")
    assert title == "Assembled-CNN, M1, SE-MobileNet (r = 16), 360 epochs"
    assert other == "--wd 0.0002 instead of 0.0001"
    assert row["published top-1 / top-5 %"] == "74.28 / –" and row["difference"] == "+15.72"


def test_what_differs_from_the_nearest_row_is_said(tmp_path):
    recipe_run(
        tmp_path / "a", "table6_resnet50_v1d_cosine", more="--wd 0.0005 --color-form gluoncv"
    )
    (row,) = cells(find([str(tmp_path / "a")]))
    differences = "--color-form gluoncv instead of paper, --wd 0.0005 instead of 0.0001"
    assert row["published row"] == "Table 6, ResNet-50-D, + cosine, except for " + differences
    recipe_run(
        tmp_path / "c",
        "table6_resnet50_v1d_distill_mixup",
        more="--fidelity gluoncv --momentum 0.8",
    )
    (row,) = cells(find([str(tmp_path / "c")]))
    differences = "--momentum 0.8 instead of 0.9, --fidelity gluoncv instead of paper"
    assert (
        row["published row"]
        == "Table 6, ResNet-50-D, + distillation and mixup, except for " + differences
    )
    write_run(tmp_path / "b", "--model vgg11 --lr 3 --num-epochs 2 --momentum 0.5", data=IMAGENET)
    (row,) = cells(find([str(tmp_path / "b")]))
    assert (row["published row"], row["difference"]) == ("none similar", "–")


@pytest.mark.slow
def test_runs_on_other_images_are_compared_among_themselves_alone(tmp_path, capsys):
    write_run(tmp_path / "digits")
    recipe_run(tmp_path / "imagenet", "table5_resnet50_v1d")
    report(str(tmp_path / "digits"), str(tmp_path / "imagenet"), output=tmp_path / "out")
    digits, imagenet = by_data(find([str(tmp_path / "digits"), str(tmp_path / "imagenet")]))
    assert [run.name for run in digits + imagenet] == ["digits", "imagenet"]
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text.count("Next to published figures") == 1 and text.index("ImageNet-1k") < text.index(
        "Next to published figures"
    )
    assert (
        "## 1,442 training images, 355 validation images, 1000 classes\n\nThese are not ImageNet's"
        in text
    )
    assert "## ImageNet-1k (1,281,167 training images, 50,000 validation images)" in text
    # Neither is a row of the other's table.
    assert not re.search(r"\| digits \|.*\n\| imagenet \|", text)


def test_made_up_images_are_said_to_be_so(tmp_path):
    write_run(tmp_path / "a", "--synthetic 64", data=(None, None))
    assert tables.data_title([read(str(tmp_path / "a"))]) == "64 synthetic images (--synthetic)"


# -- the pictures


@pytest.mark.slow
def test_the_same_runs_give_the_same_pictures(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "--no-wd")
    groups = groups_of(find([str(tmp_path)]))
    for draw in (plots.all_curves, plots.ladder):
        files = [tmp_path / (draw.__name__ + str(number) + ".png") for number in (1, 2)]
        for file in files:
            draw(groups, str(file))
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_group_without_validation_has_no_figures(tmp_path):
    write_run(tmp_path / "a", validation=False)
    group = Group([read(str(tmp_path / "a"))])
    assert (group.mean("top1"), group.spread("top1")) == (None, None)
