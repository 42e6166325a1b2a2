"""AutoAugment, RandAugment, TrivialAugment: their tables, their draws, and batches with them."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.data import loader
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.data.transforms import auto_augment, paper
from gluon_tricks.data.transforms.magnitudes import timm, torchvision_narrow, torchvision_wide, tpu
from gluon_tricks.data.transforms.normalise import Normalise
from gluon_tricks.data.transforms.policy import NAMES, UNKNOWN, done
from gluon_tricks.data.transforms.transform import Transform
from gluon_tricks.errors import UserError

# operation, probability / level, as published
PUBLISHED = dict(
    imagenet="""Posterize .4/8, Rotate .6/9 | Solarize .6/5, AutoContrast .6/5
    Equalize .8/8, Equalize .6/3 | Posterize .6/7, Posterize .6/6 | Equalize .4/7, Solarize .2/4
    Equalize .4/4, Rotate .8/8 | Solarize .6/3, Equalize .6/7 | Posterize .8/5, Equalize 1/2
    Rotate .2/3, Solarize .6/8 | Equalize .6/8, Posterize .4/6 | Rotate .8/8, Color .4/0
    Rotate .4/9, Equalize .6/2 | Equalize 0/7, Equalize .8/8 | Invert .6/4, Equalize 1/8
    Color .6/4, Contrast 1/8 | Rotate .8/8, Color 1/2 | Color .8/8, Solarize .8/7
    Sharpness .4/7, Invert .6/8 | ShearX .6/5, Equalize 1/9 | Color .4/0, Equalize .6/3
    Equalize .4/7, Solarize .2/4 | Solarize .6/5, AutoContrast .6/5 | Invert .6/4, Equalize 1/8
    Color .6/4, Contrast 1/8 | Equalize .8/8, Equalize .6/3""",
    v0="""Equalize .8/1, ShearY .8/4 | Color .4/9, Equalize .6/3 | Color .4/1, Rotate .6/8
    Solarize .8/3, Equalize .4/7 | Solarize .4/2, Solarize .6/2 | Color .2/0, Equalize .8/8
    Equalize .4/8, SolarizeAdd .8/3 | ShearX .2/9, Rotate .6/8 | Color .6/1, Equalize 1/2
    Invert .4/9, Rotate .6/0 | Equalize 1/9, ShearY .6/3 | Color .4/7, Equalize .6/0
    Posterize .4/6, AutoContrast .4/7 | Solarize .6/8, Color .6/9 | Solarize .2/4, Rotate .8/9
    Rotate 1/7, TranslateY .8/9 | ShearX 0/0, Solarize .8/4 | ShearY .8/0, Color .6/4
    Color 1/0, Rotate .6/2 | Equalize .8/4, Equalize 0/8 | Equalize 1/4, AutoContrast .6/2
    ShearY .4/7, SolarizeAdd .6/7 | Posterize .8/2, Solarize .6/10 | Solarize .6/8, Equalize .6/1
    Color .8/6, Rotate .4/5""",
)
PLAIN = Normalise((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGES = 20000


def sampled(*flags, count=IMAGES):
    """What is drawn for many images: float64 (count, operations, 2)."""
    (one,) = paper.policy(parse(list(flags)))
    return Transform([one, PLAIN]).sample(0, 0, np.arange(count)).values[one.name]


def shares(values):
    """{operation's name or None: its share of all that were drawn}."""
    numbers, counts = np.unique(values[..., 0].astype(int), return_counts=True)
    names = [None if number < 0 else NAMES[number] for number in numbers]
    return dict(zip(names, counts / values[..., 0].size))


def argument(space, name, level, sign=1):
    return float(space[name](np.array(float(level)), np.array(sign)))


# ---- what levels mean


@pytest.mark.parametrize(
    "name, level, expected",
    [
        *(("posterize", level, bits) for level, bits in ((0, 0), (2, 0), (5, 2), (7, 2), (8, 3))),
        *(("solarize", level, t) for level, t in ((3, 76), (4, 102), (5, 128), (7, 179), (8, 204))),
        *(("color", level, f) for level, f in ((0, 0.1), (2, 0.46), (4, 0.82), (7, 1.36))),
        *(("tpu_contrast", 8, 1.54), ("solarize_add", 7, 77), ("solarize", 10, 256)),
        *(("rotate", 9, 27), ("shear_x", 5, 0.15), ("translate_y", 9, 225)),
    ],
)
def test_the_tpu_codes_strengths(name, level, expected):
    assert argument(tpu(), name, level) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, level, expected",
    [
        *(("posterize", level, bits) for level, bits in ((8, 4), (7, 5), (6, 5), (5, 6), (0, 8))),
        *(("solarize", 0, 255), ("solarize", 9, 0), ("solarize", 3, 170), ("color", 4, 1.4)),
        *(("rotate", 9, 30), ("shear_y", 3, 0.1), ("translate_x", 9, 101)),
    ],
)
def test_torchvisions_strengths_of_10_levels(name, level, expected):
    assert argument(torchvision_narrow(10, 224), name, level) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, level, expected",
    [
        *(("posterize", 30, 2), ("posterize", 0, 8), ("solarize", 30, 0), ("rotate", 30, 135)),
        *(("shear_x", 30, 0.99), ("translate_x", 30, 32), ("translate_x", 29, 30)),
        *(("contrast", 30, 1.99), ("brightness", 15, 1.495)),
    ],
)
def test_the_strengths_of_trivial_augment(name, level, expected):
    assert argument(torchvision_wide(), name, level) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, level, expected",
    [
        *(("posterize", 10, 0), ("posterize", 7, 2), ("posterize", 0, 4), ("solarize", 10, 0)),
        *(("solarize", 7, 77), ("solarize_add", 7, 77), ("color", 7, 1.63), ("rotate", 7, 21)),
        *(("translate_x", 10, 100.8), ("shear_y", 7, 0.21)),
    ],
)
def test_timms_strengths(name, level, expected):
    assert argument(timm(224), name, level) == pytest.approx(expected)


