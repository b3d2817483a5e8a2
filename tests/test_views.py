import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from edgeclf import image
from edgeclf.training.views import PLAIN, VIEWS_PER_PICTURE, Distortions, View

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
    assert len(set(views)) == VIEWS_PER_PICTURE


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
