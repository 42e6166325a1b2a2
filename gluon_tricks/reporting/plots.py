"""The report's pictures: the curves of one run, the curves of all runs together, and the best
figures side by side.
"""

import textwrap

from ..pictures import legend_label
from ..tasks.figure import in_training
from ..tricks.table import distils
from . import phrases
from .runs import figure_of

TRAINING, VALIDATION, OTHER = "#1f77b4", "#d62728", "#444444"
PARTS = ("#ff7f0e", "#2ca02c", "#9467bd", "#8c564b")  # the parts of a loss
DPI = 110


def run_curves(run, path):
    """Draw one run into a PNG file: loss and best figure on both sets, learning rate, images per
    second.
    """
    best = figure_of(run.task, run.task.best)
    figure, ((loss, score), (rate, speed)) = _figure(2, 2, (10.5, 6.4), run)
    _losses(loss, run)
    _both_sets(score, score, run, best.name)
    _name(score, best.title, _unit(best))
    _legend(score, score)
    _line(rate, run.training, "learning_rate", color=OTHER)
    _name(rate, "learning rate", "learning rate")
    _speeds(speed, run, color=OTHER)
    _name(speed, "speed", "images/s")
    _save(figure, path)


def _losses(axes, run):
    """Draw a run's losses. The soft loss of a distilled run has another magnitude than validation's
    cross entropy, which then gets its own axis.
    """
    right = axes.twinx() if distils(run.config) and run.validations else axes
    parts = [one for one in in_training(run.task) if one.name not in ("loss", run.task.best)]
    for part, color in zip(parts, PARTS):
        _line(axes, run.epochs, part.name, color=color, linewidth=0.9, label=part.title)
    _both_sets(axes, right, run, "loss")
    _scale_loss(axes)
    if right is not axes:
        _scale_loss(right)
        _color_axis(axes, "left", TRAINING)
        _color_axis(right, "right", VALIDATION)
        right.set_ylabel("validation: cross entropy")
    kind = "loss (cross entropy)" if _has_loss(run.task) else "loss"
    _name(axes, "loss", "training: hard + soft loss" if distils(run.config) else kind)
    _legend(axes, right)


def _has_loss(task):
    """Whether validation has a loss."""
    return any(figure.name == "loss" for figure in task.figures)


def _both_sets(training, validation, run, name):
    """Draw a figure on the training images and on the validation images, each into its axes."""
    _line(training, run.training, name, color=TRAINING, alpha=0.35, linewidth=0.9)
    _line(training, run.epochs, name, color=TRAINING, label="training")
    _line(validation, run.validations, name, color=VALIDATION, label="validation")


def _legend(*panels):
    """Add one legend for the lines of all axes, next to the title, above the curves."""
    handles = {}
    for axes in panels:
        handles.update({label: line for line, label in zip(*axes.get_legend_handles_labels())})
    if handles:
        panels[0].legend(
            handles.values(),
            handles,
            loc="lower right",
            bbox_to_anchor=(1.01, 0.99),
            ncol=2,
            frameon=False,
            borderaxespad=0.2,
        )


