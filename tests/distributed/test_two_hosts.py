"""Two hosts: two network namespaces with a cable between them, and an ssh that runs its command in
the other one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from processes import alive, compare, process_of, result, wait_for_steps

pytestmark = pytest.mark.slow

FLAGS = "--batch-size 4 --mixup".split()
SSH = """#!/bin/sh
# Options may come before the host and after it. The command starts as ssh's does: without our
# environment.
host=
while :; do
  case $1 in -o) shift 2;; -*) shift;; *) [ "$host" ] && break; host=$1; shift;; esac
done
[ -e {folder}/$host.down ] && exit 255
exec ip netns exec {name}$host env -i HOME="$HOME" PATH=/usr/bin:/bin NOTES={notes} SLOW={slow} \\
  unshare --uts sh -c "hostname $host; $*"
"""


class Hosts:
    """Hosts a (10.77.0.1) and b (10.77.0.2), whose interfaces are both called gt0."""

    def __init__(self):
        self.name = f"gt{os.getpid()}"
        self._made = []

    def make(self):
        names = {host: self.name + host for host in "ab"}
        for number, (host, name) in enumerate(names.items(), 1):
            run("ip", "netns", "add", name)
            self._made.append(name)
            os.makedirs("/etc/netns/" + name)
            with open(f"/etc/netns/{name}/hosts", "w") as file:
                file.write("127.0.0.1 localhost\n10.77.0.1 a\n10.77.0.2 b\n")
        peer = ["peer", "name", "gt0", "netns", names["b"]]
        run("ip", "link", "add", "gt0", "netns", names["a"], "type", "veth", *peer)
        for number, (host, name) in enumerate(names.items(), 1):
            run("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "gt0")
            for interface in ("lo", "gt0"):
                run("ip", "-n", name, "link", "set", interface, "up")

    def remove(self):
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
            shutil.rmtree("/etc/netns/" + name, ignore_errors=True)

    def prefix(self):
        """Words before a command that run it on host a."""
        there = ["ip", "netns", "exec", self.name + "a", "unshare", "--uts"]
        return there + ["sh", "-c", 'hostname a; exec "$@"', "sh"]

    def cut(self):
        """Pull the cable."""
        run("ip", "-n", self.name + "b", "link", "set", "gt0", "down")


def run(*words):
    subprocess.run(words, check=True, stderr=subprocess.PIPE)


@pytest.fixture
def hosts():
    hosts = Hosts()
    try:
        hosts.make()
        subprocess.run(hosts.prefix() + ["true"], check=True, stderr=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError) as error:
        hosts.remove()
        # On a machine of our own this has to run; some systems forbid namespaces.
        pytest.xfail("no network namespaces here: {}".format(getattr(error, "stderr", error)))
    yield hosts
    hosts.remove()


@pytest.fixture
def launch(hosts, start, tmp_path):
    """``launch(kvstore, *flags, options=[...])`` starts the run ``run`` on both hosts, launched on
    host a.
    """

    def launch(kvstore, *flags, options=(), slow="0"):
        ssh = tmp_path / "bin" / "ssh"
        ssh.parent.mkdir()
        notes = tmp_path / "run-notes"
        ssh.write_text(SSH.format(folder=tmp_path, name=hosts.name, notes=notes, slow=slow))
        ssh.chmod(0o755)
        path = os.pathsep.join(
            [str(ssh.parent), os.path.dirname(sys.executable), os.environ["PATH"]]
        )
        if kvstore == "horovod":
            words = ["--gloo", "-np", "2", "-H", "a:1,b:1", "--network-interfaces", "gt0"]
        else:
            words = "-n 2 -s 2 --hosts a,b --address 10.77.0.1 --interface gt0".split() + list(
                options
            )
        return start(
            kvstore,
            "run",
            *FLAGS,
            *flags,
            options=words,
            prefix=hosts.prefix(),
            PATH=path,
            SLOW=slow,
        )

    return launch


@pytest.mark.parametrize("kvstore", ["horovod", "dist_sync"])
def test_two_hosts_train_the_same_run_as_one_process(launch, reference, tmp_path, kvstore):
    output, _ = launch(kvstore).communicate(timeout=120)
    compare(reference[0], result(tmp_path, "run")[0])


@pytest.mark.parametrize("kvstore", ["horovod", "dist_sync"])
def test_a_host_that_is_cut_off_is_named_by_the_other_and_both_end(
    launch, hosts, tmp_path, kvstore
):
    process = launch(kvstore, "--num-epochs", "50", "--stall-timeout", "4", slow="0.1")
    wait_for_steps(tmp_path, "run", 3)
    hosts.cut()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert re.search(r"worker \d on [ab] is (alive and waiting too|stopped, gone)", output), output
    assert not alive(tmp_path / "run"), output


def test_a_run_that_has_lost_a_host_goes_on_with_the_other_one(launch, reference, tmp_path):
    flags = ["--elastic", "keep-batch", "--save-interval", "2"]
    process = launch("dist_sync", *flags, options=["--restarts", "1"], slow="0.2")
    wait_for_steps(tmp_path, "run", 5)
    (tmp_path / "b.down").write_text("")
    os.kill(process_of(tmp_path, "run", 1), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "starting again from the last checkpoint, on a;" in output
    parameters, notes, _ = result(tmp_path, "run")
    assert notes[0][-1]["workers"] == 1
    compare(reference[0], parameters)
