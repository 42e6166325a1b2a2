import dataclasses
import gc
import logging
import os
import time

import mxnet as mx
import numpy as np
import pytest
from record_files import COUNT, SIZE, assert_same, config_of, contents, payload, write

from gluon_tricks import config as configuration
from gluon_tricks.data import batches, decode, loader, randomness
from gluon_tricks.data.records import RecordError, RecordFile
from gluon_tricks.data.rows import RowsFormat
from gluon_tricks.data.transforms import paper
from gluon_tricks.data.transforms.color_map import apply_on_device
from gluon_tricks.errors import UserError


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records") / "some.rec")


def train(config, global_batch, start, stop, first=0, count=None):
    data = loader.train_loader(config, global_batch, first, count)
    try:
        return [contents(batch) for batch in data.batches(start, stop)]
    finally:
        data.close()


def evaluate(config, batch_size, rank=0, world_size=1, passes=1):
    data = loader.eval_loader(config, batch_size, rank, world_size)
    try:
        return [[(contents(batch), batch.valid) for batch in data] for _ in range(passes)]
    finally:
        data.close()


# what a batch holds


@pytest.mark.parametrize("form", ["paper", "gluoncv"])
def test_batches_are_those_of_a_plain_loop_over_the_order(records, form):
    config = config_of(records, "--color-form", form, "--seed", "5")
    transform = paper.train_transform(config)
    got = train(config, 8, 0, 9)
    with RecordFile(records) as file:
        for step in range(9):
            epoch, index = divmod(step, COUNT // 8)
            order = randomness.permutation(COUNT, 5, epoch)
            for row, position in enumerate(order[8 * index : 8 * index + 8]):
                label, data = file.read(position)
                key = int(file.keys[position])
                expected = transform.apply(data, transform.sample(5, epoch, [key]))
                np.testing.assert_array_equal(got[step][0][row], expected)
                assert got[step][1][row] == label and got[step][2][row] == key


def test_batches_are_float32_nchw_on_the_cpu(records):
    data = loader.train_loader(config_of(records), 8)
    batch = next(data.batches(0, 1))
    assert batch.images.shape == (8, 3, SIZE, SIZE) and batch.images.dtype == np.float32
    assert batch.labels.shape == (8,) and batch.labels.dtype == np.float32
    assert batch.keys.shape == (8,) and batch.keys.dtype == np.int64
    assert batch.valid == 8 and batch.matrices is None
    assert batch.images.context == mx.cpu() and batch.labels.context == mx.cpu()
    data.close()


@pytest.mark.parametrize("form", ["paper", "gluoncv"])
def test_uint8_batches_become_the_float32_batches_on_the_device(records, form):
    host = train(config_of(records, "--color-form", form), 8, 0, 4)
    for got, expected in zip(
        train(config_of(records, "--color-form", form, "--device-augment"), 8, 0, 4), host
    ):
        images = mx.nd.array(got[0], dtype="uint8")
        assert images.shape == (8, SIZE, SIZE, 3)
        floats = apply_on_device(images, mx.nd.array(got[3]))
        np.testing.assert_allclose(floats.asnumpy(), expected[0], atol=1e-5)
        np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("flags", [[], ["--device-augment"]])
def test_any_number_of_threads_gives_the_same_bits(records, flags):
    expected = train(config_of(records, *flags), 16, 0, 7)
    for threads in ("1", "3", "8"):
        assert_same(train(config_of(records, "-j", threads, *flags), 16, 0, 7), expected)


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_workers_see_together_what_one_worker_sees(records, workers):
    config = config_of(records)
    alone = train(config, 16, 0, 5)
    share = 16 // workers
    parts = [train(config, 16, 0, 5, worker * share, share) for worker in range(workers)]
    together = [[np.concatenate(arrays) for arrays in zip(*step)] for step in zip(*parts)]
    assert_same(together, alone)


def test_the_step_alone_gives_the_position(records):
    config = config_of(records)
    whole = train(config, 8, 0, 14)  # two epochs of six steps and a bit
    for start in (1, 5, 6, 7, 13):
        assert_same(train(config, 8, start, 14), whole[start:])


def test_starting_late_reads_nothing_of_what_came_before(records, monkeypatch):
    reads = []
    read = RecordFile.read
    monkeypatch.setattr(
        RecordFile, "read", lambda self, position: reads.append(position) or read(self, position)
    )
    train(config_of(records), 8, 1000, 1001)
    assert len(reads) == 8


def test_an_epoch_has_each_record_at_most_once_and_drops_other_ones_each_time(records):
    config = config_of(records)
    steps = COUNT // 8
    dropped = []
    for epoch in range(4):
        keys = np.concatenate(
            [batch[2] for batch in train(config, 8, epoch * steps, (epoch + 1) * steps)]
        )
        assert len(set(keys)) == len(keys) == steps * 8
        dropped.append(frozenset(range(1000, 1000 + COUNT)) - set(keys))
    assert len(set(dropped)) == 4


def test_an_image_is_augmented_differently_in_every_epoch(tmp_path):
    config = config_of(write(tmp_path / "one.rec", 1))
    images = [batch[0] for batch in train(config, 1, 0, 5)]
    assert len({image.tobytes() for image in images}) == 5


def test_num_training_samples_shortens_the_epoch(records):
    data = loader.train_loader(config_of(records, "--num-training-samples", "20"), 8)
    assert data.steps_per_epoch == 2
    data.close()
    with pytest.raises(UserError, match="--num-training-samples 54 .* 53 records"):
        loader.train_loader(config_of(records, "--num-training-samples", "54"), 8)


# evaluation


@pytest.mark.parametrize("batch_size", [1, 7, 53, 64])
@pytest.mark.parametrize("world_size", [1, 2, 5, 60])
def test_evaluation_gives_every_image_once(records, batch_size, world_size):
    config = config_of(records)
    keys, labels = [], []
    for rank in range(world_size):
        for batch, valid in evaluate(config, batch_size, rank, world_size)[0]:
            assert len(batch[0]) == batch_size and 0 < valid <= batch_size
            keys += batch[2][:valid].tolist()
            labels += batch[1][:valid].tolist()
            assert (batch[2][valid:] == -1).all()
    assert sorted(keys) == list(range(1000, 1000 + COUNT))
    assert [label for _, label in sorted(zip(keys, labels))] == [key % 10 for key in range(COUNT)]


def test_evaluation_images_are_those_of_the_transform_and_every_pass_is_the_same(records):
    config = config_of(records)
    first, second = evaluate(config, 8, passes=2)
    transform = paper.eval_transform(config)
    with RecordFile(records) as file:
        for (batch, valid), (again, _) in zip(first, second):
            assert_same([batch], [again])
            for row in range(valid):
                data = file.read(int(batch[2][row]) - 1000)[1]
                np.testing.assert_array_equal(
                    batch[0][row], transform.apply(data, transform.sample(0, 0, [0]))
                )


@pytest.mark.parametrize("flags", [[], ["--synthetic", "20"]])
def test_evaluation_images_are_float32_also_with_device_augment(records, flags):
    config = (
        config_of(records)
        if not flags
        else configuration.parse(flags + ["--input-size", str(SIZE)])
    )
    plain = [batch for batch, _ in evaluate(config, 8)[0]]
    config = dataclasses.replace(config, device_augment=True)
    assert_same([batch for batch, _ in evaluate(config, 8)[0]], plain)


def test_eval_loader_knows_the_files_number_of_images(records):
    data = loader.eval_loader(config_of(records), 8, 1, 3)
    assert data.images == COUNT
    data.close()


@pytest.mark.parametrize("batch_size", [7, 16, 53])
def test_wrap_gives_the_batches_of_image_record_iter(records, batch_size):
    config = config_of(records, "--val-last-batch", "wrap")
    iterator = mx.io.ImageRecordIter(
        path_imgrec=records,
        batch_size=batch_size,
        data_shape=(3, SIZE, SIZE),
        resize=20,
        preprocess_threads=1,
        verbose=False,
    )
    theirs = []
    for _ in range(4):
        theirs.append([batch.label[0].asnumpy() for batch in iterator])
        iterator.reset()
    ours = [
        [batch[1] for batch, valid in one if valid == batch_size]
        for one in evaluate(config, batch_size, passes=4)
    ]
    for some, others in zip(ours, theirs):
        np.testing.assert_array_equal(some, others)


def test_a_wrapped_pass_follows_from_its_number():
    assert [loader.wrapped_pass(10, 4, number) for number in range(4)] == [
        (0, 12),
        (2, 10),
        (0, 12),
        (2, 10),
    ]
    assert [loader.wrapped_pass(3, 4, number) for number in range(3)] == [(0, 4), (1, 5), (2, 6)]


def test_wrap_with_several_workers_is_refused(records):
    with pytest.raises(UserError, match="--val-last-batch"):
        loader.eval_loader(config_of(records, "--val-last-batch", "wrap"), 8, 0, 2)


# broken images


def test_a_broken_image_is_replaced_by_the_next_of_the_order_named_and_counted(tmp_path, caplog):
    broken = (3, 4, 17)
    path = write(tmp_path / "broken.rec", broken=broken)
    for threads in ("1", "4"):
        config = config_of(path, "-j", threads)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = loader.train_loader(config, 8)
            got = [contents(batch) for batch in data.batches(0, 12)]
            assert data.bad_records == 3
            data.close()
        order = [randomness.permutation(COUNT, 0, epoch) for epoch in range(2)]
        for step, batch in enumerate(got):
            epoch, index = divmod(step, 6)
            for row, key in enumerate(batch[2]):
                place = 8 * index + row
                while order[epoch][place % COUNT] in broken:
                    place += 1
                assert key == 1000 + order[epoch][place % COUNT]
                assert batch[1][row] == (key - 1000) % 10
        for number in broken:
            named = [
                r.getMessage()
                for r in caplog.records
                if f"record {1000 + number}" in r.getMessage()
            ]
            assert len(named) == 1 and path in named[0]  # once, though it is in each epoch


def test_a_replacement_looks_as_in_its_own_place(tmp_path):
    path, whole = write(tmp_path / "broken.rec", broken=(3,)), write(tmp_path / "whole.rec")
    got, expected = train(config_of(path), 53, 0, 1)[0], train(config_of(whole), 53, 0, 1)[0]
    images = {key: image for key, image in zip(expected[2], expected[0])}
    for key, image in zip(got[2], got[0]):
        np.testing.assert_array_equal(image, images[key])


def test_too_many_broken_images_stop_the_run(tmp_path):
    path = write(tmp_path / "broken.rec", broken=range(0, 12))
    with pytest.raises(UserError, match="--max-bad-records 4") as caught:
        train(config_of(path, "--max-bad-records", "4"), 53, 0, 1)
    assert path in str(caught.value) and "record 10" in str(caught.value)
    assert len(train(config_of(path, "--max-bad-records", "12"), 53, 0, 1)) == 1


def test_a_file_of_broken_images_ends_with_an_error(tmp_path):
    path = write(tmp_path / "broken.rec", 4, broken=range(4))
    with pytest.raises(RecordError, match="cannot be decoded"):
        train(config_of(path, "--max-bad-records", "100"), 2, 0, 1)


def test_a_broken_image_in_evaluation_is_an_error_that_names_it(tmp_path):
    path = write(tmp_path / "broken.rec", broken=(7,))
    with pytest.raises(RecordError, match="record 1007.*cannot be decoded") as caught:
        evaluate(config_of(path), 8)
    assert path in str(caught.value)


def test_a_damaged_record_counts_as_broken(tmp_path):
    path = write(tmp_path / "damaged.rec")
    with RecordFile(path) as file:
        offset = int(file.offsets[9])
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\0\0\0\0")
    data = loader.train_loader(config_of(path), 53)
    (batch,) = data.batches(0, 1)
    assert data.bad_records == 1 and 1009 not in batch.keys
    data.close()


def test_a_flipped_bit_of_an_image_that_decodes_all_the_same_counts_as_broken(tmp_path):
    path = write(tmp_path / "flipped.rec")
    sound = payload(9)
    flipped = sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:]
    assert not np.array_equal(decode.decode(flipped), decode.decode(sound))
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content.replace(sound, flipped))
    data = loader.train_loader(config_of(path), 53)
    (batch,) = data.batches(0, 1)
    assert data.bad_records == 1 and 1009 not in batch.keys
    data.close()
    with pytest.raises(RecordError, match="record 1009: its bytes are not those that were written"):
        evaluate(config_of(path), 8)


