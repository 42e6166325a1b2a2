"""Gathers every worker's values on every worker, by means of sums over the workers."""

import json

import numpy as np


def gather(workers, array):
    """Every worker's numpy array (n,), as (world_size, n) on every worker. Exact to the bit, since
    only zeros are added.
    """
    if not array.size:
        return np.zeros((workers.world_size, 0), array.dtype)
    rows = np.zeros((workers.world_size,) + array.shape, array.dtype)
    rows[workers.rank] = array
    return workers.sum(rows.ravel()).reshape(rows.shape)


def gather_rows(workers, rows):
    """Every worker's numpy array (any number, k), one after the other, on every worker."""
    counts = gather(workers, np.array([len(rows)], np.int64)).ravel()
    padded = np.pad(rows, ((0, int(counts.max()) - len(rows)), (0, 0)))
    every = gather(workers, padded.ravel()).reshape((workers.world_size, -1, rows.shape[1]))
    return np.concatenate([own[:count] for own, count in zip(every, counts)])


def gather_parts(workers, layout, own):
    """(parts, n): the rows of all parts of the global batch, from every worker's numpy array
    (parts of this worker, n).

    A worker may have one part more than another, so the arrays are padded to the same length.
    """
    most = -(-layout.parts // layout.workers)
    rows = gather(workers, np.pad(own, ((0, most - len(own)), (0, 0))).ravel())
    rows = rows.reshape((layout.workers, most, own.shape[1]))
    return np.concatenate([row[: len(layout.parts_of(rank))] for rank, row in enumerate(rows)])


def gather_json(workers, value):
    """Every worker's ``value``, anything that JSON can hold, as a list on every worker."""
    text = np.frombuffer(json.dumps(value).encode(), "uint8").astype("float32")
    lengths = gather(workers, np.array([text.size], "int64")).ravel()
    rows = gather(workers, np.pad(text, (0, int(lengths.max()) - text.size)))
    return [json.loads(bytes(row[:length].astype("uint8"))) for row, length in zip(rows, lengths)]
