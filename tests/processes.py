"""The program that tests of several workers start: the command with a tiny network, which notes
every step.
"""

import os
import time

import mxnet as mx
import numpy as np

from gluon_tricks.training.log_files import read

# The package's command with small networks without BatchNorm, and with notes of the keys, rates and
# lambdas of each step.
DRIVER = r"""
import json, os, sys
sys.argv[0] = "gluon-tricks"
import mxnet as mx
from mxnet.gluon import nn
from gluon_tricks import cli
from gluon_tricks.models.registry import register
from gluon_tricks.training import loop
from gluon_tricks.tricks import mixup

@register("tiny", input_size=32)
def tiny(name, classes):
    net = nn.HybridSequential(prefix="tiny_")
    with net.name_scope():
        net.add(nn.Conv2D(4, 5, strides=4, activation="relu", in_channels=3))
        net.add(nn.Flatten(), nn.Dense(classes, in_units=4 * 7 * 7))
    return net

@register("linear", input_size=32)
class Linear(mx.gluon.HybridBlock):
    # Operators that have float16 on a CPU: the mean of each of 4 x 4 tiles, and a product with a
    # matrix.
    def __init__(self, name, classes):
        super().__init__(prefix="linear_")
        with self.name_scope():
            self.pool = nn.AvgPool2D(8)
            self.weight = self.params.get("weight", shape=(classes, 48), init=mx.init.Uniform(0.1))

    def hybrid_forward(self, F, x, weight):
        pooled = self.pool(x).reshape((0, 1, -1))
        return F.sum(F.broadcast_mul(pooled, weight.expand_dims(0)), axis=2)

step = loop.train_step

def noted(learner, layout, devices, batch, number):
    outcome = step(learner, layout, devices, batch, number)
    with open(os.path.join(os.environ["NOTES"], "{}.jsonl".format(layout.rank)), "a") as file:
        mixed = bool(learner.objective._mixings)
        lam = mixup.draw_lambda(0.2, 0, number) if mixed else None
        arrays = [p.list_data()[0].asnumpy().astype("float64") for p in learner.trained]
        about = dict(step=number, keys=batch.keys.tolist(), rate=learner.trainer.learning_rate,
                     lam=lam, values=[float(array.sum()) for array in arrays], pid=os.getpid(),
                     workers=layout.workers)
        if outcome.counted is not None:
            about["counted"] = outcome.counted.asscalar().item()
        file.write(json.dumps(about) + chr(10))
    if os.environ.get("SLOW"):
        import time
        time.sleep(float(os.environ["SLOW"]))
    return outcome

loop.train_step = noted
if os.environ.get("OTHER_LR") and int(os.environ.get("HOROVOD_RANK", 0)) == 1:
    sys.argv += ["--lr", os.environ["OTHER_LR"]]
if os.environ.get("OVERFLOW_AT") and os.environ.get("HOROVOD_RANK") == "1":
    from gluon_tricks.distributed.horovod import HorovodTrainer
    sum_up = HorovodTrainer._allreduce_grads
    def overflow(self):
        overflow.steps += 1
        if overflow.steps == int(os.environ["OVERFLOW_AT"]):
            self._params[0].grad()[:] = float("inf")
        sum_up(self)
    overflow.steps, HorovodTrainer._allreduce_grads = 0, overflow
sys.exit(cli.main(sys.argv[1:]))
"""
# gluon-tricks launch, with the driver (the first argument) as its workers instead of the package's
# own command.
LAUNCHER = """
import sys
from gluon_tricks import cli
from gluon_tricks.distributed import launcher
driver, plan = sys.argv.pop(1), launcher.plan
def planned(*words, **about):
    found = plan(*words, **about)
    for process in found:
        if process.role == "worker":
            process.command = [sys.executable, driver] + process.command[3:]
    return found
launcher.plan = planned
sys.exit(cli.main(sys.argv[1:]))
"""
FLAGS = (
    "--model tiny --classes 10 --input-size 32 --flip 0 --color-jitter 0 --pca-noise 0 "
    "--num-epochs 2 --num-training-samples 80 --lr 0.01 --lr-mode cosine --warmup-epochs 0.5 "
    "--label-smoothing -j 1 --log-interval 5"
).split()


def result(tmp_path, name):
    """(parameters, notes by worker, log) of the run in the folder ``name``."""
    folder = tmp_path / name
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    parameters = {
        key: value.asnumpy() for key, value in mx.nd.load(str(newest / "net.params")).items()
    }
    notes = [read(str(path)) for path in sorted((tmp_path / (name + "-notes")).iterdir())]
    return parameters, notes, read(str(folder / "log.jsonl"))


def compare(first, other, atol=1e-6):
    """Assert that two dicts of parameters are equal to ``atol``."""
    assert first.keys() == other.keys()
    for name in first:
        np.testing.assert_allclose(first[name], other[name], atol=atol, err_msg=name)


def wait_for_steps(tmp_path, name, steps, ranks=(0, 1), seconds=120):
    """Wait until the workers of these ranks have noted this many steps."""
    end = time.time() + seconds
    paths = [tmp_path / (name + "-notes") / f"{rank}.jsonl" for rank in ranks]
    while not all(path.exists() and len(path.read_text().splitlines()) >= steps for path in paths):
        assert time.time() < end, f"waited {seconds} seconds in vain"
        time.sleep(0.05)


def process_of(tmp_path, name, rank):
    """The process number of a worker that has noted a step."""
    return read(str(tmp_path / (name + "-notes") / f"{rank}.jsonl"))[-1]["pid"]


def alive(folder):
    """The numbers of all processes whose command names this folder."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline") as file:
                found += [number] if str(folder) in file.read() else []
        except OSError:
            pass  # the process has ended
    return found
