"""The inference bench: a row for each request, measured in a process with its own threads."""

import argparse
import json

import pytest

from gluon_tricks.bench import infer
from gluon_tricks.errors import UserError

ROW = ["runtime", "batch", "threads", "latency_ms_median", "latency_ms_p99", "images_per_second"]


def run(*arguments):
    parser = argparse.ArgumentParser()
    infer.add_arguments(parser)
    parser.add_argument("--json")
    return infer.main(parser.parse_args([str(argument) for argument in arguments]))


@pytest.mark.slow
def test_each_runtime_is_measured_at_every_batch_and_thread_count(tmp_path, capsys):
    """In their own processes. The next test runs all runtimes."""
    out = tmp_path / "rows.json"
    sizes = ["--model", "mobilenet0.25", "--input-size", 32, "--batch-sizes", "1,3", "--threads", 1]
    runtimes = ["static", "int8"]
    words = ["--runtimes", ",".join(runtimes), "--rounds", 1, "--seconds", 0.01, "--json", out]
    assert run(*sizes, *words) == 0
    rows = json.loads(out.read_text())
    assert [(row["runtime"], row["batch"], row["threads"]) for row in rows] == [
        (runtime, batch, 1) for runtime in runtimes for batch in (1, 3)
    ]
    for row in rows:
        assert list(row) == ROW
        assert 0 < row["latency_ms_median"] <= row["latency_ms_p99"]
        assert row["images_per_second"] == pytest.approx(
            1000 * row["batch"] / row["latency_ms_median"]
        )
    printed = capsys.readouterr().out
    assert "OMP_NUM_THREADS is set for each process" in printed and "int8 / static: " in printed


@pytest.mark.slow
def test_all_float_runtimes_compute_the_same_network(tmp_path):
    import numpy as np

    infer.prepare(str(tmp_path), "mobilenet0.25", 32, list(infer.RUNTIMES))
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    outputs = {
        name: infer.open_runtime(str(tmp_path), name, 1, images)(images) for name in infer.RUNTIMES
    }
    scale = np.abs(outputs["plain"]).max()
    for name in ("static", "fused", "onnxruntime"):
        np.testing.assert_allclose(outputs[name], outputs["plain"], atol=1e-4 * scale)
    # With random weights, INT8's rounding errors grow from layer to layer: here it only has to run.
    assert (
        outputs["int8"].shape == (2, 1000)
        and np.isfinite(outputs["int8"]).all()
        and outputs["int8"].std() > 0
    )


def test_threads_are_set_before_the_process_starts(monkeypatch):
    seen = {}

    def run(command, env, **rest):
        seen.update(env)
        return argparse.Namespace(returncode=0, stdout="noise\n[[0.5]]\n")

    monkeypatch.setattr(infer.subprocess, "run", run)
    assert infer.run_process(dict(runtime="plain", threads=3)) == [[0.5]]
    assert seen["OMP_NUM_THREADS"] == "3"


def test_rounds_are_pooled_and_the_median_and_the_99th_percentile_taken(monkeypatch):
    latencies = iter([[[0.010, 0.030]], [[0.020] * 97 + [0.5]]])
    monkeypatch.setattr(infer, "run_process", lambda task: next(latencies))
    (row,) = infer.measure("folder", ["plain"], (4,), (1,), 32, rounds=2, seconds=1)
    assert row["latency_ms_median"] == pytest.approx(20) and row[
        "images_per_second"
    ] == pytest.approx(200)
    assert 30 < row["latency_ms_p99"] < 500


def test_ratios_compare_rows_of_the_same_batch_and_threads():
    speeds = {
        ("int8", 1): 30.0,
        ("static", 1): 10.0,
        ("int8", 2): 20.0,
        ("static", 2): 10.0,
        ("fused", 1): 11.0,
    }
    rows = [
        dict(runtime=r, batch=1, threads=t, images_per_second=s) for (r, t), s in speeds.items()
    ]
    assert list(infer.ratios(rows)) == [
        "int8 / static: 2.00 to 3.00, median 2.50 (expected: at least 2.0)"
    ]


def test_wrong_flags_and_failing_runtimes_are_named(monkeypatch):
    with pytest.raises(UserError, match="--runtimes fast: there are plain, static"):
        run("--runtimes", "plain,fast")
    with pytest.raises(SystemExit):
        run("--batch-sizes", "1,0")
    failed = argparse.Namespace(
        returncode=1, stdout="", stderr="Traceback\nOSError: no such network\n"
    )
    monkeypatch.setattr(infer.subprocess, "run", lambda *arguments, **rest: failed)
    with pytest.raises(UserError, match="int8 cannot be measured: OSError: no such network"):
        infer.run_process(dict(runtime="int8", threads=1))
