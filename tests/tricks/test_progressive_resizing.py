"""Progressive resizing: the size of each step, and how a batch is resized."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.tricks.mixing import mixings
from gluon_tricks.tricks.progressive_resizing import size_at


def test_composers_sizes():
    """Half the size until 40 % of the steps, whole from 80 % on, linear, multiples of 4."""
    sizes = [size_at(step, 1000, 88, 176, (0.4, 0.8), 4) for step in range(1000)]
    assert set(sizes[:401]) == {88} and set(sizes[800:]) == {176}
    assert sizes == sorted(sizes) and all(size % 4 == 0 for size in sizes)
    for step in range(400, 800):
        assert abs(sizes[step] - (88 + 88 * (step - 400) / 400)) <= 2


def test_ffcvs_sizes_are_160_and_192():
    sizes = {size_at(step, 160, 160, 192, (0.35, 0.8), 32) for step in range(160)}
    assert sizes == {160, 192}


def test_the_full_size_need_not_be_a_multiple():
    assert size_at(99, 100, 10, 33, (0.1, 0.5), 4) == 33
    assert max(size_at(step, 100, 10, 33, (0.1, 0.99), 4) for step in range(99)) <= 33


def test_a_ramp_without_length_is_a_jump():
    sizes = [size_at(step, 10, 16, 32, (0.5, 0.5), 4) for step in range(10)]
    assert sizes == [16] * 5 + [32] * 5


def test_batches_are_resized_bilinearly_from_pixel_centres():
    (resizing,) = mixings(parse(["--progressive-resizing", "16", "--input-size", "32"]), 1)
    y, x = np.mgrid[:32, :32].astype(np.float32)
    images = mx.nd.array(np.stack([x, y, x + y])[None])
    targets = mx.nd.ones((1, 3))
    small, same = resizing(images, targets, 0, 0)
    # the middle of each pair of pixels
    np.testing.assert_allclose(small[0, 0, 3].asnumpy(), 2 * np.arange(16) + 0.5, atol=1e-4)
    np.testing.assert_allclose(small[0, 1, :, 5].asnumpy(), 2 * np.arange(16) + 0.5, atol=1e-4)
    assert same is targets
    whole, _ = resizing(images, targets, 119, 0)
    assert whole is images


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--progressive-resizing 40 --input-size 32", "is not below --input-size 32"),
        ("--resizing-ramp 0,1", "--resizing-ramp has no effect"),
        ("--progressive-resizing 224", "is not below --input-size 224"),
        ("--progressive-resizing 112 --resizing-ramp 0,0", "ends above 0"),
        ("--progressive-resizing 8 --resizing-ramp 0.5,0.2", "not a range within"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, words):
    with pytest.raises(ConfigError, match=words):
        parse(flags.split())


def test_no_size_is_below_the_first():
    assert {size_at(step, 100, 100, 224, (0.4, 0.8), 32) for step in range(100)} == {
        *(100, 128, 160, 192, 224)
    }
