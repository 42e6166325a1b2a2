"""Names next to records are those that were prepared with them; others are an error."""

import hashlib
import json

import pytest

from gluon_tricks.data.class_names import names_next_to, said_otherwise
from gluon_tricks.errors import UserError

NAMES = b"ant\nbee\nk\xfch\n"


@pytest.fixture
def prepared(tmp_path):
    (tmp_path / "labels.txt").write_bytes(NAMES)
    manifest = dict(splits={}, labels_sha256=hashlib.sha256(NAMES).hexdigest())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def names(folder):
    return names_next_to(str(folder / "train.rec"))


@pytest.mark.parametrize(
    "damaged",
    [
        b"bee\nant\nk\xfch\n",
        b"anu\nbee\nk\xfch\n",
        b"ant\nbee\nk\xfch",
        b"ant\nbee\n",
        b"",
        b"ant\nbee\n\x1b[31mcow\n",
    ],
)
def test_names_that_were_not_prepared_are_an_error_that_says_what_to_do(prepared, damaged):
    assert names(prepared) == ["ant", "bee", "k\udcfch"]
    (prepared / "labels.txt").write_bytes(damaged)
    with pytest.raises(UserError, match="labels.txt: holds other names .*prepare.*--labels FILE"):
        names(prepared)


def test_a_folder_in_the_place_of_the_names_is_an_error(prepared):
    (prepared / "labels.txt").unlink()
    (prepared / "labels.txt").mkdir()
    with pytest.raises(UserError, match="labels.txt: cannot be read"):
        names(prepared)


def test_names_without_a_digest_are_taken_as_they_are(prepared):
    (prepared / "manifest.json").write_text('{"splits": {}}')
    (prepared / "labels.txt").write_text("my own\n")
    assert names(prepared) == ["my own"]
    (prepared / "manifest.json").unlink()
    assert names(prepared) == ["my own"]
    (prepared / "labels.txt").unlink()
    assert names(prepared) is None


def test_the_same_names_in_another_order_are_refused_and_others_said(prepared):
    record = str(prepared / "train.rec")

    def said(*names):
        return said_otherwise(names, "the model", record)

    assert said("ant", "bee", "k\udcfch") == ""
    assert "class 1 is bee in these records, but wasp in the model" in said("ant", "wasp", "fly")
    assert "class 1 is bee in these records, but missing in the model" in said("ant")
    assert said("ant").endswith("the figures mean nothing")
    with pytest.raises(UserError, match="is ant in .*, but bee in the model: the same .* order"):
        said("bee", "ant", "k\udcfch")
    assert said_otherwise(["any"], "it", str(prepared / "no folder" / "train.rec")) == ""
