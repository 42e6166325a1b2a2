"""A sheet of images, original and augmented.

One row per image: the original, its evaluation form, its training forms in the first epochs, and
mixed ones, for which the images of the sheet are the batch. Masks are next to the images, boxes are
drawn into them, and the random numbers are below. The sheet uses the same functions as training.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..data import randomness
from ..data.decode import decode
from ..data.record_keys import keys_in
from ..data.records import RecordFile
from ..data.transforms.normalise import Normalise
from ..data.transforms.transform import Transform
from ..errors import UserError
from ..pictures import legend_label, write_png


class Row(NamedTuple):
    """A row of the sheet, and the images of its record that training sees."""

    shown: List[Tuple[str, np.ndarray]]  # title and image
    label: float
    images: List[np.ndarray]  # one per epoch: float32 (3, size, size), normalised


def choose(records: RecordFile, keys: Optional[str], count: int, seed: int) -> List[int]:
    """The positions of the images to show: those of ``keys``, or the first ``count`` of epoch 0."""
    if not keys:
        return randomness.permutation(len(records), seed, 0)[:count].tolist()
    wanted = keys_in(keys)
    positions = {int(key): position for position, key in enumerate(records.keys)}
    for key in wanted:
        if key not in positions:
            raise UserError(f"--keys {keys}: {records.path} has no record {key}")
    return [positions[key] for key in wanted]


def row_of(
    records: RecordFile,
    position: int,
    train: Transform,
    evaluation: Transform,
    seed: int,
    epochs: int,
    target_of: Callable[[int, Any, Tuple[int, int]], Any],
) -> Row:
    """The row of a record: the original, the evaluation image, and the training images of the first
    epochs.

    ``target_of`` is the ``read`` of the task's class in :mod:`.targets`.
    """
    label, payload = records.read(position)
    key = int(records.keys[position])
    try:
        original = decode(payload).copy()
    except ValueError as error:
        raise UserError(f"{records.path}, record {key}: cannot be decoded: {error}") from None
    height, width = original.shape[:2]
    target = target_of(key, label, (height, width))
    row = Row([], float(np.ravel(label)[0]), [])
    title = f"record {key}{target.words}\n{width} x {height}"
    row.shown.append((title, target.drawn(original, None, None)))
    row.shown.extend(target.shown(None, None))
    parameters = evaluation.sample(0, 0, [key])
    image = evaluation.image(payload, parameters, 0)
    row.shown.append(("evaluation", target.drawn(image, evaluation, parameters)))
    row.shown.extend(target.shown(evaluation, parameters))
    for epoch in range(epochs):
        parameters = train.sample(seed, epoch, [key])
        image = train.apply(payload, parameters)
        title = f"epoch {epoch}{what_was_done(train, parameters, height, width)}"
        row.images.append(image)
        colors = target.drawn(visible(image, train.normalise), train, parameters)
        row.shown.append((title, colors))
        row.shown.extend(target.shown(train, parameters))
    return row


def what_was_done(transform: Transform, parameters: Any, height: int, width: int) -> str:
    """Flip, crop and the other random choices for an image, in the words of a title."""
    flipped = ", flipped" if parameters.values.get("flip", [False])[0] else ""
    moved = transform.placements(height, width, parameters, 0)
    if not moved:
        y, x, h, w = transform.window(height, width, parameters, 0)
        moved = [f"{w} x {h} at {x}, {y} ({100 * h * w / height / width:.0f} %)"]
    return "\n".join([flipped, *moved, *transform.words(parameters, 0)])


def add_mixed(
    rows: Sequence[Row],
    mixings: Sequence[Callable],
    epochs: int,
    normalise: Normalise,
    reads: int = 1,
) -> None:
    """Append mixed images to each row: the ``mixings`` (:mod:`gluon_tricks.tricks.mixing`) of the
    rows' images in these epochs, which count as steps here.

    If mixings read two images for each one that they return, ``reads`` is 2; the second images are
    those of the following rows.
    """
    import mxnet as mx

    for epoch in range(epochs):
        images = np.stack([row.images[epoch] for row in rows])
        shares = np.eye(len(rows))  # each row's share of each mixed image
        images, shares = (
            mx.nd.array(np.concatenate([np.roll(part, -shift, axis=0) for shift in range(reads)]))
            for part in (images, shares)
        )
        for mixing in mixings:
            images, shares = mixing(images, shares, epoch, 0)
        for number, image in enumerate(images.asnumpy()):
            title = f"epoch {epoch}, mixed\n{_parts(rows, number, shares[number].asnumpy())}"
            rows[number].shown.append((title, visible(image, normalise)))


def _parts(rows, number, shares):
    """The parts of a mixed image: ``0.70 of label 3, 0.30 of 5``, its own label first."""
    others = sorted(np.flatnonzero(shares), key=lambda other: other != number)
    text = ", ".join(f"{shares[other]:.2f} of {rows[other].label:g}" for other in others)
    return text.replace(" of ", " of label ", 1)


def visible(normalised: np.ndarray, normalise: Normalise) -> np.ndarray:
    """The colours of a normalised image (3, H, W), clipped to [0, 1]."""
    colors = normalised.transpose(1, 2, 0) * np.asarray(normalise.std) + np.asarray(normalise.mean)
    return np.clip(colors / 255, 0, 1)


def draw(rows: Sequence[Row], path: str, legend: Sequence[Tuple[str, np.ndarray]] = ()) -> None:
    """Write the sheet as a PNG; ``legend`` has names and their colours, (3,) from 0 to 1."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = len(rows[0].shown)
    figure = Figure(figsize=(1.9 * columns, 2.25 * len(rows)), dpi=110, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows):
        for axis, (title, image) in zip(line, row.shown):
            axis.imshow(image)
            axis.set_xlabel(title, fontsize=7)
            axis.set_xticks([])
            axis.set_yticks([])
    if legend:
        patches = [
            Patch(facecolor=color, edgecolor="grey", label=legend_label(name))
            for name, color in legend
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=columns, fontsize=7)
    write_png(figure, path)
