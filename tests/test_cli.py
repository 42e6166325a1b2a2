"""The command line: help without MXNet, errors on one line with exit code 2, threads, interruption,
lost output.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from gluon_tricks import cli, threads
from gluon_tricks.errors import UserError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Module:
    """Stands in for the module of a command."""

    def __init__(self, work=lambda args: 0):
        self.work = work

    def add_arguments(self, parser):
        parser.add_argument("--value", type=int)

    def main(self, args):
        return self.work(args)


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def command(monkeypatch):
    def install(work):
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: Module(work))

    return install


def run(*words, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_NUM_THREADS", "GLUON_TRICKS_SET_THREADS")
    }
    return subprocess.run(
        [sys.executable, "-m", "gluon_tricks"] + list(words),
        cwd=ROOT,
        env=dict(environment, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=120,
    )


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    listed = text.partition("\ncommands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == [*cli.COMMANDS]


def test_version_is_the_packages(capsys):
    import gluon_tricks

    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == "gluon_tricks " + gluon_tricks.__version__


def test_an_unknown_command_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["trian"])
    assert stop.value.code == 2 and "trian" in capsys.readouterr().err


def test_arguments_reach_the_command_and_its_exit_code_comes_back(command):
    command(lambda args: args.value)
    assert cli.main(["predict", "--value", "3"]) == 3
    command(lambda args: None)
    assert cli.main(["predict"]) == 0


def test_flags_are_not_abbreviated(command, capsys):
    command(lambda args: 0)
    with pytest.raises(SystemExit):
        cli.main(["predict", "--val", "3"])
    assert "--val" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["prepare digits --work 1 digits", "records verify --class 9 a.rec"]
)
def test_nor_are_those_of_a_sub_command_of_a_command(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(words.split())
    assert f"unrecognized arguments: {words.split()[2]}" in capsys.readouterr().err


def test_what_the_user_can_put_right_is_one_line_and_code_2(command, capsys):
    def work(args):
        raise UserError("--value is wrong: try another")

    command(work)
    assert cli.main(["plan"]) == 2
    assert capsys.readouterr().err == "gluon-tricks plan: error: --value is wrong: try another\n"


def test_an_error_may_have_its_own_exit_code(command, capsys):
    class Diverged(UserError):
        exit_code = 3

    def work(args):
        raise Diverged("nan")

    command(work)
    assert cli.main(["predict"]) == 3


def test_ctrl_c_is_130(command):
    def work(args):
        raise KeyboardInterrupt

    command(work)
    assert cli.main(["predict"]) == 130


def test_control_characters_in_a_message_are_escaped_and_it_stays_one_line(command, capsys):
    def work(args):
        raise UserError("a\x1b[31m\nb.jpg: is broken")

    command(work)
    assert cli.main(["plan"]) == 2
    assert capsys.readouterr().err == "gluon-tricks plan: error: a\\x1b[31m\\nb.jpg: is broken\n"
    with pytest.raises(SystemExit):
        cli.main(["plan", "--a\x1b[31m\nb"])
    assert (
        capsys.readouterr()
        .err.splitlines()[0]
        .startswith("gluon-tricks plan: error: unrecognized arguments: --a\\x1b[31m\\nb")
    )


@pytest.mark.parametrize(
    "error, words",
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/\x1blog"),
            "runs/\\x1blog: No space left on device",
        ),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (
            OSError("libcudart.so.11.0: cannot open shared object file"),
            "libcudart.so.11.0: cannot open",
        ),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable to allocate 9 TiB)"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory (Cannot allocate"),
        (
            RuntimeError("cudaMalloc retry failed: out of memory\nStack trace:"),
            "not enough memory (cudaMalloc",
        ),
        (
            RuntimeError("Traceback:\n  File x.h\nMXNetError: Failed to allocate CPU Memory"),
            "not enough memory (MXNetError: Failed",
        ),
        (
            RuntimeError("Size of tensor you are trying to allocate is larger than 2^31 elements."),
            "not enough memory (Size of tensor",
        ),
        (
            RuntimeError("Traceback:\nMXNetError: Resource temporarily unavailable"),
            "no more threads or processes can be started (MXNetError: Resource temporarily",
        ),
        (RuntimeError("can't start new thread"), "no more threads or processes can be started"),
        (
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
            "no more threads or processes can be started",
        ),
        (
            ImportError("No module named 'onnx'", name="onnx"),
            "No module named 'onnx'; 'gluon-tricks doctor'",
        ),
        (ImportError("libGL.so.1: cannot open shared object file"), "libGL.so.1: cannot open"),
    ],
)
def test_what_comes_from_outside_is_a_line_too(command, capsys, error, words):
    def work(args):
        raise error

    command(work)
    assert cli.main(["predict"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gluon-tricks predict: error: " + words)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("name"),
        RuntimeError("a shape is wrong"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ImportError("cannot import name 'x' from 'gluon_tricks.files'", name="gluon_tricks.files"),
    ],
)
def test_a_mistake_of_the_program_keeps_its_traceback(command, error):
    def work(args):
        raise error

    command(work)
    with pytest.raises(type(error)):
        cli.main(["predict"])


def run_process(work, closed=(), **keywords):
    """(exit code, standard error) of a process whose command ``predict`` is the function body
    ``work``.

    It starts without the standard streams ``closed``.
    """

    def before():
        # A shell that runs the tests in its background has told them to ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for number in closed:
            os.close(number)

    code = "import atexit, os, signal, sys, time, types\nfrom gluon_tricks import cli\n"
    code += "def work(args):\n"
    code += textwrap.indent(textwrap.dedent(work), "    ")
    code += """
