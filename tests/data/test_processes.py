"""Data processes give the batches of threads, and none is left behind whatever happens."""

import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from record_files import assert_same, config_of, contents, write

from gluon_tricks import config as configuration
from gluon_tricks.data import batch_memory, data_process, loader, processes, shared_memory
from gluon_tricks.data.batches import BatchMaker
from gluon_tricks.data.data_process import MOST_SOURCES
from gluon_tricks.data.processes import DataProcessError, DataProcesses, LostProcess
from gluon_tricks.data.records import RecordError, RecordFile
from gluon_tricks.data.rows import RowsFormat
from gluon_tricks.data.sources import RecordSource
from gluon_tricks.data.transforms import paper
from gluon_tricks.distributed import launcher
from gluon_tricks.errors import UserError

BROKEN = (3, 4, 17)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records") / "some.rec")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return write(tmp_path_factory.mktemp("broken") / "broken.rec", broken=BROKEN)


@pytest.fixture(scope="module", params=[(1, 1), (3, 1), (2, 2)], ids=["1", "3", "2x2"])
def pool(request):
    with contextlib.closing(DataProcesses(*request.param)) as started:
        yield started


@pytest.fixture
def two():
    """Processes that a test may spoil."""
    with contextlib.closing(DataProcesses(2)) as started:
        yield started


def train(config, global_batch, start, stop, pool=None, **share):
    data = loader.train_loader(config, global_batch, processes=pool, **share)
    with contextlib.closing(data):
        return [contents(batch) for batch in data.batches(start, stop)]


def evaluate(config, batch_size, pool=None, rank=0, world_size=1):
    data = loader.eval_loader(config, batch_size, rank, world_size, processes=pool)
    with contextlib.closing(data):
        return [[*contents(batch), np.array(batch.valid)] for batch in data]


def is_there(pid):
    return os.path.exists(f"/proc/{pid}") and processes.state(pid) != "Z"


def gone(pids, within=10.0):
    """Whether all of them end in time, which is generous, as the machine may be busy."""
    deadline = time.monotonic() + within
    while any(map(is_there, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_there, pids))


# what the batches hold


@pytest.mark.parametrize("flags", [[], ["--device-augment"], ["--color-form", "gluoncv"]])
def test_processes_give_the_bits_of_threads(path, pool, flags):
    config = config_of(path, *flags)
    whole = train(config, 8, 0, 14)
    assert_same(train(config, 8, 0, 14, pool), whole)
    assert_same(train(config, 8, 5, 14, pool), whole[5:])


def test_a_workers_share_and_its_validation_images_are_those_of_threads(path, pool):
    config = config_of(path)
    share = dict(first=4, count=4)
    assert_same(train(config, 8, 0, 7, pool, **share), train(config, 8, 0, 7, **share))
    assert_same(evaluate(config, 8, pool, 1, 3), evaluate(config, 8, None, 1, 3))


def test_broken_records_are_replaced_and_named_as_with_threads(broken, pool, caplog):
    config, said = config_of(broken), []
    for one in (None, pool):
        caplog.clear()
        data = loader.train_loader(config, 8, processes=one)
        with contextlib.closing(data), caplog.at_level(logging.WARNING):
            said.append([contents(batch) for batch in data.batches(0, 12)])
            assert data.bad_records == len(BROKEN)
        said.append([record.getMessage() for record in caplog.records])
    assert_same(said[2], said[0])
    assert said[3] == said[1] and len(said[3]) == len(BROKEN)


def test_too_many_broken_records_are_the_same_error(broken, pool):
    config, errors = config_of(broken, "--max-bad-records", "2"), []
    for one in (None, pool):
        with pytest.raises(UserError, match="--max-bad-records 2") as caught:
            train(config, 53, 0, 1, one)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    with pytest.raises(RecordError, match="record 1003: cannot be decoded"):
        evaluate(config, 8, pool)


def test_loaders_share_processes_and_one_that_stops_early_disturbs_no_other(path, pool):
    config = config_of(path)
    expected, validation = train(config, 8, 0, 6), evaluate(config, 8)
    data = loader.train_loader(config, 8, processes=pool)
    some = data.batches(0, 6)
    first = contents(next(some))
    assert_same(evaluate(config, 8, pool), validation)
    some.close()
    assert_same([first], expected[:1])
    assert_same([contents(batch) for batch in data.batches(0, 6)], expected)
    data.close()


