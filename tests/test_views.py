import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from edgeclf import image
from edgeclf.training.views import (
    DEFAULT_VIEWS,
    PLAIN,
    Distortions,
    View,
    draw_variations,
    load_views,
)

DIGEST = hashlib.sha256(b"picture").digest()


@pytest.fixture
def content(noise):
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def test_plain_view_is_the_picture(content):
    expected = image.load(content, (16, 24))
    np.testing.assert_array_equal(PLAIN.load(content, (16, 24), "antialias"), expected)


def test_flip_mirrors_columns(content):
    plain = PLAIN.load(content, (16, 24), "antialias")
    flipped = View(flip=True).load(content, (16, 24), "antialias")
    np.testing.assert_array_equal(flipped, plain[:, ::-1])


def test_brightness_multiplies_rounds_and_clips(content):
    plain = PLAIN.load(content, (16, 24), "antialias").astype(np.float64)
    bright = View(brightness=1.5).load(content, (16, 24), "antialias")
    expected = np.minimum(np.rint(plain * 1.5), 255)
    assert bright.dtype == np.uint8
    assert np.abs(bright - expected).max() <= 1  # halves, rounded in float32


def test_region_crops(content, noise):
    view = View(region=(0.5, 0.0, 1.0, 1.0)).load(content, (37, 26), "nearest")
    np.testing.assert_array_equal(view[:, 1:], noise[:, 28:])


def test_no_options_draw_nothing():
    assert not Distortions()


def test_flip_alone_is_one_mirrored_view():
    assert Distortions(flip_left_right=True).draw(DIGEST, 0) == [View(flip=True)]


def test_views_depend_on_picture_and_seed_alone():
    distortions = Distortions(True, 10, 20, 30)
    views = distortions.draw(DIGEST, 5)
    assert views == distortions.draw(DIGEST, 5)
    assert views != distortions.draw(DIGEST, 6)
    assert views != distortions.draw(hashlib.sha256(b"other").digest(), 5)
    assert len(set(views)) == DEFAULT_VIEWS - 1


def test_crop_and_scale_bound_the_region():
    views = Distortions(random_crop=25, random_scale=60).draw(DIGEST, 0, count=300)
    for view in views:
        left, top, right, bottom = view.region
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert 1 / (1.25 * 1.6) - 1e-9 <= right - left <= 1 / 1.25 + 1e-9
        assert (right - left) == pytest.approx(bottom - top)
        assert not view.flip
        assert view.brightness == 1.0


def test_brightness_alone_shows_the_whole_picture():
    views = Distortions(random_brightness=40).draw(DIGEST, 0, count=300)
    assert {view.region for view in views} == {(0.0, 0.0, 1.0, 1.0)}
    factors = [view.brightness for view in views]
    assert 0.6 <= min(factors) < 0.65
    assert 1.35 < max(factors) <= 1.4


def test_light_is_brightness_then_contrast_then_saturation(content):
    plain = PLAIN.load(content, (16, 24), "antialias").astype(np.float64)
    values = plain * 1.1
    values = (values - values.mean()) * 0.8 + values.mean()
    gray = values.mean(axis=2, keepdims=True)
    values = (values - gray) * 1.2 + gray
    view = View(brightness=1.1, contrast=0.8, saturation=1.2)
    lit = view.load(content, (16, 24), "antialias")
    assert np.abs(lit - np.clip(np.rint(values), 0, 255)).max() <= 1


def test_no_saturation_is_gray(content):
    lit = View(saturation=0.0).load(content, (16, 24), "antialias")
    np.testing.assert_array_equal(lit, np.repeat(lit[:, :, :1], 3, axis=2))


def test_variations_depend_on_picture_and_seed_alone():
    views = draw_variations(DIGEST, 5, 7)
    assert views == draw_variations(DIGEST, 5, 7)
    assert views[:3] == draw_variations(DIGEST, 5, 3)
    assert views != draw_variations(DIGEST, 6, 7)
    assert len(set(views)) == 7


def test_variations_stay_in_their_ranges():
    views = draw_variations(DIGEST, 0, 500)
    areas = []
    for view in views:
        left, top, right, bottom = view.region
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        areas.append((right - left) * (bottom - top))
        for factor in (view.brightness, view.contrast, view.saturation):
            assert 0.8 <= factor <= 1.2
    assert 0.45 < min(areas) < 0.55  # less than half where an edge cuts a wide crop
    assert max(areas) > 0.95
    assert 200 < sum(view.flip for view in views) < 300


def test_views_of_one_jpeg_are_those_of_each_decoded_large_enough(noise):
    """libjpeg scales while decoding: a small crop must not be blown up from that."""
    large = np.repeat(np.repeat(noise, 16, axis=0), 16, axis=1)  # (592, 848)
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, "JPEG", quality=95)
    views = [PLAIN, View(region=(0.25, 0.25, 0.5, 0.5)), View(flip=True)]
    together = load_views(buffer.getvalue(), views, (32, 32), "antialias")
    for view, pixels in zip(views, together, strict=True):
        alone = view.load(buffer.getvalue(), (32, 32), "antialias")
        difference = np.abs(pixels.astype(int) - alone)
        assert difference.mean() < 2