@pytest.mark.parametrize("label", [10, -1, 2.5, [1.0, 2.0]])
def test_a_label_that_is_no_class_is_an_error_that_names_the_record(tmp_path, label):
    path = write(tmp_path / "labels.rec", label=lambda key: label if key == 5 else 0)
    for run in (lambda: train(config_of(path), 53, 0, 1), lambda: evaluate(config_of(path), 8)):
        with pytest.raises(UserError, match="record 1005") as caught:
            run()
        assert path in str(caught.value)


# wrong input


def test_missing_files_are_named(tmp_path, records):
    with pytest.raises(UserError, match="nowhere.rec"):
        loader.train_loader(config_of(str(tmp_path / "nowhere.rec")), 8)
    with pytest.raises(UserError, match="--rec-val"):
        loader.eval_loader(configuration.parse(["--rec-train", records]), 8)
    with pytest.raises(UserError, match="--rec-train"):
        loader.train_loader(configuration.parse([]), 8)


@pytest.mark.parametrize("backend", ["threads", "native"])
def test_an_index_that_has_lost_a_line_is_refused(tmp_path, backend):
    path, index = write(tmp_path / "some.rec"), tmp_path / "some.idx"
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:-1]))
    config = config_of(path, "--data-backend", backend, "--color-form", "gluoncv")
    for make in (loader.train_loader, loader.eval_loader):
        with pytest.raises(RecordError, match="some.idx: does not list the record at byte"):
            make(config, 8)


