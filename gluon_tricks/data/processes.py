"""Data processes: they decode and augment on all cores, where the threads of one process wait for
Python's lock.

Each is a new Python that imports neither MXNet nor this process's memory: a forked one would have
MXNet's engine without its threads, and a CUDA context that is broken. A training starts them before
MXNet's engine and CUDA begin, since a fork, of which versions of Python before 3.10 make a new
program, stops MXNet's engine for a while and copies the page tables of all of its memory. (An
evaluation opens its model first, and has that cost.) They serve all loaders of the command.

This process writes tasks to one socket, from which each data process takes the next one when it is
free, and reads answers from another one. The images go through shared memory.
"""

import contextlib
import itertools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections import deque
from typing import Any, Deque, Dict, Iterator, List, Optional, Tuple

from ..child_processes import state
from ..config import Config
from ..errors import UserError
from ..threads import cores
from . import messages
from .batch_memory import Block
from .messages import Failure, TaskMessage
from .rows import Broken, FillTask
from .shared_memory import SharedMemory, check_free

log = logging.getLogger(__name__)

FEW = 2  # so many threads of one process load as much as so many processes
MEMORY_OF_ONE = 40 << 20  # bytes of a data process that it shares with no other
LOOK_EVERY = 0.5  # seconds without an answer after which the processes are looked at
STALLED = 30.0  # seconds without an answer, if one is expected, that are too long
# This package comes from where this process has it, others from where this process looks for them.
START = (
    "import sys; package, *arguments = sys.argv[1:8]; sys.path = [package, *sys.argv[8:]]; "
    "import gluon_tricks; del sys.path[0]; "
    "from gluon_tricks.data.data_process import main; main(arguments)"
)
# What a terminal or a batch system sends to all processes of a run, which may still need images for
# its last steps.
BLOCKED = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def how_many(config: Config) -> Tuple[int, int]:
    """``(data processes, threads of each)`` for ``-j`` and ``--data-processes``; 0 processes: the
    threads are this process's.
    """
    threads, processes = config.num_data_workers, config.data_processes
    if config.synthetic or config.data_backend != "threads" or sys.platform != "linux":
        processes = 0
    elif processes < 0:
        processes = min(threads, cores())
        if processes <= FEW:
            processes = 0
    return processes, max(1, round(threads / max(1, processes)))


@contextlib.contextmanager
def started(config: Config) -> Iterator[Optional["DataProcesses"]]:
    """The data processes that the flags ask for, or None, until the end of the block."""
    count, threads = how_many(config)
    if not count:
        yield None
        return
    with contextlib.closing(DataProcesses(count, threads)) as processes:
        yield processes


class DataProcesses:
    """``count`` processes of so many ``threads``.

    To be used by the thread that made them, with whose end the kernel ends them.
    """

    def __init__(self, count: int, threads: int = 1) -> None:
        check_free(
            count * MEMORY_OF_ONE, f"{count} data processes", "use a smaller -j or --data-processes"
        )
        self.memory = SharedMemory()
        self.workers = count * threads
        self._numbers = itertools.count()
        self._batches: Dict[int, "Filling"] = {}  # those that answers are expected for
        self._unsent: Deque[bytes] = deque()  # the socket is full
        self._buffer = bytearray(messages.MOST)
        self._interrupted = False
        # Each socket with its other end, which stays open here: when all processes have ended, what
        # is sent just stays, and that they did is seen in one place.
        self._tasks, self._answers = _sockets(), _sockets()
        self._tasks[0].setblocking(False)
        self._arrivals = select.poll()
        self._arrivals.register(self._answers[0], select.POLLIN)
        self._processes: List[subprocess.Popen] = []
        theirs = self._tasks[1].fileno(), self._answers[1].fileno(), self.memory.descriptor
        try:
            for number in range(count):
                self._processes.append(_start(number, threads, theirs))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> List[int]:
        return [process.pid for process in self._processes]

    def open(self, source: Any) -> "ProcessFiller":
        """What fills rows with what ``source`` gives."""
        return ProcessFiller(self, source)

    def close(self) -> None:
        """Kill them: they have nothing to finish, and one that is stopped would not end itself."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for end in (*self._tasks, *self._answers):
            end.close()
        self.memory.close()

    # ---- for ProcessFiller and Filling

    def number(self) -> int:
        """One that was not given before."""
        return next(self._numbers)

    def send(self, filling: "Filling", tasks: List[TaskMessage]) -> None:
        """Let the processes do these tasks, for whose answers ``filling`` waits."""
        with self._exchange():
            for task in tasks:
                self._batches[task.batch] = filling
                self._unsent.append(task.pack())
            self._send()

    @contextlib.contextmanager
    def _exchange(self):
        """An interrupt, or what else a signal's handler raises, may send a task twice or lose an
        answer: rows would be taken for filled, or waited for in vain.
        """
        if self._interrupted:
            raise UserError("an interrupt has cut off these data processes' work: start others")
        try:
            yield
        except UserError:  # a process has ended, or is stopped
            raise
        except BaseException:
            self._interrupted = True
            raise

    def _send(self):
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                self._tasks[0].send(self._unsent[0])
                self._unsent.popleft()

    def wait(self, filling: "Filling") -> None:
        """Until all its tasks are answered, or one has failed."""
        with self._exchange():
            self._wait(filling)

    def _wait(self, filling):
        self._check()
        quiet = 0
        while filling.expected and filling.failure is None:
            self._send()
            if self._arrivals.poll(1000 * LOOK_EVERY):
                size = self._answers[0].recv_into(self._buffer)
                self._take(memoryview(self._buffer)[:size])
                quiet = 0
                continue
            self._check()
            quiet += 1
            if quiet * LOOK_EVERY >= STALLED:
                self._explain_silence()
                quiet = 0

    def _take(self, message):
        batch, number, outcome = messages.unpack_answer(message)
        filling = self._batches[batch]
        filling.answered(number, outcome)
        if not filling.expected:
            del self._batches[batch]

    def _check(self):
        """UserError if a process has ended, LostProcess if it was killed."""
        for number, process in enumerate(self._processes):
            if process.poll() is not None:
                ended = UserError if process.returncode >= 0 else LostProcess
                raise ended(f"data process {number} (process {process.pid}) {_end(process)}")

    def _explain_silence(self):
        """LostProcess if one is stopped; else the images just take long."""
        states = {number: state(process.pid) for number, process in enumerate(self._processes)}
        for number, found in states.items():
            if found in ("T", "t"):
                pid = self._processes[number].pid
                raise LostProcess(
                    f"data process {number} (process {pid}) is stopped, and the run has waited "
                    f"{STALLED:g} seconds for it; 'kill -CONT {pid}' lets one go on before"
                )
        waiting = sum(found == "D" for found in states.values())
        log.warning(
            "no image has come for %g seconds; %d of %d data processes wait for the disk",
            *(STALLED, waiting, len(states)),
        )


class ProcessFiller:
    """Fills rows with what a source gives, in data processes."""

    def __init__(self, processes: DataProcesses, source: Any) -> None:
        self.workers = processes.workers
        self._processes = processes
        parts = messages.parts_of(source)
        memory = SourceMemory(processes.memory, messages.size_of(parts))
        messages.write_parts(parts, memory.mapping)
        self._memory: Optional[SourceMemory] = memory
        self._number = processes.number()

    def start(self, block: Block, tasks: List[FillTask]) -> "Filling":
        """Begin to fill rows of a block."""
        memory = self._memory
        assert memory is not None, "it is closed"
        filling = Filling(self._processes, len(tasks), (block, memory))
        source = self._number, (memory.offset, len(memory.mapping))
        batch, count = self._processes.number(), block.format.count
        self._processes.send(
            filling, [TaskMessage(batch, *source, block.offset, count, task) for task in tasks]
        )
        return filling

    def close(self) -> None:
        """The source's memory is free when the last task is done that nobody waits for any more."""
        self._memory = None


