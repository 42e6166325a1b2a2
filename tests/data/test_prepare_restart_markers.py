"""``prepare --restart-markers``: the same pixels in intervals, or a clear error."""

import io
import json
import os
import shutil
import stat

import cv2
import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from gluon_tricks import cli
from gluon_tricks import config as configuration
from gluon_tricks.data import jpeg, loader
from gluon_tricks.data.decode import decode
from gluon_tricks.data.prepare import restart_markers
from gluon_tricks.data.records import RecordFile
from gluon_tricks.errors import UserError

pytestmark = pytest.mark.skipif(
    shutil.which("jpegtran") is None, reason="needs jpegtran: apt-get install libjpeg-turbo-progs"
)


def photograph(height=150, width=320, seed=0):
    coarse = (
        np.random.RandomState(seed)
        .randint(0, 256, (height // 6 + 2, width // 6 + 2, 3))
        .astype(np.uint8)
    )
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def by_pillow(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **options)
    return buffer.getvalue()


JPEGS = {
    "420": simplejpeg.encode_jpeg(photograph(), 90, "RGB", "420"),
    "422": simplejpeg.encode_jpeg(photograph(), 90, "RGB", "422"),
    "444": simplejpeg.encode_jpeg(photograph(), 90, "RGB", "444"),
    "440": simplejpeg.encode_jpeg(photograph(), 90, "RGB", "440"),
    "411": simplejpeg.encode_jpeg(photograph(), 90, "RGB", "411"),
    "grey": simplejpeg.encode_jpeg(photograph()[:, :, :1].copy(), 90, "GRAY", "Gray"),
    "progressive": by_pillow(photograph(), progressive=True),
    "with exif": by_pillow(photograph(), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    "marked otherwise": by_pillow(photograph(), restart_marker_blocks=7),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_restart_markers_change_no_pixel(kind):
    marked = restart_markers.with_restart_markers(JPEGS[kind])
    scan = jpeg.one_scan(marked)
    assert scan.interval * scan.mcu[1] == 64 and scan.table
    np.testing.assert_array_equal(decode(marked), decode(JPEGS[kind]))
    mine, theirs = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        for data in (marked, JPEGS[kind])
    )
    np.testing.assert_array_equal(mine, theirs)
    metadata = {start[:6] for start in (marked[a:b] for _, a, b in jpeg.segments(marked))}
    assert (b"Exif\0\0" in metadata) == (kind == "with exif")


@pytest.mark.parametrize(
    "width, mcu_width, pixels",
    [
        (500, 16, 64),
        (375, 16, 64),
        (333, 16, 48),
        (500, 8, 56),
        (50, 16, 64),
        (20, 8, 24),
        (300, 16, 304),
        (1, 32, 32),
    ],
)
def test_a_row_of_the_image_has_whole_intervals_about_64_pixels_wide(width, mcu_width, pixels):
    assert restart_markers.interval(width, mcu_width) * mcu_width == pixels


def test_a_jpeg_whose_colours_are_sampled_in_an_uncommon_way_gets_none(monkeypatch):
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg_header", lambda data: (150, 320, "YCbCr", "something else")
    )
    assert restart_markers.with_restart_markers(JPEGS["420"]) is None


@pytest.fixture
def source(tmp_path):
    """Two classes with JPEGs of several forms, and a PNG."""
    folder = tmp_path / "source"
    for label in range(2):
        (folder / str(label)).mkdir(parents=True)
        for i, (height, width) in enumerate([(150, 200), (200, 150), (97, 301), (150, 200)]):
            image = photograph(height, width, seed=10 * label + i)
            (folder / str(label) / f"{i}.jpg").write_bytes(by_pillow(image, progressive=i == 3))
        (folder / str(label) / "flat.png").write_bytes(
            cv2.imencode(".png", photograph(40, 40))[1].tobytes()
        )
    return folder


def prepare(source, directory, *flags):
    return cli.main(["prepare", "folder", str(source), str(directory)] + list(flags))


def batches(directory):
    flags = [
        "--rec-train",
        str(directory / "train.rec"),
        "--input-size",
        "64",
        "--classes",
        "2",
        "-j",
        "2",
    ]
    data = loader.train_loader(configuration.parse(flags), 5)
    found = [
        (batch.images.asnumpy(), batch.labels.asnumpy(), batch.keys)
        for batch in data.batches(0, 12)
    ]
    data.close()
    return found


def test_a_prepared_folder_gives_the_batches_that_it_gives_without_markers(source, tmp_path):
    assert prepare(source, tmp_path / "plain") == 0
    assert prepare(source, tmp_path / "marked", "--restart-markers", "--workers", "2") == 0
    for mine, theirs in zip(batches(tmp_path / "marked"), batches(tmp_path / "plain")):
        for one, other in zip(mine, theirs):
            np.testing.assert_array_equal(one, other)
    manifest = json.loads((tmp_path / "marked" / "manifest.json").read_text())
    # PNGs have no such markers
    assert manifest["splits"]["train"]["forms"] == {"marked": 8, "kept": 2}
    assert manifest["settings"]["restart_marks"] is True
    with RecordFile(tmp_path / "marked" / "train.rec") as file:
        payloads = [file.read(i)[1] for i in range(len(file))]
    assert (
        sum(
            payload[:3] == jpeg.BEGIN and bool(jpeg.one_scan(payload).table) for payload in payloads
        )
        == 8
    )


def test_image_record_iter_reads_the_same_pixels_from_a_file_with_markers(source, tmp_path):
    prepare(source, tmp_path / "plain")
    prepare(source, tmp_path / "marked", "--restart-markers")
    seen = []
    for name in ("plain", "marked"):
        path = str(tmp_path / name / "train.rec")
        batches = mx.io.ImageRecordIter(
            path_imgrec=path, data_shape=(3, 40, 40), batch_size=10, verbose=False
        )
        seen.append(batches.next().data[0].asnumpy())
    assert seen[0].std() > 10
    np.testing.assert_array_equal(*seen)


def test_scaled_images_get_markers_too(source, tmp_path):
    assert prepare(source, tmp_path / "out", "--restart-markers", "--resize", "96") == 0
    forms = json.loads((tmp_path / "out" / "manifest.json").read_text())["splits"]["train"]["forms"]
    assert forms == {"resized": 8, "kept": 2}
    with RecordFile(tmp_path / "out" / "train.rec") as file:
        payloads = [file.read(i)[1] for i in range(len(file))]
    assert (
        sum(
            payload[:3] == jpeg.BEGIN and bool(jpeg.one_scan(payload).interval)
            for payload in payloads
        )
        == 8
    )


def test_info_says_how_many_images_have_markers(source, tmp_path, capsys):
    prepare(source, tmp_path / "out", "--restart-markers")
    assert cli.main(["records", "info", str(tmp_path / "out" / "train.rec")]) == 0
    said = capsys.readouterr().out
    assert "8 JPEG with restart markers" in said and "2 PNG" in said


def with_tool(folder, monkeypatch, script=None):
    """A PATH with nothing but this jpegtran, and what its script needs."""
    folder.mkdir()
    if script is not None:
        (folder / "jpegtran").write_text("#!/bin/sh\n" + script)
        (folder / "jpegtran").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder))