def test_each_rank_checks_the_labels_of_its_own_validation_images(tmp_path):
    config = config_of(write(tmp_path / "labels.rec", label=lambda key: 10 * (key == 40)))
    loader.check_labels(config, 0, 2)
    for share in ((1, 2), (0, 1)):
        with pytest.raises(UserError, match="record 1040: label 10 is none"):
            loader.check_labels(config, *share)


def test_a_batch_bigger_than_the_epoch_is_an_error(records):
    with pytest.raises(UserError, match="53 images.* 54"):
        loader.train_loader(config_of(records), 54)


# memory and threads


def test_a_batch_keeps_its_values_while_it_is_used(records):
    """Memory goes to another batch only when neither Python nor an operator in MXNet's engine uses
    it any more."""
    data = loader.train_loader(config_of(records), 8)
    held, sums, expected = [], [], []
    for step, batch in enumerate(data.batches(0, 30)):
        expected.append(batch.images.asnumpy())
        held.append(batch.images if step % 3 else batch.images[2:5])  # a slice uses the same memory
        waiting = batch.images
        # operators that queue up behind the batch, which then goes out of sight
        for _ in range(20):
            waiting = waiting * 1.0
        sums.append(waiting)
        del batch, waiting
        if len(held) > 4:
            held.pop(0)
        for back, one in enumerate(reversed(held)):
            whole = expected[step - back]
            np.testing.assert_array_equal(one.asnumpy(), whole if (step - back) % 3 else whole[2:5])
    for got, values in zip(sums, expected):
        np.testing.assert_array_equal(got.asnumpy(), values)
    data.close()