class SourceMemory:
    """Shared memory for a source, for as long as this object is used."""

    def __init__(self, memory: SharedMemory, size: int) -> None:
        self.offset, self.mapping = memory.allocate(size)
        back = weakref.finalize(self, memory.release, self.offset, self.mapping)
        back.atexit = False


class Filling:
    """The tasks of a batch. What they use, such as its block, is ``held`` until the last answer."""

    def __init__(self, processes: DataProcesses, tasks: int, held: Tuple[Any, ...]) -> None:
        self.expected, self.failure = tasks, None
        self._processes, self._held = processes, held
        self._broken: List[Broken] = []

    def answered(self, number: int, outcome: Any) -> None:
        """Take the answer of a process to one of the tasks."""
        self.expected -= 1
        if not self.expected:
            self._held = ()
        if isinstance(outcome, Failure):
            self.failure = self.failure or (number, outcome)
        else:
            self._broken += outcome

    def wait(self) -> List[Broken]:
        """The rows that were not filled, once all others are; or the error that came up."""
        self._processes.wait(self)
        if self.failure is not None:
            number, (error, text) = self.failure
            cause = DataProcessError(f"in data process {number}:\n{text}")
            raise error or cause from (cause if error else None)
        return self._broken

    def cancel(self) -> None:
        """Nobody waits for it; the processes do the tasks all the same."""


class LostProcess(UserError):
    """A data process was killed or stopped. Starting again may help: not the input is wrong."""

    exit_code = 5


class DataProcessError(Exception):
    """An error inside a data process, with its traceback there."""


def _sockets():
    """Two ends, between which messages go whole, and which wait for them."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(True)  # whatever socket.setdefaulttimeout says
    return ends


def _start(number, threads, descriptors):
    """One data process, in a session of its own: no terminal interrupts or stops it."""
    numbers = number, threads, os.getpid(), *descriptors
    # Without the current folder, "": its files may have names of modules.
    paths = [path for path in sys.path if path and isinstance(path, str)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)  # a new program keeps the mask
    try:
        return subprocess.Popen(
            [sys.executable, "-c", START, PACKAGES, *map(str, numbers), *paths],
            # What libraries could do with threads of their own, the processes do side by side.
            env=dict(os.environ, OMP_NUM_THREADS="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as error:  # such as a limit of processes or memory
        raise UserError(
            f"data process {number} cannot be started: {error.strerror}: use a smaller -j or "
            "--data-processes"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(process):
    """How a process has ended, and why that may be."""
    if process.returncode >= 0:
        return f"ended with exit code {process.returncode}; what it printed says why"
    number = -process.returncode
    if number == signal.SIGKILL:
        return (
            "was killed by SIGKILL, as the system does when memory is short (see dmesg): use a "
            "smaller --batch-size or -j"
        )
    # real-time signals have no name
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"was killed by {name}; with --data-processes 0 nothing but the run itself decodes"
