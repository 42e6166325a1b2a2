"""Inference with MXNet (plain, hybridized, fused, in INT8) and with onnxruntime.

MXNet reads ``OMP_NUM_THREADS`` once, when it is imported, so each runtime is measured in its own
process for each number of threads. Each round measures all of them in turn, so that a slow minute
of the machine affects all alike. A latency is the time of one call, from images in a numpy array to
logits in another.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from ..child_processes import end_with_parent, why_it_failed
from ..errors import UserError
from ..files import write_json
from ..threads import cores
from .numbers import add_numbers

RUNTIMES = {
    "plain": "MXNet, operator by operator",
    "static": "MXNet, hybridized with static memory",
    "fused": "MXNet, hybridized, operators fused by oneDNN",
    "int8": "MXNet, quantised",
    "onnxruntime": "onnxruntime on our ONNX file",
}
# (runtime, another one, how many times as fast it should be at the same batch and threads).
EXPECTED = (("int8", "static", 2.0), ("fused", "plain", 1.0), ("onnxruntime", "plain", 1.1))
WARM_UP = 3  # calls: the first allocates memory, and in the first two oneDNN reorders the weights
FEWEST = 5  # calls in a round
PROCESS_TIMEOUT = 900


def add_arguments(parser):
    """The sizes of the measurement."""
    parser.add_argument(
        "--model", default="resnet50_v1d", help="network, with random parameters [resnet50_v1d]"
    )
    add_numbers(parser, input_size=(224, "height and width"))
    parser.add_argument(
        "--batch-sizes", type=numbers, default=(1, 8), metavar="N,N", help="images a call [1,8]"
    )
    parser.add_argument(
        "--threads",
        type=numbers,
        default=None,
        metavar="N,N",
        help="OMP_NUM_THREADS [1, and all cores]",
    )
    parser.add_argument(
        "--runtimes",
        default=",".join(RUNTIMES),
        metavar="R,R",
        help="some of " + ", ".join(RUNTIMES),
    )
    add_numbers(parser, rounds=(3, "rounds over all of them"))
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="S",
        help="measuring time of one row in a round [2]",
    )


def numbers(text):
    """``1,8`` -> (1, 8). Raises ValueError for argparse."""
    values = tuple(int(part) for part in text.split(","))
    if min(values) < 1:
        raise ValueError
    return values


def main(args):
    """Print a row for each runtime, batch size and number of threads, and the ratios. Returns the
    exit code 0.
    """
    runtimes = args.runtimes.split(",")
    for name in runtimes:
        if name not in RUNTIMES:
            raise UserError("--runtimes {}: there are {}".format(name, ", ".join(RUNTIMES)))
    threads = args.threads or tuple(sorted({1, cores()}))
    print(f"{args.model} at {args.input_size}x{args.input_size}, {cores()} cores")
    print("OMP_NUM_THREADS is set for each process; unset, MXNet would use one core")
    with tempfile.TemporaryDirectory(prefix="gluon-tricks-") as folder:
        prepare(folder, args.model, args.input_size, runtimes)
        rows = measure(
            folder, runtimes, args.batch_sizes, threads, args.input_size, args.rounds, args.seconds
        )
    for row in rows:
        print(
            "{runtime:12} batch {batch:2d}, {threads} threads: median {latency_ms_median:8.2f} ms, "
            "p99 {latency_ms_p99:8.2f} ms, {images_per_second:7.1f} images/s".format(**row)
        )
    for line in ratios(rows):
        print(line)
    if args.json:
        write_json(args.json, rows)
    return 0


def prepare(folder, model, size, runtimes):
    """Write the network, and the files that the runtimes read, into ``folder``."""
    from ..deploy import graph as graphs
    from ..deploy import int8, onnx
    from ..deploy.fold import fold_batch_norm

    net, images = random_network(model, size)
    write_json(os.path.join(folder, "network.json"), dict(model=model))
    net.save_parameters(os.path.join(folder, "net.params"))
    if "onnxruntime" in runtimes:
        onnx.convert(graphs.trace(net), os.path.join(folder, "model.onnx"), (3, size, size))
    if "int8" in runtimes:
        quantized = int8.quantize(fold_batch_norm(graphs.trace(net))[0], [images])
        graphs.save(
            quantized,
            os.path.join(folder, "int8-symbol.json"),
            os.path.join(folder, "int8-0000.params"),
        )


def random_network(model, size, count=4):
    """``(network, images)``: the network has random weights, and BatchNorms with the images'
    statistics and random scales.

    Without these statistics, activations would grow or vanish from layer to layer, and INT8's
    ranges with them.
    """
    import mxnet as mx

    from .. import models

    mx.random.seed(0)
    net = models.get_model(model)
    net.initialize(mx.init.MSRAPrelu())
    images = mx.nd.random.normal(shape=(count, 3, size, size))
    net(images[:1])
    norms = []
    net.apply(
        lambda block: norms.append(block) if isinstance(block, mx.gluon.nn.BatchNorm) else None
    )
    momenta = [norm._kwargs["momentum"] for norm in norms]
    for norm in norms:
        # With it, one backward pass sets the running statistics to the batch's.
        norm._kwargs["momentum"] = 0
        norm.gamma.set_data(mx.nd.random.uniform(0.25, 0.75, norm.gamma.shape))
        norm.beta.set_data(mx.nd.random.normal(0, 0.2, norm.beta.shape))
    with mx.autograd.record():
        loss = net(images).sum()
    loss.backward()
    mx.nd.waitall()
    for norm, momentum in zip(norms, momenta):
        norm._kwargs["momentum"] = momentum
    return net, images


def measure(folder, runtimes, batch_sizes, threads, size, rounds, seconds):
    """A row for each runtime, batch size and number of threads. images_per_second follows from the
    median latency.
    """
    latencies = {(r, b, t): [] for r in runtimes for b in batch_sizes for t in threads}
    for _ in range(rounds):
        for count in threads:
            for runtime in runtimes:
                task = dict(
                    folder=folder,
                    runtime=runtime,
                    batch_sizes=batch_sizes,
                    threads=count,
                    size=size,
                    seconds=seconds,
                )
                for batch, measured in zip(batch_sizes, run_process(task)):
                    latencies[runtime, batch, count] += measured
    return [
        dict(
            runtime=runtime,
            batch=batch,
            threads=count,
            latency_ms_median=1000 * statistics.median(measured),
            latency_ms_p99=1000 * float(np.percentile(measured, 99)),
            images_per_second=batch / statistics.median(measured),
        )
        for (runtime, batch, count), measured in latencies.items()
    ]


def run_process(task):
    """The latencies of a runtime in its own process: a list of seconds for each batch size."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(task["threads"]), MXNET_SUBGRAPH_VERBOSE="0")
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [package, os.environ.get("PYTHONPATH")])
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from gluon_tricks.bench import infer; infer.work()"],
            input=json.dumps(task),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=PROCESS_TIMEOUT,
            preexec_fn=end_with_parent(),
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            "{} took over {} s: use a smaller --input-size".format(task["runtime"], PROCESS_TIMEOUT)
        ) from None
    if done.returncode:
        raise UserError("{} cannot be measured: {}".format(task["runtime"], why_it_failed(done)))
    return json.loads(done.stdout.splitlines()[-1])


