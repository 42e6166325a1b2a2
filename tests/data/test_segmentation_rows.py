"""Images and their masks: moved together, as GluonCV moves them, or an error that names the key."""

import contextlib
import io
import os

import cv2
import numpy as np
import pytest
from gluoncv.data import segbase
from PIL import Image, ImageFilter
from record_files import assert_same, contents

from gluon_tricks import config as configuration
from gluon_tricks.config import ConfigError
from gluon_tricks.data import loader
from gluon_tricks.data.decode import Scratch, decode_mask, size_of
from gluon_tricks.data.mask_files import mask_path_of
from gluon_tricks.data.masks import MaskFile
from gluon_tricks.data.processes import DataProcesses
from gluon_tricks.data.records import RecordError, RecordFile, RecordWriter
from gluon_tricks.data.rows import FillTask, format_of
from gluon_tricks.data.transforms.segmentation import Blur, RandomScaleCrop
from gluon_tricks.errors import UserError
from gluon_tricks.training.plan import RunPlan

KEYS = range(100, 112)
CLASSES = 5


def mask_of(key):
    """Rectangles of classes, and a frame of none."""
    mask = np.full((30 + key % 5, 40 - key % 3), 255, np.uint8)
    mask[2:-2, 2:-2] = key % CLASSES
    mask[8:20, 10:30] = (key + 1) % CLASSES
    return mask


def image_of(key):
    """An image whose colours are those of the mask: 40 for each class, and 220 for none."""
    mask = mask_of(key)
    grey = np.where(mask == 255, 220, mask * 40).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def write(folder, masks=None):
    """``some.rec`` and its masks; ``masks`` are payloads by key in place of the right ones, or
    None for no record.
    """
    path = str(folder / "some.rec")
    with RecordWriter(path) as images, RecordWriter(mask_path_of(path)) as writer:
        for key in KEYS:
            images.write(key, 0, png(image_of(key)))
            payload = (masks or {}).get(key, png(mask_of(key)))
            if payload is not None:
                writer.write(key, 0, payload)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("masks"))


def config_of(path, *flags):
    words = f"--task segmentation --classes {CLASSES} --input-size 24 --base-size 30 --rec-train"
    words += f" {path} --rec-val {path} --batch-size 4 --rgb-mean 0,0,0 --rgb-std 1,1,1 -j 2"
    return configuration.parse([*words.split(), *flags])


@contextlib.contextmanager
def source_of(config, train=True):
    records = RecordFile(config.rec_train)
    transform = loader.train_transform(config) if train else loader.eval_transform(config)
    with contextlib.closing(loader.source_of(config, records, transform)) as source:
        yield source


def rows_of(source, places, epoch=0):
    """The rows of these places, and the broken ones."""
    format = format_of(source, len(places))
    rows = format.over(np.zeros(format.nbytes, np.uint8))
    broken = source.fill(rows, FillTask(epoch, 0, np.array(places)), Scratch())
    return rows, broken


@pytest.mark.parametrize("train, flags", [(True, ["--blur", "0"]), (False, [])])
def test_the_mask_is_moved_as_the_image(path, train, flags):
    with source_of(config_of(path, *flags), train) as source:
        rows, broken = rows_of(source, range(len(KEYS)))
    assert not broken and rows.labels.shape == (len(KEYS), 24, 24)
    assert rows.labels.dtype == np.uint8 and rows.keys.tolist() == list(KEYS)
    for image, mask in zip(rows.images[:, 0], rows.labels):
        padding = (mask == 255) & (image < 1)
        expected = np.where(padding, 0, np.where(mask == 255, 220, mask * 40.0))
        # except at the edges, where the image is between two colours
        assert (np.abs(image - expected) < 2).mean() > 0.6
        inside = cv2.morphologyEx(expected, cv2.MORPH_GRADIENT, np.ones((5, 5))) == 0
        inside[[0, 1, -2, -1]] = inside[:, [0, 1, -2, -1]] = False  # they depend on pixels outside
        np.testing.assert_allclose(image[inside], expected[inside], atol=1)


class Numbers:
    """GluonCV's ``random`` with given numbers: no mirror and no blur, scale and crop as ours."""

    def __init__(self, value):
        scale, y, x = value
        self._numbers = iter((scale, x, y))

    def random(self):
        return 0.9

    def randint(self, low, high):
        return low + int(next(self._numbers) * (high - low + 1))


def gluoncvs_crop(image, mask, op, value, monkeypatch):
    """What its SegmentationDataset makes of an image and a mask, and where there is padding."""
    monkeypatch.setattr(segbase, "random", Numbers(value))
    dataset = segbase.SegmentationDataset(os.curdir, "train", "train", None, op.base, op.size)
    images = (Image.fromarray(each) for each in (image, mask + 1))
    moved, mask = (each.asnumpy().astype(int) for each in dataset._sync_transform(*images))
    return moved, np.where(mask == 0, 255, mask - 1)


