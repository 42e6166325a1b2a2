import colorsys
import io
import itertools

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from gluon_tricks import config as configuration
from gluon_tricks.data.augment import EvalTransform
from gluon_tricks.data.decode import Scratch
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.data.transforms import color_map, crop, paper, pca_noise, resize

MEAN, STD = np.array([123.68, 116.779, 103.939]), np.array([58.393, 57.12, 57.375])
SAMPLES = 6000


def transform(*flags):
    return paper.train_transform(configuration.parse(list(flags)))


def sampled(one, epoch=0, seed=0):
    return one.sample(seed, epoch, np.arange(SAMPLES))


def fits(values, distribution):
    """Kolmogorov and Smirnov find no difference; the seed is fixed, so this holds for ever or
    never.
    """
    return stats.kstest(values, distribution).pvalue > 1e-3


def crops(one, height, width):
    parameters = sampled(one)
    return np.array([one.window(height, width, parameters, i) for i in range(SAMPLES)])


def png(image):
    return cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()


def photo(height=60, width=80, seed=0):
    noise = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


# sampling


def test_crop_area_is_uniform_if_every_rectangle_fits():
    one = transform("--crop-area", "0.08,0.5")
    _, _, height, width = crops(one, 10000, 10000).T
    assert fits(height * width / 1e8, stats.uniform(0.08, 0.42).cdf)


def test_log_aspect_ratio_is_uniform_if_every_rectangle_fits():
    one = transform("--crop-area", "0.08,0.5")
    _, _, height, width = crops(one, 10000, 10000).T
    assert fits(np.log(width / height), stats.uniform(np.log(3 / 4), 2 * np.log(4 / 3)).cdf)


def test_crop_position_is_uniform_over_the_image():
    one = transform("--crop-area", "0.08,0.5")
    y, x, height, width = crops(one, 10000, 10000).T
    assert fits(y / (10001 - height), "uniform") and fits(x / (10001 - width), "uniform")


@pytest.mark.parametrize("height, width", [(375, 500), (500, 375), (300, 300)])
def test_crops_are_distributed_as_those_of_plain_rejection_sampling(height, width):
    """The paper's ranges, drawn again until the rectangle lies in the image; another generator."""
    random, expected = np.random.RandomState(0), []
    while len(expected) < SAMPLES:
        area = height * width * random.uniform(0.08, 1)
        ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if w <= width and h <= height:
            expected.append((random.randint(height - h + 1), random.randint(width - w + 1), h, w))
    for ours, theirs in zip(crops(transform(), height, width).T, np.array(expected).T):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_crops_lie_in_the_image_and_keep_their_ranges():
    for height, width in [(1, 1), (1, 9), (7, 3), (37, 1000), (333, 500)]:
        y, x, h, w = crops(transform(), height, width).T
        assert (y >= 0).all() and (x >= 0).all() and (h >= 1).all() and (w >= 1).all()
        assert (y + h <= height).all() and (x + w <= width).all()


def test_an_image_in_which_no_rectangle_fits_gets_the_largest_centred_square():
    tries = np.full((10, 4), 0.99)
    assert crop.choose_crop(20, 300, tries, (0.5, 1), (3 / 4, 4 / 3)) == (0, 140, 20, 20)
    assert crop.choose_crop(300, 20, tries, (0.5, 1), (3 / 4, 4 / 3)) == (140, 0, 20, 20)
    assert crop.choose_crop(300, 20, tries, (0.5, 1), (2, 3)) == (145, 0, 10, 20)


def image_record_iter(folder, **settings):
    """MXNet's iterator of a.rec in the folder, with the paper's aspect ratios, at 32 x 32."""
    return mx.io.ImageRecordIter(
        path_imgrec=str(folder / "a.rec"),
        path_imgidx=str(folder / "a.idx"),
        data_shape=(3, 32, 32),
        preprocess_threads=1,
        verbose=False,
        random_resized_crop=True,
        max_random_area=1.0,
        min_aspect_ratio=3 / 4,
        max_aspect_ratio=4 / 3,
        **settings,
    )


