"""Runs on the same data, compared: tables of text that the page and the Markdown file both print."""

import math

from ..text import printable
from . import phrases as words


def data_title(runs):
    """What the images of these runs are, in a line."""
    run = runs[0]
    if run.flags["synthetic"]:
        return "{} made-up images (--synthetic)".format(run.flags["synthetic"])
    training, validation = run.data_counts
    counts = f"{_count(training)} training images, "
    counts += f"{_count(validation)} validation images" if validation else "no validation file"
    if run.on_imagenet:
        return f"ImageNet-1k ({counts})"
    return "{}, {} classes".format(counts, run.flags["classes"])


def data_note(runs):
    """What may be concluded from runs on these images."""
    if runs[0].on_imagenet:
        return (
            "The files hold as many images as ImageNet-1k's, so the paper's figures stand beside the runs'. "
            "The difference is the run's minus the paper's, in percentage points."
        )
    return (
        "These are not ImageNet's images: the paper's figures do not apply, "
        "and the runs are compared among themselves alone."
    )


def results(groups):
    """(header, rows) of text: a row a group, with mean and spread where there are several seeds."""
    compared, shared = len(groups) > 1, words.common(groups)
    header = ["run", "what sets it apart" if compared else "what it was", "seeds", "top-1 %"]
    header += ["against the first row"] if compared else []
    header += ["top-5 %", "loss", "best top-1 %", "images/s", "state"]
    rows = []
    for group in groups:
        what = words.label(group, shared) if compared else ", ".join(words.phrases(group.runs[0]))
        row = [group.name, what, str(len(group.runs)), _measured(group, "top1")]
        row += [_against(group, groups[0])] if compared else []
        row += [_measured(group, "top5"), _measured(group, "loss", digits=4)]
        rows.append(row + [_best(group), _speed(group), _state(group)])
    return header, rows


def beside_paper(groups):
    """(header, rows) of text: each group of runs on ImageNet and the paper's row that its flags
    stand for.
    """
    header = ["run", "paper's row", "top-1 / top-5 %", "paper's top-1 / top-5 %", "difference"]
    rows = []
    for group in groups:
        title, published, difference = _published(group)
        ours = "{} / {}".format(_measured(group, "top1"), _measured(group, "top5"))
        rows.append([group.name, title, ours, published, difference])
    return header, rows


def _measured(group, score, digits=2):
    """``98.33 ± 0.12``; a dash where nothing was measured."""
    mean, spread = group.mean(score), group.spread(score)
    if mean is None:
        return "–"
    text = "{:.{}f}".format(mean, digits)
    return text if spread is None else text + " ± {:.{}f}".format(spread, digits)


def _best(group):
    best = [run.best["top1"] for run in group.counted]
    return f"{sum(best) / len(best):.2f}" if best else "–"


def _against(group, first):
    """The difference of the means, and its standard error where both have several seeds."""
    if group is first or group.mean("top1") is None or first.mean("top1") is None:
        return "–"
    text = "{:+.2f}".format(group.mean("top1") - first.mean("top1"))
    if group.spread("top1") is None or first.spread("top1") is None:
        return text
    error = math.sqrt(sum(side.spread("top1") ** 2 / len(side.counted) for side in (group, first)))
    return text + f" ± {error:.2f}"


def _published(group):
    """The nearest row's title and figures, and the difference from them."""
    rows, differences = words.nearest_rows(group.runs[0])
    if not rows:
        return ["none near", "–", "–"]
    title = "; ".join(row.title for row in rows)
    if differences:
        title += ", but for " + ", ".join(differences)
    score = rows[0].score
    published = "{:.2f} / {}".format(score.top1, "–" if score.top5 is None else f"{score.top5:.2f}")
    if group.mean("top1") is None:
        return [title, published, "–"]
    both = [group.mean("top1") - score.top1]
    both += [] if score.top5 is None else [group.mean("top5") - score.top5]
    return [title, published, " / ".join(f"{value:+.2f}" for value in both)]


def _speed(group):
    speeds = [run.images_per_second for run in group.runs if run.images_per_second]
    return f"{sum(speeds) / len(speeds):,.0f}" if speeds else "–"


def _state(group):
    unfinished = [run for run in group.runs if not run.finished]
    if not unfinished:
        return "finished"
    if len(group.runs) == 1:
        return unfinished[0].status
    note = f"{len(group.runs) - len(unfinished)} of {len(group.runs)} finished"
    return note + (", they alone are counted" if len(unfinished) < len(group.runs) else "")


def _count(number):
    return "?" if number is None else f"{number:,}"


def markdown(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header)] + rows
    return "".join(
        "| {} |\n".format(" | ".join(printable(cell).replace("|", "\\|") for cell in line))
        for line in lines
    )
