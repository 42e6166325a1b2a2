"""What a command writes never takes the place of a file of another kind, such as its own input."""

import pytest

from gluon_tricks import stderr_filter
from gluon_tricks.cli import main
from gluon_tricks.errors import UserError
from gluon_tricks.files import check_output, write_sealed_json

RECORDS = b"\x0a\x23\xd7\xce\x0c\0\0\0records"
INDEX = b"0\t0\n1\t1000\n"
JPEG = b"\xff\xd8\xff\xe0photo"


@pytest.mark.parametrize(
    "command, held",
    [
        ("records verify {} --json {}", RECORDS),
        ("records info {} --json {}", RECORDS),
        ("show --rec {} -o {}", RECORDS),
        ("show --rec images.rec -o {}", INDEX),
        ("evaluate {} --rec-val images.rec --json {}", RECORDS),
        ("evaluate run --rec-val {} --confusion {}", RECORDS),
        ("evaluate run --rec-val {} --coco {}", RECORDS),
        ("predict run {} --json {}", JPEG),
        ("predict run {} --sheet {}", JPEG),
        ("models --json {}", INDEX),
        ("doctor --json {}", INDEX),
        ("bench data --rec {} --json {}", RECORDS),
        ("plan --rec-train-idx {} --lr-csv {}", INDEX),
        ("plan --rec-train {} --plot {}", RECORDS),
    ],
)
def test_a_file_of_another_kind_is_not_replaced(tmp_path, capsys, monkeypatch, command, held):
    monkeypatch.setattr(stderr_filter, "filter_stderr", lambda: None)  # replaces sys.stderr once
    path = tmp_path / "held"
    path.write_bytes(held)
    assert main(command.replace("{}", str(path)).split()) == 2
    assert f"{path}: already exists and is not a" in capsys.readouterr().err
    assert path.read_bytes() == held


def test_a_file_of_a_run_is_not_replaced(tmp_path, capsys):
    path = str(tmp_path / "config.json")
    write_sealed_json(path, {"flags": {}})
    held = open(path).read()
    assert main(["models", "resnet18_v1d", "--json", path]) == 2
    assert f"{path}: is part of a run or an export" in capsys.readouterr().err
    assert open(path).read() == held


@pytest.mark.parametrize("older", ["", "[1]", '{"older": 1}'])
def test_an_earlier_output_or_an_empty_file_is_replaced(tmp_path, capsys, older):
    path = tmp_path / "rows.json"
    path.write_text(older)
    assert main(["models", "resnet18_v1d", "--json", str(path)]) == 0
    assert "resnet18_v1d" in path.read_text()
    capsys.readouterr()


@pytest.mark.parametrize(
    "ending, kind", [("png", "picture"), ("pdf", "picture"), ("svg", "picture"), ("csv", "CSV")]
)
def test_an_earlier_plot_or_table_is_one_that_may_be_replaced(tmp_path, capsys, ending, kind):
    flag = "--lr-csv" if kind == "CSV" else "--plot"
    path = str(tmp_path / f"rates.{ending}")
    plan = ["plan", "--num-training-samples", "128", "--batch-size", "64", "--num-epochs", "2"]
    assert main([*plan, flag, path]) == 0
    check_output(path, kind)
    with pytest.raises(UserError, match="is not a JSON file"):
        check_output(path, "JSON")
    capsys.readouterr()
