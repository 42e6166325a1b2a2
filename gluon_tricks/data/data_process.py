"""A data process, started by :mod:`.processes`.

It takes tasks from a socket that all data processes read, fills rows of shared memory, and answers.
It uses neither MXNet nor CUDA, and holds no state that would be lost with it. It ends with the
process that started it, which has blocked the signals that must not end it.
"""

import os
import socket
import sys
import threading
import traceback
import weakref
from typing import Any, Dict, List, Tuple

import numpy as np

from ..child_processes import end_with_parent
from . import messages
from .decode import Scratch
from .rows import format_of
from .shared_memory import mapping

MOST_SOURCES = 8  # that are kept: of training, of validation, and of earlier elastic sessions


def main(arguments: List[str]) -> None:
    """``arguments``: the number of this process, of its threads and of the process that started it,
    and the descriptors of tasks, answers and shared memory.
    """
    import cv2
    import simplejpeg  # noqa: F401, so that the first image does not wait for it

    number, threads, parent, tasks, answers, memory = map(int, arguments)
    end_with_parent(parent)()
    cv2.setNumThreads(0)
    ends = (socket.socket(fileno=descriptor) for descriptor in (tasks, answers))
    process = DataProcess(number, *ends, memory)
    for _ in range(threads - 1):
        threading.Thread(target=serve, args=(process,), daemon=True).start()
    serve(process)


def serve(process: "DataProcess") -> None:
    """Serve tasks, then end this process, whatever its other threads do. An error ends it, too:
    else the run would wait for the lost task.
    """
    code = 1
    try:
        process.serve()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)  # even if nothing can be printed


class DataProcess:
    """Serves tasks until the other end of their socket is closed; threads call ``serve``."""

    def __init__(
        self, number: int, tasks: socket.socket, answers: socket.socket, memory: int
    ) -> None:
        self._number, self._tasks, self._answers = number, tasks, answers
        self._memory = memory
        self._sources: Dict[int, OpenSource] = {}
        self._lock = threading.Lock()

    def serve(self) -> None:
        scratch = Scratch()
        while True:
            message = self._tasks.recv(messages.MOST)
            if not message:
                return
            task = messages.unpack_task(message)
            try:
                outcome = self._fill(task, scratch)
            except Exception as error:
                outcome = messages.failure(error)
            self._answers.send(messages.pack_answer(task.batch, self._number, outcome))

    def _fill(self, message, scratch):
        opened = self._source(message)
        format = format_of(opened.source, message.count)
        block = opened.block(message.offset, format.nbytes)
        rows = format.over(np.frombuffer(block, np.uint8, format.nbytes))
        return opened.source.fill(rows, message.task, scratch)

    def _source(self, message):
        with self._lock:
            opened = self._sources.pop(message.source, None)
            if opened is None:
                opened = OpenSource(self._memory, message.source_at)
            self._sources[message.source] = opened  # the last used comes last
            if len(self._sources) > MOST_SOURCES:
                del self._sources[next(iter(self._sources))]
            return opened


class OpenSource:
    """A source, and the blocks of batches that it has filled. Its files are closed when no thread
    uses it any more.

    Each source maps its own blocks, even if another one had the same offset: that memory was
    released in between, and the old mapping would fetch each page on its own.
    """

    def __init__(self, memory: int, source_at: Tuple[int, int]) -> None:
        self.source = messages.read_source(mapping(memory, *source_at))
        weakref.finalize(self, self.source.close)
        self._memory = memory
        self._blocks: Dict[Any, Any] = {}  # by (offset, size)

    def block(self, offset: int, size: int) -> Any:
        if (offset, size) not in self._blocks:
            self._blocks[offset, size] = mapping(self._memory, offset, size)
        return self._blocks[offset, size]
