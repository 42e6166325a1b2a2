"""Reads and writes ``config.json`` in a run's folder; :mod:`.run_folder` knows its contents."""

import os
from typing import Any, Dict

from ..files import read_sealed_json, write_sealed_json

CONFIG = "config.json"


def read(folder: str) -> Dict[str, Any]:
    """The contents of the file. Raises what :func:`.files.read_sealed_json` raises."""
    return read_sealed_json(os.path.join(folder, CONFIG))


def write(folder: str, contents: Dict[str, Any]) -> None:
    """Write ``contents`` and their SHA-256 into the folder."""
    write_sealed_json(os.path.join(folder, CONFIG), contents)
