"""A damaged run's folder: `--resume auto` and `report` name the damage or give the right result,
and never end in a traceback.
"""

import json
import os
import random
import shutil

import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.reporting import page
from gluon_tricks.reporting.reading import find
from gluon_tricks.training.checkpoint_state import read_state

JSON = [
    "config.json",
    "environment.json",
    "result.json",
    "log.jsonl",
    "timing.jsonl",
    "checkpoints/step-00000008/state.json",
]
OTHERS = [
    "checkpoints/step-00000008/net.params",
    "checkpoints/step-00000008/optimizer.states",
    "train.log",
    "labels.txt",
]
VALUES = (
    None,
    True,
    -1,
    0.5,
    1e308,
    float("inf"),
    float("nan"),
    10**400,
    "",
    "\x1b[31m\n",
    [],
    [[1]],
    {},
    {"a": [1]},
)


@pytest.fixture(scope="module")
def original(digits, tmp_path_factory):
    """A finished run of one epoch, and the flags with which `train` resumes it."""
    from conftest import SMALL

    from gluon_tricks import config as flags
    from gluon_tricks.training.run import build, finish

    folder = tmp_path_factory.mktemp("original") / "run"
    given = dict(
        SMALL,
        data_dir=str(digits),
        save_dir=str(folder),
        num_epochs=1,
        num_training_samples=64,
        save_interval=4,
    )
    run = build(flags.resolve(given))
    finish(run)
    run.close()
    return folder, given


def places(value, path=()):
    """The path of every value inside of one from JSON."""
    yield path
    for key, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        yield from places(inner, path + (key,))


def with_other_value(text, draw):
    """JSON lines of which a value, a key or a whole line is another."""
    lines = (
        [json.loads(line) for line in text.splitlines()] if "\n{" in text else [json.loads(text)]
    )
    number = draw.randrange(len(lines))
    path = draw.choice(list(places(lines[number])))
    value, holder = draw.choice(VALUES), lines
    for key in (number,) + path[:-1]:
        holder = holder[key]
    key = path[-1] if path else number
    holder = holder if path else lines
    if isinstance(holder, dict) and draw.random() < 0.3:
        holder[key + "x"] = holder.pop(key)
    else:
        holder[key] = value
    return "".join(json.dumps(line) + "\n" for line in lines)


def damage(file, draw):
    """Damage a file in one of the ways in which files are damaged."""
    data = bytearray(file.read_bytes())
    kind = draw.choice(
        ["flip", "flip", "value", "value", "cut", "empty", "zeros", "gone", "folder", "letters"]
    )
    if kind == "value" and file.suffix in (".json", ".jsonl") and b"sha256" not in data[:100]:
        return file.write_text(with_other_value(data.decode(), draw))
    if kind in ("gone", "folder"):
        file.unlink()
        return file.mkdir() if kind == "folder" else None
    if kind == "cut":
        data = data[: draw.randrange(len(data))]
    elif kind == "empty":
        data = b""
    elif kind == "zeros":
        data[draw.randrange(len(data)) :] = bytes(100)
    else:
        for _ in range(1 if kind == "flip" else 3):
            data[draw.randrange(len(data))] = draw.randrange(256)
    return file.write_bytes(bytes(data))


def resume(given):
    from gluon_tricks import config as flags
    from gluon_tricks.training.run import build, finish

    run = build(flags.resolve(dict(given, resume="auto")))
    try:
        finish(run)
    finally:
        run.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_resuming_names_the_damage_or_ends_with_the_whole_log(original, tmp_path, seed):
    folder, given = original
    for number, name in enumerate(JSON + OTHERS[:2]):
        draw = random.Random(f"{seed} {name}")
        copy = tmp_path / str(number)
        shutil.copytree(str(folder), str(copy), symlinks=True)
        damage(copy / name, draw)
        try:
            resume(dict(given, save_dir=str(copy)))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert (copy / "log.jsonl").read_bytes() == (folder / "log.jsonl").read_bytes(), (
                name,
                seed,
            )


@pytest.mark.slow
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_pipes_and_devices_in_place_of_files_are_named_and_not_read(original, tmp_path, what):
    folder, given = original
    copy = tmp_path / "run"
    shutil.copytree(str(folder), str(copy), symlinks=True)
    for name in ("state.json", "net.params", "log.jsonl"):
        checkpoint = copy / "checkpoints" / "step-00000008"
        replace(checkpoint / name, what)
        with pytest.raises(UserError, match="step-00000008 is damaged.*Not a plain file"):
            read_state(str(checkpoint))
        (checkpoint / name).unlink()
        shutil.copy(str(folder / "checkpoints" / "step-00000008" / name), str(checkpoint / name))
    for name in ("log.jsonl", "timing.jsonl", "train.log", "config.json"):
        replace(copy / name, what)
        with pytest.raises(UserError, match=f"{name}: .*(Not a plain file|No such device)"):
            resume(dict(given, save_dir=str(copy)))
        (copy / name).unlink()
        shutil.copy(str(folder / name), str(copy / name))


def replace(file, what):
    """Put a pipe or a device in the place of a file."""
    file.unlink()
    if what == "pipe":
        os.mkfifo(str(file))
    else:
        file.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "name, wrong, said",
    [
        ("environment.json", b'"cores": ', "environment.json cannot be read or is damaged"),
        ("result.json", b'"top1": ', "result.json cannot be read or is damaged"),
        ("log.jsonl", b'"loss": ', "log.jsonl is not what it was at step-00000008"),
        ("log.jsonl", None, "log.jsonl is not what it was at step-00000008"),
    ],
)
def test_reports_name_a_file_with_another_digit(original, tmp_path, name, wrong, said):
    folder, _ = original
    copy = tmp_path / "run"
    shutil.copytree(str(folder), str(copy), symlinks=True)
    assert find([str(copy)])[0].damage == []
    if wrong is None:
        (copy / name).unlink()
    else:
        data = bytearray((copy / name).read_bytes())
        place = data.index(wrong) + len(wrong)
        data[place] = ord("1") if data[place] != ord("1") else ord("2")
        (copy / name).write_bytes(data)
    assert find([str(copy)])[0].damage == [said]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_reports_leave_out_what_is_damaged(original, tmp_path, monkeypatch, seed):
    folder, _ = original
    monkeypatch.setattr(page.plots, "_save", lambda figure, path: open(path, "wb").close())
    for name in JSON:
        for number in range(6):
            draw = random.Random(f"{seed} {name} {number}")
            copy = tmp_path / f"{JSON.index(name)}-{number}"
            shutil.copytree(str(folder), str(copy), symlinks=True)
            damage(copy / name, draw)
            try:
                page.write(find([str(copy)]), str(tmp_path / "report"))
            except UserError as error:
                assert "\n" not in str(error)
