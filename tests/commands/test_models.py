"""``gluon-tricks models``."""

import argparse
import json

import pytest

from gluon_tricks.commands import models as command
from gluon_tricks.errors import UserError
from gluon_tricks.models import assemble, big_little, mobilenet, table
from gluon_tricks.models.resnet import NAMES

OURS = [*NAMES, *big_little.VARIANTS, *assemble.NETWORKS, *mobilenet.NAMES]


def run(*argv):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.main(parser.parse_args(list(argv)))


def test_the_four_rows_of_table_5(capsys):
    assert run("resnet50_v1", "resnet50_v1[bcd]") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [
        ["resnet50_v1", "224", "25.6", "3.86"],
        ["resnet50_v1b", "224", "25.6", "4.09"],
        ["resnet50_v1c", "224", "25.6", "4.33"],
        ["resnet50_v1d", "224", "25.6", "4.33"],
    ]


@pytest.mark.slow
def test_without_a_pattern_our_networks_are_listed_and_written_as_json(capsys, tmp_path):
    assert (
        run("--input-size", "64", "--classes", "10", "--json", str(tmp_path / "models.json")) == 0
    )
    rows = json.loads((tmp_path / "models.json").read_text())
    assert [row["name"] for row in rows] == OURS
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == OURS
    assert all(row["input_size"] == 64 for row in rows)
    assert rows[0]["parameters"] == 11689512 - 990 * 513


def test_a_network_has_its_own_input_size_and_names_match_in_any_case(capsys):
    assert run("INCEPTIONv3", "cifar_resnet20*") == 0
    sizes = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert sizes == {"inceptionv3": "299", "cifar_resnet20_v1": "32", "cifar_resnet20_v2": "32"}


def test_a_network_that_cannot_be_counted_says_why_and_the_others_are_counted(capsys):
    assert run("alexnet", "resnet18_v1", "--input-size", "20") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "resnet18_v1" and lines[1].split()[2] == "11.7"
    assert "takes no 20x20 image" in lines[2]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["resnet51*"], "resnet51"),
        (["--input-size", "0"], "--input-size is 0"),
        (["--classes", "0"], "--classes is 0"),
        (["resnet18_v1", "--json", "/no/such/folder/models.json"], "/no/such/folder/models.json"),
    ],
)
def test_wrong_arguments_are_named(argv, message):
    with pytest.raises(UserError) as error:
        run(*argv)
    assert message in str(error.value)


def test_all_selects_the_whole_zoo():
    assert table.select([]) == OURS
    everything = table.select([], everything=True)
    assert everything[:20] == NAMES and "vgg16" in everything and len(everything) > 100