def test_memory_is_used_again(records):
    data = loader.train_loader(config_of(records), 8)
    addresses = set()
    for batch in data.batches(0, 40):
        addresses.add(address_of(batch.images))
        del batch
    gc.collect()
    assert len(addresses) <= batches.BATCHES_AHEAD + 3
    data.close()


def address_of(array):
    import ctypes

    from mxnet.base import _LIB

    pointer = ctypes.c_void_p()
    assert _LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)) == 0
    return pointer.value


@pytest.mark.slow
def test_memory_stays_constant_over_many_epochs(records):
    data = loader.train_loader(config_of(records, "--input-size", "64"), 16)

    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    for _ in data.batches(0, 30):
        pass
    before = resident()
    for _ in data.batches(30, 180):
        pass
    assert resident() - before < 10  # 150 batches of 0.8 MB each
    data.close()


def test_the_arrays_of_a_block_begin_at_cache_lines():
    format = RowsFormat(3, (5, 5, 3), np.uint8, (3, 4))
    block = np.zeros(format.nbytes, np.uint8)
    starts = [rows.ctypes.data - block.ctypes.data for rows in format.over(block)]
    assert starts[0] == 0 and len(set(starts)) == 4
    assert not any(start % 64 for start in starts) and format.nbytes % 64 == 0


