"""Windows and views, merged: against the whole picture, OpenCV's resizing and slow loops."""

import cv2
import numpy as np
import pytest

from gluon_tricks.deploy.segmentation import windows
from gluon_tricks.deploy.segmentation.windows import Views, segment
from gluon_tricks.errors import UserError

K = 4


def picture(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def normalise(pixels):
    return pixels.transpose(2, 0, 1).astype(np.float32) / 64 - 2


def by_pixel(images):
    """A network that sees a pixel alone: logits (N, K, H, W)."""
    mixed = np.array([[1, 0, -1], [0, 1, 0.5], [-1, 0.5, 1], [0.3, -0.7, 0.2]], np.float32)
    return np.einsum("kc,nchw->nkhw", mixed, images).astype(np.float32)


def by_place(images):
    """A network whose answer depends on where in its input a pixel is."""
    height, width = images.shape[2:]
    logits = by_pixel(images)
    logits[:, 0] += np.linspace(-2, 2, width, dtype=np.float32)
    logits[:, 1] += np.linspace(2, -1, height, dtype=np.float32)[:, None]
    return logits


@pytest.mark.parametrize("length", [1, 5, 30, 31, 47, 100])
def test_windows_cover_everything_and_end_with_it(length):
    found = windows.starts(length, 30)
    ends = [min(start + 30, length) for start in found]
    assert found[0] == 0 and ends[-1] == length
    assert all(0 < b - a <= 20 for a, b in zip(found, found[1:]))
    assert all(end - start == min(30, length) for start, end in zip(found, ends))


@pytest.mark.parametrize("length, scaled", [(40, 40), (40, 23), (23, 40), (7, 100), (100, 7)])
def test_every_pixel_belongs_to_the_windows_that_have_its_centre(length, scaled):
    spans = windows.spans(length, scaled, 12)
    for pixel in range(length):
        centre = (pixel + 0.5) * scaled / length
        holding = [span for span in spans if span.begin <= centre < span.end]
        assert holding == [span for span in spans if span.first <= pixel < span.last]
        assert windows.weights(length, spans)[pixel] == pytest.approx(1 / len(holding))


@pytest.mark.parametrize("shape", [(30, 45), (11, 18), (24, 20), (60, 90)])
def test_interpolation_is_opencvs(shape):
    plane = np.random.RandomState(1).uniform(size=(24, 20)).astype(np.float32)
    along = [
        windows.sampling(windows.Span(0, scaled, 0, length), 0, length, length, scaled)
        for length, scaled in zip(shape, plane.shape)
    ]
    expected = cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(windows.interpolate(plane, *along), expected, atol=1e-5)


def test_one_view_of_the_whole_picture_is_the_networks_own_answer():
    pixels = picture(20, 31)
    expected = by_place(normalise(pixels)[None])[0].argmax(axis=0)
    calls = []
    found = segment(lambda x: calls.append(x.shape) or by_place(x), normalise, pixels, Views(), K)
    assert found.dtype == np.uint8 and calls == [(1, 3, 20, 31)]
    np.testing.assert_array_equal(found, expected)


def test_a_network_that_sees_pixels_alone_gives_the_same_in_windows():
    pixels = picture(40, 50)
    whole = by_pixel(normalise(pixels)[None])[0].argmax(axis=0)
    for views in (Views(window=16), Views(window=16, mirror=True), Views(mirror=True)):
        np.testing.assert_array_equal(segment(by_pixel, normalise, pixels, views, K), whole)


def slowly(predict, pixels, views):
    """The mean over all views, with every score kept: what :func:`segment` says it computes."""
    height, width = pixels.shape[:2]
    total = np.zeros((K, height, width))
    for scale in views.scales:
        h, w = views.scaled(height, width, scale)
        image = normalise(cv2.resize(pixels, (w, h)) if (h, w) != (height, width) else pixels)
        sums, count = np.zeros((K, height, width)), np.zeros((height, width))
        for y in windows.starts(h, views.window):
            for x in windows.starts(w, views.window):
                part = image[:, y : y + views.window, x : x + views.window]
                scores = np.exp(predict(part[None])[0].astype(float))
                scores /= scores.sum(axis=0)
                if views.mirror:
                    other = np.exp(predict(part[None, :, :, ::-1])[0].astype(float))
                    scores = (scores + (other / other.sum(axis=0))[:, :, ::-1]) / 2
                for row in range(height):
                    for column in range(width):
                        cy, cx = (row + 0.5) * h / height - y, (column + 0.5) * w / width - x
                        if 0 <= cy < part.shape[1] and 0 <= cx < part.shape[2]:
                            sums[:, row, column] += bilinear(scores, cy - 0.5, cx - 0.5)
                            count[row, column] += 1
        total += sums / count
    return total.argmax(axis=0)


def bilinear(scores, y, x):
    y, x = (np.clip(place, 0, size - 1) for place, size in zip((y, x), scores.shape[1:]))
    (top, left), (fy, fx) = (int(y), int(x)), (y % 1, x % 1)
    bottom, right = min(top + 1, scores.shape[1] - 1), min(left + 1, scores.shape[2] - 1)
    upper = scores[:, top, left] * (1 - fx) + scores[:, top, right] * fx
    lower = scores[:, bottom, left] * (1 - fx) + scores[:, bottom, right] * fx
    return upper * (1 - fy) + lower * fy


VIEWS = {
    "windows": Views(window=12),
    "scales": Views(scales=(0.5, 1.0, 1.75), long_side=22, window=50),
    "all at once": Views(scales=(0.5, 1.5), mirror=True, long_side=24, window=13),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_averaged_as_a_slow_loop_does(name):
    pixels = picture(19, 26, seed=3)
    found = segment(by_place, normalise, pixels, VIEWS[name], K)
    np.testing.assert_array_equal(found, slowly(by_place, pixels, VIEWS[name]))


@pytest.mark.parametrize("name", VIEWS)
def test_bands_change_nothing(name, monkeypatch):
    pixels = picture(19, 26, seed=4)
    whole = segment(by_place, normalise, pixels, VIEWS[name], K)
    monkeypatch.setattr(windows, "MOST_SCORES", 26 * K * 4)
    assert len(list(windows.bands(19, 26, K))) > 3
    np.testing.assert_array_equal(segment(by_place, normalise, pixels, VIEWS[name], K), whole)


@pytest.mark.parametrize(
    "views, most",
    [
        (Views(window=64), 3),
        (Views(scales=(0.5, 1.5), mirror=True, window=64), 3 * (0.5**2 + 1.5**2) + 3),
    ],
)
def test_memory_follows_the_band_and_not_the_picture(views, most, monkeypatch):
    """What grows, by ``most`` bytes a pixel, are the picture's scaled copies and its classes."""
    import tracemalloc

    monkeypatch.setattr(windows, "MOST_SCORES", 1 << 16)
    peaks = []
    for side in (300, 900):
        pixels = picture(side, 200)
        tracemalloc.start()
        segment(by_pixel, normalise, pixels, views, K)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 600 * 200 * most < 600 * 200 * 4 * K


def test_scales_that_no_memory_holds_are_refused():
    with pytest.raises(UserError, match="scaled to 80000 x 80000 pixels"):
        segment(by_pixel, normalise, picture(10, 10), Views((8.0,), long_side=10000), K)
