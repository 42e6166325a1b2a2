"""The layout's arithmetic, one worker alone, the watchdog, and what is refused at the start."""

import re
import signal
import socketserver
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks.config import ConfigError, from_dict, parse
from gluon_tricks.distributed import watchdog
from gluon_tricks.distributed.gathering import gather, gather_json, gather_parts
from gluon_tricks.distributed.layout import Layout
from gluon_tricks.distributed.local import Local
from gluon_tricks.distributed.workers import connect, layout_of
from gluon_tricks.errors import UserError
from gluon_tricks.training.schedule import learning_rate, resumed_step
from gluon_tricks.training.sums import Sums


class Workers:
    """``world_size`` workers in one process: their arrays are collected, then summed."""

    def __init__(self, world_size):
        self.world_size = world_size

    def all(self, call, values):
        found = []
        for self.rank, value in enumerate(values):
            self.sum = lambda array: found.append(array) or array
            call(self, value)
        return found


@pytest.mark.parametrize(
    "workers, parts, devices",
    [(1, 1, 1), (2, 2, 1), (1, 6, 3), (3, 12, 2), (3, 4, 1), (2, 7, 2), (3, 8, 1)],
)
def test_workers_micro_batches_and_devices_share_the_global_batch_out_in_order(
    workers, parts, devices
):
    """Each part once and in order, on existing devices, spread as evenly as possible."""
    images, found, shares = [], [], []
    for rank in range(workers):
        layout = Layout(4, parts, devices, workers, rank)
        own = np.arange(layout.global_batch)[layout.first : layout.first + layout.worker_batch]
        for micro in range(layout.accumulate):
            for device, part in layout.micro_batch(micro):
                assert device < devices
                images += layout.split(own, part).tolist()
                found.append(part)
        shares.append(len(layout.own_parts))
    assert images == list(range(4 * parts)) and found == list(range(parts))
    assert max(shares) - min(shares) <= 1


def test_more_devices_than_parts_are_refused():
    with pytest.raises(UserError, match="too few for 3 workers"):
        Layout(4, 2, 1, 3)


@pytest.mark.parametrize(
    "workers, words",
    [
        (1, "16 = 4 images x 4 parts; 1 worker with 2 devices"),
        (2, "; 2 workers with 2 devices each"),
    ],
)
def test_a_layout_in_words(workers, words):
    assert Layout(4, 4, 2, workers).in_words().endswith(words)


def test_a_run_keeps_its_global_batch_or_scales_with_its_workers():
    class Three:
        world_size, rank, devices = 3, 1, [mx.cpu()]

    keep, scale, plain = (
        parse(f"--batch-size 8 --lr 0.1 --resume auto --elastic {how}".split())
        for how in ("keep-batch", "scale-lr", "none")
    )
    assert layout_of(keep, Three, 32) == Layout(8, 4, 1, 3, 1)
    assert layout_of(scale, Three, 32) == layout_of(plain, Three, 32) == Layout(8, 3, 1, 3, 1)
    assert layout_of(keep, Three) == Layout(8, 3, 1, 3, 1)  # the run begins
    with pytest.raises(UserError, match="not a multiple of --batch-size 8"):
        layout_of(keep, Three, 36)
    peaks = [learning_rate(config, 24, 10, began_with=32)(0) for config in (keep, scale)]
    assert peaks == [0.1, pytest.approx(0.1 * 24 / 32)]


@pytest.mark.parametrize("step, place", [(0, 0), (10, 13), (13, 17), (25, 33), (49, 65), (50, 66)])
def test_with_another_global_batch_a_run_goes_on_at_the_same_image_or_just_before(step, place):
    """100 images an epoch: 25 steps of 4, or 33 of 3."""
    found = resumed_step(step, 4, 25, 3, 33)
    assert found == place
    assert step // 25 == found // 33  # the same epoch
    assert 0 <= step % 25 * 4 - found % 33 * 3 <= 3 + 1  # an epoch of 33 x 3 leaves one image out


def test_a_gathered_array_is_the_sum_of_rows_with_zeros_elsewhere():
    values = [np.array([0.1, -3.0]), np.array([1e300, 7.0]), np.array([5.0, 0.3])]
    parts = Workers(3).all(gather, values)
    np.testing.assert_array_equal(sum(parts).reshape(3, 2), values)


def test_what_belongs_to_parts_is_gathered_in_their_order():
    """Four parts on three workers, which have one, one and two of them."""
    values = np.arange(8.0).reshape(4, 2)
    layouts = [Layout(1, 4, 1, 3, rank) for rank in range(3)]
    sums, found = [], []
    workers = Workers(3)
    for _ in range(2):  # first, what each worker sends; then, with the sum
        for workers.rank, layout in enumerate(layouts):
            workers.sum = lambda array: sums.append(array) or array if not found else found[0]
            gathered = gather_parts(
                workers, layout, values[layout.own_parts.start : layout.own_parts.stop]
            )
        found = [sum(sums)]
    np.testing.assert_array_equal(gathered, values)


