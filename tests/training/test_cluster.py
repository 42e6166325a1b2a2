"""The layout's arithmetic, one worker alone, and what is refused before anything starts."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.errors import UserError
from gluon_tricks.training import cluster
from gluon_tricks.training.cluster import Layout
from gluon_tricks.training.metrics import Tally
from gluon_tricks.training.run import own_tally


class Workers:
    """``world_size`` workers in one process: their arrays are collected, then summed."""

    def __init__(self, world_size):
        self.world_size = world_size

    def all(self, call, values):
        found = []
        for self.rank, value in enumerate(values):
            self.sum = lambda array: found.append(array) or array
            call(self, value)
        return found


@pytest.mark.parametrize("workers, accumulate, devices", [(1, 1, 1), (2, 1, 1), (1, 2, 3), (3, 2, 2)])
def test_workers_micro_batches_and_devices_share_the_global_batch_out_in_order(workers, accumulate, devices):
    images, parts = [], []
    for rank in range(workers):
        layout = Layout(4, devices, accumulate, workers, rank)
        own = np.arange(layout.global_batch)[layout.first : layout.first + layout.worker_batch]
        for micro in range(accumulate):
            for device in range(devices):
                images += layout.split(own, micro, device).tolist()
                parts.append(layout.part(micro, device))
    assert images == list(range(4 * workers * accumulate * devices)) and parts == list(
        range(workers * accumulate * devices)
    )


def test_a_gathered_array_is_the_sum_of_rows_with_zeros_elsewhere():
    values = [np.array([0.1, -3.0]), np.array([1e300, 7.0]), np.array([5.0, 0.3])]
    parts = Workers(3).all(cluster.gather, values)
    np.testing.assert_array_equal(sum(parts).reshape(3, 2), values)


def test_one_worker_alone_gathers_what_it_has():
    alone = cluster.join(parse([]))
    assert isinstance(alone, cluster.Local) and (alone.rank, alone.world_size, alone.devices) == (
        0,
        1,
        [mx.cpu(0)],
    )
    assert cluster.gather_json(alone, {"a": [1, None, "ü"]}) == [{"a": [1, None, "ü"]}]
    assert cluster.gather(alone, np.zeros(0)).shape == (1, 0)


def test_every_device_has_the_first_ones_parameters_before_the_first_step():
    local = cluster.join(parse(["--cpu-contexts", "2"]))
    net = mx.gluon.nn.BatchNorm(in_channels=2)
    net.initialize(ctx=local.devices)
    net.running_mean.data(local.devices[0])[:] = 3
    local.broadcast(net, local.trainer(net, "sgd", dict(learning_rate=0.1)))
    assert net.running_mean.data(local.devices[1]).asnumpy().tolist() == [3, 3]


@pytest.mark.parametrize(
    "flags, words", [("--kvstore horovod", "horovodrun -np"), ("--kvstore dist_sync", "gluon-tricks launch")]
)
def test_a_worker_that_nobody_launched_says_how_to(monkeypatch, flags, words):
    for name in ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_PROCID", "DMLC_ROLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=words):
        cluster.join(parse(flags.split()))


@pytest.mark.parametrize(
    "flags",
    ["--stall-timeout 5", "--gradient-compression fp16", "--kvstore dist_sync --gradient-compression fp16"],
)
def test_flags_of_workers_are_refused_without_workers(flags):
    with pytest.raises(ConfigError, match="no effect"):
        parse(flags.split())


def test_a_wait_within_the_patience_is_let_be(monkeypatch):
    monkeypatch.setattr(cluster.os, "_exit", lambda code: pytest.fail("ended"))
    with cluster.Patience(60, 0):
        pass


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_tallies_of_a_checkpoint_are_a_workers_own_or_all_on_rank_0(workers):
    tallies = [dict(loss=1.5, top1=1, top5=2, images=4), dict(loss=2.0, top1=3, top5=4, images=4)]
    found = [own_tally(tallies, Layout(1, 1, 1, workers, rank)) for rank in range(workers)]
    if workers == 2:
        assert found == [Tally(**tally) for tally in tallies]
    else:
        assert found == [Tally(3.5, 4, 6, 8)] + [Tally()] * (workers - 1)
