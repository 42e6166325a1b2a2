"""The log holds what the run has logged and nothing else, whatever happens to its file; every error
names the file.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training.log_files import read
from gluon_tricks.training.logger import Logger

EPOCH = dict(loss=1.0, top1=50.0, images=8)


@pytest.fixture
def logger(tmp_path):
    """A logger with two lines in its log, and the log's path."""
    logger = Logger(Classification, str(tmp_path))
    for step in (1, 2):
        logger.epoch(step, 0, EPOCH)
    yield logger, tmp_path / "log.jsonl"
    logger.close()


def test_half_a_line_of_a_killed_run_goes_and_other_text_stays(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event": "epoch"}\n{"eve')
    (tmp_path / "notes.txt").write_text("my notes of last year")
    logger = Logger(Classification, str(tmp_path), "notes.txt")
    logger.say("begun")
    logger.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"event": "epoch"}\n'
    assert (tmp_path / "notes.txt").read_text() == "my notes of last year\nbegun\n"


def test_the_speed_is_that_of_the_steps_that_were_trained(tmp_path):
    """8 steps of 5 images; --batch-growth leaves out the last two of the epoch's 10."""
    logger = Logger(Classification, str(tmp_path))
    logger.start(0, 10, 10)
    for done in (1, 2, 3, 4, 5, 6, 7, 10):
        logger.progress(done, 0, 0.1)
    logger.train(10, 0, 0.1, dict(EPOCH, images=40), 5)
    logger.close()
    (line,) = read(str(tmp_path / "timing.jsonl"))
    assert line["images_per_second"] == pytest.approx(40 / logger.training_seconds)


def test_each_line_of_times_has_the_digest_of_its_values(tmp_path):
    logger = Logger(Classification, str(tmp_path))
    logger.clock("resumed", step=3)
    logger.close()
    (line,) = read(str(tmp_path / "timing.jsonl"))
    digest = line.pop("sha256")
    assert digest == hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("name", ["log.jsonl", "timing.jsonl", "train.log"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        Logger(Classification, str(tmp_path))


def test_what_a_terminal_would_act_on_is_said_as_an_escape(tmp_path, capsys):
    logger = Logger(Classification, str(tmp_path))
    logger.say("the run's folder is runs/a\x1b[31m\nb")
    logger.close()
    expected = r"the run's folder is runs/a\x1b[31m\nb" + "\n"
    assert (tmp_path / "train.log").read_text() == expected == capsys.readouterr().out


# -- going on


def test_what_was_logged_after_the_checkpoint_is_said_again(logger):
    logger, path = logger
    whole = path.read_bytes()
    first = whole.splitlines(keepends=True)[0]
    logger.rewind(len(first), first)
    assert path.read_bytes() == first
    logger.epoch(2, 0, EPOCH)
    assert path.read_bytes() == whole == logger.contents()
    assert not (path.parent / "log.jsonl.damaged").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "flipped", "of another run", "zeros"])
def test_a_damaged_log_is_restored_from_the_checkpoint_and_what_was_there_is_kept(
    tmp_path, capsys, damage
):
    whole = b"".join(b'{"event": "epoch", "step": %d}\n' % step for step in range(5))
    there = dict(
        cut=whole[:70],
        empty=b"",
        gone=None,
        flipped=whole.replace(b"3}", b"8}"),
        zeros=bytes(len(whole)) + b"\n",
        **{"of another run": b'{"event": "train"}\n' + whole},
    )[damage]
    if there is not None:
        (tmp_path / "log.jsonl").write_bytes(there)
    logger = Logger(Classification, str(tmp_path))
    logger.rewind(len(whole), whole)
    logger.close()
    assert (tmp_path / "log.jsonl").read_bytes() == whole
    assert "log.jsonl is not what the run wrote, and was restored" in capsys.readouterr().out
    kept = tmp_path / "log.jsonl.damaged"
    assert kept.exists() == (damage in ("flipped", "of another run", "zeros"))
    assert not kept.exists() or kept.read_bytes() == there


def test_without_a_copy_the_whole_lines_stay_and_the_loss_is_said(tmp_path, capsys):
    """A checkpoint of the version before knows only the log's size."""
    lines = [b'{"event": "epoch", "step": %d}\n' % step for step in range(5)]
    damaged = lines[0] + lines[1].replace(b'"event"', b'"event') + lines[2]
    (tmp_path / "log.jsonl").write_bytes(damaged)
    logger = Logger(Classification, str(tmp_path))
    logger.rewind(len(b"".join(lines)))
    logger.close()
    assert (tmp_path / "log.jsonl").read_bytes() == lines[0] + lines[2]
    assert (tmp_path / "log.jsonl.damaged").read_bytes() == damaged
    assert "lines are missing" in capsys.readouterr().out