def test_one_worker_alone_gathers_what_it_has():
    alone = connect(parse([]))
    assert isinstance(alone, Local) and (alone.rank, alone.world_size, alone.devices) == (
        0,
        1,
        [mx.cpu(0)],
    )
    assert gather_json(alone, {"a": [1, None, "ü"]}) == [{"a": [1, None, "ü"]}]
    assert gather(alone, np.zeros(0)).shape == (1, 0)


def test_every_device_has_the_first_ones_parameters_before_the_first_step():
    local = connect(parse(["--cpu-contexts", "2"]))
    net = mx.gluon.nn.BatchNorm(in_channels=2)
    net.initialize(ctx=local.devices)
    net.running_mean.data(local.devices[0])[:] = 3
    local.broadcast(net, local.trainer(net, "sgd", dict(learning_rate=0.1)))
    assert net.running_mean.data(local.devices[1]).asnumpy().tolist() == [3, 3]


@pytest.mark.parametrize(
    "flags, words",
    [("--kvstore horovod", "horovodrun -np"), ("--kvstore dist_sync", "gluon-tricks launch")],
)
def test_a_worker_that_nobody_launched_says_how_to(monkeypatch, flags, words):
    for name in (
        "HOROVOD_SIZE",
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "SLURM_PROCID",
        "HOROVOD_ELASTIC",
        "DMLC_ROLE",
    ):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=words):
        connect(parse(flags.split()))


@pytest.mark.parametrize(
    "flags",
    [
        "--stall-timeout 5",
        "--gradient-compression fp16",
        "--kvstore dist_sync --gradient-compression fp16",
    ],
)
def test_flags_of_workers_are_refused_without_workers(flags):
    with pytest.raises(ConfigError, match="no effect"):
        parse(flags.split())


def test_asynchronous_updates_are_refused_with_what_to_take_instead(capsys):
    """By train and by launch; the folder of a run that had them can still be read."""
    for command in (parse, lambda words: cli.main(["launch", "-n", "2"] + words)):
        with pytest.raises(SystemExit) as stop:
            command(["--kvstore", "dist_async"])
        assert stop.value.code == 2 and "use dist_sync" in capsys.readouterr().err
    assert from_dict(dict(kvstore="dist_async")).kvstore == "dist_sync"


class TestWatchdog:
    """Heartbeats of three workers and two servers in one process, and a folder that they share."""

    @pytest.fixture
    def ended(self, monkeypatch):
        ended = []
        monkeypatch.setattr(watchdog, "end", lambda why, code: ended.append((why, code)))
        return ended

    @pytest.fixture
    def lost(self):
        return []

    @pytest.fixture
    def servers(self, tmp_path):
        (tmp_path / "workers").mkdir(exist_ok=True)
        servers = [
            watchdog.Heartbeat(str(tmp_path / "workers"), f"server-{number}", 0.1)
            for number in range(2)
        ]
        yield servers
        for server in servers:
            server.stop()

    @pytest.fixture
    def workers(self, ended, lost, tmp_path):
        workers = [watchdog.Watchdog(1, lambda: lost) for _ in range(3)]
        names = ["worker-0", "worker-1", "worker-2"]
        for name, worker in zip(names, workers):
            worker.watch(
                str(tmp_path / "workers"),
                name,
                [other for other in names if other != name] + ["server-0", "server-1"],
            )
        while len(list((tmp_path / "workers").iterdir())) < 3:
            time.sleep(0.02)
        yield workers
        for worker in workers:
            worker.close()

    def wait(self, ended):
        end = time.time() + 20
        while not ended and time.time() < end:
            time.sleep(0.02)
        return ended[0]

    def stop(self, heartbeat):
        """Stop it as if its process were killed or stopped: the file stays."""
        heartbeat._stopped.set()

    @pytest.mark.slow
    def test_a_short_wait_ends_nobody(self, workers, ended):
        with workers[0]:
            time.sleep(0.3)
        time.sleep(1.2)
        assert not ended

    @pytest.mark.slow
    def test_a_wait_within_a_wait_does_not_end_it(self, workers, ended):
        with workers[0]:
            with workers[0]:
                pass
            self.wait(ended)

    @pytest.mark.slow
    def test_a_worker_whose_heartbeat_has_stopped_is_named(self, workers, ended):
        self.stop(workers[2]._heartbeat)
        with workers[0]:
            why, code = self.wait(ended)
        assert code == watchdog.LOST and why.startswith("worker 0 heard nothing")
        assert "worker 2 on " in why and "worker 1" not in why and "gone" in why

    @pytest.mark.slow
    def test_a_server_whose_heartbeat_has_stopped_is_named(self, workers, servers, ended):
        self.wait_for_servers(workers)
        self.stop(servers[1])
        with workers[0], workers[1], workers[2]:
            why, _ = self.wait(ended)
        assert re.search(r"seconds: server 1 on \S+ is stopped, gone or cut off$", why)

    def wait_for_servers(self, workers):
        while not {"server-0", "server-1"} <= set(workers[0]._peers.heartbeats()):
            time.sleep(0.02)

    @pytest.mark.slow
    def test_a_worker_that_lives_but_does_something_else_is_named(self, workers, servers, ended):
        with workers[0], workers[1]:
            why, _ = self.wait(ended)
        assert "worker 2 on " in why and "busy" in why

    @pytest.mark.slow
    def test_if_all_wait_the_network_is_cut(self, workers, servers, ended):
        self.wait_for_servers(workers)
        with workers[0], workers[1], workers[2]:
            why, _ = self.wait(ended)
        assert "network" in why and "server" not in why

    @pytest.mark.slow
    def test_who_is_lost_without_a_heartbeat_is_named_and_who_never_had_one(
        self, workers, ended, lost
    ):
        lost.append("the scheduler")
        with workers[0], workers[1], workers[2]:
            why, _ = self.wait(ended)
        assert (
            "the scheduler, server 0 and server 1 are stopped, gone" in why and "waiting too" in why
        )

    def test_nothing_stays_behind(self, ended, tmp_path):
        worker = watchdog.Watchdog(1)
        worker.watch(str(tmp_path / "workers"), "worker-0", ["worker-1"])
        while not (tmp_path / "workers" / "worker-0").exists():
            time.sleep(0.02)
        worker.close()
        time.sleep(0.3)
        assert not (tmp_path / "workers").exists()

    def test_what_an_earlier_launch_left_is_removed(self, ended, tmp_path):
        (tmp_path / "workers").mkdir(exist_ok=True)
        (tmp_path / "workers" / "server-7").write_text("{}")
        worker = watchdog.Watchdog(1)
        worker.watch(str(tmp_path / "workers"), "worker-0", [])
        worker.close()
        assert not (tmp_path / "workers").exists()


