"""Data processes decode and augment on all cores; the threads of one process would wait for
Python's lock.

Each is a new Python without MXNet and without this process's memory: a forked one would have
MXNet's engine without its threads, and a broken CUDA context. A training starts them before MXNet's
engine and CUDA: Python before 3.10 forks to start a program, which stops MXNet's engine for a while
and copies the page tables of all its memory. (An evaluation opens its model first, and pays that
cost.) They serve all loaders of the command.

This process writes tasks to one socket, from which each data process takes the next one when it is
free, and reads answers from another. The images go through shared memory.
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

from ..child_processes import name_of_signal, state
from ..config import Config
from ..errors import UserError
from ..threads import cores
from . import messages
from .batch_memory import Block
from .messages import Failure, TaskMessage
from .rows import Broken, FillTask
from .shared_memory import SharedMemory, check_free

log = logging.getLogger(__name__)

FEW = 2  # threads of one process load as fast as that many processes
MEMORY_OF_ONE = 40 << 20  # bytes that a data process shares with no other
LOOK_EVERY = 0.5  # seconds without an answer after which the processes are checked
STALLED = 30.0  # seconds without an expected answer that are too long
# Imports this package from where this process has it, and others from this process's sys.path.
START = (
    "import sys; package, *arguments = sys.argv[1:8]; sys.path = [package, *sys.argv[8:]]; "
    "import gluon_tricks; del sys.path[0]; "
    "from gluon_tricks.data.data_process import main; main(arguments)"
)
# Signals that a terminal or a batch system sends to all processes of a run. The run may still need
# images for its last steps.
BLOCKED = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def how_many(config: Config) -> Tuple[int, int]:
    """``(data processes, threads of each)`` for ``-j`` and ``--data-processes``; with 0
    processes the threads are this process's.
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
    """``count`` processes, each with this many ``threads``.

    Only for the thread that makes them: when it ends, the kernel kills them.
    """

    def __init__(self, count: int, threads: int = 1) -> None:
        check_free(
            count * MEMORY_OF_ONE, f"{count} data processes", "use a smaller -j or --data-processes"
        )
        self.memory = SharedMemory()
        self.workers = count * threads
        self._numbers = itertools.count()
        self._batches: Dict[int, "Filling"] = {}  # whose answers are expected
        self._unsent: Deque[bytes] = deque()  # while the socket is full
        self._buffer = bytearray(messages.MOST)
        self._interrupted = False
        # The other end of each socket stays open here, too: sending works even after all processes
        # have ended, so only _check has to notice it.
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
        """A filler of rows from ``source``."""
        return ProcessFiller(self, source)

    def close(self) -> None:
        """Kill them: they have nothing to finish, and a stopped one would not end by itself."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for end in (*self._tasks, *self._answers):
            end.close()
        self.memory.close()

    # ---- for ProcessFiller and Filling

    def number(self) -> int:
        """A number that has not been used before."""
        return next(self._numbers)

    def send(self, filling: "Filling", tasks: List[TaskMessage]) -> None:
        """Send tasks to the processes; ``filling`` gets the answers."""
        with self._exchange():
            for task in tasks:
                self._batches[task.batch] = filling
                self._unsent.append(task.pack())
            self._send()

    @contextlib.contextmanager
    def _exchange(self):
        """Refuse all work after an interrupt, or anything else that a signal handler raises. It may
        have sent a task twice or lost an answer: rows would count as filled, or never come.
        """
        if self._interrupted:
            raise UserError("an interrupt broke off the work of these data processes: start others")
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
        """Wait until all its tasks are answered, or one has failed."""
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
        """LostProcess if one is stopped; else a warning, as the images just take long."""
        states = {number: state(process.pid) for number, process in enumerate(self._processes)}
        for number, found in states.items():
            if found in ("T", "t"):
                pid = self._processes[number].pid
                raise LostProcess(
                    f"data process {number} (process {pid}) is stopped, and the run has waited "
                    f"{STALLED:g} seconds for it; 'kill -CONT {pid}' within that time lets it "
                    "continue"
                )
        waiting = sum(found == "D" for found in states.values())
        log.warning(
            "no image has come for %g seconds; %d of %d data processes wait for the disk",
            *(STALLED, waiting, len(states)),
        )


class ProcessFiller:
    """Fills rows from a source, in data processes."""

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
        """Let go of the source's memory, which is freed when the last task is done."""
        self._memory = None


class SourceMemory:
    """Shared memory for a source, freed with this object."""

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
        """Wait for the tasks; returns the rows that were not filled, or raises a task's error."""
        self._processes.wait(self)
        if self.failure is not None:
            number, (error, text) = self.failure
            cause = DataProcessError(f"in data process {number}:\n{text}")
            raise error or cause from (cause if error else None)
        return self._broken

    def cancel(self) -> None:
        """Do nothing: the processes finish the tasks, and nobody waits for them."""


class LostProcess(UserError):
    """A data process was killed or stopped. Starting again may help: the input is not at fault."""

    exit_code = 5


class DataProcessError(Exception):
    """An error inside a data process, with its traceback there."""


def _sockets():
    """The two ends of a socket that keeps messages whole; reading and writing block."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(True)  # whatever socket.setdefaulttimeout says
    return ends


def _start(number, threads, descriptors):
    """Start a data process in its own session: no terminal interrupts or stops it."""
    numbers = number, threads, os.getpid(), *descriptors
    # Without "", the current folder: a file there may have the name of a module.
    paths = [path for path in sys.path if path and isinstance(path, str)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)  # a new program keeps the mask
    try:
        return subprocess.Popen(
            [sys.executable, "-c", START, PACKAGES, *map(str, numbers), *paths],
            # The processes run side by side, so libraries need no threads of their own.
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
    """How a process ended, and the likely reason."""
    if process.returncode >= 0:
        return f"ended with exit code {process.returncode}; what it printed says why"
    number = -process.returncode
    if number == signal.SIGKILL:
        return (
            "was killed by SIGKILL, as the system does when memory is short (see dmesg): use a "
            "smaller --batch-size or -j"
        )
    return f"was killed by {name_of_signal(number)}; with --data-processes 0 the run itself decodes"