@pytest.mark.parametrize(
    "height, width", [(40, 90), (91, 40), (33, 120), (20, 100), (100, 20), (20, 21)]
)
def test_the_window_if_no_rectangle_fits_is_that_of_image_record_iter(tmp_path, height, width):
    """With the whole image's area no rectangle fits. The image's colours are its coordinates."""
    one = transform(
        *"--input-size 32 --crop-area 1,1 --crop-fallback window --flip 0 --color-jitter 0".split(),
        *"--pca-noise 0 --rgb-mean 0,0,0 --rgb-std 1,1,1".split(),
    )
    y, x = np.mgrid[:height, :width]
    payload = png(np.stack([x, y, 0 * x], -1).astype(np.uint8))
    with RecordWriter(tmp_path / "a.rec") as writer:
        writer.write(0, 0, payload)
    (batch,) = image_record_iter(tmp_path, batch_size=1, min_random_area=1.0)
    ours, theirs = one.apply(payload, sampled(one)), batch.data[0].asnumpy()[0]
    # It enlarges an image that is smaller than the window before it crops, and so may be off by
    # half a pixel there.
    np.testing.assert_allclose(ours, theirs, atol=0 if min(height, width) >= 32 else 1)


def test_the_window_changes_no_crop_that_fits():
    square, window = (
        transform("--input-size", "32"),
        transform("--input-size", "32", "--crop-fallback", "window"),
    )
    for height, width in ((200, 240), (100, 300)):
        one, other = crops(square, height, width), crops(window, height, width)
        differ = (one != other).any(1)
        assert 0 <= differ.mean() < 0.1 and (differ.any() or height == 200)
        assert (one[differ, 2:] == height).all() and (other[differ, 2:] == 32).all()


@pytest.mark.slow
def test_crops_are_distributed_as_those_of_image_record_iter(tmp_path):
    """Its crops are read off an image whose colours are its coordinates."""
    y, x = np.mgrid[:200, :240]
    payload = png(np.stack([x, y, 0 * x], -1).astype(np.uint8))
    with RecordWriter(tmp_path / "a.rec") as writer:
        for key in range(3000):
            writer.write(key, 0, payload)
    iterator = image_record_iter(tmp_path, batch_size=100, min_random_area=0.08)
    colors = np.concatenate([batch.data[0].asnumpy() for batch in iterator])
    width = (colors[:, 0, 16, 27] - colors[:, 0, 16, 4]) * 32 / 23
    height = (colors[:, 1, 27, 16] - colors[:, 1, 4, 16]) * 32 / 23
    ours = crops(transform(), 200, 240)
    assert stats.ks_2samp(width * height, ours[:, 2] * ours[:, 3]).pvalue > 1e-3
    # The whole pixels of small crops make the ratios of both sides lumpy, but not in the same way.
    some = width * height > 4000, ours[:, 2] * ours[:, 3] > 4000
    assert (
        stats.ks_2samp((width / height)[some[0]], (ours[:, 3] / ours[:, 2])[some[1]]).pvalue > 1e-3
    )
    centres = colors[:, :2, 15:17, 15:17].mean((2, 3))
    assert stats.ks_2samp(centres[:, 0], ours[:, 1] + (ours[:, 3] - 1) / 2).pvalue > 1e-3
    assert stats.ks_2samp(centres[:, 1], ours[:, 0] + (ours[:, 2] - 1) / 2).pvalue > 1e-3


def test_half_of_the_images_are_flipped():
    flips = sampled(transform()).values["flip"]
    assert stats.binomtest(int(flips.sum()), SAMPLES, 0.5).pvalue > 1e-3
    flips = sampled(transform("--flip", "0.2")).values["flip"]
    assert stats.binomtest(int(flips.sum()), SAMPLES, 0.2).pvalue > 1e-3


def coefficients(parameters):
    """Saturation, brightness and contrast of each image, read back from its matrix."""
    matrices = parameters.matrices.astype(np.float64) * STD[:, None]
    linear = matrices[..., :3]
    added = matrices[:, 0, 4] if matrices.shape[2] == 5 else 0  # brightness x (1 - contrast)
    both = linear[:, 0].sum(1)  # brightness x contrast: grey stays grey under saturation
    brightness = both + added
    saturation = 1 - linear[:, 0, 1] / both / 0.587
    return saturation, brightness, both / brightness


def test_paper_form_scales_hue_saturation_and_brightness_by_0_6_to_1_4():
    parameters = sampled(transform())
    saturation, brightness, contrast = coefficients(parameters)
    for values in (parameters.values["hue"], saturation, brightness):
        assert fits(values, stats.uniform(0.6, 0.8).cdf)
    np.testing.assert_allclose(contrast, 1, atol=1e-5)
    for one, other in itertools.combinations((parameters.values["hue"], saturation, brightness), 2):
        assert stats.spearmanr(one, other).pvalue > 1e-3


