"""setup.cfg, the Makefile and .ci: what a newcomer's two commands stand on."""

import configparser
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from gluon_tricks import diagnosis

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = ROOT / "Makefile"


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(str(ROOT / "setup.cfg"))
    return parser


def requirements(text):
    lines = [line.strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_requirement_parses_and_none_is_without_a_bound_it_needs(setup):
    extras = {name: requirements(text) for name, text in setup["options.extras_require"].items()}
    assert set(extras) >= {
        "cpu",
        "cu112",
        "cuda11",
        "horovod",
        "data",
        "onnx",
        "safetensors",
        "tensorboard",
        "test",
    }
    assert all(extras.values())
    core = {
        each.name: each.specifier for each in requirements(setup["options"]["install_requires"])
    }
    assert "1.23.5" in core["numpy"] and "1.24.0" not in core["numpy"]
    assert "4.11.0.86" in core["opencv-python"] and "4.12.0.88" not in core["opencv-python"]
    onnx = {each.name: each.specifier for each in extras["onnx"]}["onnx"]
    assert "1.16.2" in onnx and "1.18.0" in onnx and "1.19.0" not in onnx


def test_mxnet_is_chosen_by_an_extra_and_horovod_is_never_left_to_pip(setup):
    core = {each.name for each in requirements(setup["options"]["install_requires"])}
    assert not [name for name in core if name.startswith("mxnet")]
    extras = {name: requirements(text) for name, text in setup["options.extras_require"].items()}
    assert [str(each) for each in extras["cpu"]] == ["mxnet==" + diagnosis.MXNET]
    assert [str(each) for each in extras["cu112"]] == ["mxnet-cu112==" + diagnosis.MXNET]
    for name, wanted in extras.items():
        assert "horovod" not in {each.name for each in wanted}
        assert name in ("cpu", "cu112") or not [
            each for each in wanted if each.name.startswith("mxnet")
        ]


def test_the_pythons_are_3_8_to_3_11(setup):
    wanted = SpecifierSet(setup["options"]["python_requires"])
    assert [minor for minor in range(5, 16) if f"3.{minor}.0" in wanted] == [8, 9, 10, 11]


def test_the_command_is_the_console_script(setup):
    scripts = importlib.metadata.distribution("gluon_tricks").entry_points
    script = [each for each in scripts if each.group == "console_scripts"]
    assert [(each.name, each.value) for each in script] == [
        ("gluon-tricks", "gluon_tricks.cli:main")
    ]
    assert callable(script[0].load())
    assert (
        "gluon-tricks = gluon_tricks.cli:main" in setup["options.entry_points"]["console_scripts"]
    )


def test_what_is_installed_here_satisfies_setup_cfg(setup):
    extras = setup["options.extras_require"]
    wanted = setup["options"]["install_requires"]
    wanted += "".join(
        extras[name]
        for name in ("cpu", "data", "onnx", "safetensors", "tensorboard", "horovod", "test")
    )
    for each in requirements(wanted):
        assert importlib.metadata.version(each.name) in each.specifier, each


def test_every_folder_of_the_package_is_a_package():
    # Without __init__.py setuptools' find: would leave the folder out of an installation.
    folders = {path.parent for path in (ROOT / "gluon_tricks").rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_pyproject_holds_the_build_system_alone():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[build-system]"]


def test_the_readme_names_the_commands_and_the_system_packages_that_ci_uses():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "make demo" in readme and "make test" in readme
    system = (ROOT / "tools" / "install_system.sh").read_text()
    packages = dict(re.findall(r'^    \[([\w-]+)\]="(.*)"$', system, re.M))
    parts = re.search(r"install_system\.sh (\S+)", ci).group(1).split(",")
    assert "lint" in parts and f"install_system.sh {','.join(parts)}\n" in MAKEFILE.read_text()
    wanted = " ".join(packages[part] for part in parts if part != "lint").split()
    line = [line for line in readme.splitlines() if "apt-get install" in line][0]
    assert set(wanted) <= set(line.split())


# ---- .ci/check.py
# -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cases, wrong",
    [
        ("<testcase classname='a' name='b'/>", []),
        ("", ["no test ran"]),
        (
            "<testcase name='b'><skipped type='pytest.skip' message='no horovod'/></testcase>",
            ["no horovod"],
        ),
        ("<testcase name='b'><skipped type='pytest.xfail' message='known'/></testcase>", []),
        ("<unfinished", ["no report"]),
    ],
)
def test_ci_finds_skipped_tests_and_empty_runs(tmp_path, cases, wrong):
    spec = importlib.util.spec_from_file_location("check", str(ROOT / ".ci" / "check.py"))
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    lines = check.problems(str(report))
    assert len(lines) == len(wrong)
    assert all(word in line for word, line in zip(wrong, lines))


# ---- the Makefile, with made-up Pythons on the PATH
# -------------------------------------------------------

# Answers the Makefile's questions and writes down what pip is asked to do.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *'"cp%d%d"'*) echo cp{digits} ;;
  *version_info*) echo {version} ;;
  *ensurepip*) exit {no_venv} ;;
  *ctypes*) case "$*" in *'{no_library}'*) exit 1 ;; esac ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip "*) echo "$*" >> "$LOG"; {pip} ;;
