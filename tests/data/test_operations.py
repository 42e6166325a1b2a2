"""The seam: an operation that the package does not know, in one class, added to the list."""

import dataclasses

import cv2
import numpy as np
import pytest

from gluon_tricks import config as configuration
from gluon_tricks.data import batches, loader, sources
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.data.transforms import paper
from gluon_tricks.data.transforms.crop import CentreCrop, RandomResizedCrop
from gluon_tricks.data.transforms.flip import Flip
from gluon_tricks.data.transforms.jitter import Brightness, Contrast, Saturation
from gluon_tricks.data.transforms.normalise import Normalise
from gluon_tricks.data.transforms.operation import Draws, Geometry, PixelOperation
from gluon_tricks.data.transforms.pca_noise import PCANoise
from gluon_tricks.data.transforms.resize import ResizeShorterEdge
from gluon_tricks.data.transforms.transform import Transform
from gluon_tricks.errors import UserError
from gluon_tricks.reporting import contact_sheet, targets

SIZE = 16
PLAIN = Normalise((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclasses.dataclass(frozen=True)
class Solarize(PixelOperation):
    """Invert the pixels above a threshold, of half of the images."""

    threshold: int

    name = "solarize"
    draws = Draws(purpose=9001, numbers=2)

    def sample(self, numbers):
        return numbers[:, 1] < 0.5

    def changes(self, inverted):
        return inverted

    def image(self, picture, inverted, out, scratch):
        np.copyto(out, np.where(picture > self.threshold, 255 - picture, picture))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "some.rec")
    with RecordWriter(path) as writer:
        for key in range(12):
            image = np.random.RandomState(key).randint(0, 256, (30, 40, 3)).astype(np.uint8)
            writer.write(key, key % 3, cv2.imencode(".png", image)[1].tobytes())
    return path


def with_solarize(config):
    """The paper's list, and one operation more before the colours."""
    known = paper.train_transform(config)
    number = [one.name for one in known.operations].index("saturation")
    operations = list(known.operations)
    return Transform([*operations[:number], Solarize(100), *operations[number:], known.normalise])


def load(path, transform, on_device=False):
    records = RecordFile(path)
    source = sources.RecordSource(records, transform, seed=3, classes=3, on_device=on_device)
    maker = batches.BatchMaker(source, threads=2)
    data = loader.TrainLoader(records, maker, seed=3, images=12, global_batch=12)
    try:
        (batch,) = data.batches(0, 1)
        return batch.images.asnumpy(), batch.keys
    finally:
        data.close()


@pytest.mark.parametrize("form", ["paper", "gluoncv"])
def test_a_new_operation_is_in_the_batches_and_leaves_the_others_draws_alone(records, form):
    config = configuration.parse(["--input-size", str(SIZE), "--color-form", form])
    known, extended = paper.train_transform(config), with_solarize(config)
    (before, keys), (after, _) = load(records, known, True), load(records, extended, True)
    inverted = extended.sample(3, 0, keys).values["solarize"]
    assert 0 < inverted.sum() < 12
    expected = np.where(before > 100, 255 - before, before)
    np.testing.assert_array_equal(after[inverted], expected[inverted])
    np.testing.assert_array_equal(after[~inverted], before[~inverted])
    one, other = known.sample(3, 0, keys), extended.sample(3, 0, keys)
    np.testing.assert_array_equal(one.matrices, other.matrices)
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, other.values[name])


def test_a_new_operation_is_on_the_contact_sheet(records):
    config = configuration.parse(["--input-size", str(SIZE)])
    extended, evaluation = with_solarize(config), paper.eval_transform(config)
    images, keys = load(records, extended)
    with RecordFile(records) as file:
        labels = targets.Labels(config, file)
        for image, key in zip(images[:4], keys):
            row = contact_sheet.row_of(file, int(key), extended, evaluation, 3, 1, labels.read)
            np.testing.assert_array_equal(row.images[0], image)


def test_lists_that_cannot_be_applied_are_refused_by_the_operations_name():
    with pytest.raises(ValueError, match="solarize .* before brightness"):
        Transform([Brightness(0.4), Solarize(9), PLAIN])
    with pytest.raises(ValueError, match="flip is there twice"):
        Transform([Flip(0.5), Flip(0.1), PLAIN])
    with pytest.raises(ValueError, match="Normalise"):
        Transform([Flip(0.5)])


