"""An index that leaves whole records out is an error, unless it has a name of its own."""

import json

import pytest
from record_files import write

from gluon_tricks.data.index_gaps import refuse_gaps
from gluon_tricks.data.record_index import index_path_of
from gluon_tricks.data.recordio import RecordError
from gluon_tricks.data.records import RecordFile
from gluon_tricks.data.verify import write_index

COUNT = 6


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.rec", COUNT)


def leave_out(path, *lost, to=None):
    """Write its index without the lines of these numbers."""
    lines = open(index_path_of(path)).read().splitlines(keepends=True)
    with open(to or index_path_of(path), "w") as file:
        file.writelines(line for number, line in enumerate(lines) if number not in lost)


def check(path, index=None):
    with RecordFile(path, index) as records:
        refuse_gaps(records)
        return len(records)


@pytest.mark.parametrize("lost", [[0], [5], [0, 1, 2], [4, 5], [2, 5]])
def test_records_missing_at_an_end_are_seen_by_the_file_alone(path, lost):
    assert check(path) == COUNT
    place = int(open(index_path_of(path)).read().split()[2 * lost[0] + 1])
    leave_out(path, *lost)
    with pytest.raises(
        RecordError, match=f"a.idx: does not list the record at byte {place}: .*--force"
    ):
        check(path)


@pytest.mark.parametrize("lost", [[1], [2, 3]])
def test_records_missing_in_the_middle_are_seen_by_the_manifest(path, tmp_path, lost):
    (tmp_path / "manifest.json").write_text(json.dumps({"splits": {"a": {"records": COUNT}}}))
    assert check(path) == COUNT
    leave_out(path, *lost)
    with pytest.raises(RecordError, match="does not list the record at byte"):
        check(path)


def test_an_index_with_a_name_of_its_own_may_list_few(path, tmp_path):
    own = str(tmp_path / "few.idx")
    leave_out(path, 0, 3, 5, to=own)
    assert check(path, own) == 3


@pytest.mark.parametrize("damaged", [0, 2, COUNT - 1])
def test_an_index_of_what_is_whole_of_a_damaged_file_is_right(path, tmp_path, damaged):
    (tmp_path / "manifest.json").write_text(json.dumps({"splits": {"a": {"records": COUNT}}}))
    with RecordFile(path) as records:
        place = int(records.offsets[damaged])
    with open(path, "r+b") as file:
        file.seek(place + 4)
        file.write(b"\xff\xff\xff\xff")
    write_index(path, salvage=True)
    with RecordFile(path) as records:
        refuse_gaps(records)
        assert len(records) == COUNT - 1