@pytest.mark.parametrize("shape", [(37, 53), (53, 37), (41, 41)])
def test_scale_and_crop_are_gluoncvs(shape, monkeypatch):
    random = np.random.RandomState(1)
    smooth = cv2.resize(random.randint(1, 255, (5, 5, 3)).astype(np.uint8), shape[::-1])
    mask = random.randint(0, 7, shape).astype(np.uint8)
    op = RandomScaleCrop(48, 60, (0.5, 2.0), "long")
    for value in random.uniform(size=(20, 3)):
        image, moved = gluoncvs_crop(smooth, mask, op, value, monkeypatch)
        np.testing.assert_array_equal(op.mask(mask, value), moved)
        out = np.empty((48, 48, 3), np.uint8)
        op.image(smooth, value, out, None)
        # OpenCV's weights have 5 bits
        is_larger = op.placed(*shape, value)[0] >= shape[0]
        assert np.abs(out - image).max() <= (6 if is_larger else 0)
        np.testing.assert_array_equal((out == 0).all(axis=2), (image == 0).all(axis=2))


@pytest.mark.parametrize("height, width", [(37, 53), (53, 37), (41, 41)])
def test_the_short_side_has_the_length_as_in_the_published_runs(height, width):
    short, long = (RandomScaleCrop(48, 60, (0.5, 2.0), side) for side in ("short", "long"))
    for value in np.random.RandomState(1).uniform(size=(20, 3)):
        length = 30 + int(value[0] * 91)
        sides = short.placed(height, width, value)[:2]
        assert min(sides) == length
        assert abs(sides[0] / sides[1] - height / width) < 0.05
        assert max(long.placed(height, width, value)[:2]) == length


def test_lengths_are_the_whole_numbers_of_the_range():
    op = RandomScaleCrop(8, 10, (0.5, 2.0))
    lengths = {op.placed(30, 20, [u, 0, 0])[1] for u in np.linspace(0, 0.999, 200)}
    assert lengths == set(range(5, 21))
    assert op.placed(30, 20, [0, 0.999, 0.999])[2:] == (0, 0)  # smaller than the crop
    smallest = RandomScaleCrop(8, 1, (0.5, 2.0))
    assert smallest.placed(30, 20, [0, 0, 0])[:2] == (2, 1)  # half of 1 is no length


def test_blur_is_a_gaussians():
    values = Blur(0.25).sample(np.random.RandomState(0).uniform(size=(4000, 2)))
    assert abs((values > 0).mean() - 0.25) < 0.03 and 0.9 < values.max() < 1
    picture = np.random.RandomState(0).randint(0, 255, (20, 20, 3)).astype(np.uint8)
    picture = cv2.resize(picture, (60, 60))
    found = picture.copy()
    Blur(1.0).image(picture, 0.9, found, None)
    theirs = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(0.9)))
    assert np.abs(found.astype(int) - theirs)[3:-3, 3:-3].max() <= 4
    assert (found != picture).mean() > 0.3


@pytest.mark.parametrize("on_device", [False, True])
def test_device_augmentation_leaves_the_masks(path, on_device):
    config = config_of(path)
    with contextlib.closing(RecordFile(path)) as records:
        transform = loader.train_transform(config)
        rows, _ = rows_of(loader.source_of(config, records, transform, on_device), range(6))
        plain, _ = rows_of(loader.source_of(config, records, transform), range(6))
        np.testing.assert_array_equal(rows.labels, plain.labels)


def refused(folder, error, **masks):
    path = write(folder, {int(key[1:]): payload for key, payload in masks.items()})
    with pytest.raises(error) as caught, source_of(config_of(path)) as source:
        _, broken = rows_of(source, range(len(KEYS)))
        if broken:
            raise broken[0].error
    return str(caught.value)


