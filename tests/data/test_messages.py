"""Messages of data processes: what goes in comes out, and an error always fits."""

import numpy as np
import pytest

from gluon_tricks.data import messages
from gluon_tricks.data.messages import MOST, TaskMessage
from gluon_tricks.data.recordio import RecordError
from gluon_tricks.data.rows import Broken, FillTask


def failed(error):
    """The outcome of an error, as the run gets it."""
    try:
        raise error
    except Exception as raised:
        message = messages.pack_answer(7, 2, messages.failure(raised))
    assert len(message) <= MOST
    batch, process, outcome = messages.unpack_answer(memoryview(message))
    assert (batch, process) == (7, 2)
    return outcome


class Odd(Exception):
    """An error that pickle cannot make again: its arguments are not those of its class."""

    def __init__(self, one, other):
        super().__init__(one + other)


def test_a_task_comes_out_as_it_went_in():
    task = FillTask(3, 5, np.array([9, 1 << 60, 2]))
    sent = TaskMessage(1, 2, (3, 4), 1 << 40, 6, task)
    found = messages.unpack_task(sent.pack())
    assert found[:5] == sent[:5] and found.task[:2] == task[:2]
    np.testing.assert_array_equal(found.task.places, task.places)


def test_broken_rows_come_out_with_their_errors():
    broken = [Broken(row, RecordError("a.rec", row, "cannot be decoded")) for row in (4, 63)]
    _, _, found = messages.unpack_answer(memoryview(messages.pack_answer(0, 0, broken)))
    assert [row for row, _ in found] == [4, 63]
    assert [str(error) for _, error in found] == [str(error) for _, error in broken]
    assert messages.unpack_answer(memoryview(messages.pack_answer(0, 0, [])))[2] == []


def test_an_error_comes_out_with_its_traceback():
    error, text = failed(KeyError("some key"))
    assert isinstance(error, KeyError) and error.args == ("some key",)
    assert "in failed" in text and text.endswith("KeyError: 'some key'\n")


@pytest.mark.parametrize(
    "error", [ValueError("\U0001f600" * 100_000 + "the end"), Odd("the ", "end")]
)
def test_an_error_that_is_too_long_or_cannot_be_pickled_comes_out_as_text(error):
    found, text = failed(error)
    assert found is None and text.endswith("the end\n")