def test_only_a_few_batches_are_made_ahead(records, monkeypatch):
    reads = []
    read = RecordFile.read
    monkeypatch.setattr(
        RecordFile, "read", lambda self, position: reads.append(position) or read(self, position)
    )
    data = loader.train_loader(config_of(records), 8)
    iteration = data.batches(0, 1000)
    next(iteration)
    time.sleep(0.3)
    assert len(reads) == 8 * (1 + batches.BATCHES_AHEAD)
    iteration.close()
    data.close()
    assert len(reads) <= 8 * (2 + batches.BATCHES_AHEAD)


def test_several_iterations_at_once_do_not_mix(records):
    config = config_of(records)
    data = loader.train_loader(config, 8)
    one, other = data.batches(0, 6), data.batches(3, 9)
    pairs = [(contents(a), contents(b)) for a, b in zip(one, other)]
    assert_same([pair[0] for pair in pairs], train(config, 8, 0, 6))
    assert_same([pair[1] for pair in pairs], train(config, 8, 3, 9))
    data.close()


# synthetic images


def test_synthetic_images_follow_from_seed_and_key():
    flags = ["--synthetic", "100", "--input-size", str(SIZE), "--classes", "10"]
    config = configuration.parse(flags)
    whole = train(config, 16, 0, 8)
    assert_same(train(configuration.parse(flags + ["-j", "1"]), 16, 3, 8), whole[3:])
    images = {}
    for batch in whole:
        for image, label, key in zip(*batch):
            assert images.setdefault(key, (image.tobytes(), label)) == (image.tobytes(), label)
    assert len({image for image, _ in images.values()}) > 50
    other = train(configuration.parse(flags + ["--seed", "1"]), 16, 0, 1)
    assert not np.array_equal(other[0][0], whole[0][0])


def test_synthetic_images_are_normalised_noise_also_on_the_device():
    flags = ["--synthetic", "64", "--input-size", str(SIZE)]
    floats = train(configuration.parse(flags), 64, 0, 1)[0]
    raw = train(configuration.parse(flags + ["--device-augment"]), 64, 0, 1)[0]
    made = apply_on_device(mx.nd.array(raw[0], dtype="uint8"), mx.nd.array(raw[3]))
    np.testing.assert_allclose(made.asnumpy(), floats[0], atol=1e-5)
    assert abs(raw[0].mean() - 127.5) < 1 and abs(raw[0].std() - 73.9) < 1


def test_synthetic_images_are_evaluated_once_each():
    config = configuration.parse(["--synthetic", "100", "--input-size", str(SIZE)])
    keys = [
        key
        for rank in range(3)
        for batch, valid in evaluate(config, 8, rank, 3)[0]
        for key in batch[2][:valid]
    ]
    assert sorted(keys) == list(range(100))


def test_a_wrong_index_is_a_broken_record_by_its_key_and_never_another_image(tmp_path):
    path = write(tmp_path / "some.rec", 8)
    index = tmp_path / "some.idx"
    lines = [line.split("\t") for line in index.read_text().splitlines()]
    lines[2][1], lines[5][1] = lines[5][1], lines[2][1]
    index.write_text("".join("\t".join(line) + "\n" for line in lines))
    with pytest.raises(RecordError, match="record 1002: the record at its place has the id 1005"):
        evaluate(config_of(path), 8)
    ((_, _, keys, *_),) = train(config_of(path), 8, 0, 1)
    assert not {1002, 1005} & set(keys.tolist())
    lines[2][1] = lines[3][1]
    index.write_text("".join("\t".join(line) + "\n" for line in lines))
    with pytest.raises(RecordError, match="some.idx.*line 4 has the same offset"):
        evaluate(config_of(path), 8)
