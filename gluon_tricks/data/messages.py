"""The messages between a run and its data processes: tasks and answers.

A task is complete: it names the source of its rows (and the source's range of the shared memory),
where the rows go, and which records they are. So any free process can take the next one, without
having been told anything before. Sources and answers are pickled: both ends are the same program,
and the sockets have no name by which another one could find them.
"""

import pickle
import struct
import traceback
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from .rows import FillTask, padded

MOST = 1 << 16  # bytes of a message
LONGEST_TEXT = 1 << 13  # characters of an error, of up to four bytes; a message holds two such
_TASK = struct.Struct("<8q")
_ANSWER = struct.Struct("<2q")


class TaskMessage(NamedTuple):
    """A task, for rows of the batch whose block is at ``offset`` and has ``count`` rows."""

    batch: int  # the number under which the answer is expected
    source: int
    source_at: Tuple[int, int]  # offset and bytes
    offset: int
    count: int
    task: FillTask

    def pack(self) -> bytes:
        numbers = (self.batch, self.source, *self.source_at, self.offset, self.count)
        head = _TASK.pack(*numbers, self.task.epoch, self.task.start)
        return head + self.task.places.tobytes()


def unpack_task(message: bytes) -> TaskMessage:
    """The task in a message of :meth:`TaskMessage.pack`; its places are read-only."""
    batch, source, at, size, offset, count, epoch, start = _TASK.unpack_from(message)
    places = np.frombuffer(message, np.int64, offset=_TASK.size)
    return TaskMessage(batch, source, (at, size), offset, count, FillTask(epoch, start, places))


class Failure(NamedTuple):
    """An error in a data process (None if its pickle fails or is too long), and its traceback."""

    error: Optional[Exception]
    text: str


def failure(error: Exception) -> Failure:
    """The Failure of an error that is being handled, short enough for a message."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)  # fails if the error's arguments are not those of its class
        is_portable = len(pickled) <= LONGEST_TEXT
    except Exception:
        is_portable = False
    return Failure(error if is_portable else None, text[-LONGEST_TEXT:])


def pack_answer(batch: int, process: int, outcome: Any) -> bytes:
    """``outcome``: a list of :class:`.rows.Broken`, mostly empty, or a :class:`Failure`."""
    head = _ANSWER.pack(batch, process)
    return head + pickle.dumps(outcome) if outcome != [] else head


def unpack_answer(message: memoryview) -> Tuple[int, int, Any]:
    """``(batch, process, outcome)`` of :func:`pack_answer`."""
    batch, process = _ANSWER.unpack_from(message)
    rest = message[_ANSWER.size :]
    return batch, process, pickle.loads(rest) if rest else []


# ---- a source, once, in shared memory


def parts_of(source: Any) -> List[Any]:
    """A source as bytes: its pickle, then its arrays, which processes use where they are. Each
    would else take a second to read ImageNet's index, and keep 31 MB of its own.
    """
    arrays: List[pickle.PickleBuffer] = []
    pickled = pickle.dumps(source, protocol=5, buffer_callback=arrays.append)
    return [pickled, *[array.raw() for array in arrays]]


def size_of(parts: List[Any]) -> int:
    """Bytes that :func:`write_parts` writes."""
    return padded(8 * (1 + len(parts))) + sum(padded(len(part)) for part in parts)


def write_parts(parts: List[Any], memory: Any) -> None:
    """Write the number of parts, their lengths, and the parts into a buffer."""
    lengths = [len(part) for part in parts]
    np.frombuffer(memory, np.int64, 1 + len(parts))[:] = [len(parts), *lengths]
    written = np.frombuffer(memory, np.uint8)
    for (start, stop), part in zip(_places(lengths), parts):
        written[start:stop] = np.frombuffer(part, np.uint8)


def read_source(memory: Any) -> Any:
    """The source that was written; its arrays are in ``memory``."""
    count = int(np.frombuffer(memory, np.int64, 1)[0])
    lengths = np.frombuffer(memory, np.int64, count, offset=8).tolist()
    pickled, *arrays = (memoryview(memory)[start:stop] for start, stop in _places(lengths))
    return pickle.loads(pickled, buffers=arrays)


def _places(lengths):
    """``(start, stop)`` of each part."""
    start = padded(8 * (1 + len(lengths)))
    for length in lengths:
        yield start, start + length
        start += padded(length)
