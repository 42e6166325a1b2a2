"""Launching: the processes, their hosts and environments, and how all of them end."""

import argparse
import os
import subprocess
import sys
import threading
import time

import pytest

from gluon_tricks import threads
from gluon_tricks.commands import launch
from gluon_tricks.distributed import hosts, launch_plan, launcher
from gluon_tricks.distributed.process_group import Process, ProcessGroup
from gluon_tricks.errors import UserError


def parse(text):
    parser = argparse.ArgumentParser()
    launch.add_arguments(parser)
    return parser.parse_args(text.split())


def plan(text, **keywords):
    return launch_plan.plan(launch.launch_of(parse(text)), **keywords)


def test_scheduler_servers_and_workers_are_planned_with_their_environment():
    processes = plan("-n 3 -s 2 --port 9091 -- train --lr 0.1")
    assert [p.label for p in processes] == [
        "scheduler",
        "server 0",
        "server 1",
        "worker 0",
        "worker 1",
        "worker 2",
    ]
    for process in processes:
        assert process.environment["DMLC_ROLE"] == process.role
        assert (
            process.environment["DMLC_PS_ROOT_PORT"] == "9091"
            and process.environment["DMLC_PS_ROOT_URI"] == "127.0.0.1"
        )
        assert (process.environment["DMLC_NUM_WORKER"], process.environment["DMLC_NUM_SERVER"]) == (
            "3",
            "2",
        )
        assert process.environment["DMLC_INTERFACE"] == "lo" and process.host == ""
    assert processes[-1].command[1:] == [
        "-m",
        "gluon_tricks",
        "train",
        "--lr",
        "0.1",
        "--kvstore",
        "dist_sync",
    ]


@pytest.mark.parametrize(
    "words, expected",
    [
        ("-n 2", ("4", "1", "2")),
        ("--kvstore horovod -n 4", ("2", "1", None)),
        # Each host shares out its own cores: horovodrun tells its workers how many there are.
        ("--kvstore horovod -n 4 --hosts a:2,b:2", (None, None, None)),
        ("-n 3 --hosts a,b --address 10.0.0.1", (None, None, "2")),
    ],
)
def test_the_cores_of_a_host_are_shared_out_among_its_workers(monkeypatch, words, expected):
    """This process has set its threads to all its cores, as every command does."""
    names = "OMP_NUM_THREADS", "GLUON_TRICKS_SET_THREADS", "HOROVOD_LOCAL_SIZE"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("GLUON_TRICKS_SET_THREADS", "1")
    monkeypatch.delenv("HOROVOD_LOCAL_SIZE", raising=False)
    for process in plan(words + " -- train"):
        seen = dict(os.environ, **process.environment)
        assert tuple(map(seen.get, names)) == expected
        assert process.host == "" or "OMP_NUM_THREADS" not in process.shell_line()


def test_a_workers_log_calls_its_threads_a_share_of_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "GLUON_TRICKS_SET_THREADS", *threads.LOCAL_SIZES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    *_, worker = plan("-n 2 -s 1 -- train")
    for name, value in worker.environment.items():
        monkeypatch.setenv(name, value)
    assert threads.in_words().startswith("OMP_NUM_THREADS=4 (a worker's share of the cores")