@pytest.mark.slow
def test_more_loaders_than_a_process_keeps_open_take_turns(path):
    config = config_of(path)
    expected = train(config, 32, 0, 20)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(contextlib.closing(DataProcesses(1, 8)))
        loaders = [
            stack.enter_context(contextlib.closing(loader.train_loader(config, 32, processes=pool)))
            for _ in range(MOST_SOURCES + 3)
        ]
        for batches in zip(*[data.batches(0, 20) for data in loaders]):
            assert_same([contents(batch) for batch in batches], [expected.pop(0)] * len(loaders))
        links = (
            f"/proc/{pool.pids[0]}/fd/{name}" for name in os.listdir(f"/proc/{pool.pids[0]}/fd")
        )
        assert sum(os.readlink(link) == path for link in links) == MOST_SOURCES


def test_a_batch_keeps_its_values_while_it_is_used(path, pool):
    config = config_of(path)
    data = loader.train_loader(config, 8, processes=pool)
    held = [batch.images[2:5] for batch in data.batches(0, 12)]  # a slice uses the same memory
    data.close()
    for images, expected in zip(held, train(config, 8, 0, 12)):
        np.testing.assert_array_equal(images.asnumpy(), expected[0][2:5])


def test_memory_is_used_again(path, two):
    with contextlib.closing(loader.train_loader(config_of(path), 8, processes=two)) as data:
        for step, batch in enumerate(data.batches(0, 60)):
            del batch
            if step == 20:
                grown = os.fstat(two.memory.descriptor).st_size
        assert os.fstat(two.memory.descriptor).st_size == grown


def test_memory_of_a_closed_loader_goes_back_to_the_system_and_is_used_again(path):
    sizes = set()
    with contextlib.closing(DataProcesses(1)) as pool:
        for _ in range(3):
            train(config_of(path), 8, 0, 6, pool)
            gc.collect()
            found = os.fstat(pool.memory.descriptor)
            assert found.st_blocks == 0
            sizes.add(found.st_size)
    assert len(sizes) == 1


def resident(pid):
    """Bytes of the shared memory that a process has fetched."""
    with open(f"/proc/{pid}/smaps") as file:
        _, *mappings = file.read().split("gluon-tricks batches")
    return sum(int(mapping.partition("Rss:")[2].split()[0]) << 10 for mapping in mappings)


def test_batches_that_are_kept_keep_no_descriptors_open(path, two):
    def descriptors():
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in ("self", *two.pids))

    opened = descriptors()
    with contextlib.closing(loader.train_loader(config_of(path), 4, processes=two)) as data:
        kept = list(data.batches(0, 200))
        assert descriptors() < opened + len(kept) / 2


def test_a_second_loaders_pages_are_fetched_together_too(path):
    fetched = []
    with contextlib.closing(DataProcesses(1)) as pool:
        for _ in range(2):
            # a batch of one image, so that a process needs few of the batch's pages
            data = loader.eval_loader(config_of(path), 64, 0, 53, processes=pool)
            with contextlib.closing(data):
                next(iter(data)).images.wait_to_read()
                fetched.append(resident(pool.pids[0]))
    assert fetched[1] >= fetched[0]


# errors


def test_an_error_has_its_traceback_from_the_process_as_its_cause(path, two):
    with RecordFile(path) as records:
        source = RecordSource(records, paper.train_transform(config_of(path)), 0, 10)
        source._transform = None
        maker = BatchMaker(source, processes=two)
        with pytest.raises(AttributeError, match="sample") as caught:
            plans = loader.EvalLoader(records, maker, 8).batches(0)
            next(plans)
        assert isinstance(caught.value.__cause__, DataProcessError)
        assert "sources.py" in str(caught.value.__cause__)


def test_a_label_that_is_no_class_is_an_error_that_names_the_record(tmp_path, two):
    path = write(tmp_path / "labels.rec", label=lambda key: 10 if key == 5 else 0)
    with pytest.raises(UserError, match="record 1005: label 10 is none"):
        train(config_of(path), 53, 0, 1, two)


def test_a_file_that_was_exchanged_is_an_error(tmp_path, path, two):
    mine = write(tmp_path / "mine.rec")
    with contextlib.closing(loader.train_loader(config_of(mine), 8, processes=two)) as data:
        os.replace(write(tmp_path / "other.rec"), mine)
        with pytest.raises(RecordError, match="mine.rec: is another file now"):
            next(data.batches(0, 1))


