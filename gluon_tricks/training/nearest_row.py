"""Which row that others have published since the paper a training is, or nearly is."""

import math
from typing import Any, Dict, Iterator, Optional, Tuple, Union

from .. import literature, transfer
from ..config import FLAGS, Config, spelling, without_effect
from ..flags import text_of
from ..tricks.table import distils

MOST = 3  # settings in which a training may differ from a row that is near
# Flags that say in another way what a row's settings say, or do not decide the result.
SAID_OTHERWISE = {"batch_size", "lr", "linear_scaling", "base_lr", "mixup", "seed", "classes"}
SAID_OTHERWISE |= {"teacher", "teacher_model", "teacher_logits", "fidelity", "use_params"}
# ImageNet's, which the rows do not name
SAID_OTHERWISE |= {"num_training_samples", "synthetic"}

Row = Union[literature.Row, transfer.Row]


def nearest(config: Config, global_batch: int, peak: float) -> Optional[Tuple[Row, Dict[str, Any]]]:
    """The row of :mod:`gluon_tricks.literature` or :mod:`gluon_tricks.transfer` that differs least
    from a training, and its values of the settings that are otherwise here; None if all differ in
    more than MOST.
    """
    ours = dict(vars(config), global_batch=global_batch, peak=peak, distilled=distils(config))
    ours["fine_tuned"] = bool(config.use_params)
    passed_over = SAID_OTHERWISE | set(without_effect(config))
    defaults = {
        name: field.default
        for name, field in FLAGS.items()
        if not field.metadata["free"] and name not in passed_over
    }
    defaults["mixup_alpha"] = 0.0  # the flag's default is what a bare --mixup takes
    found = []
    for row, settings in _published(config.classes):
        theirs = dict(defaults, **settings)
        other = {name: value for name, value in theirs.items() if not _same(ours[name], value)}
        found.append((len(other), row, other))
    count, row, other = min(found, key=lambda each: each[0])
    return (row, other) if count <= MOST else None


def _published(classes: int) -> Iterator[Tuple[Row, Dict[str, Any]]]:
    """The rows with all their settings; of those on other data than ImageNet, which differ in their
    images too, the ones with so many classes.
    """
    for row in literature.ROWS:
        if row.recipe:
            yield row, dict(row.settings, distilled=bool(row.teacher), fine_tuned=False)
    for other in transfer.ROWS:
        if other.settings["classes"] == classes:
            yield other, dict(other.settings, distilled=False, fine_tuned=bool(other.backbone))


def _same(one, other):
    are_numbers = isinstance(one, float) and isinstance(other, (int, float))
    return math.isclose(one, other, rel_tol=1e-6) if are_numbers else one == other


def lines(config: Config, global_batch: int, peak: float) -> Iterator[str]:
    """What a plan says of the nearest row, and of what is known to be otherwise in its source;
    nothing if none is near.
    """
    found = nearest(config, global_batch, peak)
    if found is None:
        return
    row, other = found
    yield "\nnearest row that was published since"
    yield f"  {row.title}: {row.figure} ({row.origin})"
    for name, value in other.items():
        flag = spelling(name) if name in FLAGS else name.replace("_", " ")
        yield f"  {flag}, there: {text_of(value)}"
    for difference in row.all_differences:
        yield f"  known to differ: {difference}"