def work():
    """The measuring process: read a task from standard input and print the latencies."""
    task = json.load(sys.stdin)
    result = []
    for batch in task["batch_sizes"]:
        images = (
            np.random.default_rng(0)
            .standard_normal((batch, 3, task["size"], task["size"]))
            .astype(np.float32)
        )
        predict = open_runtime(task["folder"], task["runtime"], task["threads"], images)
        for _ in range(WARM_UP):
            predict(images)
        latencies, began = [], time.perf_counter()
        while len(latencies) < FEWEST or time.perf_counter() - began < task["seconds"]:
            started = time.perf_counter()
            predict(images)
            latencies.append(time.perf_counter() - started)
        result.append(latencies)
    print(json.dumps(result))


def open_runtime(folder, runtime, threads, images):
    """A function from images to logits, both numpy arrays."""
    if runtime == "onnxruntime":
        from ..deploy import onnx

        session = onnx.session(os.path.join(folder, "model.onnx"), threads)
        return lambda images: session.run(None, {"data": images})[0]

    import mxnet as mx

    from .. import models
    from ..deploy import graph as graphs

    if runtime == "int8":
        net = graphs.block(
            graphs.load(
                os.path.join(folder, "int8-symbol.json"), os.path.join(folder, "int8-0000.params")
            )
        )
    else:
        with open(os.path.join(folder, "network.json")) as file:
            net = models.get_model(json.load(file)["model"])
        models.load_parameters(net, os.path.join(folder, "net.params"), ctx=mx.cpu())
    if runtime == "fused":
        net.hybridize(static_alloc=True, static_shape=True)
        net.optimize_for(
            mx.nd.array(images), backend="MKLDNN", static_alloc=True, static_shape=True
        )
    elif runtime != "plain":
        net.hybridize(static_alloc=True, static_shape=True)
    return lambda images: net(mx.nd.array(images)).asnumpy()


def ratios(rows):
    """Lines that compare the speeds of two runtimes, with the ratio that is expected."""
    speed = {
        (row["runtime"], row["batch"], row["threads"]): row["images_per_second"] for row in rows
    }
    for name, other, least in EXPECTED:
        reached = [
            speed[name, b, t] / speed[other, b, t]
            for r, b, t in speed
            if r == name and (other, b, t) in speed
        ]
        if reached:
            median = statistics.median(reached)
            yield (
                f"{name} / {other}: {min(reached):.2f} to {max(reached):.2f}, median {median:.2f} "
                f"(expected: at least {least:.1f})"
            )
