"""The images of one file that is to be written, and how they are shuffled and held out."""

import fractions

import numpy as np


class Split:
    """The contents of one file: ``names[i]`` (the source of image i), ``labels[i]`` and its image.
    ``labels`` is None if records have none; they are then written as 0. ``boxes[i]``, if there are
    any, is the label of an image with boxes (:mod:`..box_records`), and replaces the other.

    ``read(i)`` gives the source's bytes (or an array), and ``encode`` makes ``(encoded image, what
    was done to it)`` of them. Both may be called from any thread, and raise ValueError if the image
    is broken. ``size`` is about how many bytes will be written.
    """

    def __init__(self, names, labels, read, encode=None, size=0, boxes=None):
        self.names, self.labelled, self.boxes = names, labels is not None, boxes
        self.labels = np.asarray([0] * len(names) if labels is None else labels, dtype=np.int64)
        self.read, self.encode, self.size = read, encode, size

    def __len__(self):
        return len(self.names)

    def label(self, position):
        """The label of an image's record: a number, or an array of them."""
        return self.labels[position] if self.boxes is None else self.boxes[position]

    def label_bytes(self):
        """All labels as bytes, for a digest."""
        if self.boxes is None:
            return self.labels.tobytes()
        return b"".join(len(label).to_bytes(4, "big") + label.tobytes() for label in self.boxes)

    def take(self, order):
        """Some of the images, in the order of these positions."""
        order = np.asarray(order, dtype=np.int64)
        return Split(
            [self.names[i] for i in order],
            self.labels[order] if self.labelled else None,
            lambda position: self.read(int(order[position])),
            self.encode,
            self.size * len(order) // max(1, len(self)),
            None if self.boxes is None else [self.boxes[i] for i in order],
        )

    def shuffled(self, seed):
        """All images in the order that belongs to the seed."""
        # NumPy promises to keep RandomState's stream; not so the newer Generator's.
        return self.take(np.random.RandomState(seed).permutation(len(self)))

    def hold_out(self, fraction, seed):
        """``(kept, held out)`` in this order; of each class ``fraction`` (rounded down) is held
        out.
        """
        # 0.29 of 100 is 29, and 0.29 * 100 is a bit less
        fraction = fractions.Fraction(str(fraction))
        random, held_out = np.random.RandomState(seed), np.zeros(len(self), dtype=bool)
        for label in np.unique(self.labels):
            mine = random.permutation(np.flatnonzero(self.labels == label))
            held_out[mine[: int(len(mine) * fraction)]] = True
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))
