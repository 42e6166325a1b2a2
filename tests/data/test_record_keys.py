"""``--keys``: lists and ranges of record keys."""

import pytest

from gluon_tricks.data.record_keys import keys_in
from gluon_tricks.errors import UserError


@pytest.mark.parametrize(
    "text, keys", [("7", [7]), ("3,1", [3, 1]), ("8-10", [8, 9, 10]), ("5-5,2,0-1", [5, 2, 0, 1])]
)
def test_keys_are_in_the_order_in_which_they_are_given(text, keys):
    assert keys_in(text) == keys


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "5-", "3-2", "1-2-3", "1.5"])
def test_text_that_is_no_keys_is_an_error(text):
    with pytest.raises(UserError, match="give the records' keys"):
        keys_in(text)


def test_a_range_beyond_any_file_is_refused_before_it_takes_memory():
    with pytest.raises(UserError, match="at most 10,000,000 keys"):
        keys_in("0-9999999999999")