def test_errors_name_the_record(tmp_path):
    small, other = mask_of(103)[1:], mask_of(103).copy()
    other[5, 5] = CLASSES
    for number, (payload, error, said) in enumerate(
        [
            (None, RecordError, "the image has no mask"),
            (png(small), UserError, "the mask has 39 x 32 pixels"),
            (
                png(other),
                UserError,
                "row 5, column 5 has the value 5, which is none of --classes 5",
            ),
            (png(image_of(103)), RecordError, "a PNG of 8-bit grey"),
            (png(mask_of(103))[:-20], RecordError, "cannot be decoded"),
            (b"no image", RecordError, "has to be a PNG"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = refused(folder, error, k103=payload)
        assert "record 103" in found and said in found and "\n" not in found


def test_a_mask_of_no_image_is_named(tmp_path):
    path = write(tmp_path)
    with RecordWriter(mask_path_of(path)) as writer:
        for key in [*KEYS, 7]:
            writer.write(key, 0, png(mask_of(key)))
    with RecordFile(path) as images, pytest.raises(
        RecordError, match="record 7: the mask has no image"
    ):
        MaskFile(images, CLASSES)


def test_files_may_be_in_different_orders(tmp_path, path):
    other = write(tmp_path)
    with RecordWriter(mask_path_of(other)) as writer:
        for key in reversed(KEYS):
            writer.write(key, 0, png(mask_of(key)))
    labels = []
    for one in (path, other):
        with source_of(config_of(one)) as source:
            labels.append(rows_of(source, range(len(KEYS)))[0].labels.copy())
    np.testing.assert_array_equal(*labels)


def test_no_masks_and_too_many_classes(tmp_path):
    path = str(tmp_path / "some.rec")
    with RecordWriter(path) as writer:
        writer.write(1, 0, png(image_of(1)))
    with RecordFile(path) as images:
        with pytest.raises(UserError, match="some.mask.rec"):
            MaskFile(images, 3)
        with pytest.raises(UserError, match="--classes 256: masks have at most 255"):
            MaskFile(images, 256)


def test_the_default_of_1000_classes_is_refused_before_the_data_are_read():
    words = "--task segmentation --classes 255".split()
    assert configuration.parse(words).classes == 255
    with pytest.raises(ConfigError, match="--classes 1000: masks have at most 255 classes"):
        configuration.parse(words[:2])


def test_sizes_are_read_from_headers():
    picture = image_of(101)
    for extension in (".jpg", ".png", ".bmp", ".ppm", ".webp"):
        payload = cv2.imencode(extension, picture)[1].tobytes()
        assert tuple(size_of(payload)) == picture.shape[:2], extension


def test_flags_that_masks_cannot_follow_are_refused(path):
    for flags in (["--mixup"], ["--label-smoothing"], ["--teacher", "t"], ["--loss", "bce"]):
        with pytest.raises(ConfigError, match=f"{flags[0]} .* does not apply to --task segment"):
            config_of(path, *flags)
    with pytest.raises(ConfigError, match="--crop-area has no effect without a --task other than"):
        config_of(path, "--crop-area", "0.2,1")
    with pytest.raises(ConfigError, match="--blur has no effect without --task segmentation"):
        configuration.parse(["--blur", "0.3"])


def test_processes_and_workers_see_the_batches_of_threads(path):
    config = config_of(path)

    def batches(pool=None, *share):
        with contextlib.closing(loader.train_loader(config, 4, *share, processes=pool)) as data:
            return [contents(batch) for batch in data.batches(0, 7)]

    whole = batches()
    assert whole[0][1].shape == (4, 24, 24) and whole[0][1].dtype == np.uint8
    with contextlib.closing(DataProcesses(2)) as pool:
        assert_same(whole, batches(pool))
    halves = [batches(None, first, 2) for first in (0, 2)]
    for both, *parts in zip(whole, *halves):
        np.testing.assert_array_equal(both[1], np.concatenate([part[1] for part in parts]))


def open_records():
    """The RecordIO files that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sorted(name for name in found if name.endswith(".rec"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
def test_loaders_close_images_and_masks_even_if_they_cannot_be_made(path, tmp_path):
    config, before = config_of(path), open_records()
    for data in (loader.train_loader(config, 4), loader.eval_loader(config, 4)):
        data.close()
    loader.check_labels(config)
    with pytest.raises(UserError, match="fewer than one global batch"):
        loader.train_loader(config, 100)
    without = write(tmp_path, {KEYS[0]: None})
    for make in (loader.train_loader, loader.eval_loader):
        with pytest.raises(UserError, match="the image has no mask"):
            make(config_of(without), 4)
    assert open_records() == before


def test_the_orientation_in_a_masks_exif_does_not_turn_it():
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(mask).save(data, "png", exif=exif)
    np.testing.assert_array_equal(decode_mask(data.getvalue()), mask)


def test_images_with_masks_are_not_classified(path):
    """The labels of all their records are 0."""
    given = dict(rec_train=path, rec_val=path, classes=2, input_size=32, batch_size=4)
    config, before = configuration.resolve(given), open_records()
    for make in (loader.train_loader, loader.eval_loader):
        with pytest.raises(UserError, match="have masks .* and no classes; give --task segmentat"):
            make(config, 4)
    assert open_records() == before
    with pytest.raises(UserError, match="give --task segmentation"):
        RunPlan(config)