esac
"""


class Folder:
    """A copy of the Makefile and its scripts in a folder with a space in its name, and a PATH with
    only what is put on it.
    """

    def __init__(self, path):
        self.path, self.tools, self.log = path / "a clone", path / "tools", path / "pip.log"
        self.path.mkdir()
        self.tools.mkdir()
        for name in ("Makefile", "setup.cfg", "pyproject.toml"):
            shutil.copy(str(ROOT / name), str(self.path))
        shutil.copytree(str(ROOT / "tools"), str(self.path / "tools"))
        for tool in ("bash", "cat", "cp", "dirname", "env", "mkdir", "rm", "rmdir", "sh", "touch"):
            (self.tools / tool).symlink_to(shutil.which(tool))

    def tool(self, name, text):
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def python(self, name, version, no_venv=0, no_library="none", pip="true"):
        digits = version.replace(".", "")
        self.tool(name, FAKE_PYTHON.format(**locals()))

    def make(self, *words):
        """(exit code, what was printed, the pip commands that were run)"""
        self.log.write_text("")
        done = subprocess.run(
            [shutil.which("make"), *words],
            cwd=str(self.path),
            # No variable of a make that runs this test: it would be taken for the parent.
            env={
                "PATH": str(self.tools),
                "LOG": str(self.log),
                "HOME": str(self.path.parent),
                "WHEELS": str(self.path.parent / "wheels here"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60,
        )
        return done.returncode, done.stdout, self.log.read_text().splitlines()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.mark.parametrize("version", ["3.7", "3.12", "3.13", "2.7"])
@pytest.mark.parametrize("target", ["demo", "test", "test-fast"])
def test_an_unsuitable_python_is_refused_at_once_with_the_way_out(folder, version, target):
    folder.python("named", version)
    code, text, pip = folder.make("PYTHON=named", target)
    assert code and not pip and not (folder.path / ".venv").exists()
    assert f"named is Python {version}." in text
    assert "Python 3.8, 3.9, 3.10 and 3.11" in text and "make PYTHON=python3.11 demo" in text


def test_a_python_that_is_not_there_is_refused_and_one_that_is_there_is_named(folder):
    folder.python("python3.9", "3.9")
    code, text, pip = folder.make("PYTHON=python3.12", "demo")
    assert code and not pip
    assert "python3.12 does not run here" in text and "make PYTHON=python3.9 demo" in text


def test_if_no_python_fits_each_that_was_tried_is_named(folder):
    folder.python("python3", "3.12")
    code, text, pip = folder.make("demo")
    assert code and not pip and not (folder.path / ".venv").exists()
    assert "python3: 3.12" in text and "python3.8: does not run" in text
    assert "make PYTHON=/path/to/python3.11 demo" in text


def test_a_shim_that_does_not_run_is_passed_over(folder):
    folder.tool("python3.11", "#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    folder.python("python3.10", "3.10")
    code, text, pip = folder.make("environment")
    assert code == 0 and "with Python 3.10" in text
    assert any("[cpu,data]" in line for line in pip)


def test_a_python_without_venv_names_the_package_to_install(folder):
    folder.python("python3.10", "3.10", no_venv=1)
    code, text, pip = folder.make("demo")
    assert code and not pip and "apt-get install python3.10-venv" in text


def test_a_missing_system_library_names_the_package_to_install(folder):
    folder.python("python3.10", "3.10", no_library="libGL.so.1")
    code, text, pip = folder.make("demo")
    assert code and not pip and "apt-get install libgl1\n" in text


def test_a_missing_compiler_is_named_before_anything_is_installed(folder):
    folder.python("python3.10", "3.10")
    code, text, pip = folder.make("test-environment")
    assert code and not pip and "apt-get install g++ cmake make" in text


def test_a_second_make_installs_nothing(folder):
    folder.python("python3.10", "3.10")
    assert folder.make("environment")[2]
    assert folder.make("environment")[::2] == (0, [])


def test_a_changed_setup_cfg_is_installed_into_the_same_environment(folder):
    folder.python("python3.10", "3.10")
    folder.make("environment")
    later = os.stat(str(folder.path / ".venv" / ".package")).st_mtime + 10
    os.utime(str(folder.path / "setup.cfg"), (later, later))
    code, text, pip = folder.make("environment")
    assert code == 0 and pip and "Making .venv" not in text


def test_an_interrupted_installation_starts_again(folder):
    folder.python("python3.10", "3.10", pip="exit 1")
    code, text, _ = folder.make("environment")
    assert code and "the installation failed" in text
    (folder.path / ".venv" / "half-written").touch()
    folder.python("python3.10", "3.10")
    code, text, pip = folder.make("environment")
    assert code == 0 and pip and "incomplete" in text
    assert not (folder.path / ".venv" / "half-written").exists()


def test_an_environment_of_another_python_is_made_again_only_for_a_python_that_was_named(folder):
    folder.python("python3.9", "3.9")
    folder.make("environment")
    # the first choice, but the environment that is there is good
    folder.python("python3.11", "3.11")
    assert not folder.make("environment")[2]
    code, text, pip = folder.make("PYTHON=python3.11", "environment")
    assert code == 0 and pip and ".venv is of Python 3.9" in text
    assert not folder.make("environment")[2]


def test_an_environment_of_another_folder_is_made_again(folder):
    folder.python("python3.9", "3.9")
    folder.make("environment")
    folder.path = folder.path.rename(folder.path.parent / "moved")
    code, text, pip = folder.make("environment")
    assert code == 0 and pip and "of another folder" in text


def test_a_venv_that_the_makefile_did_not_make_is_left_alone(folder):
    folder.python("python3.9", "3.9")
    precious = folder.path / ".venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    code, text, pip = folder.make("environment")
    assert code and not pip and "did not make it" in text
    folder.make("clean")
    assert precious.exists()


def test_a_kept_wheel_of_horovod_needs_no_build(folder):
    folder.python("python3.9", "3.9")
    wheels = folder.path.parent / "wheels here" / "horovod-0.28.1-mxnet-1.9.1-gloo"
    wheels.mkdir(parents=True)
    (wheels / "horovod-0.28.1-cp39-cp39-linux_x86_64.whl").touch()
    code, text, pip = folder.make("test-environment")
    assert code == 0 and "Building" not in text
    assert pip[-1].endswith("/horovod-0.28.1-cp39-cp39-linux_x86_64.whl")


@pytest.mark.slow
def test_the_real_python_answers_as_the_made_up_ones_do(folder):
    # Up to the compiler, of which there is none on this PATH: nothing is installed.
    code, text, pip = folder.make("PYTHON=" + sys.executable, "test-environment")
    assert code and not pip and "apt-get install g++ cmake make" in text
    version = "{}.{}".format(*sys.version_info)
    assert (folder.path / ".venv" / ".python").read_text() == f"{version} {folder.path}\n"
