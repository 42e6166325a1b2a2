"""The published row, the paper's or a later one, that a training matches exactly or nearly."""

import math
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple, TypeVar, Union

from .. import fidelity, literature, paper, transfer
from ..config import FLAGS, Config, spelling, without_effect
from ..flags import text_of
from .table import distils

Row = TypeVar("Row")


class Difference(NamedTuple):
    """The values of a setting in a training and in a row."""

    here: Any
    there: Any


MOST = 3  # settings in which a training may differ from the nearest row
# Flags that repeat a row's settings in another form, or do not affect the result.
SAID_OTHERWISE = {"batch_size", "lr", "linear_scaling", "base_lr", "lr_decay_period", "mixup"}
SAID_OTHERWISE |= {"teacher", "teacher_model", "teacher_logits", "use_params", "seed", "classes"}
SAID_OTHERWISE |= {"backbone_params"}
# The size of the data, which the rows do not name.
SAID_OTHERWISE |= {"num_training_samples", "synthetic"}
# Those of the authors' values that are not the form of a trick.
SCHEDULE = ("num_epochs", "lr_decay_epoch")

# Rows and all their settings: the paper's and later ones on ImageNet, and those on other data.
PAPERS = [(row, dict(row.settings, backbone="")) for row in paper.ROWS if row.score]
LATER = [
    (row, dict(row.settings, distilled=bool(row.teacher), backbone="")) for row in literature.ROWS
]
ELSEWHERE = [
    (row, dict(row.settings, distilled=False, backbone=row.backbone)) for row in transfer.ROWS
]
ON_IMAGENET = (*PAPERS, *LATER)


def nearest(
    config: Config, global_batch: int, peak: float, known: Iterable[Tuple[Row, Dict[str, Any]]]
) -> Tuple[List[Row], Dict[str, Difference]]:
    """The rows among ``known`` that differ least from a training, and the settings that differ.

    They are all rows of the same training, which may be in several tables. ``([], {})`` if every
    row differs in more than MOST settings.
    """
    found = [(differences(config, global_batch, peak, settings), row) for row, settings in known]
    least = min((different for different, _ in found), key=len)
    if len(least) > MOST:
        return [], {}
    return [row for different, row in found if different == least], least


def differences(
    config: Config, global_batch: int, peak: float, settings: Dict[str, Any]
) -> Dict[str, Difference]:
    """How a training differs from a row of these settings.

    All that ``--fidelity gluoncv`` selects is one difference, that of this flag.
    """
    ours = dict(vars(config), global_batch=global_batch, peak=peak, distilled=distils(config))
    ours["backbone"] = _backbone(config)
    passed_over = SAID_OTHERWISE | set(without_effect(config))
    theirs = {name: field.default for name, field in FLAGS.items() if not field.metadata["free"]}
    theirs["mixup_alpha"] = 0.0  # the flag's default is what a bare --mixup takes
    theirs.update(settings)
    authors = fidelity.settings(config.model) if config.fidelity == "gluoncv" else {}
    selected = {name for name in set(authors) - set(SCHEDULE) if _same(ours[name], authors[name])}
    return {
        name: Difference(ours[name], value)
        for name, value in theirs.items()
        if name not in passed_over | selected and not _same(ours[name], value)
    }


def _backbone(config):
    """The recipe whose run a training starts from, if a folder on its path has the recipe's name,
    else the path; "" if it starts from none.
    """
    start = config.use_params or config.backbone_params
    recipes = {row.backbone for row in transfer.ROWS} - {""}
    return next((part for part in Path(start).parts if part in recipes), start)


def _same(one, other):
    are_numbers = isinstance(one, float) and isinstance(other, (int, float))
    return math.isclose(one, other, rel_tol=1e-6) if are_numbers else one == other


def name_of(setting: str) -> str:
    """A setting as its flag is typed; in words if it is no flag."""
    return spelling(setting) if setting in FLAGS else setting.replace("_", " ")


def since(classes: int) -> Iterator[Tuple[Union[literature.Row, transfer.Row], Dict[str, Any]]]:
    """The rows from after the paper. Of those on other data than ImageNet, whose images differ too,
    only the ones with this number of classes.
    """
    yield from LATER
    yield from (pair for pair in ELSEWHERE if pair[1]["classes"] == classes)


def lines(config: Config, global_batch: int, peak: float) -> Iterator[str]:
    """What a plan says about the nearest row from after the paper and about known differences from
    its source; nothing if no row is near.
    """
    rows, different = nearest(config, global_batch, peak, since(config.classes))
    for row in rows:
        yield "\nnearest published row"
        yield f"  {row.title}: {row.figure} ({row.origin})"
        for name, values in different.items():
            yield f"  {name_of(name)}, there: {text_of(values.there)}"
        for words in row.all_differences:
            yield f"  known to differ: {words}"