@pytest.mark.slow
def test_a_guardian_kills_a_worker_that_is_stopped_and_says_which():
    code = (
        "import os, signal, time; from gluon_tricks.distributed import guardian\n"
        "guardian.start(0.5)('worker 3 on here'); time.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=30
    )
    assert stopped.returncode == -signal.SIGKILL
    assert "worker 3 on here was stopped for 0.5 seconds" in stopped.stderr


def test_a_worker_goes_on_when_its_guardian_has_ended():
    """As on a system without /proc: without an error or a message."""
    code = (
        "import sys, time; from gluon_tricks.distributed import guardian\n"
        "sys.executable = '/bin/true'; tell = guardian.start(1); time.sleep(0.3)\n"
        "tell('worker 3'); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("alive\n", "", 0)


@pytest.mark.slow
def test_a_guardian_ends_with_its_worker_and_before_that_does_nothing():
    code = (
        "import time; from gluon_tricks.distributed import guardian; "
        "guardian.start(0.5)('worker 3'); time.sleep(1)"
    )
    # Standard error is open until both have ended.
    ended = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_horovods_servers_listen_on_one_interface(monkeypatch):
    http_server = pytest.importorskip("horovod.runner.http.http_server")
    from gluon_tricks.distributed.horovodrun import listen_on

    monkeypatch.setattr(socketserver.TCPServer, "server_bind", socketserver.TCPServer.server_bind)
    listen_on("lo")
    server = http_server.RendezvousServer()
    port = server.start()
    try:
        assert server._httpd.socket.getsockname() == ("127.0.0.1", port)
    finally:
        server.stop()
        server._httpd.server_close()


@pytest.mark.parametrize(
    "said, code", [("4", 4), ("-9", 137), ("137", 137), ("0", None), (None, None)]
)
def test_horovods_launch_ends_with_the_code_of_the_worker_that_has_failed(said, code):
    from gluon_tricks.distributed.horovodrun import ended_by_a_worker

    text = "Horovod detected that one or more processes exited with non-zero status.\n"
    text += "" if said is None else f"Process name: 1\nExit code: {said}\n"
    assert ended_by_a_worker(RuntimeError(text)) == code


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_sums_of_a_checkpoint_are_a_workers_own_or_all_on_rank_0(workers):
    names = ("loss", "top1", "top5")
    kept = [dict(loss=1.5, top1=1, top5=2, images=4), dict(loss=2.0, top1=3, top5=4, images=4)]
    found = [
        Sums.of_worker(names, kept, Layout(1, workers, 1, workers, rank)).to_json()
        for rank in range(workers)
    ]
    if workers == 2:
        assert found == kept
    else:
        nothing = dict(loss=0, top1=0, top5=0, images=0)
        assert found == [dict(loss=3.5, top1=4, top5=6, images=8)] + [nothing] * (workers - 1)
