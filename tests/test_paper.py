"""The published figures agree if the paper prints one twice, and each row knows what it trains."""

import os
import subprocess
import sys

import pytest

from gluon_tricks import paper
from gluon_tricks.reporting import recipes

ROWS = {row.recipe: row for row in paper.ROWS}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def rows(table, network=None):
    return [row for row in paper.ROWS if row.table == table and network in (None, row.network)]


def test_the_figures_are_read_without_mxnet():
    code = "import sys, gluon_tricks.reporting.page; sys.exit('mxnet' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", code], cwd=ROOT) == 0


@pytest.mark.parametrize("table, count", [(2, 3), (3, 6), (4, 10), (5, 4), (6, 18), (8, 1), (0, 4)])
def test_every_row_of_a_table_has_a_recipe_of_its_own(table, count):
    assert len({row.recipe for row in rows(table)}) == count == len(rows(table))


def test_a_figure_that_stands_in_two_tables_is_the_same_in_both():
    for network, (baseline, _) in paper.TABLE2.items():
        assert paper.TABLE3[network][256, "float32"][1] == baseline
    assert paper.TABLE4["linear scaling"][256] == paper.TABLE2["ResNet-50"][0]
    assert (
        paper.TABLE4["+ FP16"][1024]
        == paper.TABLE3["ResNet-50"][1024, "float16"][1]
        == paper.TABLE5["ResNet-50"][2]
    )
    assert paper.TABLE5["ResNet-50-D"][2] == paper.TABLE6["efficient"][0]
    assert paper.TABLE6["efficient"][1] == paper.TABLE3["Inception-V3"][1024, "float16"][1]
    # MobileNet's top-5 is 90.47 in Table 3 and 90.53 in Table 6: so it was printed.
    assert paper.TABLE6["efficient"][2].top1 == paper.TABLE3["MobileNet"][1024, "float16"][1].top1


def test_a_row_that_is_the_same_run_as_another_has_its_settings_and_its_top1():
    for row in paper.ROWS:
        if row.same_run_as:
            other = ROWS[row.same_run_as]
            assert not other.same_run_as
            assert row.settings == other.settings
            assert row.score.top1 == other.score.top1


def test_no_two_other_rows_train_the_same():
    own = [
        tuple(sorted((name, str(value)) for name, value in row.settings.items()))
        for row in paper.ROWS
        if not row.same_run_as
    ]
    assert len(set(own)) == len(own)


@pytest.mark.parametrize(
    "recipe, hours",
    [
        ("table2_resnet50_v1_baseline", 13.3 * 120 / 60),
        ("table3_resnet50_v1_bs1024_fp16", 4.4 * 120 / 60),
        ("table6_inceptionv3_mixup", 8.0 * 200 / 60),
        ("table6_mobilenet_cosine", 3.7 * 120 / 60),
        ("table6_resnet50_v1d_mixup", 1281167 / 4950 * 200 / 3600),  # the authors' log
        ("table4_resnet50_v1_bs1024_warmup", None),  # Table 3 has no float32 at 1024
        ("table6_resnet50_v1d_distill", None),
    ],
)
def test_hours_follow_from_a_published_speed_or_are_not_given(recipe, hours):
    assert ROWS[recipe].hours == (None if hours is None else pytest.approx(hours))


def test_the_best_rows_settings_are_those_of_the_text():
    settings = ROWS["table6_resnet50_v1d_distill_mixup"].settings
    expected = dict(model="resnet50_v1d", input_size=224, init="xavier", optimizer="nag")
    expected.update(momentum=0.9, wd=1e-4)
    expected.update(global_batch=1024, peak=0.4, dtype="float16", warmup_epochs=5)
    expected.update(last_gamma=True, no_wd=True)
    expected.update(lr_mode="cosine", label_smoothing=0.1, mixup_alpha=0.2, num_epochs=200)
    expected.update(distilled=True, temperature=20.0, hard_weight=-1.0)
    assert {name: settings[name] for name in expected} == expected


def test_table_4_adds_one_heuristic_a_row():
    for batch in (256, 1024):
        column = [row.settings for row in rows(4) if row.settings["global_batch"] == batch]
        changed = [
            {name for name in one if one[name] != other[name]}
            for one, other in zip(column, column[1:])
        ]
        assert changed == [{"warmup_epochs"}, {"last_gamma"}, {"no_wd"}, {"dtype"}]


def test_table_6_adds_what_its_rows_are_called():
    for network in paper.TABLE6_NETWORKS:
        efficient, cosine, smoothing, distill, mixup, both = [
            row.settings for row in rows(6, network)
        ]
        assert dict(efficient, lr_mode="cosine") == cosine
        assert dict(cosine, label_smoothing=0.1) == smoothing
        assert dict(smoothing, distilled=True, temperature=20.0, hard_weight=-1.0) == distill
        assert dict(smoothing, mixup_alpha=0.2, num_epochs=200) == mixup
        assert dict(mixup, distilled=True, temperature=20.0, hard_weight=-1.0) == both


def test_a_teacher_is_trained_as_its_student_on_images_of_its_size():
    for row in paper.ROWS:
        assert bool(row.needs) == row.settings["distilled"]
        if row.needs:
            teacher = ROWS[row.needs].settings
            for name in ("lr_mode", "label_smoothing", "mixup_alpha", "num_epochs", "input_size"):
                assert teacher[name] == row.settings[name]
            assert teacher["model"] == "resnet152_v1d" and not teacher["distilled"]


def test_the_recipes_readme_is_up_to_date():
    with open(os.path.join(ROOT, "recipes", "README.md")) as file:
        assert file.read() == recipes.readme(), (
            "run: python -m gluon_tricks.reporting.recipes > recipes/README.md"
        )
