"""Compares runs on the same data in tables of text, for the page and the Markdown file."""

import math

from .. import paper, transfer
from ..flags import text_of
from ..text import printable
from ..tricks.nearest_row import name_of
from . import phrases
from .runs import figure_of

NONE = "–"


def data_title(runs):
    """The data set of these runs, in a line."""
    run = runs[0]
    if run.config.synthetic:
        return f"{run.config.synthetic} synthetic images (--synthetic)"
    training, validation = run.data_counts
    counts = f"{_count(training)} training images, "
    counts += f"{_count(validation)} validation images" if validation else "no validation file"
    known = ("ImageNet-1k", run.on_imagenet), ("ADE20K", run.on_ade20k), ("PASCAL VOC", run.on_voc)
    for name, is_it in known:
        if is_it:
            return f"{name} ({counts})"
    return f"{counts}, {run.config.classes} classes"


def data_note(runs):
    """A note about what runs on these images can be compared with."""
    if runs[0].on_imagenet:
        return (
            "The files hold as many images as ImageNet-1k's, so published figures are shown next "
            "to the runs'. The difference is the run's minus the published one, in percentage "
            "points."
        )
    if runs[0].on_ade20k:
        return (
            "The files hold as many images as ADE20K's, so the paper's Table 9 is shown below. The "
            "paper does not say how it was measured; the runs' figures are those of centre crops."
        )
    if runs[0].on_voc:
        return (
            "The files hold as many images as VOC's trainval (2007, 2012) and test (2007), so the "
            "paper's Table 8 is shown below; its mAP is that of 11 points."
        )
    return (
        "These are not ImageNet's images: published figures do not apply, and the runs are "
        "compared only with each other."
    )


def named(figure):
    """A figure with its unit, as the header of a column: ``top-1 %``."""
    return f"{figure.title} {figure.unit}".strip()


def results(groups):
    """(header, rows) of text: one row per group, with mean and spread over its seeds."""
    compared, shared, task = len(groups) > 1, phrases.common(groups), groups[0].task
    best = figure_of(task, task.best)
    others = [figure for figure in task.figures if figure is not best]
    others.sort(key=lambda figure: figure.name == "loss")  # the loss comes last
    header = ["run", "what differs" if compared else "settings", "seeds", named(best)]
    header += ["against the first row"] if compared else []
    header += [named(figure) for figure in others] + ["best " + named(best), "images/s", "state"]
    rows = []
    for group in groups:
        of_one = ", ".join(phrases.phrases(*group.runs))
        what = phrases.label(group, shared) if compared else of_one
        row = [group.name, what, str(len(group.runs)), _measured(group, best)]
        row += [_against(group, groups[0], best)] if compared else []
        row += [_measured(group, figure) for figure in others]
        rows.append(row + [_best(group, best), _speed(group), _state(group)])
    return header, rows


def published(groups):
    """``(title, header, rows)`` of the paper's figures on the groups' data, or None."""
    run = groups[0].runs[0]
    if run.on_imagenet:
        return ("Next to published figures", *next_to_published(groups))
    if run.on_ade20k:
        return ("The paper's Table 9", *by_backbone(transfer.ADE20K))
    return ("The paper's Table 8", *by_backbone(transfer.VOC)) if run.on_voc else None


def by_backbone(data):
    """(header, rows) of text: the paper's figures on ADE20K or VOC by the backbone's training."""
    found = [row for row in transfer.ROWS if row.data is data]
    header = ["the backbone's training on ImageNet", *(f"{name} %" for name in found[0].scores)]
    return header, [[row.row, *(f"{value:.2f}" for value in row.scores.values())] for row in found]


def next_to_published(groups):
    """(header, rows) of text: each group of runs on ImageNet and the published row with the same
    settings, of the paper or of later work.
    """
    figures = _published_figures(groups[0].task)
    titles = " / ".join(figure.title for figure in figures) + " %"
    header = ["run", "published row", titles, "published " + titles, "difference"]
    rows = []
    for group in groups:
        ours = " / ".join(_measured(group, figure) for figure in figures)
        title, published, difference = _published(group, figures)
        rows.append([group.name, title, ours, published, difference])
    return header, rows


def _published_figures(task):
    return [figure for figure in task.figures if figure.name in paper.Score._fields]


def _published(group, figures):
    """The nearest row's title and figures, and the difference from them."""
    rows, differences = group.runs[0].nearest_rows
    if not rows:
        return ["none similar", NONE, NONE]
    title = "; ".join(row.title for row in rows)
    if differences:
        title += ", except for " + ", ".join(
            f"{name_of(name)} {text_of(values.here)} instead of {text_of(values.there)}"
            for name, values in differences.items()
        )
    theirs = [(figure, getattr(rows[0].score, figure.name)) for figure in figures]
    published = " / ".join(
        NONE if value is None else f"{value:.{rows[0].digits}f}" for _, value in theirs
    )
    if not group.counted:
        return [title, published, NONE]
    differ = " / ".join(
        f"{group.mean(figure.name) - value:+.2f}" for figure, value in theirs if value is not None
    )
    return [title, published, differ]


def _measured(group, figure):
    """``98.33 ± 0.12``; a dash if nothing was measured."""
    mean, spread = group.mean(figure.name), group.spread(figure.name)
    if mean is None:
        return NONE
    text = f"{mean:.{figure.digits}f}"
    return text if spread is None else f"{text} ± {spread:.{figure.digits}f}"


def _best(group, figure):
    best = [run.best[figure.name] for run in group.counted]
    return f"{sum(best) / len(best):.{figure.digits}f}" if best else NONE


def _against(group, first, figure):
    """The difference of the means, and its standard error if both have several seeds."""
    name, digits = figure.name, figure.digits
    if group is first or group.mean(name) is None or first.mean(name) is None:
        return NONE
    text = f"{group.mean(name) - first.mean(name):+.{digits}f}"
    if group.spread(name) is None or first.spread(name) is None:
        return text
    error = math.sqrt(sum(side.spread(name) ** 2 / len(side.counted) for side in (group, first)))
    return text + f" ± {error:.{digits}f}"


def _speed(group):
    speeds = [run.images_per_second for run in group.runs if run.images_per_second]
    return f"{sum(speeds) / len(speeds):,.0f}" if speeds else NONE


def _state(group):
    unfinished = [run for run in group.runs if not run.finished]
    if not unfinished:
        return "finished"
    if len(group.runs) == 1:
        return unfinished[0].status
    note = f"{len(group.runs) - len(unfinished)} of {len(group.runs)} finished"
    return note + (", only these are counted" if len(unfinished) < len(group.runs) else "")


def _count(number):
    return "?" if number is None else f"{number:,}"


def markdown(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header)] + rows
    return "".join(
        "| {} |\n".format(" | ".join(printable(cell).replace("|", "\\|") for cell in line))
        for line in lines
    )