def test_colours_are_mapped_in_the_order_of_the_list():
    """Where the operations do not commute, noise before the others, in plain float64 arithmetic."""
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    payload = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    operations = [PCANoise(0.5), Contrast(0.4), Saturation(0.4), Brightness(0.4)]
    one = Transform([CentreCrop(8), *operations, PLAIN])
    parameters = one.sample(0, 0, np.arange(3))
    grey = np.array([0.299, 0.587, 0.114])
    for i in range(3):
        noise, contrast, saturation, brightness = (parameters.values[o.name][i] for o in operations)
        noise = Transform([PCANoise(0.5), PLAIN]).sample(0, 0, [i]).matrices[0, :, 3]
        x = image + noise.astype(np.float64)
        x = contrast * x + (1 - contrast) * (x @ grey).mean()
        x = brightness * (saturation * x + (1 - saturation) * (x @ grey)[..., None])
        np.testing.assert_allclose(
            one.apply(payload, parameters, i).transpose(1, 2, 0), x, atol=1e-3
        )


# masks and boxes


def blocks(height, width):
    """An image of 16 flat fields, and the mask that numbers them."""
    y, x = np.mgrid[:height, :width]
    return ((y * 4 // height) * 4 + x * 4 // width).astype(np.uint8)


@pytest.mark.parametrize(
    "operations",
    [
        [RandomResizedCrop(48, (0.3, 1.0), (3 / 4, 4 / 3)), Flip(0.5)],
        [ResizeShorterEdge(56), Flip(0.5), CentreCrop(48)],
    ],
)
def test_a_mask_moves_with_the_image(operations):
    one, fields = Transform([*operations, PLAIN]), blocks(96, 128)
    payload = cv2.imencode(".png", np.stack([fields * 16] * 3, -1))[1].tobytes()
    parameters = one.sample(0, 0, np.arange(12))
    assert 0 < parameters.values["flip"].sum() < 12
    for i in range(12):
        image, mask = one.image(payload, parameters, i), one.mask(fields, parameters, i)
        assert mask.shape == (48, 48) and mask.dtype == np.uint8
        assert set(np.unique(mask)) <= set(range(16))
        # away from the fields' borders, where the image has colours in between
        assert np.mean(np.abs(image[..., 0] / 16.0 - mask) < 0.01) > 0.85


@pytest.mark.parametrize(
    "operations, shape",
    [
        ([RandomResizedCrop(48, (0.3, 1.0), (3 / 4, 4 / 3)), Flip(0.5)], (96, 128)),
        ([ResizeShorterEdge(56), Flip(0.5), CentreCrop(48)], (96, 128)),
        ([ResizeShorterEdge(56), Flip(0.5), CentreCrop(48)], (400, 20)),
    ],
)
def test_boxes_enclose_what_they_enclosed_before(operations, shape):
    one = Transform([*operations, PLAIN])
    height, width = shape
    box = np.array([0.4 * width, 0.45 * height, 0.7 * width, 0.6 * height]).round()
    left, top, right, bottom = box.astype(int)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    payload = cv2.imencode(".png", picture)[1].tobytes()
    parameters = one.sample(0, 0, np.arange(12))
    for i in range(12):
        white = one.image(payload, parameters, i)[..., 0] > 127
        rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
        (moved,) = one.boxes([box], height, width, parameters, i)
        assert (moved >= 0).all() and (moved <= 48).all()
        if white.any():
            seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(moved, seen, atol=2)
        else:
            assert (moved[2:] - moved[:2]).min() < 2


def test_a_box_outside_of_the_crop_has_no_area():
    one = Transform([CentreCrop(10), PLAIN])
    boxes = one.boxes([[0, 0, 3, 3], [12, 12, 18, 30]], 30, 30, one.sample(0, 0, [0]))
    np.testing.assert_array_equal(boxes, [[0, 0, 0, 0], [2, 2, 8, 10]])


def test_geometry_that_cannot_carry_them_refuses_masks_and_boxes_by_name():
    class Shear(Geometry):
        name = "shear"

    one = Transform([Shear(), PLAIN])
    for move in (
        lambda parameters: one.mask(np.zeros((4, 4)), parameters),
        lambda parameters: one.boxes([[0, 0, 1, 1]], 4, 4, parameters),
    ):
        with pytest.raises(UserError, match="shear cannot"):
            move(one.sample(0, 0, [0]))
