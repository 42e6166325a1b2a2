"""What others learn about a run from its folder: its flags, checkpoints, names and data, and
nothing that is wrong.
"""

import dataclasses
import json
import os
import shutil

import cv2
import numpy as np
import pytest

from gluon_tricks import config as flags
from gluon_tricks.commands import evaluate
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.errors import UserError
from gluon_tricks.files import sha256_of
from gluon_tricks.training import run_folder
from gluon_tricks.training.checkpoint_state import seal
from gluon_tricks.training.log_files import LogFiles
from gluon_tricks.training.run import build, finish
from gluon_tricks.training.run_folder import RunFolder, run_of


def write_records(path, labels):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with RecordWriter(path) as writer:
        for i, label in enumerate(labels):
            image = np.full((32, 32, 3), 20 * i, np.uint8)
            writer.write(i, float(label), cv2.imencode(".png", image)[1].tobytes())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project's folder with data/, and runs/a that was trained in it by relative paths, with two
    checkpoints.
    """
    project = tmp_path_factory.mktemp("project")
    for name in ("train", "val"):
        write_records(str(project / "data" / (name + ".rec")), [0, 1, 2, 0])
    (project / "data" / "labels.txt").write_text("ant\nbee\ncow\n")
    before = os.getcwd()
    os.chdir(project)
    try:
        run = build(
            flags.resolve(
                dict(
                    data_dir="data",
                    save_dir="runs/a",
                    model="cifar_resnet20_v1",
                    classes=3,
                    input_size=32,
                    batch_size=2,
                    num_epochs=2,
                    num_data_workers=1,
                    val_frequency=1,
                    lr=1e-4,
                    rgb_mean=(1.0, 2.0, 3.0),
                    crop_ratio=1.0,
                )
            )
        )
        finish(run)
        run.close()
    finally:
        os.chdir(before)
    return project


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    """A copy of it, used from another project's folder, whose files have the same names."""
    copy = shutil.copytree(trained, tmp_path / "project", symlinks=True)
    config = json.loads((copy / "runs" / "a" / "config.json").read_text())
    write(copy / "runs" / "a", json.loads(json.dumps(config).replace(str(trained), str(copy))))
    for name in ("train", "val"):
        write_records(str(tmp_path / "other" / "data" / (name + ".rec")), [2, 2, 2])
    (tmp_path / "other" / "data" / "labels.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(tmp_path / "other")
    return copy


def write(folder, contents, sealed=True):
    """Write config.json; an older version's has no checksum."""
    contents = {name: value for name, value in contents.items() if name != "sha256"}
    if sealed:
        contents["sha256"] = sha256_of(contents)
    (folder / "config.json").write_text(json.dumps(contents))


def read(folder):
    return json.loads((folder / "config.json").read_text())


def as_older(folder, save_dir="runs/a"):
    """Make the folder look like an older version's: relative paths, no checksum, no names, and less
    known about the data.
    """
    contents = read(folder)
    contents["flags"].update(
        data_dir="data",
        save_dir=save_dir,
        **{
            field + end: f"data/{name}.{end[1:] or 'rec'}"
            for field, name in (("rec_train", "train"), ("rec_val", "val"))
            for end in ("", "_idx")
        },
    )
    del contents["parameters"], contents["labels"]
    for split in contents["data"].values():
        split.pop("sample_sha256")
    write(folder, contents, sealed=False)
    (folder / "labels.txt").unlink()


def test_a_run_says_what_it_was_from_any_folder(project):
    run = RunFolder(os.path.relpath(project / "runs" / "a"))
    assert (run.config.model, run.config.classes, run.config.rgb_mean) == (
        "cifar_resnet20_v1",
        3,
        (1.0, 2.0, 3.0),
    )
    assert (
        run.config.rec_val == str(project / "data" / "val.rec") and run.layout["global_batch"] == 2
    )
    assert run.labels() == ["ant", "bee", "cow"]
    assert run.validation_file() == (
        str(project / "data" / "val.rec"),
        str(project / "data" / "val.idx"),
    )
    for inside in (
        "best",
        "best/net.params",
        "checkpoints/step-00000004",
        "checkpoints/step-00000004/net.params",
        ".",
    ):
        assert run_of(str(project / "runs" / "a" / inside)).config == run.config
    assert run_of(str(project / "data" / "val.rec")) is None


def test_the_names_stay_with_the_run_when_the_data_are_gone(project):
    shutil.rmtree(project / "data")
    run = RunFolder(str(project / "runs" / "a"))
    assert run.labels() == ["ant", "bee", "cow"]
    with pytest.raises(
        UserError, match="val.rec, on which .* was validated, is not there: give --rec-val"
    ):
        run.validation_file()


@pytest.mark.parametrize("held", ["bee\nant\ncow\n", "ant\nbee\n", "", None])
def test_names_that_are_not_those_of_the_run_are_said_and_not_taken(project, held):
    shutil.rmtree(project / "data")
    kept = project / "runs" / "a" / "labels.txt"
    kept.unlink() if held is None else kept.write_text(held)
    said = []
    assert RunFolder(str(project / "runs" / "a")).labels(said.append) is None
    assert "runs/a/labels.txt: " in said[0] and "classes are given by number" in said[0]


def test_other_names_next_to_the_data_do_not_take_the_place_of_lost_ones(project):
    (project / "runs" / "a" / "labels.txt").unlink()
    run, said = RunFolder(str(project / "runs" / "a")), []
    assert run.labels(said.append) == ["ant", "bee", "cow"]
    (project / "data" / "labels.txt").write_text("bee\nant\ncow\n")
    assert run.labels(said.append) is None and "data/labels.txt: holds other names" in said[0]


def test_an_older_run_still_finds_its_own_data_and_names(project):
    as_older(project / "runs" / "a")
    run = RunFolder(str(project / "runs" / "a"))
    assert run.labels() == ["ant", "bee", "cow"]
    assert run.validation_file()[0] == str(project / "data" / "val.rec")


def test_an_older_run_that_was_moved_takes_no_other_projects_data_or_names(project, tmp_path):
    as_older(project / "runs" / "a")
    shutil.move(str(project / "runs" / "a"), str(tmp_path / "moved"))
    run = RunFolder(str(tmp_path / "moved"))
    assert run.labels() is None
    with pytest.raises(
        UserError, match="val.rec is not the file on which .*moved was validated .*records 4 -> 3"
    ):
        run.validation_file()


def test_evaluate_measures_another_file_only_if_it_is_named(project, capsys):
    from gluon_tricks import cli

    run, other = str(project / "runs" / "a"), str(project / "data" / "val.rec")
    assert cli.main(["evaluate", run]) == 0
    write_records(other, [1, 1, 1, 1])
    assert cli.main(["evaluate", run]) == 2
    assert "is not the file on which" in capsys.readouterr().err
    assert cli.main(["evaluate", run, "--rec-val", other]) == 0


FIELDS = [
    ("flags", "classes", "3"),
    ("flags", "classes", 0),
    ("flags", "lr", None),
    ("flags", "crop_area", [1]),
    ("flags", "mixup", 1),
    ("flags", "rgb_std", [1, 2, "3"]),
    ("flags", "model", ["resnet18_v1"]),
    ("flags", "lr_mode", "sine"),
    ("flags", "clasres", 3),
    ("layout", "global_batch", "2"),
    ("layout", "began_with", 0),
    ("layout", "parts", 1.5),
    ("data", "train", 3),
    ("data", "validation", ["records"]),
    ("parameters", "teacher", 3),
]


@pytest.mark.parametrize("part, name, value", FIELDS)
def test_a_value_of_a_wrong_type_is_one_line_that_names_the_file(project, part, name, value):
    contents = read(project / "runs" / "a")
    contents[part][name] = value
    for sealed in (True, False):
        write(project / "runs" / "a", contents, sealed)
        with pytest.raises(UserError, match=r"runs/a/config.json: damaged") as error:
            RunFolder(str(project / "runs" / "a"))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '{"flags": {}}', "[" * 100000, "\x00", '{"a": NaN}']
)
def test_what_is_no_config_is_one_line(project, text):
    (project / "runs" / "a" / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config.json: damaged") as error:
        RunFolder(str(project / "runs" / "a"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_no_flipped_bit_makes_a_run_another_one(project):
    file = project / "runs" / "a" / "config.json"
    whole, contents = file.read_bytes(), read(project / "runs" / "a")
    for byte in range(0, len(whole), 5):
        data = bytearray(whole)
        data[byte] ^= 1 << byte % 8
        file.write_bytes(data)
        try:
            RunFolder(str(project / "runs" / "a"))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert json.loads(data) == contents  # white space


def test_a_folder_in_place_of_the_file_and_a_config_of_something_else(project, tmp_path):
    (project / "runs" / "a" / "config.json").unlink()
    (project / "runs" / "a" / "config.json").mkdir()
    with pytest.raises(UserError, match="config.json: damaged"):
        RunFolder(str(project / "runs" / "a"))
    (tmp_path / "config.json").write_text('{"architectures": ["Net"]}')
    assert run_of(str(tmp_path / "net.params")) is None


def test_the_best_checkpoint_is_found_without_the_link(project):
    run = RunFolder(str(project / "runs" / "a"))
    best, state = run.checkpoint("best")
    assert state["step"] == state["best"]["step"]
    os.unlink(project / "runs" / "a" / "best")
    again, state_again = run.checkpoint("best")
    assert os.path.samefile(
        again, os.path.join(run.path, "checkpoints", f"step-{state['step']:08d}")
    )
    assert state_again == state


def test_a_mark_of_the_best_checkpoint_that_leads_to_another_one_is_said(project):
    run = RunFolder(str(project / "runs" / "a"))
    mark, last = project / "runs" / "a" / "best", "checkpoints/step-00000004"
    file = project / "runs" / "a" / last / "state.json"
    state = json.loads(file.read_text())
    state["best"]["step"] = 2
    file.write_text(json.dumps(seal(state)))
    mark.unlink()
    mark.symlink_to(last)
    with pytest.raises(UserError, match="best: leads to .* step 4, but the best one is .* step 2"):
        run.checkpoint("best")


def damage(file):
    data = bytearray(open(file, "rb").read())
    data[len(data) // 2] ^= 1
    open(file, "wb").write(data)


def test_a_damaged_last_checkpoint_is_named_and_a_damaged_best_one_refused(project):
    run, said = RunFolder(str(project / "runs" / "a")), []
    checkpoints = sorted(os.listdir(project / "runs" / "a" / "checkpoints"))
    damage(os.path.join(run.path, "checkpoints", checkpoints[1], "net.params"))
    path, state = run.checkpoint("last", said.append)
    assert os.path.basename(path) == checkpoints[0] and checkpoints[1] in said[0] and len(said) == 1
    damage(os.path.join(run.path, "checkpoints", checkpoints[0], "net.params"))
    with pytest.raises(UserError, match="is damaged: net.params"):
        run.checkpoint("best", said.append)
    with pytest.raises(UserError, match="is damaged: net.params"):
        run_folder.checked(os.path.join(run.path, "checkpoints", checkpoints[0], "net.params"))
    with pytest.raises(UserError, match="has no whole checkpoint"):
        run.checkpoint("last", said.append)


def test_a_parameter_file_outside_of_a_checkpoint_has_no_checksum(project, tmp_path):
    shutil.copy(project / "runs" / "a" / "best" / "net.params", tmp_path / "net.params")
    assert run_folder.checked(str(tmp_path / "net.params")) == str(tmp_path / "net.params")


def test_paths_become_absolute_and_names_of_networks_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = flags.Config(
        teacher="resnet50_v1d", use_params="a/net.params", resume="auto", save_dir="/x/runs"
    )
    found = run_folder.absolute(config)
    assert found == dataclasses.replace(config, use_params=str(tmp_path / "a" / "net.params"))
    (tmp_path / "resnet50_v1d").mkdir()  # a run's folder of that name comes first
    assert run_folder.absolute(config).teacher == str(tmp_path / "resnet50_v1d")


def test_a_logging_file_lies_in_the_runs_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = flags.Config(save_dir="runs/a", logging_file="notes/mine.log")
    (tmp_path / "runs" / "a").mkdir(parents=True)
    files = LogFiles(config.save_dir, config.logging_file, print)
    files.add_plain("here")
    files.close()
    path = run_folder.absolute(config).logging_file
    assert os.path.isabs(path) and open(path).read() == "here\n"
    assert run_folder.absolute(config, "/there").logging_file == "/there/runs/a/notes/mine.log"
    elsewhere = dataclasses.replace(config, logging_file="/logs/mine.log")
    assert run_folder.absolute(elsewhere).logging_file == "/logs/mine.log"


def test_only_what_both_know_of_the_data_is_compared():
    old, new = dict(records=3, bytes=9), dict(records=3, bytes=9, sample_sha256="a")
    assert run_folder.differences(old, new) == run_folder.differences(None, None) == ""
    assert run_folder.differences(dict(new, sample_sha256="b"), new) == "sample_sha256 b -> a"
    assert "None" in run_folder.differences(None, new)


def test_evaluate_uses_the_index_that_the_run_was_given(project):
    folder = project / "runs" / "a"
    os.rename(project / "data" / "val.idx", project / "data" / "mine.idx")
    contents = read(folder)
    contents["flags"]["rec_val_idx"] = str(project / "data" / "mine.idx")
    write(folder, contents)
    figures = evaluate.main(_arguments(str(folder)))
    assert figures == 0


def _arguments(source):
    import argparse

    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return parser.parse_args([source])
