"""Writes the report: ``report.html`` with everything embedded, ``report.md``, and the pictures next
to them.
"""

import base64
import html
import os
import re

from ..config import spelling
from ..errors import UserError
from ..locking import Lock
from ..text import printable
from ..tricks.table import softens
from . import phrases, plots, tables
from .groups import groups_of
from .runs import by_data, figure_of

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 1180px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.6em }
h2 { font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #ccc }
h3 { font-size: 1.05em }
.scroll { overflow-x: auto }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.92em }
th, td { border: 1px solid #ddd; padding: 0.3em 0.6em; text-align: left; vertical-align: top }
th { background: #f4f4f4 }
th, td, .flag { white-space: nowrap }
td:nth-child(2) { white-space: normal; overflow-wrap: anywhere; min-width: 14em }
td:last-child { white-space: normal; min-width: 5em }
img { max-width: 100%; height: auto }
pre { background: #f6f6f6; font-size: 0.9em; padding: 0.6em }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
.note { color: #555 }
details { margin: 0.8em 0 }
summary { cursor: pointer; font-weight: 600 }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
{body}</html>
"""
DETAILS = """<details{open}><summary>{name}</summary>
<p>{said}.</p>
{picture}
{facts}<details><summary>all flags</summary><pre>{flags}</pre></details></details>
"""
ABOUT_FIGURES = (
    "{figures} are the last validation's; the best {best} is the best of all validations. ± is the "
    "standard deviation over seeds, or after a difference its standard error. The training loss is "
    "what was minimised{minimised}{validated}{more}."
)
VALIDATED = ", validation's is the plain cross entropy"  # added if validation has a loss
DISTILLED = (
    " The training loss of a distilled run has T^2 times the soft cross entropy, so it is large "
    "and hardly falls."
)


def write(runs, folder):
    """Write the report of ``runs`` into ``folder``; return the path of the page.

    Raises :class:`UserError` if the folder cannot be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with Lock(os.path.join(folder, ".lock"), f"report -o {printable(folder)}"):
            markdown, body = _contents(runs, folder)
            page = os.path.join(folder, "report.html")
            for path, text in (
                (page, PAGE.format(title=_title(runs), style=STYLE, body=body)),
                (page[:-4] + "md", markdown),
            ):
                with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"the report cannot be written into {printable(folder)}: {reason}"
        ) from None
    return page


def _title(runs):
    return "{} of gluon_tricks".format("A run" if len(runs) == 1 else f"{len(runs)} runs")


def _contents(runs, folder):
    markdown, body = [f"# {_title(runs)}\n"], [f"<h1>{_title(runs)}</h1>\n"]
    names = _file_names(runs)
    sets = by_data(runs)
    for number, own in enumerate(sets):
        _compare(own, folder, "" if len(sets) == 1 else f"-{number + 1}", markdown, body)
    body.append("<h2>Run by run</h2>\n")
    markdown.append("## Run by run\n")
    for run in runs:
        picture = names[run.path] + ".png"
        plots.run_curves(run, os.path.join(folder, picture))
        said = ", ".join(phrases.phrases(run))
        markdown.append(
            f"**{run.name}** ({run.status}): {said}.\n\n![curves of {run.name}]({picture})\n"
        )
        body.append(
            _details(
                run,
                said,
                _image(os.path.join(folder, picture), "curves of " + run.name),
                is_open=len(runs) <= 3,
            )
        )
    return "\n".join(markdown), "".join(body)


def _compare(runs, folder, suffix, markdown, body):
    """Add the section about the runs on one data set."""
    groups = groups_of(runs)
    title, note = tables.data_title(runs), tables.data_note(runs)
    header, rows = tables.results(groups)
    markdown.append(f"## {title}\n\n{note}\n")
    body.append(f"<h2>{html.escape(title)}</h2>\n<p>{_escape(note)}</p>\n")
    if len(groups) > 1:
        shared = "Common to all: {}.".format(", ".join(phrases.common(groups)) or "nothing")
        markdown.append(shared + "\n")
        body.append(f"<p>{_escape(shared)}</p>\n")
    about = _about_figures(runs[0].task)
    about += DISTILLED * any(softens(run.config) for run in runs)
    markdown += [tables.markdown(header, rows), about + "\n"]
    body += [_table(header, rows), f'<p class="note">{html.escape(about)}</p>\n']
    published = tables.published(groups)
    if published:
        title, *table = published
        markdown += [f"### {title}\n", tables.markdown(*table)]
        body += [f"<h3>{html.escape(title)}</h3>\n", _table(*table)]
    pictures = []
    if len(groups) > 1 and any(run.validations for run in runs):
        pictures.append(("ladder", plots.ladder, f"{_best(runs[0].task).title} of all runs"))
    if len(runs) > 1:
        pictures.append(("curves", plots.all_curves, "curves of all runs"))
    for name, draw, about in pictures:
        file = name + suffix + ".png"
        draw(groups, os.path.join(folder, file))
        markdown.append(f"![{about}]({file})\n")
        body.append(_image(os.path.join(folder, file), about))


def _best(task):
    return figure_of(task, task.best)


def _about_figures(task):
    titles = [figure.title for figure in _best_first(task)]
    figures = ", ".join(titles[:-1]) + " and " + titles[-1]
    figures = figures if figures[1:2].isupper() else figures[:1].upper() + figures[1:]  # mIoU
    minimised, more = getattr(task, "about_figures", ("", ""))
    best = _best(task).title
    validated = VALIDATED if any(figure.name == "loss" for figure in task.figures) else ""
    about = dict(figures=figures, best=best, minimised=minimised, validated=validated, more=more)
    return ABOUT_FIGURES.format(**about)


def _best_first(task):
    """The task's figures: the one that defines the best, others, the loss."""
    return sorted(
        task.figures, key=lambda figure: (figure.name == "loss", figure.name != task.best)
    )


def _details(run, said, picture, is_open):
    """A single run: its phrases, curves, figures, environment and flags."""
    facts = [("state", run.status)] + [("damage", text) for text in run.damage]
    if run.last:
        figures = ", ".join(f.text(run.last[f.name]) for f in _best_first(run.task))
        facts.append(("last validation", f"{figures} on {run.last['images']:,} images"))
    if run.finished:
        size = "{:,} parameters, {:,} multiply-adds"
        facts.append(
            (
                "network",
                size.format(
                    run.result.get("parameters") or 0, run.result.get("multiply_adds") or 0
                ),
            )
        )
        facts.append(("time", "{:,.0f} s".format(run.result.get("seconds") or 0)))
    if run.images_per_second:
        facts.append(("speed", f"{run.images_per_second:,.1f} images/s (median)"))
    for name in ("command", "commit", "started", "machine", "cores", "mxnet"):
        if run.environment.get(name):
            facts.append((name, str(run.environment[name])))
    flags = [
        f"{spelling(name)} {value}"
        for name, value in run.flags.items()
        if value not in ("", [], ())
    ]
    return DETAILS.format(
        open=" open" if is_open else "",
        name=html.escape(run.name),
        said=_escape(said),
        picture=picture,
        facts=_table(None, facts),
        flags=html.escape("\n".join(flags)),
    )


def _table(header, rows):
    lines = [_line("th", header)] if header else []
    lines += [_line("td", row) for row in rows]
    return '<div class="scroll"><table>\n{}\n</table></div>\n'.format("\n".join(lines))


def _line(tag, cells):
    return "<tr>{}</tr>".format("".join(f"<{tag}>{_escape(cell)}</{tag}>" for cell in cells))


def _escape(text):
    """Text as HTML without line breaks inside flag names."""
    return re.sub(r"--\w[\w-]*", r'<span class="flag">\g<0></span>', html.escape(text))


def _image(path, about):
    with open(path, "rb") as file:
        data = base64.b64encode(file.read()).decode()
    return f'<p><img alt="{html.escape(about)}" src="data:image/png;base64,{data}"></p>\n'


def _file_names(runs):
    """A unique file name for each run's picture: the run's name in characters that any file system
    allows.
    """
    names = {}
    for run in runs:
        plain = "run-" + re.sub(r"[^A-Za-z0-9._-]+", "-", run.name).strip("-.")
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[run.path] = name
    return names
