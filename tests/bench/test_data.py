"""``gluon-tricks bench data``: the rows and ratios that were asked for, and wrong flags by name."""

import argparse
import json
import time

import cv2
import mask_scenes
import numpy as np
import pytest
import record_files
from help_text import shown_defaults
from own_process import run_alone

from gluon_tricks import cli
from gluon_tricks.bench import data, memory, pillow
from gluon_tricks.config import parse, resolve
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.data.transforms.paper import train_transform
from gluon_tricks.tasks import registry


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "some.rec")
    with RecordWriter(path) as writer:
        for key in range(40):
            image = np.random.RandomState(key).randint(0, 256, (30, 40, 3)).astype(np.uint8)
            coded = cv2.imencode(".jpg" if key % 4 else ".png", image)[1]
            writer.write(key, key, coded.tobytes())
    return path


SMALL = ["--images", "24", "--batch-size", "8", "--input-size", "16", "--rounds", "1"]


def bench(records, *arguments):
    return cli.main(["bench", "data", "--rec", records, *SMALL, *arguments])


@pytest.mark.parametrize("task", registry.TASKS)
def test_the_help_has_the_defaults_of_what_is_measured(task):
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    args = parser.parse_args(["--rec", "some.rec", "--task", task])
    config, shown = resolve(data.given_or_own(args)), shown_defaults(parser, task)
    assert set(shown) == set(data.FLAGS) - {"rec_train_idx"}
    for name in set(shown) - {"task"}:
        value = getattr(config, name)
        exact = isinstance(value, str)
        assert shown[name] == (value if exact else pytest.approx(value, rel=1e-5)), name


@pytest.mark.slow
def test_a_row_for_every_pipeline_and_number_of_threads(records, tmp_path):
    path = tmp_path / "rows.json"
    printed = run_alone("bench", "data", "--rec", records, *SMALL, "--json", str(path))
    with open(path) as file:
        rows = json.load(file)
    pairs = [(row["pipeline"], row["threads"]) for row in rows]
    assert sorted(pairs) == sorted((name, threads) for name in data.PIPELINES for threads in (1, 2))
    for row in rows:
        assert set(row) == {
            *("pipeline", "processes", "threads", "images_per_second", "cpu_seconds_per_1000")
        }
        assert row["images_per_second"] > 0
    for text in (
        "loader_float32 : image_record_iter",
        "loader_uint8 : decode",
        "2 threads : 1",
        "GB/s",
    ):
        assert text in printed


def test_only_the_pipelines_asked_for_are_measured(records, tmp_path):
    path = tmp_path / "rows.json"
    assert (
        bench(records, "--threads", "2", "--pipelines", "decode,loader_uint8", "--json", str(path))
        == 0
    )
    with open(path) as file:
        rows = json.load(file)
    assert [(row["pipeline"], row["threads"]) for row in rows] == [
        ("decode", 2),
        ("loader_uint8", 2),
    ]


@pytest.mark.slow
def test_processes_get_rows_of_our_own_pipelines(records, tmp_path, capfd):
    path = tmp_path / "rows.json"
    names = "decode,loader_float32,image_record_iter"
    flags = ["--processes", "0,2", "--threads", "2", "--pipelines", names, "--json", str(path)]
    assert bench(records, *flags) == 0
    with open(path) as file:
        rows = json.load(file)
    assert [(row["pipeline"], row["processes"], row["threads"]) for row in rows] == [
        ("decode", 0, 2),
        ("loader_float32", 0, 2),
        ("image_record_iter", 0, 2),
        ("decode", 2, 1),
        ("loader_float32", 2, 1),
    ]
    printed = capfd.readouterr().out
    for text in ("2 processes : as many threads", "loader_float32 : decode, 2 processes"):
        assert text in printed


def test_the_loader_with_a_policy_is_measured_next_to_pillow(records, tmp_path, capfd):
    names = "loader_float32,loader_autoaugment,loader_randaugment,pillow_autoaugment"
    path = tmp_path / "rows.json"
    assert bench(records, "--threads", "1", "--pipelines", names, "--json", str(path)) == 0
    rows = json.loads(path.read_text())
    assert [row["pipeline"] for row in rows] == names.split(",")
    printed = capfd.readouterr().out
    assert "loader_randaugment : loader_float32" in printed
    assert "loader_autoaugment : pillow_autoaugment" in printed


