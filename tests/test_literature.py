"""What others have published since the paper: rows that say the same as their sources' other
figures, settings that exist, and a plan that knows its row.
"""

import re
from pathlib import Path

import pytest

from gluon_tricks import literature, paper
from gluon_tricks.config import FLAGS, parse
from gluon_tricks.literature import ROWS, WORKS
from gluon_tricks.tricks.nearest_row import ON_IMAGENET, lines, nearest

ROOT = Path(__file__).resolve().parent.parent
BY_RECIPE = {row.recipe: row for row in ROWS}


def of(work):
    return [row for row in ROWS if row.work == work]


def test_there_is_a_recipe_of_its_own_for_each_row():
    recipes = [row.recipe for row in ROWS]
    assert len(set(recipes)) == len(recipes) == 49
    assert not set(recipes) & {row.recipe for row in paper.ROWS}
    assert {row.work for row in ROWS} == set(WORKS)
    trained = [repr(sorted(row.settings.items())) for row in ROWS]
    assert len(set(trained)) == len(trained)


def test_settings_are_flags():
    for row in ROWS:
        assert set(row.settings) <= {"global_batch", "peak", *FLAGS}, row.title


def test_assembled_rows_differ_from_the_row_above_in_what_they_are_called():
    rows = [row for row in of("Assembled-CNN") if row.row.startswith("E")]
    assert [row.row.split(",")[0] for row in rows] == [f"E{i}" for i in range(13)]
    changed = []
    for above, row in zip(rows, rows[1:]):
        names = set(above.settings) | set(row.settings)
        changed.append(
            {n for n in names if above.settings.get(n) != row.settings.get(n)}
            | ({"teacher"} if above.teacher != row.teacher else set())
        )
    assert changed == [
        {"model"},
        {"label_smoothing", "smoothing_form"},
        {"mixup_alpha", "mixup_type", "num_epochs"},
        {"attention"},
        {"drop_block", "num_epochs"},
        {"attention"},
        {"temperature", "teacher"},
        {"num_epochs"},
        {"model", "bl_projection", "test_size"},
        {"model", "attention", "bl_projection"},  # which the network has by itself
        {"auto_augment", "auto_augment_form"},
        {"model", "crop_ratio", "teacher"},
    ]
    # better with each, also on corrupted images but for plain ResNet-D
    top1 = [row.score.top1 for row in rows]
    assert top1 == sorted(top1)
    assert [row.mce for row in rows[1:]] == sorted((row.mce for row in rows[1:]), reverse=True)


def test_mobilenets_rows_are_table_9():
    """github clovaai/assembled-cnn, README: model, regularisation, epochs, top-1, mCE."""
    table = """
        M0 - 120 72.59 83.85
        M1 SE16 360 74.28 78.86
        M2 LS 120 72.66 83.05
        M3 LS+mixup 200 73.54 78.56
        M4 LS+mixup+KD 200 74.18 77.51
        M5 LS+mixup+KD 360 74.37 76.39
        M6 SE16+LS+mixup+KD 360 76.42 71.67
        M7 SE2+LS+mixup+KD 360 76.82 70.67
        M8 SE2+LS+mixup+KD+DropBlock 900 77.30 68.12"""
    rows = [row for row in of("Assembled-CNN") if row.row.startswith("M")]
    found = []
    for row in rows:
        settings = row.settings
        reduction = settings.get("attention_reduction", 16)
        parts = [f"SE{reduction}"] if settings.get("attention") == "se" else []
        parts += ["LS"] if settings.get("label_smoothing") == 0.1 else []
        parts += ["mixup"] if settings.get("mixup_type") == 1 else []
        parts += ["KD"] if row.teacher else []
        parts += ["DropBlock"] if settings.get("drop_block") else []
        what = "+".join(parts) or "-"
        name, epochs = row.row.split(",")[0], settings["num_epochs"]
        found.append(f"{name} {what} {epochs} {row.figures[0]} {row.mce:.2f}")
    assert [line.split() for line in found] == [line.split() for line in table.split("\n")[1:]]


def test_figures_have_the_digits_that_were_published():
    for recipe, said in (
        ("assembled_e3", "top-1 79.10 %"),
        ("growth_resnet50_16384", "top-1 75.0 %"),
        ("timm_resnet50d_a1", "top-1 80.730 %"),
        ("torchvision_resnet50_v2", "top-1 80.858 %, top-5 95.434 %"),
    ):
        assert BY_RECIPE[recipe].figure == said


