"""The Makefile, the scripts and the pages around the package: short, sound, and with links that
lead somewhere.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gluon_tricks

ROOT = Path(__file__).resolve().parents[1]
COMMON = ROOT / "tools" / "common.sh"  # the others of tools/ source it
TOOLS = sorted(set(ROOT.glob("tools/*.sh")) - {COMMON})
EXAMPLES = sorted(ROOT.glob("docs/examples/*.sh"))
SCRIPTS = [COMMON, *TOOLS, *sorted(ROOT.glob("recipes/*.sh")), *EXAMPLES, ROOT / ".ci" / "run"]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/*.md")])


def name_of(path):
    return str(path.relative_to(ROOT))


def test_the_makefile_is_short_and_leaves_the_work_to_scripts():
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert len(lines) <= 85 and max(map(len, lines)) <= 130
    assert set(re.findall(r"tools/\w+\.sh", "\n".join(lines))) == set(map(name_of, TOOLS))


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_scripts():
    found = subprocess.run(
        ["shellcheck", "-x", *map(str, SCRIPTS)], cwd=str(ROOT), stdout=subprocess.PIPE
    )
    assert found.returncode == 0, found.stdout.decode()


@pytest.mark.parametrize("script", TOOLS, ids=name_of)
def test_a_script_says_how_it_is_called_and_stops_at_a_failure(script):
    text = script.read_text()
    assert os.access(str(script), os.X_OK) and text.startswith("#!/usr/bin/env bash\n")
    usage = re.search(rf"^#     {name_of(script)} ((?:VENV|PARTS)\b.*)$", text, re.M).group(1)
    assert re.search(r"^set -E?euo pipefail\b", text, re.M)
    *given, last = usage.split(" [")[0].split()
    called = subprocess.run(
        [str(script), *(["/nowhere"] * len(given))], stderr=subprocess.PIPE, timeout=60
    )
    assert called.returncode and f"is missing: {last}" in called.stderr.decode()


def make_environment(venv, folder, python=""):
    script = [str(ROOT / "tools" / "make_environment.sh"), str(venv), str(python)]
    return subprocess.run(
        script, cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
    )


def test_the_environment_of_another_copy_is_not_removed(tmp_path):
    other, here = tmp_path / "other", tmp_path / "here"
    venv = other / ".venv"
    for folder in (venv, here):
        folder.mkdir(parents=True)
    (venv / ".made-by-make").touch()
    (venv / ".python").write_text(f"3.11 {other}\n")
    made = make_environment(venv, here)
    assert made.returncode == 1 and f"belongs to {other}" in made.stdout.decode()
    assert (venv / ".made-by-make").exists()


@pytest.mark.slow
def test_an_interrupted_environment_is_made_again_even_by_its_own_interpreter(tmp_path):
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    for name in (".made-by-make", ".installing"):
        (venv / name).touch()
    made = make_environment(venv, tmp_path, venv / "bin" / "python")
    assert made.returncode == 0, made.stdout.decode()
    assert not (venv / ".installing").exists()
    subprocess.run([str(venv / "bin" / "python"), "-m", "pip", "--version"], check=True)


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", text, re.M) == [gluon_tricks.__version__]
    date = re.search(r"^date-released: (.*)$", text, re.M).group(1)
    assert f"\n## {gluon_tricks.__version__} - {date}\n" in (ROOT / "CHANGELOG.md").read_text()


# ---- links
# --------------------------------------------------------------------------------------------------


def without_code(text):
    """A page without its fenced blocks, in which # begins a comment and no heading, and brackets
    are no links.
    """
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(path):
    """What can follow # in a link to the page, as GitHub makes it from the headings."""
    slugs, found = [], []
    for heading in re.findall(r"^#+ (.*?)\s*$", without_code(path.read_text()), re.M):
        text = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
        slugs.append(slug)
    return found


def broken_links(path):
    """The relative links of a page that lead to no file or to no heading."""
    broken = []
    for target in re.findall(r"\]\(([^()\s]+)\)", without_code(path.read_text())):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = path.parent / file if file else path
        # A folder has no page on the site.
        if not other.is_file() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    assert not broken_links(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_line_of_a_sentence_begins_like_a_list(page):
    """Our lists begin with "-"; a "+" or "*" there is one that a line break has moved."""
    assert not re.findall(r"^ *[+*] .*", without_code(page.read_text()), re.M)


def test_a_broken_link_is_found(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text(
        "# A `title`: of two (parts)\n\n```\n# none\n```\n\n## Again\n" + 2 * "\n## Again\n"
    )
    right = [
        "other.md",
        "other.md#a-title-of-two-parts",
        "other.md#again-2",
        "https://x.y/z",
        "#here",
    ]
    wrong = ["missing.md", "other.md#none", "other.md#again-3", "#there", "."]
    page.write_text("# Here\n" + "\n".join(f"[text]({target})" for target in right + wrong))
    assert broken_links(page) == wrong


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    linked = {name for name in re.findall(r"^- \[.*?\]\((.*?)\): ", index, re.M)}
    pages = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".rst")}
    assert pages - {"README.md"} <= linked


# ---- names
# --------------------------------------------------------------------------------------------------

# `tests/test_cli.py::test_name` or `data/loader.py: name`, whose folder may be the package's
NAMED = re.compile(r"`((?:\w+/)+\w+\.(?:py|sh))(?:(?:::|: )([\w.]+))?`")
GLUONCVS = "scripts/classification/"


def missing_names(text):
    """The files that a page names which are not there, and names which they do not define."""
    missing = []
    for path, name in NAMED.findall(text):
        files = [file for file in (ROOT / path, ROOT / "gluon_tricks" / path) if file.is_file()]
        last = name.split(".")[-1]
        definition = rf"^ *(def|class) {last}\b|^{last}\b"
        if not files or (name and not re.search(definition, files[0].read_text(), re.M)):
            missing.append(path + (name and f": {name}"))
    return [name for name in missing if not name.startswith(GLUONCVS)]


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=name_of)
def test_every_file_and_test_that_a_page_names_is_there(page):
    assert not missing_names(page.read_text())


def test_a_name_that_is_not_there_is_found():
    here = (
        "`tests/test_tools.py::test_the_index_names_every_page` `data/loader.py: TrainLoader.order`"
    )
    assert missing_names(here) == []
    gone = "`tests/test_none.py` `tests/test_tools.py::test_none` `data/loader.py: none`"
    assert len(missing_names(gone)) == 3


def test_the_page_of_the_interface_names_modules_that_are_there():
    named = re.findall(r"autoapimodule:: (\S+)", (ROOT / "docs" / "api.rst").read_text())
    assert named and all((ROOT / (name.replace(".", "/") + ".py")).is_file() for name in named)