def test_gluoncv_form_scales_brightness_contrast_and_saturation_by_0_6_to_1_4():
    parameters = sampled(transform("--color-form", "gluoncv"))
    for values in coefficients(parameters):
        assert fits(values, stats.uniform(0.6, 0.8).cdf)
    assert "hue" not in parameters.values


def test_pca_noise_has_independent_normal_coefficients_of_the_given_deviation():
    for deviation in (0.1, 0.5):
        offset = (
            sampled(transform("--pca-noise", str(deviation))).matrices[..., 3].astype(np.float64)
            * STD
            + MEAN
        )
        noise = (
            np.linalg.solve(pca_noise.PCA_VECTORS, offset.T)
            / np.array([55.46, 4.794, 1.148])[:, None]
        )
        for values in noise:
            assert fits(values, stats.norm(0, deviation).cdf)
        for one, other in itertools.combinations(noise, 2):
            assert stats.spearmanr(one, other).pvalue > 1e-3


def test_principal_components_are_those_of_mxnets_own_augmenter():
    random = np.random.RandomState(4)
    state = np.random.get_state()
    try:
        np.random.seed(4)
        lighting = mx.image.LightingAug(0.1, pca_noise.PCA_VALUES, pca_noise.PCA_VECTORS)
        theirs = lighting(mx.nd.zeros((1, 1, 3))).asnumpy().ravel()
    finally:
        np.random.set_state(state)
    ours = pca_noise.PCA_VECTORS @ (random.normal(0, 0.1, 3) * pca_noise.PCA_VALUES)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(
        pca_noise.PCA_VECTORS.T @ pca_noise.PCA_VECTORS, np.eye(3), atol=1e-3
    )


def test_parameters_depend_on_seed_epoch_and_key_alone():
    one = transform()
    together, alone = one.sample(3, 4, np.array([10, 20, 30])), one.sample(3, 4, np.array([20]))
    np.testing.assert_array_equal(together.matrices[1:2], alone.matrices)
    for name, values in alone.values.items():
        np.testing.assert_array_equal(together.values[name][1:2], values)
    for other in (one.sample(4, 4, [20]), one.sample(3, 5, [20]), one.sample(3, 4, [21])):
        assert not np.array_equal(other.values["crop"], alone.values["crop"])
        assert not np.array_equal(other.matrices, alone.matrices)


# applying


def grey_of(pixels):
    return (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]


def plainly(image, steps):
    """The steps one after the other, each as it is defined, in float64."""
    pixels = image.astype(np.float64)
    for name, amount in steps:
        if name == "brightness":
            pixels = pixels * amount
        elif name == "saturation":
            pixels = pixels * amount + grey_of(pixels) * (1 - amount)
        elif name == "contrast":
            pixels = pixels * amount + grey_of(pixels).mean() * (1 - amount)
        elif name == "noise":
            pixels = pixels + amount
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["brightness", "contrast", "saturation"]))
)
def test_the_one_matrix_equals_the_authors_steps_in_any_order(order):
    one = transform(
        "--color-form",
        "gluoncv",
        "--input-size",
        "60",
        "--crop-area",
        "1,1",
        "--crop-aspect",
        "1,1",
        "--flip",
        "0",
    )
    image = photo(60, 60)
    parameters = one.sample(0, 0, np.arange(5))
    saturation, brightness, contrast = coefficients(parameters)
    noise = parameters.matrices[..., 3] * STD + MEAN
    for i in range(5):
        amounts = dict(brightness=brightness[i], contrast=contrast[i], saturation=saturation[i])
        expected = plainly(image, [(name, amounts[name]) for name in order] + [("noise", noise[i])])
        np.testing.assert_allclose(one.apply(png(image), parameters, i), expected, atol=2e-4)


def test_applying_changes_no_parameters():
    one = transform("--color-form", "gluoncv", "--input-size", "20")
    parameters = one.sample(0, 0, np.arange(3))
    matrices = parameters.matrices.copy()
    images = [one.apply(png(photo()), parameters, 1) for _ in range(2)]
    np.testing.assert_array_equal(*images)
    np.testing.assert_array_equal(parameters.matrices, matrices)