def test_figures_that_other_sources_repeat_are_the_same():
    # the README of ImageNet-C lists Assemble-ResNet50 with 56.5 and a clean error of 17.90
    assert round(BY_RECIPE["assembled_e8"].mce, 1) == 56.5
    assert 100 - BY_RECIPE["assembled_e8"].score.top1 == pytest.approx(17.9)
    # README of assembled-cnn: the checkpoint of E12 evaluates to 0.841860
    assert BY_RECIPE["assembled_e12"].score.top1 == pytest.approx(84.186, abs=0.005)
    # OctConv's paper quotes Big-Little's with one digit
    assert BY_RECIPE["biglittle_blresnext50_32x4d"].score.top1 == pytest.approx(78.4, abs=0.05)
    assert BY_RECIPE["biglittle_blresnet50_a4_b4"].score.top1 == pytest.approx(76.9, abs=0.051)
    # ResNet strikes back prints one digit
    for procedure, top1 in dict(a1=80.4, a2=79.8, a3=78.1).items():
        score = BY_RECIPE[f"timm_resnet50_{procedure}"].score.top1
        assert score == pytest.approx(top1, abs=0.051)


def test_rates_follow_the_linear_rule_where_the_sources_say_so():
    for row in ROWS:
        if row.work not in ("torchvision", "timm"):
            base = 0.256 if row.work == "NVIDIA" else 0.1
            batch = row.settings["global_batch"]
            assert row.settings["peak"] == pytest.approx(base * batch / 256), row.title
    grown = BY_RECIPE["growth_resnet50_8192_to_16384"].settings
    assert grown["peak"] == 3.2 and grown["max_batch"] == 2 * grown["global_batch"]


def flags_of(row):
    """A command line of the row's settings."""
    settings, words = dict(row.settings), []
    batch, peak = settings.pop("global_batch"), settings.pop("peak")
    for name, value in settings.items():
        text = ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
        words += [f"--{name.replace('_', '-')}", {"True": "1"}.get(text, text)]
    words += ["--lr", repr(peak), "--batch-size", str(batch)]
    return words + ["--teacher-logits", "x"] * bool(row.teacher), batch, peak


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.recipe)
def test_a_plan_knows_its_row_and_says_what_is_otherwise(row):
    words, batch, peak = flags_of(row)
    assert nearest(parse(words), batch, peak, ON_IMAGENET) == ([row], {})
    said = list(lines(parse([*words, "--flip", "0.25"]), batch, peak))
    assert said[1].startswith(f"  {row.title}: {row.figure} (")
    assert "  --flip, there: 0.5" in said
    assert all(f"  known to differ: {difference}" in said for difference in row.all_differences)


def test_a_plan_of_the_paper_names_no_row():
    words = "--lr-mode cosine --label-smoothing --warmup-epochs 5 --last-gamma --no-wd".split()
    assert not list(lines(parse([*words, "--linear-scaling"]), 1024, 0.4))


def test_the_ingredients_page_names_flags_and_files_that_are_there():
    text = (ROOT / "docs" / "successors.md").read_text()
    flags = set(re.findall(r"--([a-z][a-z-]+)", text)) - {"imagenet-c"}
    assert {flag.replace("-", "_") for flag in flags} <= set(FLAGS)
    files = re.findall(r"`((?:models|data|tricks)/[\w/]+\.py)`", text)
    assert len(files) > 20
    assert not [file for file in files if not (ROOT / "gluon_tricks" / file).is_file()]


def test_the_gains_on_the_ingredients_page_are_differences_of_rows():
    text = (ROOT / "docs" / "successors.md").read_text()

    def top1(row):
        return BY_RECIPE[f"assembled_{row}"].score.top1

    def gain(name, of, before):
        found = top1(of) - top1(before)
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert f"A: {found:+.2f}" in line, name

    for name, of, before in (
        ("squeeze-and-excitation", "e4", "e3"),
        ("DropBlock", "e5", "e4"),
        ("selective kernels", "e6", "e5"),
        ("stored logits", "e7", "e6"),
        ("Big-Little Net", "e9", "e8"),
        ("anti-alias", "e10", "e9"),
        ("AutoAugment", "e11", "e10"),
    ):
        gain(name, of, before)
    for of, before in (
        ("distill", "mixup"),
        ("se_distill", "distill_360"),
        ("se2_drop_block", "se2_distill"),
    ):
        gained = top1("mobilenet_" + of) - top1("mobilenet_" + before)
        assert f"MobileNet: {gained:+.2f}" in text
    gained = top1("mobilenet_se2_distill") - top1("mobilenet_se_distill")
    assert f"{gained:+.2f} with `--attention-reduction 2`" in text


def test_the_works_are_in_two_groups():
    assert {work.group for work in WORKS.values()} == {literature.SUCCESSORS, literature.BASELINES}
