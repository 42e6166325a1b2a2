"""``config.json`` in a run's folder: reading and writing the file, whatever a run keeps in it."""

import json
import os
from typing import Any, Dict

from ..files import plain_file, sha256_of, write_json

CONFIG = "config.json"


def read(folder: str) -> Dict[str, Any]:
    """What the file holds.

    Raises OSError if it cannot be read, and ValueError or RecursionError if it is damaged: it is no
    JSON, no dict, or has another SHA-256 than was written (older versions wrote none).
    """
    with open(os.path.join(folder, CONFIG), encoding="utf-8", opener=plain_file) as file:
        found = json.load(file)
    if not isinstance(found, dict):
        raise ValueError("it holds no names and values")
    if "sha256" in found and found["sha256"] != _digest(found):
        raise ValueError("it has another SHA-256 than was written")
    return found


def write(folder: str, contents: Dict[str, Any]) -> None:
    """Write ``contents`` and their SHA-256 into the folder."""
    write_json(os.path.join(folder, CONFIG), dict(contents, sha256=_digest(contents)))


def _digest(contents):
    return sha256_of({name: value for name, value in contents.items() if name != "sha256"})