def test_the_number_of_threads_that_the_user_has_set_is_every_workers(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("GLUON_TRICKS_SET_THREADS", raising=False)
    *_, worker = plan("-n 2 --hosts a,b --address 10.0.0.1 -- train")
    assert worker.environment["OMP_NUM_THREADS"] == "3"
    (run,) = plan("--kvstore horovod -n 2 --hosts a,b -- train")
    assert "OMP_NUM_THREADS" not in run.environment  # which horovodrun passes on as it is


def test_a_variable_without_a_value_is_unset_in_the_process(monkeypatch, capfd):
    monkeypatch.setenv("GONE", "1")
    code = "import os; print(os.environ.get('GONE'))"
    one = Process("worker", 0, "", {"GONE": None}, [sys.executable, "-c", code])
    assert ProcessGroup([one]).run() == 0 and "[worker 0] None" in capfd.readouterr().out


def test_there_are_as_many_servers_as_workers_by_default():
    assert [p.role for p in plan("-n 2 -- train")] == ["scheduler"] + ["server"] * 2 + [
        "worker"
    ] * 2


def test_workers_and_servers_go_round_the_hosts_and_the_scheduler_stays_here(tmp_path):
    (tmp_path / "hosts").write_text("# two\na\nb  # the second\n\n")
    processes = plan(
        "-n 3 -s 2 --hosts {} --address 10.0.0.1 --interface eth0 -- train".format(
            tmp_path / "hosts"
        )
    )
    assert [p.host for p in processes] == ["", "a", "b", "a", "b", "a"]
    assert {p.environment["DMLC_PS_ROOT_URI"] for p in processes} == {"10.0.0.1"}
    assert {p.environment["DMLC_INTERFACE"] for p in processes} == {"eth0"}


def test_horovod_is_started_by_horovodrun_on_the_hosts():
    (process,) = plan("--kvstore horovod -n 4 --interface eth0 --hosts a:2,b:2 -- train --lr 1")
    words = process.command
    # which listens on that interface alone
    assert words[:3] == [sys.executable, "-m", "gluon_tricks.distributed.horovodrun"]
    assert words[3:9] == ["-np", "4", "-H", "a:2,b:2", "--network-interfaces", "eth0"]
    assert words[10:] == ["-m", "gluon_tricks", "train", "--lr", "1", "--kvstore", "horovod"]


def test_on_one_machine_horovod_uses_the_loopback_interface():
    for text in (
        "--kvstore horovod -n 2 -- train",
        "--kvstore horovod -n 2 --interface lo -- train",
    ):
        (process,) = plan(text)
        assert process.command[3:7] == ["-np", "2", "--network-interfaces", "lo"]
    (process,) = plan("--kvstore horovod -n 2 --hosts a,b -- train")
    assert "--network-interfaces" not in process.command


def test_resuming_means_from_the_last_checkpoint():
    processes = plan("-n 3 -s 2 -- train --elastic keep-batch", resume=True)
    workers = [p for p in processes if p.role == "worker"]
    assert len(workers) == 3 and workers[0].environment["DMLC_NUM_WORKER"] == "3"
    assert workers[0].command[-2:] == ["--resume", "auto"]


@pytest.mark.parametrize(
    "codes, code", [([7, 7, 0], 0), ([137, 2], 2), ([7, 7, 7], 7), ([143], 143)]
)
def test_it_starts_again_after_a_failure_and_only_then(monkeypatch, codes, code):
    """Two restarts, for failures that a restart can mend: not for wrong flags, divergence, or a
    signal to stop.
    """
    left, commands = list(codes), []

    class Group:
        def __init__(self, processes):
            commands.append(processes[-1].command)

        def run(self):
            return left.pop(0)

    monkeypatch.setattr(launcher, "ProcessGroup", Group)
    assert launch.main(parse("-n 2 --restarts 2 -- train")) == code and not left
    assert ["--resume" in words for words in commands] == [False] + [True] * (len(codes) - 1)


def test_hosts_that_do_not_answer_are_left_out_and_their_workers_too(monkeypatch, tmp_path):
    planned, codes = [], [1, 0]
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nfor word; do test $word = b && exit 255; done; exit 0\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])

    class Group:
        def __init__(self, processes):
            planned.append([p.host for p in processes if p.role == "worker"])

        def run(self):
            return codes.pop(0)

    monkeypatch.setattr(launcher, "ProcessGroup", Group)
    text = "-n 4 --restarts 1 --hosts a:1,b:2,c:1 --address 10.0.0.1 -- train --elastic keep-batch"
    assert launch.main(parse(text)) == 0
    assert planned == [["a", "b", "c", "a"], ["a", "c"]]


def test_a_dry_run_prints_commands_that_a_shell_understands_and_starts_nothing(capsys):
    assert launch.main(parse("-n 1 -s 1 --dry-run -- train --logging-file a;b")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == ["# scheduler", "# server 0", "# worker 0"]
    assert all(line.startswith("env DMLC_") for line in lines[1::2]) and "'a;b'" in lines[5]


@pytest.mark.parametrize(
    "text, words",
    [
        ("-n 0 -- train", "-n 0: has to be"),
        ("-n 1 -s 0 -- train", "^-s 0: has to be"),
        ("-n 100001 -- train", "-n 100001: has to be from 1 to 100,000"),
        ("-n 1 -s 100001 -- train", "-s 100001: has to be from 1 to 100,000"),
        ("-n 1", "train"),
        ("-n 1 -- plan", "train"),
        ("-n 1 -- train --kvstore local", "--kvstore"),
        ("-n 1 -- train --kvstore=local", "--kvstore"),
        ("-n 1 --restarts -1 -- train", "--restarts"),
        ("-n 1 --kvstore horovod -s 1 -- train", "--servers"),
        ("-n 1 --kvstore horovod --interface eth0 -- train", "--interface eth0"),
        ("-n 1 --hosts /nowhere --address 10.0.0.1 -- train", "/nowhere"),
        ("-n 1 --hosts a:1,b,a:2 --address 10.0.0.1 -- train", "names a twice"),
        ("-n 1 --port 65536 -- train", "--port 65536: is not between"),
        ("-n 1 --port -1 -- train", "--port -1: is not between"),
    ],
)
def test_what_cannot_be_launched_is_refused_by_name(text, words):
    with pytest.raises(UserError, match=words):
        plan(text)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "no host"),
        (b"-oProxyCommand=x\n", "host's name"),
        (b"a b\n", "host's name"),
        (b"a:0\n", "name:slots"),
        (b"a\xe4\n", "host's name"),
    ],
)
def test_a_file_without_good_hosts_is_refused(tmp_path, content, words):
    (tmp_path / "hosts").write_bytes(content)
    with pytest.raises(UserError, match=words):
        plan("-n 1 --hosts {} --address 10.0.0.1 -- train".format(tmp_path / "hosts"))


