"""MXNet keeps a limited number of oneDNN's primitives: the memory of a training on images of many
sizes stops growing.
"""

import importlib.util
import os
from pathlib import Path

import pytest

from gluon_tricks import cli, onednn_cache

SCRIPT = Path(__file__).parents[1] / "docs" / "measure_memory.py"


@pytest.mark.parametrize("said", (None, "7"))
def test_a_command_limits_the_cache_unless_the_user_has(monkeypatch, capsys, said):
    monkeypatch.setenv(onednn_cache.NAME, said or "to be restored")
    if not said:
        monkeypatch.delenv(onednn_cache.NAME)
    assert cli.main(["models", "resnet18_v1d"]) == 0
    assert os.environ[onednn_cache.NAME] == (said or "128")


@pytest.mark.slow
def test_memory_stops_growing_when_every_image_has_another_size(monkeypatch):
    """Measured: by 27 MB with the limit, and by 92 without."""
    monkeypatch.delenv(onednn_cache.NAME, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    spec = importlib.util.spec_from_file_location("measure_memory", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found = dict(script.measured(160, 40))
    assert found[160] - found[40] < 50, found