def all_curves(groups, path):
    """Draw all runs into one PNG file, with a colour for each group and a line for each seed."""
    runs = [run for group in groups for run in group.runs]
    best = figure_of(runs[0].task, runs[0].task.best)
    with_loss = _has_loss(runs[0].task)
    height = 9.2 if with_loss else 6.4
    figure, panels = _figure(3 if with_loss else 2, 2, (11.5, height), *runs)
    if with_loss:
        (train_loss, val_loss), (train_best, val_best), (rate, speed) = panels
    else:  # then training does not measure the figures either
        ((train_loss, val_best), (rate, speed)), val_loss, train_best = panels, None, None
    distilled = _axes_of_distilled(train_loss, runs)
    shared, handles, labels = phrases.common(groups), [], []
    for group, color in zip(groups, _colors(len(groups))):
        style = dict(color=color, linewidth=1.3, alpha=1 if len(group.runs) == 1 else 0.7)
        for run in group.runs:
            records = run.epochs or run.training
            if distils(run.config) and distilled is not train_loss:
                _line(distilled, records, "loss", linestyle="--", **style)
            else:
                _line(train_loss, records, "loss", **style)
            if with_loss:
                _line(train_best, records, best.name, **style)
                _line(val_loss, run.validations, "loss", **style)
            _line(val_best, run.validations, best.name, **style)
            _line(rate, run.training, "learning_rate", **style)
            _speeds(speed, run, **style)
        handles.append(rate.plot([], [], color=color, linewidth=2.5)[0])
        label = textwrap.shorten(phrases.label(group, shared), 110, placeholder=" ...")
        labels.append(legend_label(label))
    for axes in {train_loss, distilled, val_loss} - {None}:
        _scale_loss(axes)
    dashed = "" if distilled is train_loss else "; distilled runs: dashed, right axis"
    _name(train_loss, "training loss as minimised" + dashed, "loss")
    if with_loss:
        _name(val_loss, "validation loss (cross entropy)", "loss")
    measured = [(train_best, "training")] * with_loss + [(val_best, "validation")]
    for axes, which in measured:
        title = f"{which} {best.title}"
        cut = _cut_beginning(axes) if best.higher_is_better else ""
        _name(axes, title + cut, _unit(best))
    _name(rate, "learning rate", "learning rate")
    _name(speed, "speed", "images/s")
    # Below the panels, in a separate strip.
    columns = 1 if max(map(len, labels)) > 55 else 2
    lines = -(-len(labels) // columns)
    figure.set_size_inches(11.5, height + 0.24 * lines)
    figure.legend(handles, labels, loc="outside lower center", ncol=columns, frameon=False)
    _save(figure, path)


def _axes_of_distilled(axes, runs):
    """The axes for the training loss of distilled runs: it contains T^2 times the soft loss, so
    among other runs it gets its own axis.
    """
    if len({distils(run.config) for run in runs}) == 1:
        return axes
    right = axes.twinx()
    right.spines["top"].set_visible(False)
    right.set_ylabel("loss of distilled runs")
    return right


def ladder(groups, path):
    """Draw the best figure of the last validation into a PNG file: each group's seeds, mean and
    spread, and the paper's figure.
    """
    shared, best = phrases.common(groups), figure_of(groups[0].task, groups[0].task.best)
    figure, ((axes,),) = _figure(1, 1, (10, 1.3 + 0.55 * len(groups)))
    for place, (group, color) in enumerate(zip(groups, _colors(len(groups)))):
        _rung(axes, place, group, best, color)
    axes.set_yticks(range(len(groups)))
    axes.set_yticklabels(
        ["\n".join(textwrap.wrap(phrases.label(group, shared), 46)[:3]) for group in groups],
        fontsize=8.5,
        parse_math=False,
    )
    axes.set_ylim(len(groups) - 0.5, -0.7)
    axes.margins(x=0.08)
    axes.set_xlabel(
        f"validation {best.title} after the last epoch ({best.unit})".replace(" ()", "")
    )
    about = "dots: seeds; upright bars: their mean; lines: one standard deviation"
    axes.set_title(about, loc="left", fontsize=8.5, color="#555555")
    axes.grid(axis="x", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(figure, path)


def _rung(axes, place, group, best, color):
    """Draw one group of the ladder at height ``place``."""
    values, mean, spread = group.values(best.name), group.mean(best.name), group.spread(best.name)
    axes.plot(values, [place] * len(values), "o", color=color, alpha=0.55, markersize=6)
    if mean is not None:
        axes.plot([mean, mean], [place - 0.28, place + 0.28], color=color, linewidth=2.5)
        text = f"{mean:.{best.digits}f}"
        axes.annotate(text, (mean, place - 0.3), ha="center", va="bottom", fontsize=8.5)
    if spread is not None:
        axes.plot([mean - spread, mean + spread], [place, place], color=color, linewidth=1.2)
    rows, differences = group.runs[0].nearest_rows
    if rows and not differences:
        published = getattr(rows[0].score, best.name)
        known = "" if axes.get_legend_handles_labels()[0] else "published"
        style = dict(color="black", fillstyle="none", markersize=8)
        axes.plot(published, place, "D", label=known, **style)


def _unit(figure):
    return f"{figure.title} ({figure.unit})" if figure.unit else figure.title


def _color_axis(axes, side, color):
    axes.spines[side].set_visible(True)
    axes.spines[side].set_color(color)
    axes.tick_params(axis="y", colors=color)
    axes.yaxis.label.set_color(color)


def _figure(rows, columns, size, *runs):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    end = max([run.passes for run in runs] or [0])
    for axes in panels.flat:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if end:
            axes.set_xlim(0, end * 1.01)
            axes.set_xlabel("epoch")
            axes.grid(alpha=0.3)
    return figure, panels


def _line(axes, records, name, **style):
    points = [
        (record["passes"], record[name])
        for record in records
        if isinstance(record.get(name), (int, float))
    ]
    if points:
        x, y = zip(*points)
        # A line of one point is invisible.
        axes.plot(x, y, marker="o" if len(points) < 3 else None, markersize=4, **style)


def _speeds(axes, run, **style):
    if run.speeds:
        passes, speeds = zip(*run.speeds)
        axes.plot(passes, speeds, marker="o" if len(passes) < 3 else None, markersize=4, **style)
        axes.set_ylim(0, 1.08 * max(max(line.get_ydata()) for line in axes.lines))


def _scale_loss(axes):
    """Make the axis logarithmic if most of the losses would look flat on a linear one."""
    losses = [loss for line in axes.lines for loss in line.get_ydata() if 0 < loss < float("inf")]
    if losses and max(losses) > 30 * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")


def _cut_beginning(axes):
    """Limit the axis to the accuracies of the runs' second halves if the first halves would take
    most of the space.

    Returns the note about it for the panel's title.
    """
    lines = [line.get_ydata() for line in axes.lines]
    late = [value for line in lines for value in line[len(line) // 2 :]]
    if not late or min(late) - min(map(min, lines)) < 2 * (max(late) - min(late)):
        return ""
    room = max(max(late) - min(late), 0.5)
    axes.set_ylim(min(late) - 0.4 * room, max(map(max, lines)) + 0.1 * room)
    return ", without its beginning"


def _name(axes, title, unit):
    axes.set_title(title, loc="left", fontsize=10.5)
    axes.set_ylabel(unit)
    if not axes.lines:
        axes.text(
            0.5,
            0.5,
            "nothing logged",
            transform=axes.transAxes,
            ha="center",
            va="center",
            color="gray",
        )


def _colors(count):
    import matplotlib

    if count <= 10:
        return [matplotlib.colormaps["tab10"](i) for i in range(count)]
    return [matplotlib.colormaps["turbo"]((i + 0.5) / count) for i in range(count)]


def _save(figure, path):
    # Without matplotlib's version in the file, the same runs give the same bytes.
    figure.savefig(path, metadata={"Software": None})