def test_without_jpegtran_the_error_says_what_to_install_and_nothing_is_written(
    source, tmp_path, monkeypatch, capsys
):
    with_tool(tmp_path / "bin", monkeypatch)
    assert prepare(source, tmp_path / "out", "--restart-markers") == 2
    assert "apt-get install libjpeg-turbo-progs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["exit 1", "/bin/cat", "echo nonsense"])
def test_another_jpegtran_is_refused_at_once(source, tmp_path, monkeypatch, capsys, script):
    with_tool(tmp_path / "bin", monkeypatch, script)
    assert prepare(source, tmp_path / "out", "--restart-markers") == 2
    assert str(tmp_path / "bin" / "jpegtran") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_image_that_jpegtran_refuses_is_kept(source, tmp_path, monkeypatch):
    monkeypatch.setattr(restart_markers, "check_tool", lambda: None)
    with_tool(tmp_path / "bin", monkeypatch, "exit 1")
    assert prepare(source, tmp_path / "out", "--restart-markers") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["forms"] == {"kept": 10}


@pytest.mark.parametrize("other, length", [("444", None), ("420", -50)])
def test_other_pixels_from_jpegtran_are_not_taken(other, length, monkeypatch):
    made = restart_markers.with_restart_markers(JPEGS[other])[:length]
    monkeypatch.setattr(restart_markers, "jpegtran", lambda data, *options: made)
    assert restart_markers.with_restart_markers(JPEGS["420"]) is None


def test_a_killed_jpegtran_ends_the_run_which_then_goes_on(source, tmp_path, monkeypatch, capsys):
    """Were the image stored without markers instead, the files' bytes would depend on the kill."""
    assert prepare(source, tmp_path / "expected", "--restart-markers") == 0
    path = os.environ["PATH"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restart_markers, "check_tool", lambda: None)
        with_tool(tmp_path / "bin", patch, "kill -9 $$")
        assert prepare(source, tmp_path / "out", "--restart-markers") == 2
    assert "jpegtran was ended by signal 9" in capsys.readouterr().err
    assert os.environ["PATH"] == path and not (tmp_path / "out" / "train.rec").exists()
    assert prepare(source, tmp_path / "out", "--restart-markers") == 0
    for name in ("train.rec", "train.idx"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_jpegtran_that_cannot_be_started_is_named(tmp_path, monkeypatch):
    with_tool(tmp_path / "bin", monkeypatch, "exit 0")
    (tmp_path / "bin" / "jpegtran").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(UserError, match="jpegtran cannot be started"):
        restart_markers.jpegtran(JPEGS["420"])
