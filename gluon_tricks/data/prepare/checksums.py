"""Compares archives with their published checksums."""

import hashlib
import os

from ...errors import UserError
from ..file_reading import open_for_reading, read_bytes
from ..parallel import Progress

BLOCK = 1 << 20


def compare(path: str, algorithm: str, published: str) -> None:
    """UserError if the file is not the published one; ``algorithm`` is a name of hashlib."""
    digest = hashlib.new(algorithm)
    descriptor, size = open_for_reading(path)
    try:
        with Progress(f"{algorithm} of {os.path.basename(path)}", size) as progress:
            for offset in range(0, size, BLOCK):
                block = read_bytes(descriptor, min(BLOCK, size - offset), offset, path)
                digest.update(block)
                progress.show(offset + len(block))
    finally:
        os.close(descriptor)
    if digest.hexdigest() != published:
        raise UserError(
            f"{path}: its {algorithm.upper()} sum is {digest.hexdigest()}, and the published one "
            f"is {published}; download it again"
        )