def test_a_killed_process_is_an_error_that_names_it(path, two):
    with contextlib.closing(loader.train_loader(config_of(path), 8, processes=two)) as data:
        batches = data.batches(0, 1000)
        next(batches)
        pid = two.pids[1]
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(
            UserError, match=rf"data process 1 \(process {pid}\) was killed by SIGK"
        ) as caught:
            for _ in batches:
                pass
        assert time.monotonic() - started < 10
        assert caught.value.exit_code not in launcher.FINAL  # starting again may help


@pytest.mark.parametrize("number, name", [(signal.SIGBUS, "SIGBUS"), (35, "signal 35")])
def test_the_signal_that_killed_a_process_is_named(path, number, name):
    with contextlib.closing(DataProcesses(1)) as pool:
        with contextlib.closing(loader.train_loader(config_of(path), 8, processes=pool)) as data:
            batches = data.batches(0, 1000)
            next(batches)
            os.kill(pool.pids[0], number)
            with pytest.raises(LostProcess, match=f"was killed by {name};"):
                for _ in batches:
                    pass


def test_a_process_that_cannot_start_is_an_error(path, two, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with contextlib.closing(DataProcesses(1)) as failing:
        with pytest.raises(UserError, match="data process 0 .* ended with exit code 1") as caught:
            train(config_of(path), 8, 0, 1, failing)
        assert caught.value.exit_code in launcher.FINAL


def test_a_process_that_the_system_refuses_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no such program")
    with pytest.raises(UserError, match="data process 0 cannot be started: No such .* smaller -j"):
        DataProcesses(1)


def test_an_error_in_any_thread_ends_a_process_that_would_lose_its_task(path):
    with contextlib.closing(DataProcesses(1, 8)) as failing:
        failing._tasks[0].send(b"no task")
        with pytest.raises(UserError, match="data process 0 .* ended with exit code 1"):
            train(config_of(path), 8, 0, 1000, failing)


def test_files_of_the_current_folder_are_no_modules(path, tmp_path, monkeypatch):
    for name in ("simplejpeg", "typing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(DataProcesses(1)) as pool:
        assert len(train(config_of(path), 8, 0, 1, pool)) == 1


def test_processes_look_for_modules_where_this_one_does_and_have_its_package(
    path, tmp_path, monkeypatch
):
    (tmp_path / "simplejpeg.py").write_text("raise SystemExit(7)")
    (tmp_path / "gluon_tricks.py").write_text("raise SystemExit(8)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with contextlib.closing(DataProcesses(1)) as pool:
        with pytest.raises(UserError, match="ended with exit code 7"):
            train(config_of(path), 8, 0, 1, pool)


def test_a_default_timeout_of_sockets_is_not_for_ours():
    try:
        socket.setdefaulttimeout(1)
        with contextlib.closing(DataProcesses(1)) as pool:
            assert os.get_blocking(pool._tasks[1].fileno())
            assert os.get_blocking(pool._answers[1].fileno())
    finally:
        socket.setdefaulttimeout(None)


def test_a_failing_thread_ends_its_process_even_if_nothing_can_be_printed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        data_process.serve(None)
    assert ended.value.code == 1


@pytest.mark.slow
def test_a_stopped_process_is_named_after_some_time_and_ends_all_the_same(path, two, monkeypatch):
    monkeypatch.setattr(processes, "STALLED", 1.0)
    for pid in two.pids:  # one alone would be no loss
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(UserError, match="data process 0 .* is stopped") as caught:
        train(config_of(path), 8, 0, 1000, two)
    assert caught.value.exit_code not in launcher.FINAL
    started = time.monotonic()
    two.close()
    assert gone(two.pids) and time.monotonic() - started < 5


def test_slow_images_are_waited_for(path, two, monkeypatch, caplog):
    """With neither process stopped, silence is no error."""
    config = config_of(path)
    expected = train(config, 8, 0, 2)
    monkeypatch.setattr(processes, "STALLED", 1e-9)
    monkeypatch.setattr(processes, "LOOK_EVERY", 0.01)
    with contextlib.closing(DataProcesses(1)) as slow:  # Python takes longer to start
        with caplog.at_level(logging.WARNING):
            assert_same(train(config, 8, 0, 2, slow), expected)
    assert "no image has come" in caplog.text


# the processes


SCRIPT = """
import sys
from gluon_tricks.config import parse
from gluon_tricks.data.batch_memory import BatchMemory
from gluon_tricks.data.processes import DataProcesses
from gluon_tricks.data.records import RecordFile
from gluon_tricks.data.rows import FillTask, RowsFormat
from gluon_tricks.data.sources import RecordSource
from gluon_tricks.data.transforms import paper
import numpy as np

config = parse(["--rec-train", sys.argv[1], "--input-size", "64"])
processes = DataProcesses(2)
source = RecordSource(RecordFile(config.rec_train), paper.train_transform(config), 0, 10)
filler, memory = processes.open(source), BatchMemory(1, processes.memory)
block = memory.take(RowsFormat(53, source.image_shape, source.image_dtype))
said = False
try:
    while True:
        tasks = [FillTask(0, start, np.arange(start, start + 5)) for start in range(0, 50, 5)]
        filler.start(block, tasks).wait()
        if not said:
            print(*processes.pids, "mxnet" in sys.modules, flush=True)
            said = True
except KeyboardInterrupt:
    processes.close()
    sys.exit(130)
"""


def ours_in_shm():
    """Our files in /dev/shm, where other programs make and remove theirs at any time."""
    return sorted(name for name in os.listdir("/dev/shm") if name.startswith("gluon-tricks"))


@contextlib.contextmanager
def running(path):
    """The script as a process group of its own, and the data processes that it has."""
    command = [sys.executable, "-c", SCRIPT, path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as one:
        try:
            first, second, has_mxnet = one.stdout.readline().split()
            assert has_mxnet == "False"
            yield one, [int(first), int(second)]
        finally:
            one.kill()


def libraries(pid):
    with open(f"/proc/{pid}/maps") as file:
        return file.read()


def test_a_killed_run_leaves_nothing_behind(path):
    before = ours_in_shm()
    with running(path) as (script, pids):
        assert all(map(is_there, pids))
        for pid in pids:
            deadline = time.monotonic() + 30  # one may do all the work before the other begins
            while "simplejpeg" not in (maps := libraries(pid)) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert "simplejpeg" in maps and "libmxnet" not in maps
        script.kill()
        assert gone(pids)
    assert ours_in_shm() == before


@pytest.mark.slow
def test_an_interrupt_of_the_terminal_reaches_the_run_alone(path):
    with running(path) as (script, pids):
        assert not {script.pid} & {os.getpgid(pid) for pid in pids}  # nor does Ctrl-Z stop them
        for pid in pids:  # a batch system signals every process of a job
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        time.sleep(0.5)  # for batches that need them
        assert script.poll() is None
        os.killpg(script.pid, signal.SIGINT)
        assert script.wait(30) == 130
        assert gone(pids)


# or what a signal handler raises, such as that of an alarm
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeoutError])
def test_after_an_interrupt_no_row_is_taken_for_filled(monkeypatch, path, two, interrupt):
    def interrupted(message):
        raise interrupt

    with contextlib.closing(loader.train_loader(config_of(path), 8, processes=two)) as data:
        monkeypatch.setattr(two, "_take", interrupted)
        with pytest.raises(interrupt):
            next(data.batches(0, 2))
        monkeypatch.undo()
        with pytest.raises(UserError, match="an interrupt broke off .* start others"):
            next(data.batches(0, 2))


def test_an_alarm_ends_the_wait(path, two):
    """Its handler's error is not taken for silence of a socket."""

    def ring(number, frame):
        raise TimeoutError("the alarm")

    for pid in two.pids:
        os.kill(pid, signal.SIGSTOP)
    with contextlib.closing(loader.train_loader(config_of(path), 8, processes=two)) as data:
        before = signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(TimeoutError, match="the alarm"):
                next(data.batches(0, 2))
        finally:
            signal.signal(signal.SIGALRM, before)


def test_closing_ends_them(path):
    pool = DataProcesses(2)
    train(config_of(path), 8, 0, 1, pool)
    started = time.monotonic()
    pool.close()
    assert not any(map(is_there, pool.pids)) and time.monotonic() - started < 5


def test_as_many_processes_as_are_worth_it(monkeypatch):
    def chosen(*flags, cores=16):
        monkeypatch.setattr(processes, "cores", lambda: cores)
        return processes.how_many(configuration.parse(["--rec-train", "x.rec", *flags]))

    assert chosen("-j", "2") == (0, 2) and chosen("-j", "4", cores=2) == (0, 4)
    assert chosen("-j", "16") == (16, 1) and chosen("-j", "60") == (16, 4)
    assert chosen("-j", "17") == (16, 1)
    assert chosen("-j", "16", "--data-processes", "4") == (4, 4)
    assert chosen("-j", "16", "--data-processes", "0") == (0, 16)
    assert chosen("-j", "2", "--data-processes", "3") == (3, 1)
    assert chosen("-j", "16", "--data-backend", "native") == (0, 16)
    synthetic = configuration.parse(["--synthetic", "-j", "16"])
    assert processes.how_many(synthetic) == (0, 16)


def test_no_processes_where_they_would_do_nothing():
    with pytest.raises(UserError, match="--data-processes has no effect"):
        configuration.parse(["--synthetic", "--data-processes", "2"])


# memory


def test_too_little_memory_is_an_error_before_any_is_taken(path, two, monkeypatch):
    monkeypatch.setattr(shared_memory, "free_memory", lambda: (20000, "of the machine"))
    with pytest.raises(UserError, match="4 batches need .* MB are free .*--batch-size"):
        train(config_of(path), 8, 0, 1, two)
    with pytest.raises(UserError, match="3 data processes need .* MB .*smaller -j"):
        DataProcesses(3)


def test_a_limit_of_file_sizes_is_an_error_that_says_what_it_limits(path, two):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with contextlib.closing(loader.train_loader(config_of(path), 53, processes=two)) as data:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
        try:
            with pytest.raises(UserError, match="a file in memory: File too large .*ulimit -f"):
                next(data.batches(0, 1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_memory_for_batches_is_asked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(shared_memory, "check_free", lambda size, *about: asked.append(size))
    with contextlib.closing(shared_memory.SharedMemory()) as shared:
        memory, rows = batch_memory.BatchMemory(4, shared), RowsFormat(2, (3, 8, 8), np.float32)
        blocks = [memory.take(rows) for _ in range(3)]
        assert len(blocks) == 3 and asked == [4 * rows.nbytes]


@pytest.fixture(params=[False, True], ids=["missing", "refused"])
def without_memfd(request, monkeypatch):
    """The C library has no memfd_create, or a sandbox refuses it."""
    c = shared_memory._LIBC
    others = types.SimpleNamespace(mmap=c.mmap, munmap=c.munmap, madvise=c.madvise)
    if request.param:
        others.memfd_create = lambda name, flags: -1
    monkeypatch.setattr(shared_memory, "_LIBC", others)


def test_without_memfd_a_file_in_shm_that_nobody_sees(path, without_memfd):
    before = ours_in_shm()
    with contextlib.closing(DataProcesses(1)) as pool:
        assert ours_in_shm() == before
        config = config_of(path)
        assert_same(train(config, 8, 0, 5, pool), train(config, 8, 0, 5))


def test_pythons_own_memfd_is_not_needed(path, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with contextlib.closing(DataProcesses(1)) as pool:
        linked = os.readlink(f"/proc/self/fd/{pool.memory.descriptor}")
        assert linked == "/memfd:gluon-tricks batches (deleted)"


def test_a_full_shm_is_an_error_that_says_how_to_enlarge_it(path, monkeypatch, without_memfd):
    with contextlib.closing(DataProcesses(1)) as pool:
        full = os.statvfs("/proc")  # it has no free blocks
        monkeypatch.setattr(os, "statvfs", lambda path: full)
        with pytest.raises(UserError, match="/dev/shm has 0 MB free.*--shm-size"):
            train(config_of(path), 8, 0, 1, pool)


def test_an_shm_that_holds_some_batches_and_not_all_is_an_error_at_once(without_memfd, monkeypatch):
    rows = RowsFormat(2, (3, 64, 64), np.float32)
    free = types.SimpleNamespace(f_bavail=2 * rows.nbytes, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: free)
    with contextlib.closing(shared_memory.SharedMemory()) as shared:
        with pytest.raises(UserError, match="/dev/shm has .* free, .* are needed for 4 batches:"):
            batch_memory.BatchMemory(4, shared).take(rows)
