"""A run that is resumed, and its workers: the same flags, the same records, the same parameters,
wherever they lie.
"""

import json
import shutil

import pytest

from gluon_tricks import cli
from gluon_tricks import config as flags
from gluon_tricks.config import ConfigError
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.errors import UserError
from gluon_tricks.training import identity
from gluon_tricks.training.run_folder import RunFolder


def relabelled(source, path):
    """A copy of a data set's folder whose training images have other labels; sizes, indexes and
    checksums are right.
    """
    shutil.copytree(source, path)
    with RecordFile(source / "train.rec") as file:
        records = [
            (int(key), (file.read(i)[0] + 1) % 10, file.read(i)[1])
            for i, key in enumerate(file.keys)
        ]
    with RecordWriter(path / "train.rec") as writer:
        for record in records:
            writer.write(*record)
    assert (path / "train.idx").read_bytes() == (source / "train.idx").read_bytes()
    return path


def test_a_run_goes_on_with_a_copy_of_its_data_and_not_with_other_labels(train, digits, tmp_path):
    train(max_steps=1)
    copy = shutil.copytree(digits, tmp_path / "copy")
    assert train(max_steps=1, data_dir=str(copy), resume="auto").progress.step == 2
    (copy / "manifest.json").unlink()  # without the digest of the whole file the others still tell
    assert train(max_steps=1, data_dir=str(copy), resume="auto").progress.step == 3
    with pytest.raises(ConfigError, match="the data of train: sample_sha256 .* -> "):
        train(data_dir=str(relabelled(digits, tmp_path / "other")), resume="auto")


def test_an_older_run_that_knew_less_of_its_data_goes_on(train, tmp_path):
    train(max_steps=1)
    file = tmp_path / "run" / "config.json"
    contents = json.loads(file.read_text())
    for split in contents["data"].values():
        del split["sample_sha256"], split["sha256"]
    del contents["parameters"], contents["sha256"]
    file.write_text(json.dumps(contents))
    assert train(max_steps=1, resume="auto").progress.step == 2


def test_a_number_of_classes_that_is_not_the_datas_is_said_once(train, digits, tmp_path, capsys):
    kept = tmp_path / "run" / "labels.txt"
    train(max_steps=1)
    assert "--classes" not in capsys.readouterr().out
    assert kept.read_text() == (digits / "labels.txt").read_text()
    assert RunFolder(str(tmp_path / "run")).labels() == [str(digit) for digit in range(10)]
    shutil.rmtree(tmp_path / "run")
    train(max_steps=1, classes=20)
    assert f"--classes is 20, but {digits}/labels.txt names 10 classes" in capsys.readouterr().out
    assert not kept.exists()
    train(max_steps=1, classes=20, resume="auto")
    assert "names 10 classes" not in capsys.readouterr().out


def test_a_run_in_the_place_of_a_checkpoint_is_said(train, tmp_path):
    train(max_steps=1)
    folder = str(tmp_path / "run")
    with pytest.raises(
        UserError, match="is a run, not a checkpoint: give --save-dir .* --resume a"
    ):
        train(max_steps=1, resume=folder, save_dir=str(tmp_path / "other"))


def test_a_forgotten_number_of_classes_is_refused(train, digits, tmp_path, capsys):
    message = "labels.txt names 10 classes, and --classes is 1000, the default: give --classes 10"
    with pytest.raises(UserError, match=message):
        train(max_steps=1, classes=1000)
    assert cli.main(["plan", "--data-dir", str(digits), "--batch-size", "8"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_without_names_the_labels_tell_the_number_of_classes(train, digits, tmp_path, capsys):
    copy = shutil.copytree(digits, tmp_path / "copy")
    (copy / "labels.txt").unlink()
    for classes, said in ((1000, True), (20, True), (19, False), (10, False)):
        train(
            max_steps=1, classes=classes, data_dir=str(copy), save_dir=str(tmp_path / str(classes))
        )
        assert ("train.rec seem to be of 10 classes" in capsys.readouterr().out) == said


def about(**changes):
    """What a worker says of itself."""
    found = dict(
        version="1",
        layout=dict(global_batch=8),
        data=dict(train=dict(records=3, sample_sha256="a"), validation=None),
        parameters=dict(teacher="abc", use_params=None),
        flags={},
    )
    found.update(changes)
    found["flags"] = json.loads(flags.to_json(flags.Config(**found["flags"])))
    return found


@pytest.mark.parametrize(
    "changes, expected",
    [
        (dict(), None),
        (dict(flags=dict(rec_train="/there/train.rec", num_data_workers=7)), None),
        (dict(flags=dict(teacher="/there/net.params")), None),  # of the same contents
        (dict(flags=dict(use_params="/there/net.params")), "--use-params"),
        (
            dict(parameters=dict(teacher="abd", use_params=None)),
            "--teacher: its parameters have changed",
        ),
        (
            dict(data=dict(train=dict(records=3, sample_sha256="b"), validation=None)),
            "sample_sha256 a -> b",
        ),
        (
            dict(data=dict(train=dict(records=3, sample_sha256="a", sha256="x"), validation=None)),
            None,
        ),
        (dict(flags=dict(lr=0.3)), "--lr: 0.1 -> 0.3"),
        (dict(layout=dict(global_batch=9)), "layout"),
        (dict(version="2"), "gluon_tricks 1 -> 2"),
    ],
)
def test_workers_of_one_run_agree_in_all_that_the_parameters_depend_on(changes, expected):
    lines = identity.disagreements([about(host="a"), about(host="b"), about(host="c", **changes)])
    if expected is None:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith("worker 2 on c: ") and expected in line