def test_the_papers_colour_step_equals_hue_saturation_brightness_one_after_the_other():
    one = transform(
        "--input-size", "12", "--crop-area", "1,1", "--crop-aspect", "1,1", "--flip", "0"
    )
    image = np.random.RandomState(0).randint(0, 256, (12, 12, 3)).astype(np.uint8)
    parameters = one.sample(0, 0, np.arange(6))
    saturation, brightness, _ = coefficients(parameters)
    noise = parameters.matrices[..., 3] * STD + MEAN
    for i in range(6):
        turned = np.empty(image.shape)
        for place in np.ndindex(12, 12):
            hue, s, v = colorsys.rgb_to_hsv(*(image[place] / 255))
            turned[place] = 255 * np.array(
                colorsys.hsv_to_rgb(hue * parameters.values["hue"][i] % 1, s, v)
            )
        expected = plainly(
            np.rint(turned),
            [("saturation", saturation[i]), ("brightness", brightness[i]), ("noise", noise[i])],
        )
        difference = np.abs(one.apply(png(image), parameters, i) - expected)
        # A hue that falls between two 8-bit values may be rounded to the other one.
        assert difference.max() < 1.5 * 1.4 / 57 and np.mean(difference > 2e-4) < 0.02


def test_zero_turns_every_step_off():
    image = photo(60, 60)
    flags = [
        "--flip",
        "0",
        "--color-jitter",
        "0",
        "--pca-noise",
        "0",
        "--crop-area",
        "1,1",
        "--crop-aspect",
        "1,1",
    ]
    one = transform("--input-size", "60", *flags)
    parameters = one.sample(0, 3, np.arange(4))
    for i in range(4):
        np.testing.assert_array_equal(one.image(png(image), parameters, i), image)
        np.testing.assert_allclose(
            one.apply(png(image), parameters, i), plainly(image, []), atol=1e-5
        )


def test_a_step_that_is_off_is_the_same_for_every_image():
    parameters = sampled(transform("--color-jitter", "0", "--pca-noise", "0", "--flip", "0"))
    assert len(np.unique(parameters.matrices, axis=0)) == 1 and list(parameters.values) == ["crop"]
    assert sampled(transform("--flip", "1")).values["flip"].all()


def test_geometry_is_crop_then_bilinear_resize_then_flip():
    one = transform("--input-size", "24", "--color-jitter", "0", "--pca-noise", "0")
    image = photo(60, 80)
    parameters = one.sample(0, 0, np.arange(20))
    assert 0 < parameters.values["flip"].sum() < 20
    for i in range(20):
        y, x, height, width = one.window(60, 80, parameters, i)
        expected = bilinear(image[y : y + height, x : x + width].astype(np.float64), 24, 24)
        if parameters.values["flip"][i]:
            expected = expected[:, ::-1]
        assert np.abs(one.image(png(image), parameters, i) - expected).max() <= 1


def bilinear(image, height, width):
    """Pixel centres at half integers, edges repeated, no smoothing before shrinking."""

    def places(new, old):
        centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.minimum(centre.astype(int), max(old - 2, 0))
        return low, np.minimum(low + 1, old - 1), centre - low

    low, high, share = places(height, image.shape[0])
    image = image[low] * (1 - share)[:, None, None] + image[high] * share[:, None, None]
    low, high, share = places(width, image.shape[1])
    return image[:, low] * (1 - share)[:, None] + image[:, high] * share[:, None]


