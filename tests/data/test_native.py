import os

import cv2
import mxnet as mx
import numpy as np
import pytest
import record_files

from gluon_tricks.data import loader, native
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.errors import UserError

COUNT, SIZE = record_files.COUNT, record_files.SIZE


def write(path, broken=()):
    with RecordWriter(path) as writer:
        for key in range(COUNT):
            image = np.random.RandomState(key).randint(0, 256, (24, 30, 3)).astype(np.uint8)
            data = cv2.imencode(".png", cv2.GaussianBlur(image, (5, 5), 0))[1].tobytes()
            writer.write(key, key, b"broken" if key in broken else data)
    return str(path)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records") / "some.rec")


def config_of(path, *flags):
    native = "--color-form gluoncv --data-backend native -j 1 --classes".split()
    return record_files.config_of(path, *native, str(COUNT), *flags)


def labels_of(batches):
    return [batch.labels.asnumpy()[: batch.valid].tolist() for batch in batches]


@pytest.mark.parametrize("batch_size, world_size", [(8, 1), (8, 3), (17, 3), (53, 1)])
def test_every_validation_pass_has_each_image_once(records, batch_size, world_size):
    loaders = [
        loader.eval_loader(config_of(records), batch_size, rank, world_size)
        for rank in range(world_size)
    ]
    assert loaders[0].images == COUNT
    for _ in range(3):
        passed = [label for one in loaders for part in labels_of(one) for label in part]
        assert sorted(passed) == list(range(COUNT))


def test_a_batch_that_would_wrap_twice_is_refused(records):
    with pytest.raises(UserError, match="53 images are too few for batches of 18 on 3"):
        loader.eval_loader(config_of(records), 18, 0, 3)


def test_batches_are_copied_out_of_ordinary_memory(records):
    config = config_of(records)
    assert next(native.eval_iterator(config, 8)).data[0].context == mx.cpu()
    kept, again = (list(loader.eval_loader(config, 8)) for _ in range(2))
    assert len(kept) == len(again) == 7
    for one, other in zip(kept, again):
        np.testing.assert_array_equal(one.images.asnumpy(), other.images.asnumpy())


def test_validation_images_are_those_of_our_loader(records):
    theirs = loader.eval_loader(config_of(records), 8)
    ours = loader.eval_loader(config_of(records, "--data-backend", "threads"), 8)
    batches = list(zip(theirs, ours))
    assert len(batches) == 7
    for one, other in batches:
        assert one.valid == other.valid and one.images.context == mx.cpu()
        difference = one.images.asnumpy()[: one.valid] - other.images.asnumpy()[: one.valid]
        assert np.abs(difference).max() < 1.1 / 57  # both round the resized image to 8 bits
    ours.close()


def test_wrapped_passes_are_those_of_our_loader(records):
    theirs = loader.eval_loader(config_of(records, "--val-last-batch", "wrap"), 8)
    ours = loader.eval_loader(
        config_of(records, "--val-last-batch", "wrap", "--data-backend", "threads"), 8
    )
    for number in (0, 1, 2, 5, 0):
        assert labels_of(theirs.batches(number)) == labels_of(ours.batches(number))
    ours.close()


def test_training_goes_through_its_own_epochs(records):
    data = loader.train_loader(config_of(records), 8)
    assert data.steps_per_epoch == 6 and data.bad_records == 0
    labels = labels_of(data.batches(0, 18))
    epochs = [sum(labels[6 * epoch : 6 * epoch + 6], []) for epoch in range(3)]
    assert all(len(set(epoch)) == 48 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    batch = next(data.batches(18, 19))
    assert batch.images.shape == (8, 3, SIZE, SIZE) and batch.images.dtype == np.float32
    assert batch.images.context == mx.cpu() and batch.matrices is None
    data.close()


def test_epochs_read_one_by_one_are_those_read_in_one_go(records):
    whole, parts = (loader.train_loader(config_of(records), 8) for _ in range(2))
    pieces = labels_of(parts.batches(0, 6)) + labels_of(parts.batches(6, 12))
    assert pieces == labels_of(whole.batches(0, 12))


def test_workers_read_different_images(records):
    parts = [loader.train_loader(config_of(records), 24, 8 * worker, 8) for worker in range(3)]
    seen = [set(sum(labels_of(part.batches(0, 2)), [])) for part in parts]
    assert all(len(one) == 16 for one in seen) and len(set.union(*seen)) == 48


def test_batches_keep_their_values_when_the_iterator_goes_on(records):
    data = loader.train_loader(config_of(records), 8)
    kept = []
    for batch in data.batches(0, 12):
        kept.append((batch.images, batch.images.asnumpy()))
    for images, values in kept:
        np.testing.assert_array_equal(images.asnumpy(), values)


def test_it_starts_at_epochs_and_where_it_stopped_but_nowhere_else(records):
    data = loader.train_loader(config_of(records), 8)
    assert len(list(data.batches(6, 9))) == 3
    assert len(list(data.batches(9, 11))) == 2
    with pytest.raises(UserError, match="step 2 of epoch 1.*--data-backend threads"):
        next(data.batches(8, 10))


@pytest.mark.parametrize(
    "flags", [["--color-form", "paper"], ["--flip", "0.3"], ["--device-augment"]]
)
def test_what_it_cannot_do_is_refused_by_name(records, flags):
    for make in (
        lambda config: loader.train_loader(config, 8),
        lambda config: loader.eval_loader(config, 8),
    ):
        with pytest.raises(UserError, match=flags[0]):
            make(config_of(records, *flags))


def test_a_path_that_mxnet_does_not_take_is_refused():
    with pytest.raises(UserError, match=r"\\xff.rec: MXNet takes no path that is not UTF-8"):
        loader.train_loader(config_of(os.fsdecode(b"\xff.rec")), 8)


def test_its_errors_name_the_file(tmp_path, records):
    """Only in training: a broken image in validation ends the process inside ImageRecordIter
    (division by zero)."""
    path = write(tmp_path / "broken.rec", broken=(9,))
    with pytest.raises(UserError, match="records verify") as caught:
        list(loader.train_loader(config_of(path), 8).batches(0, 6))
    assert path in str(caught.value)
    with pytest.raises(UserError, match="--classes 20"):
        list(loader.eval_loader(config_of(records, "--classes", "20"), 8))