def process(role, number, code):
    return Process(role, number, "", {}, [sys.executable, "-c", code])


@pytest.mark.slow
def test_the_first_failure_ends_all_and_its_code_comes_back(capfd, tmp_path):
    mark = str(tmp_path / "mark")
    sleeper = (
        "import subprocess, sys; "
        f"subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', {mark!r}])"
    )
    began = time.time()
    failing = "import sys, time; print('hello'); time.sleep(0.5); sys.exit(7)"
    group = ProcessGroup(
        [
            process("scheduler", 0, sleeper),
            process("worker", 0, sleeper),
            process("worker", 1, failing),
        ]
    )
    assert group.run() == 7 and time.time() - began < 20
    out, err = capfd.readouterr()
    assert "[worker 1] hello" in out and "worker 1 ended with 7" in err
    assert not left(mark)


def test_a_process_that_is_stopped_is_named_when_another_one_has_waited_for_it_in_vain(capfd):
    stopped = process("worker", 0, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)")
    tired = process("worker", 1, "import sys, time; time.sleep(0.5); sys.exit(4)")
    assert ProcessGroup([stopped, tired]).run() == 4
    assert f"worker 0 is stopped (process {stopped.popen.pid})" in capfd.readouterr().err


@pytest.mark.parametrize("number, name", [(9, "SIGKILL"), (35, "signal 35")])
def test_the_signal_that_killed_a_process_is_named(capfd, number, name):
    killed = process("worker", 0, f"import os; os.kill(os.getpid(), {number})")
    assert ProcessGroup([killed]).run() == 128 + number
    assert f"worker 0 was killed by {name}" in capfd.readouterr().err


def test_a_host_that_takes_a_connection_and_says_nothing_does_not_answer(monkeypatch, tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nfor word; do test $word = b && exec sleep 60; done; exit 0\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    monkeypatch.setattr(hosts, "SECONDS_TO_ANSWER", 0.5)
    assert hosts.reachable(dict(b=1, a=2)) == dict(a=2)


def test_when_all_workers_are_through_the_servers_are_ended():
    group = ProcessGroup(
        [process("server", 0, "import time; time.sleep(60)"), process("worker", 0, "")]
    )
    assert group.run() == 0


def test_output_is_behind_the_rank_that_the_worker_was_given(capfd):
    code = "print('before'); print('parameter server: worker 1 of 2'); print('after')"
    assert ProcessGroup([process("worker", 0, code)]).run() == 0
    assert capfd.readouterr().out.splitlines() == ["[worker 0] before", "[worker 1] after"]


def test_what_was_told_to_stop_says_so_whatever_its_own_exit_code(tmp_path):
    """horovodrun ends with 1 on SIGTERM too; 143 is final, so that --restarts does not start it
    again.
    """
    ready = tmp_path / "ready"
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(1)); "
        f"open({str(ready)!r}, 'w'); time.sleep(60)"
    )

    def stop():
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), 15)

    threading.Thread(target=stop, daemon=True).start()
    found = ProcessGroup([process("horovodrun", 0, code)]).run()
    assert found == 143 and found in launcher.FINAL


@pytest.mark.slow
@pytest.mark.parametrize("number", [15, 9])
def test_nothing_stays_when_the_launcher_itself_is_ended(tmp_path, number):
    mark = str(tmp_path / "mark")
    code = (
        "import sys; from gluon_tricks.distributed.process_group import Process, ProcessGroup\n"
        "sleep = [sys.executable, '-c', "
        f"'import sys, time; open(sys.argv[1], \"w\"); time.sleep(60)', {mark!r}]\n"
        "sys.exit(ProcessGroup([Process('worker', 0, '', dict(), sleep)]).run())"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        end = time.time() + 60
        while not os.path.exists(mark) and time.time() < end:
            time.sleep(0.05)
        launcher.send_signal(number)
        assert launcher.wait(timeout=30) == (143 if number == 15 else -9)
    finally:
        launcher.kill()
    end = time.time() + 10
    while left(mark) and time.time() < end:
        time.sleep(0.05)
    assert not left(mark)


def left(mark):
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{number}/cmdline").read().split("\0")
        except OSError:
            continue
        if mark in words:
            found.append(number)
    return found