@pytest.mark.parametrize(
    "height, width", [(60, 80), (80, 60), (64, 64), (31, 200), (20, 20), (5, 40)]
)
def test_evaluation_resizes_the_shorter_edge_crops_the_centre_and_normalises(height, width):
    config = configuration.parse(["--input-size", "28"])
    one = paper.eval_transform(config)
    image = photo(height, width)
    short = 32  # 28 / 0.875
    new = (short, width * short // height) if height <= width else (height * short // width, short)
    y, x = (new[0] - 28) // 2, (new[1] - 28) // 2
    expected = bilinear(image.astype(np.float64), *new)[y : y + 28, x : x + 28]
    result = one.apply(png(image), one.sample(0, 0, np.arange(3)), 1)
    assert result.shape == (3, 28, 28) and result.dtype == np.float32
    assert np.abs(result - ((expected - MEAN) / STD).transpose(2, 0, 1)).max() <= 1.01 / 57


def test_evaluation_at_the_papers_size_resizes_to_256():
    assert resize.shorter_edge(224, 0.875) == 256 and resize.shorter_edge(299, 0.875) == 342
    assert resize.resized_shape(375, 500, 256) == (256, 341)


ODD = {
    "1x1": png(photo(1, 1)),
    "8x8": png(photo(8, 8)),
    "1x300": png(photo(1, 300)),
    "300x2": png(photo(300, 2)),
    "grey": png(photo()[..., 0]),
    "alpha": cv2.imencode(".png", np.dstack([photo(), photo()[..., 0]]))[1].tobytes(),
}


@pytest.mark.parametrize("name", list(ODD) + ["cmyk"])
def test_odd_images_are_augmented_and_evaluated(name):
    payload = ODD.get(name)
    if payload is None:
        buffer = io.BytesIO()
        Image.fromarray(photo()).convert("CMYK").save(buffer, "JPEG")
        payload = buffer.getvalue()
    for one in (
        transform("--input-size", "20"),
        paper.eval_transform(configuration.parse(["--input-size", "20"])),
    ):
        result = one.apply(payload, one.sample(0, 0, np.arange(4)), 2)
        assert result.shape == (3, 20, 20) and np.isfinite(result).all()


@pytest.mark.parametrize("form", ["paper", "gluoncv"])
def test_the_device_makes_the_same_batch_as_the_host(form):
    one = transform("--input-size", "24", "--color-form", form)
    parameters = one.sample(0, 0, np.arange(6))
    payloads = [png(photo(seed=i)) for i in range(6)]
    images = np.stack([one.image(payload, parameters, i) for i, payload in enumerate(payloads)])
    batch = color_map.apply_on_device(
        mx.nd.array(images, dtype="uint8"), mx.nd.array(parameters.matrices)
    )
    assert batch.dtype == np.float32 and batch.shape == (6, 3, 24, 24)
    expected = [one.apply(payload, parameters, i) for i, payload in enumerate(payloads)]
    np.testing.assert_allclose(batch.asnumpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "height, width", [(40, 60), (61, 40), (20, 320), (300, 19), (33, 33), (7, 100)]
)
def test_evaluation_is_the_shorter_edge_then_the_centre(height, width):
    """The rule that manifests state: shorter edge rounded up, longer one and the crop's place
    rounded down.
    """
    picture = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
    transform = paper.evaluation(24, 0.875, (0, 0, 0), (1, 1, 1))
    found = transform.image(
        cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes(), transform.sample(0, 0, [0]), 0
    )
    short = 28  # 24 / 0.875 = 27.4
    size = (width * short // height, short) if height <= width else (short, height * short // width)
    whole = cv2.resize(picture, size)
    y, x = (whole.shape[0] - 24) // 2, (whole.shape[1] - 24) // 2
    np.testing.assert_array_equal(found, whole[y : y + 24, x : x + 24])


@pytest.mark.parametrize("height, width", [(1, 6000), (70000, 1), (3, 1001), (400, 20)])
def test_evaluation_of_a_long_image_shows_its_middle_and_takes_little_memory(height, width):
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    grey = 128 + 100 * np.sin((rows - (height - 1) / 2) / 20 + (columns - (width - 1) / 2) / 20)
    payload = cv2.imencode(".png", grey.astype(np.uint8))[1].tobytes()
    transform, scratch = paper.evaluation(32, 0.875, (0, 0, 0), (1, 1, 1)), Scratch()
    found = transform.image(payload, transform.sample(0, 0, [0]), 0, scratch=scratch)
    assert sum(block.nbytes for block in scratch._blocks.values()) < 100_000
    short = min(height, width)
    # of the crop's pixels, from the middle
    places = ((np.arange(32) + 0.5) / 37 * short - 16 / 37 * short) / 20
    expected = 128 + 100 * np.sin(places[:, None] + places[None, :])
    assert np.abs(found[..., 0] - expected).max() < 10


def test_the_name_that_the_first_version_documented_still_makes_evaluations_images():
    given = (32, 0.875, (0, 0, 0), (1, 1, 1))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    payload = cv2.imencode(".png", pixels)[1].tobytes()
    images = [
        made.apply(payload, made.sample(0, 0, [0]))
        for made in (EvalTransform(*given), paper.evaluation(*given))
    ]
    np.testing.assert_array_equal(*images)
    assert images[0].shape == (3, 32, 32)
