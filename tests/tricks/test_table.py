"""Each row of the table of tricks is about flags and files that exist."""

from pathlib import Path

import pytest

from gluon_tricks.config import FLAGS, parse
from gluon_tricks.tricks.table import LATER, TRICKS, Training

ROOT = Path(__file__).resolve().parents[2]


def test_no_flag_belongs_to_two_tricks():
    flags = [name for trick in TRICKS for name in trick.flags]
    assert len(set(flags)) == len(flags) and set(flags) <= set(FLAGS)
    assert [trick.section for trick in TRICKS] == sorted(trick.section for trick in TRICKS)


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_a_tricks_usage_turns_it_on_with_the_papers_values(trick):
    config, plain = parse(trick.usage.split()), parse([])
    assert trick.applies(config)
    assert {name: getattr(config, name) for name in trick.values} == trick.values
    on, off = (Training(each, 0.1, 256, 10, ("ResNet-34-D", "big")) for each in (config, plain))
    assert trick.phrase(on) != (trick.phrase(off) if trick.applies(plain) else "")
    assert trick.state(on) != "off"


@pytest.mark.parametrize(
    "name, words, phrase",
    [
        ("warmup", "--warmup-epochs 1", "warmup of 1 epoch"),
        ("warmup", "--warmup-epochs 0.5", "warmup of 0.5 epochs"),
        ("mixup", "--mixup --mixup-off-epoch 1", "mixup 0.2, off in the last epoch"),
        ("mixup", "--mixup --mixup-off-epoch 20", "mixup 0.2, off in the last 20 epochs"),
    ],
)
def test_epochs_are_counted_in_words(name, words, phrase):
    (trick,) = [trick for trick in TRICKS if trick.name == name]
    assert trick.phrase(Training(parse(words.split()), 0.1, 256)) == phrase


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_a_tricks_file_and_test_are_there(trick):
    assert (ROOT / "gluon_tricks" / trick.file).is_file()
    assert (ROOT / "tests" / trick.test).is_file()


@pytest.mark.parametrize(
    "name, gain", [("warmup", 0.76), ("no bias decay", -0.34), ("mixup", 0.84)]
)
def test_gains_are_differences_of_published_rows(name, gain):
    (trick,) = [trick for trick in TRICKS if trick.name == name]
    assert trick.gain == pytest.approx(gain)


@pytest.mark.parametrize(
    "trick", [trick for trick in TRICKS if trick.section == LATER], ids=lambda trick: trick.name
)
def test_a_later_trick_is_on_the_page_of_the_successors(trick):
    page = (ROOT / "docs" / "successors.md").read_text()
    assert f"| `{trick.file}` | `{trick.usage}` |" in page
