"""How close the loader comes to the machine's memory bandwidth."""

import concurrent.futures
import time

import numpy as np

from ..threads import cores

BYTES = 64 << 20  # in a thread's array: more than its share of the cache
REPEATS = 3
NEAR = 0.3  # of the bandwidth: decoding and cache misses need a part of it too


def print_share(rows, size):
    """Print a line for the fastest row of our loader: the memory traffic of its batches alone, each
    written once and read once, as a share of the bandwidth of copies.
    """
    ours = [row for row in rows if row["pipeline"].startswith("loader")]
    if not ours:
        return
    row = max(ours, key=lambda row: row["images_per_second"] * bytes_of(row, size))
    moved, most = 2 * row["images_per_second"] * bytes_of(row, size), bandwidth()
    limit = ": so memory limits it as well" if moved > NEAR * most else ""
    print(
        f"{row['pipeline']} with {max(row['processes'], 1)} x {row['threads']} threads moves at "
        f"least {moved / 1e9:.1f} GB/s, {100 * moved / most:.0f} % of the {most / 1e9:.1f} GB/s of "
        f"copies on {cores()} cores{limit}"
    )


def bytes_of(row, size):
    """Bytes of an image in a batch."""
    return 3 * size * size * (1 if row["pipeline"] == "loader_uint8" else 4)


def bandwidth():
    """Bytes a second that copies on all cores read and write together: the best of REPEATS."""
    pairs = [(np.ones(BYTES, np.uint8), np.zeros(BYTES, np.uint8)) for _ in range(cores())]
    best = 0.0
    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        for _ in range(REPEATS):
            started = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, 2 * BYTES * len(pairs) / (time.perf_counter() - started))
    return best
