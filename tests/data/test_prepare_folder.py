"""``gluon-tricks prepare folder``, and what all kinds of ``prepare`` have in common."""

import collections
import hashlib
import json
import os
import resource
import shutil

import cv2
import numpy as np
import pytest
import simplejpeg

from gluon_tricks import cli
from gluon_tricks.data.prepare import conversion
from gluon_tricks.data.prepare.split import Split
from gluon_tricks.data.records import RecordFile

CLASSES = ["apple", "bear", "cat"]


def jpeg(seed, size=(16, 20)):
    image = np.random.RandomState(seed).randint(0, 255, size + (3,)).astype(np.uint8)
    return simplejpeg.encode_jpeg(image, 90)


@pytest.fixture
def source(tmp_path):
    """Three classes with 10, 20 and 30 JPEGs."""
    folder = tmp_path / "source"
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(10 * (label + 1)):
            (folder / name / f"{name}{i:02d}.jpg").write_bytes(jpeg(100 * label + i))
    return folder


def prepare(source, directory, *flags):
    return cli.main(["prepare", "folder", str(source), str(directory)] + list(flags))


def contents(directory):
    return {name: (directory / name).read_bytes() for name in os.listdir(directory)}


def records(directory, name="train"):
    """[(key, label, payload)] of a split."""
    with RecordFile(directory / (name + ".rec")) as file:
        return [(int(key),) + file.read(i) for i, key in enumerate(file.keys)]


