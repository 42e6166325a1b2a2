"""The likeliest classes of images, with their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np

if TYPE_CHECKING:
    from .classifier import Classifier

BATCH = 32
Name = Union[int, str]  # the key of a record, or the path of a file


class Guess(NamedTuple):
    """A class that an image may be of."""

    number: int
    label: str
    probability: float


class Prediction(NamedTuple):
    """A classifier's prediction for an image."""

    name: Name
    top: List[Guess]  # the likeliest first; at equal probabilities the smaller class number
    true: Optional[int] = None  # the class of the record, if it is known
    true_label: Optional[str] = None  # None also if the model has no such class
    image: Optional[np.ndarray] = None  # float32 (3, size, size), as the network saw it
    error: Optional[str] = None  # why there is no prediction


def predictions(
    model: Classifier,
    images: Iterable[Tuple[Name, Optional[int], Union[np.ndarray, Exception]]],
    top: int = 5,
) -> Iterator[Prediction]:
    """Yield the predictions for ``images``: (name, true class or None, image or why there is none),
    as the functions of :mod:`gluon_tricks.deploy.images` yield them.
    """
    batch = []
    for item in images:
        batch.append(item)
        if len(batch) == BATCH:
            yield from _predict_batch(model, batch, top)
            batch = []
    yield from _predict_batch(model, batch, top)


def _predict_batch(model, batch, top):
    whole = [(name, image) for name, _, image in batch if not isinstance(image, Exception)]
    rows = iter(())
    if whole:
        names, images = zip(*whole)
        rows = iter(softmax(model.predict(np.stack(images), names)))
    for name, true, image in batch:
        if isinstance(image, Exception):
            yield Prediction(name, [], error=str(image))
        else:
            label = None if true is None or not 0 <= true < model.classes else model.label(true)
            yield Prediction(name, likeliest(model, next(rows), top), true, label, image)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities (n, K), float64, of logits (n, K)."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def likeliest(model: Classifier, probabilities: np.ndarray, top: int) -> List[Guess]:
    """The ``top`` classes with the largest ``probabilities`` (K,) of an image."""
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [Guess(int(i), model.label(i), float(probabilities[i])) for i in best]
