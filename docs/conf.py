"""Sphinx's settings for the site of Markdown files and docstrings that `make docs` builds."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = html_title = "gluon_tricks"
extensions = ["myst_parser", "sphinx.ext.napoleon", "autoapi.extension"]

# The source folder is the repository, so that links lead to the same files here and on the site.
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*.rst", "recipes/*.md"]
exclude_patterns = [".*", "runs", "build", "dist"]
myst_heading_anchors = 4
myst_disable_syntax = ["myst_line_comment"]  # a line may begin with "%", as on GitHub

# The docstrings are read, not imported: that needs no MXNet.
autoapi_dirs = [str(ROOT / "gluon_tricks")]
autoapi_generate_api_docs = False  # only the modules that docs/api.rst names
autodoc_default_options = {"members": True, "member-order": "bysource"}
add_module_names = toc_object_entries = False  # the headings name the modules
suppress_warnings = ["autoapi.python_import_resolution"]

html_theme = "furo"
html_static_path, html_css_files = ["static"], ["site.css"]
html_theme_options = {"top_of_page_buttons": []}
html_copy_source = html_show_copyright = html_show_sphinx = False


def add_contents(app, name, source):
    """Append the table of contents to the first page: the pages that docs/README.md lists, in its
    order.
    """
    if name == root_doc:
        index = (ROOT / "docs" / "README.md").read_text()
        pages = ["README.md"] + re.findall(r"^- \[.*?\]\((.*?)\)", index, re.M)
        source[0] += "\n".join(
            ["\n```{toctree}\n:hidden:", *(f"/docs/{page}" for page in pages), "```\n"]
        )


def skip_member(app, what, name, member, skip, options):
    """Leave out imported names, and the members of a module that have no docstring."""
    return True if member.imported or (what == "apimodule" and not member.docstring) else None


def setup(app):
    app.connect("source-read", add_contents)
    app.connect("autodoc-skip-member", skip_member)