def test_every_image_comes_once_unchanged_with_the_label_of_its_folder(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    found = {payload: label for _, label, payload in records(tmp_path / "out")}
    expected = {
        path.read_bytes(): float(label)
        for label, name in enumerate(CLASSES)
        for path in (source / name).iterdir()
    }
    assert found == expected and len(expected) == 60
    assert (tmp_path / "out" / "labels.txt").read_text() == "apple\nbear\ncat\n"


def test_the_list_says_where_each_record_comes_from(source, tmp_path):
    prepare(source, tmp_path / "out")
    lines = [line.split("\t") for line in (tmp_path / "out" / "train.lst").read_text().splitlines()]
    for (key, label, payload), line in zip(records(tmp_path / "out"), lines):
        assert (key, label) == (int(line[0]), float(line[1]))
        assert payload == (source / line[2]).read_bytes()
    assert len(lines) == 60


def test_the_manifest_counts_and_sums_what_is_there(source, tmp_path):
    prepare(source, tmp_path / "out", "--val-fraction", "0.2")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for name, counts in (("train", [8, 16, 24]), ("val", [2, 4, 6])):
        split, content = manifest["splits"][name], (tmp_path / "out" / (name + ".rec")).read_bytes()
        assert split["per_class"] == counts and split["records"] == sum(counts)
        assert split["sha256"] == hashlib.sha256(content).hexdigest() and split["bytes"] == len(
            content
        )
    assert manifest["settings"]["data_set"] == "folder" and manifest["classes"] == 3
    names = (tmp_path / "out" / "labels.txt").read_bytes()
    assert manifest["labels_sha256"] == hashlib.sha256(names).hexdigest()


def test_training_images_are_shuffled_by_the_seed_and_validation_images_are_not(source, tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        prepare(source, tmp_path / name, "--val", str(source), "--seed", seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and a["train.rec"] != c["train.rec"] and a["val.rec"] == c["val.rec"]
    labels = [label for _, label, _ in records(tmp_path / "a", "val")]
    assert labels == sorted(labels)
    labels = [label for _, label, _ in records(tmp_path / "a")]
    assert labels != sorted(labels)


def test_the_number_of_threads_changes_nothing(source, tmp_path):
    for name in "14":
        prepare(source, tmp_path / name, "--resize", "8", "--quality", "80", "--workers", name)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_resized_images_have_the_short_side(source, tmp_path):
    prepare(source, tmp_path / "out", "--resize", "8")
    assert {
        simplejpeg.decode_jpeg_header(payload)[:2] for _, _, payload in records(tmp_path / "out")
    } == {(8, 10)}


def test_held_out_images_are_in_one_split_only(source, tmp_path):
    prepare(source, tmp_path / "out", "--val-fraction", "0.25")
    train = [payload for _, _, payload in records(tmp_path / "out", "train")]
    val = [payload for _, _, payload in records(tmp_path / "out", "val")]
    assert not set(train) & set(val) and len(set(train + val)) == 60
    labels = collections.Counter(label for _, label, _ in records(tmp_path / "out", "val"))
    assert labels == {0.0: 2, 1.0: 5, 2.0: 7}  # rounded down


def test_broken_images_are_all_named_and_nothing_gets_its_name(source, tmp_path, capsys):
    (source / "bear" / "bear03.jpg").write_bytes(jpeg(1)[:-50])
    (source / "cat" / "cat07.jpg").write_bytes(b"no image")
    assert prepare(source, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert (
        "bear/bear03.jpg: " in said
        and "cat/cat07.jpg: " in said
        and "2 of 60 images are broken" in said
    )
    assert not {"train.rec", "train.idx", "manifest.json"} & set(os.listdir(tmp_path / "out"))


def test_broken_images_are_left_out_when_asked_for_and_keep_their_keys_free(source, tmp_path):
    prepare(source, tmp_path / "whole")
    (source / "bear" / "bear03.jpg").write_bytes(jpeg(1)[:-50])
    assert prepare(source, tmp_path / "out") == 2
    assert prepare(source, tmp_path / "out", "--skip-broken") == 0
    whole, found = records(tmp_path / "whole"), records(tmp_path / "out")
    assert len(found) == 59 and set(found) < set(whole)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["broken"] == ["bear/bear03.jpg"]
    assert manifest["splits"]["train"]["records"] == 59
    assert sorted(os.listdir(tmp_path / "out")) == [
        "labels.txt",
        "manifest.json",
        "train.idx",
        "train.lst",
        "train.rec",
    ]


def test_after_a_broken_image_is_mended_the_result_is_as_if_it_never_was(source, tmp_path):
    prepare(source, tmp_path / "whole")
    sound = (source / "bear" / "bear03.jpg").read_bytes()
    (source / "bear" / "bear03.jpg").write_bytes(sound[:-50])
    assert prepare(source, tmp_path / "out") == 2
    (source / "bear" / "bear03.jpg").write_bytes(sound)
    assert prepare(source, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_data_set_that_is_there_is_not_written_again(source, tmp_path, monkeypatch):
    prepare(source, tmp_path / "out")
    monkeypatch.setattr(conversion.SplitWriter, "write", lambda *_: pytest.fail("written again"))
    assert prepare(source, tmp_path / "out") == 0


def test_images_of_other_sizes_write_it_again(source, tmp_path):
    prepare(source, tmp_path / "out")
    (source / "cat" / "cat07.jpg").write_bytes(jpeg(7, (30, 30)))
    assert prepare(source, tmp_path / "out") == 0
    assert (source / "cat" / "cat07.jpg").read_bytes() in {
        payload for _, _, payload in records(tmp_path / "out")
    }


def exchange(one, other):
    """Give two files each other's name; their times stay."""
    one.rename(one.parent / "third")
    other.rename(one)
    (one.parent / "third").rename(other)


def test_images_that_were_exchanged_write_it_again(source, tmp_path):
    size = (source / "cat" / "cat07.jpg").stat().st_size
    (source / "bear" / "bear03.jpg").write_bytes(
        (source / "bear" / "bear03.jpg").read_bytes()[:-2].ljust(size) + b"\xff\xd9"
    )
    prepare(source, tmp_path / "out")
    exchange(source / "bear" / "bear03.jpg", source / "cat" / "cat07.jpg")
    assert prepare(source, tmp_path / "out") == 0
    assert prepare(source, tmp_path / "fresh") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_run_that_was_interrupted_does_not_go_on_with_other_images(
    source, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        conversion.RecordWriter, "finish", lambda *_: (_ for _ in ()).throw(Interrupted())
    )
    with pytest.raises(Interrupted):
        prepare(source, tmp_path / "out")
    monkeypatch.undo()
    exchange(source / "bear" / "bear03.jpg", source / "cat" / "cat07.jpg")
    assert prepare(source, tmp_path / "out") == 2
    assert "was begun with other images" in capsys.readouterr().err
    exchange(source / "bear" / "bear03.jpg", source / "cat" / "cat07.jpg")
    assert prepare(source, tmp_path / "out") == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"done": 3}', "[" * 100000])
def test_a_damaged_note_of_an_interrupted_run_is_none(source, tmp_path, text):
    prepare(source, tmp_path / "whole")
    (tmp_path / "out").mkdir()
    for name in ("train.rec.state", "manifest.json"):
        (tmp_path / "out" / name).write_text(text)
    assert prepare(source, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_validation_images_of_an_earlier_command_are_not_trained_on(source, tmp_path, capsys):
    assert prepare(source, tmp_path / "out", "--val-fraction", "0.2") == 0
    before = contents(tmp_path / "out")
    assert prepare(source, tmp_path / "out") == 2
    assert "out/val.rec: is from an earlier command" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    "count, fraction, held_out", [(100, 0.29, 29), (100, 0.57, 57), (50, 0.58, 29), (10, 0.25, 2)]
)
def test_fractions_are_exact(count, fraction, held_out):
    split = Split([str(i) for i in range(count)], [0] * count, None)
    assert [len(part) for part in split.hold_out(fraction, 0)] == [count - held_out, held_out]


def test_links_are_followed_once_and_those_in_a_circle_end(source, tmp_path, capsys):
    more = tmp_path / "more"
    more.mkdir()
    (more / "one.jpg").write_bytes(jpeg(991))
    (more / "again").symlink_to(more)
    (source / "cat" / "linked").symlink_to(more)
    (source / "cat" / "linked again").symlink_to(more)
    (source / "cat" / "up").symlink_to(source)
    (source / "bear" / "two.jpg").symlink_to(more / "one.jpg")
    (source / "dog").symlink_to(more)
    assert prepare(source, tmp_path / "out") == 0
    labels = [label for _, label, payload in records(tmp_path / "out") if payload == jpeg(991)]
    assert sorted(labels) == [1.0, 2.0, 3.0] and len(records(tmp_path / "out")) == 63
    assert "links to folders are followed" in capsys.readouterr().err


def test_a_link_that_leads_nowhere_is_a_missing_image_or_named(source, tmp_path, capsys):
    (source / "cat" / "gone.jpg").symlink_to(tmp_path / "gone")
    assert prepare(source, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "cat/gone.jpg: cannot be read" in said and "1 of 61 images are broken" in said
    assert prepare(source, tmp_path / "out", "--skip-broken") == 0
    for name in (source / "cat" / "folder", source / "dog"):
        name.symlink_to(tmp_path / "gone")
        assert prepare(source, tmp_path / "out") == 2
        assert str(name) + ": this link leads nowhere" in capsys.readouterr().err
        name.unlink()


def test_files_that_are_passed_over_are_counted_by_their_extensions(source, tmp_path, capsys):
    for name in ("cat/a.gif", "cat/b.GIF", "bear/notes", "c.jpg"):
        (source / name).write_bytes(jpeg(0))
    assert prepare(source, tmp_path / "out") == 0
    assert "files passed over: 1 without extension, 2 of .gif, 1 of .jpg" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\rb", "a\x1b[31mb", "a\u2028b"])
def test_names_that_would_break_lists_are_refused(source, tmp_path, capsys, name):
    for path in (source / name, source / "cat" / (name + ".jpg")):
        if path.suffix:
            path.write_bytes(jpeg(0))
        else:
            path.mkdir()
            (path / "one.jpg").write_bytes(jpeg(0))
        assert prepare(source, tmp_path / "out") == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "rename it" in said and name not in said
        path.rename(source / "cat" / "x.jpg" if path.suffix else source / "fine")


def test_names_that_are_no_utf8_are_written_as_they_are(source, tmp_path):
    (source / "cat").rename(os.fsdecode(os.fsencode(source) + b"/k\xfch"))
    assert prepare(source, tmp_path / "out") == 0
    assert (tmp_path / "out" / "labels.txt").read_bytes() == b"apple\nbear\nk\xfch\n"
    assert (tmp_path / "out" / "train.lst").read_bytes().count(b"\tk\xfch/cat") == 30


def test_the_result_may_lie_among_the_classes(source, tmp_path):
    for _ in range(2):
        assert prepare(source, source / "bin", "--seed", "1") == 0
    assert (source / "bin" / "labels.txt").read_text() == "apple\nbear\ncat\n"


def test_other_settings_write_it_again(source, tmp_path):
    prepare(source, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(source, tmp_path / "out", "--seed", "3") == 0
    after = contents(tmp_path / "out")
    assert before["train.rec"] != after["train.rec"] and set(before) == set(after)


def test_another_data_set_is_not_replaced(source, tmp_path, capsys):
    prepare(source, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert cli.main(["prepare", "digits", str(tmp_path / "out")]) == 2
    assert "out: holds the data set folder, which this one would replace" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_a_run_or_an_export_keeps_its_names_and_manifest(source, tmp_path, capsys, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"formats": {}}')
    before = contents(tmp_path / "out")
    assert prepare(source, tmp_path / "out") == 2
    assert "out: holds a run or a model; name another folder" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before


def test_a_file_of_another_program_is_not_replaced(source, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.rec").write_bytes(b"of im2rec")
    assert prepare(source, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "train.rec: exists already, and no manifest.json says that prepare made it" in error
    assert contents(tmp_path / "out") == {"train.rec": b"of im2rec"}


class Interrupted(BaseException):
    """What ends a run at any place, as a signal does."""


@pytest.mark.parametrize("after", [1, 59])
def test_an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_bytes(
    source, tmp_path, monkeypatch, after
):
    prepare(source, tmp_path / "whole", "--val", str(source))
    monkeypatch.setattr(conversion, "SYNC_EVERY", 0.0)
    convert, converted = conversion.SplitWriter.convert, []

    def interrupted(work, position):
        if position == after:
            raise Interrupted
        return convert(work, position)

    monkeypatch.setattr(conversion.SplitWriter, "convert", interrupted)
    with pytest.raises(Interrupted):
        prepare(source, tmp_path / "out", "--val", str(source), "--workers", "1")
    with open(tmp_path / "out" / "train.rec.part", "ab") as file:
        file.write(b"what was written after the last sync")
    monkeypatch.setattr(
        conversion.SplitWriter,
        "convert",
        lambda work, i: converted.append((work.name, i)) or convert(work, i),
    )
    assert prepare(source, tmp_path / "out", "--val", str(source), "--workers", "1") == 0
    assert (
        min(i for name, i in converted if name == "train") >= after - 8
    )  # those waiting for the writer are lost
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_run_interrupted_while_it_gives_the_names_goes_on(source, tmp_path, monkeypatch, renamed):
    prepare(source, tmp_path / "whole")
    replace, calls = os.replace, []

    def interrupted(old, new):
        if old.endswith(".part"):
            calls.append(old)
            if len(calls) > renamed:
                raise Interrupted
        replace(old, new)
        if renamed == 2 and len(calls) == 2:
            raise Interrupted

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(Interrupted):
        prepare(source, tmp_path / "out")
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(
        conversion.SplitWriter, "convert", lambda *_: pytest.fail("converted again")
    )
    assert prepare(source, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_interrupted_run_with_other_settings_is_refused_by_name(
    source, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(conversion, "SYNC_EVERY", 0.0)
    monkeypatch.setattr(
        conversion.RecordWriter, "finish", lambda *_: (_ for _ in ()).throw(Interrupted())
    )
    with pytest.raises(Interrupted):
        prepare(source, tmp_path / "out")
    assert prepare(source, tmp_path / "out", "--resize", "8") == 2
    assert "was begun with other resize" in capsys.readouterr().err


def test_a_disk_that_fills_up_is_named_and_the_run_can_go_on(source, tmp_path, monkeypatch, capsys):
    prepare(source, tmp_path / "whole")
    monkeypatch.setattr(conversion, "SYNC_EVERY", 0.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
    try:
        assert prepare(source, tmp_path / "out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    said = capsys.readouterr().err
    assert "train.rec: cannot be written: File too large" in said and "Traceback" not in said
    assert json.loads((tmp_path / "out" / "train.rec.state").read_text())["done"] > 10
    assert prepare(source, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_disk_too_small_is_said_first(source, tmp_path, monkeypatch, capsys):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    assert prepare(source, tmp_path / "out") == 2
    assert "free" in capsys.readouterr().err and os.listdir(tmp_path / "out") == []


def test_a_folder_of_no_images_ends_early(tmp_path, monkeypatch, capsys):
    (tmp_path / "source" / "a").mkdir(parents=True)
    for i in range(30):
        (tmp_path / "source" / "a" / f"{i}.jpg").write_bytes(b"text")
    monkeypatch.setattr(conversion, "MAX_BROKEN", 10)
    assert prepare(tmp_path / "source", tmp_path / "out", "--skip-broken") == 2
    assert "10 files cannot be decoded; are these images?" in capsys.readouterr().err


def test_a_mended_image_and_a_kill_at_once_leave_no_mixture(source, tmp_path, monkeypatch):
    prepare(source, tmp_path / "whole")
    sound = (source / "bear" / "bear03.jpg").read_bytes()
    (source / "bear" / "bear03.jpg").write_bytes(b"broken")
    assert prepare(source, tmp_path / "out") == 2
    (source / "bear" / "bear03.jpg").write_bytes(sound)
    monkeypatch.setattr(
        conversion.SplitWriter, "note", lambda *_: (_ for _ in ()).throw(Interrupted())
    )
    with pytest.raises(Interrupted):  # all is written, nothing is noted
        prepare(source, tmp_path / "out")
    monkeypatch.undo()
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    assert prepare(source, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    # nor if the image is broken again, as the note of the first run has it
    (source / "bear" / "bear03.jpg").write_bytes(b"broken")
    for name in ("other", "without"):
        assert prepare(source, tmp_path / name, "--skip-broken") == 0
    assert contents(tmp_path / "other") == contents(tmp_path / "without")


def test_files_that_are_no_images_by_name_and_hidden_ones_are_passed_over(source, tmp_path):
    (source / "cat" / "notes.txt").write_text("text")
    (source / "cat" / ".hidden.jpg").write_text("text")
    (source / ".thumbnails").mkdir()
    (source / "cat" / "deeper").mkdir()
    (source / "cat" / "deeper" / "one.JPEG").write_bytes(jpeg(999))
    (source / "cat" / "deeper" / "two.png").write_bytes(
        cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    )
    assert prepare(source, tmp_path / "out") == 0
    assert len(records(tmp_path / "out")) == 62


@pytest.mark.parametrize(
    "change, flags, said",
    [
        (lambda s: (s / "dog").mkdir(), [], "dog: the class has no images"),
        (lambda s: None, ["--val-fraction", "1"], "--val-fraction 1.0"),
        (lambda s: None, ["--val-fraction", "0.01"], "no class has enough"),
        (lambda s: None, ["--resize", "-1"], "--resize -1"),
        (lambda s: None, ["--quality", "0"], "--quality 0"),
        (lambda s: None, ["--seed", "-1"], "--seed -1"),
        (lambda s: None, ["--workers", "-1"], "--workers -1"),
        (lambda s: None, ["--val", "/missing"], "/missing: cannot be read"),
    ],
)
def test_wrong_input_is_named(source, tmp_path, capsys, change, flags, said):
    change(source)
    assert prepare(source, tmp_path / "out", *flags) == 2
    assert said in capsys.readouterr().err


def test_wrong_folders_are_named(source, tmp_path, capsys):
    (tmp_path / "val" / "dog").mkdir(parents=True)
    for where, flags, said in (
        (tmp_path / "missing", [], "missing: cannot be read"),
        (source / "cat", [], "has no folders inside"),
        (source, ["--val", str(tmp_path / "val")], "val/dog: "),
    ):
        assert prepare(where, tmp_path / "out", *flags) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert prepare(source, tmp_path / "file") == 2
    assert "file: cannot be made" in capsys.readouterr().err