def test_signs_turn_directions_around():
    for space in (tpu(), timm(224), torchvision_narrow(31, 224)):
        for name in ("rotate", "shear_x", "translate_y"):
            assert argument(space, name, 5, -1) == -argument(space, name, 5)
    for space in (timm(224), torchvision_narrow(31, 224)):
        assert argument(space, "color", 5, -1) == pytest.approx(2 - argument(space, "color", 5))
    assert argument(tpu(), "color", 5, -1) == argument(tpu(), "color", 5)


# ---- the policies


def published(policy):
    """[[(operation without _, probability, level)]] of the sub-policies."""
    rows = [row for line in PUBLISHED[policy].split("\n") for row in line.split("|") if row.strip()]
    found = [re.findall(r"(\w+) ([.\d]+)/(\d+)", row.lower()) for row in rows]
    return [[(name, float(p), int(level)) for name, p, level in row] for row in found]


@pytest.mark.parametrize("policy", ["imagenet", "v0"])
def test_the_policies_are_the_published_ones(policy):
    space = tpu()
    chosen, probabilities, levels = auto_augment.sub_policies(auto_augment.POLICIES[policy], space)
    names = [name.replace("tpu_", "").replace("_", "") for name in space]
    ours = [
        [(names[place], p, level) for place, p, level in zip(*row)]
        for row in zip(chosen, probabilities, levels)
    ]
    assert ours == published(policy) and len(ours) == 25


@pytest.mark.parametrize("policy", ["imagenet", "v0"])
def test_sub_policies_are_drawn_evenly_and_each_operation_with_its_probability(policy):
    values = sampled("--auto-augment", policy)
    for slot in (0, 1):
        found, expected = shares(values[:, slot]), {}
        for row in published(policy):
            name, probability, _ = row[slot]
            expected[name] = expected.get(name, 0) + probability / 25
        found = {name.replace("tpu_", "").replace("_", ""): s for name, s in found.items() if name}
        assert found == pytest.approx({k: v for k, v in expected.items() if v}, abs=0.012)


def test_both_signs_come_equally_often():
    values = sampled("--auto-augment", "imagenet", "--auto-augment-form", "tpu")
    angles = values[values[..., 0] == NAMES.index("rotate")][:, 1]
    assert abs(np.mean(angles > 0) - 0.5) < 0.02 and set(np.abs(angles)) == {9.0, 24.0, 27.0}


