"""The number of threads as the environment gives it: one number, a list, nothing, nonsense."""

import pytest

from gluon_tricks import threads
from gluon_tricks.errors import UserError


@pytest.mark.parametrize("given, expected", [("2,1", "2"), ("4", "4"), (" 3 ,1,1", "3")])
def test_of_a_list_the_first_number_counts(monkeypatch, given, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads.number() == int(expected)
    threads.set_threads()
    assert threads.os.environ["OMP_NUM_THREADS"] == expected


@pytest.mark.parametrize("given", ["0", "many", "-1", "2.5", ",2"])
def test_what_is_no_number_is_named(monkeypatch, given):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(
        UserError, match=f"OMP_NUM_THREADS={given}: has to be a positive whole number"
    ):
        threads.set_threads()


def test_the_launchers_numbers_are_looked_at_too(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("HOROVOD_LOCAL_SIZE", "two")
    with pytest.raises(UserError, match="HOROVOD_LOCAL_SIZE=two"):
        threads.set_threads()
