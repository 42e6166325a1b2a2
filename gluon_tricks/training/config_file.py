"""``config.json`` in a run's folder: reading and writing the file, whatever a run keeps in it."""

import os
from typing import Any, Dict

from ..files import read_sealed_json, write_sealed_json

CONFIG = "config.json"


def read(folder: str) -> Dict[str, Any]:
    """What the file holds. Raises as :func:`.files.read_sealed_json` does."""
    return read_sealed_json(os.path.join(folder, CONFIG))


def write(folder: str, contents: Dict[str, Any]) -> None:
    """Write ``contents`` and their SHA-256 into the folder."""
    write_sealed_json(os.path.join(folder, CONFIG), contents)