def test_rand_augment_draws_from_14_operations_at_one_level():
    values = sampled("--auto-augment", "randaugment", "--randaugment-ops", "3")
    assert values.shape == (IMAGES, 3, 2)
    found = shares(values)
    assert len(found) == 14 and None in found and "invert" not in found
    assert all(abs(share - 1 / 14) < 0.004 for share in found.values())
    assert len(np.unique(values[values[..., 0] == NAMES.index("color")][:, 1])) == 2  # 1 -+ 0.27
    assert abs(np.corrcoef(values[:, 0, 0], values[:, 1, 0])[0, 1]) < 0.03


def test_timms_rand_augment_does_half_of_its_15_operations_at_levels_that_vary():
    flags = "--auto-augment randaugment --auto-augment-form timm --randaugment-magnitude 7"
    values = sampled(*flags.split(), "--randaugment-std", "0.5")
    found = shares(values)
    assert abs(found.pop(None) - 0.5) < 0.01 and len(found) == 15
    assert all(abs(share - 1 / 30) < 0.004 for share in found.values())
    levels = np.abs(values[values[..., 0] == NAMES.index("rotate")][:, 1]) / 3
    assert abs(levels.mean() - 7) < 0.05 and abs(levels.std() - 0.5) < 0.04


def test_trivial_augment_draws_one_of_14_operations_and_one_of_31_levels():
    values = sampled("--auto-augment", "trivial")
    assert values.shape == (IMAGES, 1, 2)
    found = shares(values)
    assert len(found) == 14 and all(abs(share - 1 / 14) < 0.008 for share in found.values())
    thresholds = values[values[..., 0] == NAMES.index("solarize")][:, 1]
    assert len(np.unique(thresholds)) == 31
    assert thresholds.min() == 0 and thresholds.max() == 255


# ---- in the loader


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "some.rec")
    with RecordWriter(path) as writer:
        for key in range(24):
            noise = np.random.RandomState(key).randint(0, 256, (40, 50, 3)).astype(np.uint8)
            image = cv2.GaussianBlur(noise, (7, 7), 0)
            writer.write(100 + key, key % 3, cv2.imencode(".png", image)[1].tobytes())
    return path


def batches_of(path, *flags, threads="2"):
    config = parse(
        ["--rec-train", path, "--input-size", "32", "--classes", "3", "-j", threads, *flags]
    )
    data = loader.train_loader(config, 12)
    try:
        return [(b.images.asnumpy(), b.keys) for b in data.batches(0, 4)], config
    finally:
        data.close()


def by_pillow(picture, value, fill):
    """The drawn operations on an image, by Pillow alone."""
    image = Image.fromarray(picture)
    for name, argument in done(value):
        if name == "rotate":
            image = image.rotate(argument, fillcolor=fill)
        elif name in ("shear_x", "shear_y", "translate_x", "translate_y"):
            place = dict(shear_x=1, shear_y=3, translate_x=2, translate_y=5)[name]
            matrix = [1, 0, 0, 0, 1, 0]
            matrix[place] = argument
            image = image.transform(image.size, Image.AFFINE, matrix, fillcolor=fill)
        elif name in ("color", "contrast", "brightness", "sharpness"):
            image = getattr(ImageEnhance, name.title())(image).enhance(argument)
        elif name == "posterize":
            image = ImageOps.posterize(image, int(argument))
        elif name == "solarize":
            image = ImageOps.solarize(image, argument)
        else:
            image = getattr(ImageOps, name)(image)
    return np.asarray(image)


