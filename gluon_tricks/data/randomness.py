"""Random numbers as a pure function of what they are for: a counter put through a 64-bit mixing
function.

There is no generator, no state and no library's stream, so the order of an epoch and the crop of an
image depend on (seed, epoch, record) alone: not on threads, workers, earlier draws or the version
of NumPy. The mixing function is splitmix64's (Steele, Lea, Flood 2014).
"""

import hashlib
from typing import Sequence, Union

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
Keys = Union[np.ndarray, Sequence[int]]

# What a number is for; two purposes never share their numbers. AUGMENT is for the paper's own
# operations, each with its slice (data/transforms/). A new operation takes purpose_of(its name).
ORDER, AUGMENT, SYNTHETIC = 1, 2, 3
AUTO_AUGMENT, ERASING, CUTOUT = 4, 5, 6


def purpose_of(name: str) -> int:
    """The purpose that follows from a name: 64 bits, so that no two names meet."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's output function on a uint64 array, in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def bits(purpose: int, seed: int, epoch: int, keys: Keys, count: int) -> np.ndarray:
    """uint64 ``(n, count)``: ``count`` random words for each of the ``n`` int64 ``keys``."""
    start = np.zeros(1, np.uint64)
    for word in (purpose, seed, epoch):
        start = mix(start + np.uint64((word * GOLDEN + 1) & MASK))
    states = mix(np.asarray(keys, np.int64).view(np.uint64) * np.uint64(GOLDEN) + start)
    counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return mix(mix(states[:, None] + counters) + start)


def uniforms(purpose: int, seed: int, epoch: int, keys: Keys, count: int) -> np.ndarray:
    """float64 ``(n, count)``, uniform in [0, 1)."""
    return (bits(purpose, seed, epoch, keys, count) >> np.uint64(11)) * 2.0**-53


def normals(uniform_pairs: np.ndarray) -> np.ndarray:
    """Standard normal numbers, float64 ``(...)``, from uniform ones ``(..., 2)`` (Box-Muller)."""
    radius = np.sqrt(-2 * np.log1p(-uniform_pairs[..., 0]))
    return radius * np.cos(2 * np.pi * uniform_pairs[..., 1])


def permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: a permutation of ``range(length)`` (int64), by sorting random 64-bit
    words.
    """
    return np.argsort(bits(ORDER, seed, epoch, np.arange(length), 1)[:, 0], kind="stable")