sys.modules["command"] = types.SimpleNamespace(add_arguments=lambda parser: None, main=work)
cli.COMMANDS["predict"] = ("command", "")
sys.argv = ["gluon-tricks", "predict"]
sys.exit(cli.main())
"""
    settings = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        preexec_fn=before,
        **dict(settings, **keywords),
    )
    return done.returncode, done.stderr.decode()


PRESS = "os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize(
    "work",
    [
        PRESS,
        # A module that passes over every error while it is imported.
        f"""
        with open(os.path.join(sys.argv.pop(), "hasty.py"), "w") as file:
            file.write("import os, signal\\ntry:\\n    {PRESS}\\nexcept:\\n    pass\\n")
        import hasty
        """,
        # What is raised while an object is freed.
        f"""
        class Freed:
            def __del__(self):
                {PRESS}
        Freed()
        time.sleep(30)
        """,
        # A second time, while the first one is answered.
        f"""
        try:
            {PRESS}
        finally:
            {PRESS}
        """,
    ],
    ids=["work", "import", "del", "twice"],
)
def test_ctrl_c_is_130_in_silence_wherever_it_comes(work, tmp_path):
    prepare = f"sys.path.insert(0, {str(tmp_path)!r}); sys.argv.append({str(tmp_path)!r})\n"
    assert run_process(prepare + textwrap.dedent(work)) == (130, "")


def test_ctrl_c_does_not_end_the_process_that_filters_standard_error():
    work = """
        from gluon_tricks.stderr_filter import MESSAGE, filter_stderr
        filter_stderr()
        try:
            os.killpg(0, signal.SIGINT)
        finally:
            os.write(2, MESSAGE + b" and more\\nthe last words\\n")
    """
    assert run_process(work, start_new_session=True) == (130, "the last words\n")


def test_a_second_command_of_a_process_has_its_filter():
    work = """
        from gluon_tricks.stderr_filter import MESSAGE, filter_stderr
        for turn in "first", "second":
            filter_stderr()
            os.write(2, MESSAGE + b" and more\\n" + turn.encode() + b"\\n")
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            assert len(children.read().split()) == 1
    """
    assert run_process(work) == (0, "first\nsecond\n")


def test_ctrl_c_after_the_work_is_silent_too():
    assert run_process(f"atexit.register(lambda: {PRESS})") == (-signal.SIGINT, "")


def test_ctrl_c_that_is_ignored_stays_ignored():
    code = "import os, signal; from gluon_tricks import command_process as p; "
    code += f"p.answer_interrupts(); {PRESS}; p.end(0); {PRESS}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["plan", "--help"], "launch -n 1 --dry-run -- train".split()],
)
def test_output_on_a_full_disk_is_an_error_on_one_line(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gluon_tricks"] + words,
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=120,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "error: " in line and "No space left on device" in line


def test_an_error_is_said_although_the_output_is_lost():
    with open("/dev/full", "w") as full:
        code, errors = run_process('print("half"); open("/nowhere/at/all")', stdout=full)
    assert (code, errors) == (
        2,
        "gluon-tricks predict: error: /nowhere/at/all: No such file or directory\n",
    )


def test_a_current_folder_that_has_gone_is_named(tmp_path):
    code, errors = run_process(f'os.chdir("{tmp_path}"); os.rmdir("{tmp_path}"); os.getcwd()')
    assert code == 2 and "error: the current folder no longer exists" in errors


@pytest.mark.slow
def test_the_exit_code_is_that_of_the_error_although_nobody_listens():
    """As when the terminal is closed; a training has a standard error of its own."""
    words = [sys.executable, "-m", "gluon_tricks", "train", "--rec-train", "/nowhere/at/all.rec"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(words, stderr=full, cwd=ROOT, timeout=60).returncode == 2


def test_a_reader_who_has_gone_is_no_error_to_speak_of():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        assert run_process('print("for nobody")', stdout=pipe) == (1, "")


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_a_process_without_standard_streams_works(closed, tmp_path):
    # What is written to a stream's number must not reach a file that would have got that number.
    work = f"""
        with open({str(tmp_path / "file")!r}, "w") as file:
            print("to nobody", flush=True)
            os.write(1, b"by C code"), os.write(2, b"by C code")
            print("to nobody", file=sys.stderr)
            file.write(repr(sys.stdin.read()))
    """
    assert run_process(work, closed, stdin=subprocess.DEVNULL)[0] == 0
    assert (tmp_path / "file").read_text() == "''"


def test_a_name_that_no_encoding_has_is_printed_as_an_escape(tmp_path):
    with open(str(tmp_path / "out"), "w") as out:
        assert run_process(r'print("gr\udcfcn")', stdout=out) == (0, "")
    assert (tmp_path / "out").read_text() == "gr\\udcfcn\n"


def test_a_wrong_flag_of_a_command_is_one_line_and_code_2():
    result = run("plan", "--base-lr", "0.2")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("gluon-tricks plan: error: --base-lr")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("given, expected", [(None, None), ("1", "1")])
def test_threads_are_all_cores_unless_the_user_says_otherwise(monkeypatch, given, expected):
    monkeypatch.delenv("GLUON_TRICKS_SET_THREADS", raising=False)
    monkeypatch.delenv("HOROVOD_LOCAL_SIZE", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    threads.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == (expected or str(len(os.sched_getaffinity(0))))
    assert os.environ.pop("GLUON_TRICKS_SET_THREADS", None) == (None if given else "1")


@pytest.mark.parametrize("launcher", threads.LOCAL_SIZES)
def test_workers_of_one_machine_share_its_cores(monkeypatch, launcher):
    for name in ("OMP_NUM_THREADS", *threads.LOCAL_SIZES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(launcher, "2")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    threads.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    share = "OMP_NUM_THREADS=3 (a worker's share of the cores, as it was not set)"
    assert threads.in_words() == share
    os.environ.pop("GLUON_TRICKS_SET_THREADS")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_change_nothing(tmp_path, closed):
    command = (
        f'"{sys.executable}" -m gluon_tricks report {tmp_path}/nowhere -o {tmp_path}/page {closed}'
    )
    done = subprocess.run(
        command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, timeout=60
    )
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert done.stdout == b""


@pytest.mark.slow
def test_json_to_standard_output_comes_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gluon_tricks", "models", "cifar_resnet20_v1", "--json", "-"],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    assert len(json.loads(done.stdout)) == 1
    assert b"parameters (M)" in done.stderr and os.listdir(str(tmp_path)) == []