@pytest.mark.parametrize("policy", ["imagenet", "randaugment", "trivial"])
def test_batches_are_pillows_and_nothing_else_changes(records, policy):
    """8-bit batches, before the colours."""
    flags = ["--device-augment", "--color-jitter", "0", "--seed", "7"]
    plain, _ = batches_of(records, *flags)
    found, config = batches_of(records, *flags, "--auto-augment", policy)
    (one,), changed = paper.policy(config), 0
    for step, ((before, keys), (after, same_keys)) in enumerate(zip(plain, found)):
        np.testing.assert_array_equal(keys, same_keys)
        values = paper.train_transform(config).sample(7, step // 2, keys).values[one.name]
        for picture, result, value in zip(before, after, values):
            np.testing.assert_array_equal(result, by_pillow(picture, value, (0, 0, 0)))
            changed += bool((picture != result).any())
    assert changed > 24


def test_threads_change_nothing(records):
    flags = ["--auto-augment", "randaugment", "--random-erasing", "0.5", "--erasing-fill", "noise"]
    for (one, _), (other, _) in zip(
        batches_of(records, *flags, threads="1")[0], batches_of(records, *flags, threads="3")[0]
    ):
        np.testing.assert_array_equal(one, other)


def test_masks_and_boxes_move_with_the_image():
    y, x = np.mgrid[:48, :48]
    fields = ((y // 12) * 4 + x // 12).astype(np.uint8)
    payload = cv2.imencode(".png", np.stack([fields * 16] * 3, -1))[1].tobytes()
    (policy,) = paper.policy(parse(["--auto-augment", "trivial"]))
    one = Transform([policy, PLAIN])
    parameters = one.sample(0, 0, np.arange(100))
    moved = 0
    for i, value in enumerate(parameters.values[policy.name]):
        mask = one.mask(fields, parameters, i)
        if not any(name in NAMES[:5] for name, _ in done(value)):
            np.testing.assert_array_equal(mask, fields)
            continue
        image, inside = one.image(payload, parameters, i)[..., 0], mask != UNKNOWN
        np.testing.assert_array_equal(image[inside], mask[inside] * 16)
        assert not image[~inside].any()
        (box,) = one.boxes([[12, 12, 24, 36]], 48, 48, parameters, i)
        rows, columns = np.nonzero(np.isin(mask, [5, 9]))  # the fields in the box
        if len(rows):
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            outside = np.concatenate([box[:2] - seen[:2], seen[2:] - box[2:]])
            assert outside.max() <= 1
        moved += 1
    assert moved > 20


# ---- what is refused


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--auto-augment imagenet --auto-augment-form timm", "has no --auto-augment-form timm"),
        ("--auto-augment randaugment --auto-augment-form tpu", "has no --auto-augment-form tpu"),
        ("--auto-augment trivial --auto-augment-form timm", "--auto-augment-form has no effect"),
        ("--auto-augment randaugment --randaugment-magnitude 31", "is above the maximum"),
        ("--auto-augment imagenet --randaugment-ops 3", "--randaugment-ops has no effect"),
        ("--auto-augment randaugment --randaugment-std 1", "--randaugment-std has no effect"),
        ("--erasing-fill noise", "--erasing-fill has no effect"),
    ],
)
def test_flags_that_do_nothing_or_contradict_are_refused(flags, words):
    with pytest.raises(ConfigError, match=words):
        parse(flags.split())


@pytest.mark.parametrize(
    "flags, name",
    [
        ("--auto-augment imagenet", "AutoAugment"),
        ("--auto-augment randaugment", "RandAugment"),
        ("--random-erasing 0.1", "random erasing"),
        ("--cutout 8", "Cutout"),
        ("--repeated-augmentation 2", "--repeated-augmentation"),
        ("--mixup --mixup-type 1", "--mixup-type 1"),
    ],
)
def test_the_native_reader_refuses_them_by_name(records, flags, name):
    common = ["--data-backend", "native", "--color-form", "gluoncv"]
    with pytest.raises(UserError, match=f"cannot do {name}"):
        batches_of(records, *common, *flags.split())


@pytest.mark.parametrize("flags", ["--random-erasing 0.1", "--cutout 8"])
def test_the_device_form_refuses_what_follows_the_normalisation(records, flags):
    with pytest.raises(UserError, match="--device-augment cannot do (random erasing|Cutout)"):
        batches_of(records, "--device-augment", *flags.split())
    with pytest.raises(UserError, match="--device-augment cannot do"):  # before the files are read
        loader.check_flags(parse(["--device-augment", *flags.split()]), 1)