def test_a_sound_log_needs_no_copy(tmp_path, capsys):
    lines = [b'{"event": "epoch", "step": %d}\n' % step for step in range(5)]
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines))
    logger = Logger(Classification, str(tmp_path))
    logger.rewind(len(b"".join(lines[:3])))
    logger.close()
    assert (tmp_path / "log.jsonl").read_bytes() == b"".join(lines[:3])
    assert capsys.readouterr().out == ""


# -- while it trains


@pytest.mark.parametrize("damage", ["removed", "emptied", "replaced", "the same in another file"])
def test_a_log_that_something_else_has_changed_is_written_again(logger, capsys, damage):
    logger, path = logger
    whole = path.read_bytes()
    if damage == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if damage == "replaced":
        path.write_bytes(b"mine\n")
    if damage == "the same in another file":
        path.write_bytes(whole)
    assert logger.contents() == whole == path.read_bytes()
    assert "was changed or removed while the run trained" in capsys.readouterr().out
    logger.epoch(3, 0, EPOCH)
    assert [line["step"] for line in read(str(path))] == [1, 2, 3]
    if damage == "replaced":
        assert (path.parent / "log.jsonl.damaged").read_bytes() == b"mine\n"


def test_other_files_that_are_removed_go_on(logger, capsys):
    logger, path = logger
    (path.parent / "timing.jsonl").unlink()
    logger.contents()
    logger.clock("checkpoint", step=2)
    assert "timing.jsonl was removed" in capsys.readouterr().out
    assert read(str(path.parent / "timing.jsonl"))[0]["event"] == "checkpoint"


@pytest.mark.parametrize("again", [True, False])
def test_a_folder_that_was_moved_or_replaced_is_an_error_and_is_not_written(tmp_path, again):
    folder = tmp_path / "run"
    folder.mkdir()
    logger = Logger(Classification, str(folder))
    logger.epoch(1, 0, EPOCH)
    folder.rename(tmp_path / "moved")
    if again:
        folder.mkdir()
    with pytest.raises(UserError, match="run: the run's folder was removed, moved or replaced"):
        logger.contents()
    with pytest.raises(UserError, match="removed, moved or replaced"):
        logger.epoch(2, 0, EPOCH)
    logger.close()
    assert len(read(str(tmp_path / "moved" / "log.jsonl"))) == 1 and (
        not again or not os.listdir(str(folder))
    )


# -- a full disk

FULL = """
import resource, sys
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training.log_files import read
from gluon_tricks.training.logger import Logger
logger = Logger(Classification, sys.argv[1], tensorboard=sys.argv[2] == "tensorboard")
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
write = dict(log=lambda: logger.epoch(1, 0, dict(loss=1.0)),
             timing=lambda: logger.clock("train", step=1),
             train=lambda: logger.say("x" * 100))
# more bytes than in the log
write["tensorboard"] = lambda: logger.epoch(1, 0, dict.fromkeys("abcdefghijklm", 1.0))
try:
    for _ in range(1000):
        write[sys.argv[2]]()
except UserError as error:
    logger.close()
    sys.exit(str(error))
"""


@pytest.mark.parametrize("name", ["log", "timing", "train", "tensorboard"])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, name):
    """A limit on the size of files stands in for the full disk."""
    if name == "tensorboard":
        pytest.importorskip("tensorboardX")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert (
        str(tmp_path / name) in done.stderr and "cannot be written: File too large" in done.stderr
    )
    if name in ("log", "timing"):  # half a line is no line
        assert len(read(str(tmp_path / (name + ".jsonl")))) > 10


def test_a_terminal_that_is_gone_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", open("/dev/full", "w"))
    logger = Logger(Classification, str(tmp_path))
    for text in ("first", "second"):
        logger.say(text)
    logger.close()
    monkeypatch.undo()
    assert (tmp_path / "train.log").read_text() == "first\nsecond\n"


def test_tensorboard_has_the_logs_figures(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    logger = Logger(Classification, str(tmp_path), tensorboard=True)
    logger.epoch(7, 0, EPOCH)
    logger.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    data, events = file.read_bytes(), []
    while data:  # uint64 length, uint32 of it, the event, uint32 of it
        length = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    scalars = {
        value.tag: (event.step, value.simple_value)
        for event in events
        for value in event.summary.value
    }
    assert scalars == {"epoch/loss": (7, 1.0), "epoch/top1": (7, 50.0)}
