"""What ``environment.json`` says of the code that has trained a run."""

import subprocess

import pytest

from gluon_tricks.training import environment


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, of a tracked and an ignored file."""

    def git(*words):
        return subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / ".gitignore").write_text("venv\n")
    for folder in ("package", "venv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "environment.py").write_text("")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_the_commit_is_that_of_the_packages_checkout(checkout, monkeypatch):
    folder, commit = checkout
    file = folder / "package" / "environment.py"
    monkeypatch.setattr(environment, "__file__", str(file))
    assert environment.commit() == commit
    file.write_text("changed")
    assert environment.commit() == commit + "+"


def test_a_package_in_another_projects_checkout_has_no_commit(checkout, monkeypatch):
    """As in a virtual environment there, which git ignores."""
    folder, _ = checkout
    monkeypatch.setattr(environment, "__file__", str(folder / "venv" / "environment.py"))
    assert environment.commit() is None