def test_pillow_makes_the_images_of_the_loader_but_for_its_resizing():
    """If nothing has to be resized, they are the same to rounding."""
    random = np.random.RandomState(0)
    config = parse(
        "--input-size 24 --crop-area 1,1 --crop-aspect 1,1 --color-jitter 0 --pca-noise 0 "
        "--auto-augment imagenet".split()
    )
    transform = train_transform(config)
    drawn = transform.sample(0, 0, np.arange(40))
    for i in range(40):
        image = random.randint(0, 256, (24, 24, 3)).astype(np.uint8)
        payload = cv2.imencode(".png", image)[1].tobytes()
        found = pillow.normalised(pillow.augmented(payload, transform, drawn, i), config)
        np.testing.assert_allclose(found, transform.apply(payload, drawn, i), atol=1e-5)


def test_a_measurement_counts_images_wall_and_cpu_time():
    def pipeline(config, images, processes):
        while True:
            end = time.process_time() + 0.05  # far more than this process's other threads use
            while time.process_time() < end:
                pass
            yield 4

    images, wall, cpu = data.timed(pipeline, argparse.Namespace(batch_size=4), 20)
    assert images == 20
    assert 0.225 < cpu < 0.5 and wall >= cpu * 0.8


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--threads", "x"], "--threads 'x'"),
        (["--threads", "0"], "--threads"),
        (["--processes", "-1"], "--processes"),
        (["--processes", "2", "--pipelines", "gluoncv"], "add 0 for --pipelines gluoncv"),
        (["--pipelines", "fastest"], "--pipelines fastest"),
        (["--color-form", "paper", "--pipelines", "image_record_iter"], "--color-form"),
        (["--batch-size", "64", "--pipelines", "decode,loader_uint8"], "smaller --batch-size"),
    ],
)
def test_wrong_input_is_one_line_that_names_it(records, capfd, arguments, named):
    assert bench(records, *arguments) == 2
    error = capfd.readouterr().err
    assert named in error and error.count("\n") == 1


def test_decoding_names_a_broken_record(tmp_path, capfd):
    path = record_files.write(tmp_path / "broken.rec", count=8, broken=[5])
    assert bench(path, "--threads", "1", "--pipelines", "decode") == 2
    assert "broken.rec, record 1005: cannot be decoded" in capfd.readouterr().err


def test_the_memory_that_moves_is_that_of_the_images(monkeypatch, capsys):
    monkeypatch.setattr(memory, "bandwidth", lambda: 10e9)
    for name, share in (("loader_uint8", 3), ("loader_float32", 12), ("loader_autoaugment", 12)):
        row = dict(pipeline=name, processes=4, threads=1, images_per_second=5000)
        memory.print_share([row], size=100)  # written and read
        moved = 2 * 5000 * 100 * 100 * share / 1e9
        assert f"moves at least {moved:.1f} GB/s" in capsys.readouterr().out


def test_a_missing_file_is_named(capfd):
    assert bench("/nowhere/a.rec", "--pipelines", "decode", "--threads", "1") == 2
    assert "/nowhere/a.rec" in capfd.readouterr().err


@pytest.mark.slow
def test_images_with_masks_are_read_next_to_gluoncv(tmp_path):
    mask_scenes.write(tmp_path / "scenes.rec", 12, seed=0)
    names = "loader_float32,loader_uint8,gluoncv_masks"
    words = f"--task segmentation --threads 1 --base-size 32 --json {tmp_path / 'rows.json'}"
    words += f" --pipelines {names} --rec {tmp_path / 'scenes.rec'}"
    printed = run_alone("bench", "data", *SMALL, *words.split())
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["pipeline"] for row in rows] == names.split(",")
    assert all(row["images_per_second"] > 0 for row in rows)
    assert "loader_float32 : gluoncv_masks" in printed


def test_rounds_that_are_too_short_are_said(capsys):
    def printed(*walls):
        data.print_doubt([dict(rounds=[(64, wall, 0.1) for wall in walls])])
        return capsys.readouterr().out

    assert "a round took only 0.03 s" in printed(0.5, 0.03) and "--images" in printed(0.03)
    assert printed(0.2, 5.0) == ""
