import numpy as np
import pytest
import tiny

from edgeclf import image
from edgeclf.errors import ImageError
from edgeclf.training.fresh_views import ViewLoader
from edgeclf.training.views import PLAIN, View, load_views

SIZE = (24, 20)
CROP, MIRRORED = View(region=(0.25, 0.0, 1.0, 0.5)), View(flip=True)


@pytest.fixture
def paths(tmp_path):
    tiny.write_folder(tmp_path, 4)
    return sorted(tmp_path.glob("*/*"))


def loader(paths, views):
    return ViewLoader(paths, views, SIZE, "antialias", num_workers=2)


def test_plain_pictures_are_what_the_device_sees(paths):
    with loader(paths, [[PLAIN]] * len(paths)) as views:
        batches = list(views.batches([np.array([3, 0]), np.array([5])]))
    assert [batch.shape for batch in batches] == [(2, *SIZE, 3), (1, *SIZE, 3)]
    for path, pixels in zip(
        (paths[3], paths[0], paths[5]), [*batches[0], *batches[1]], strict=True
    ):
        np.testing.assert_array_equal(pixels, image.load(path, SIZE))


def test_every_epoch_shows_the_next_view_and_then_the_first_again(paths):
    views = [PLAIN, CROP, MIRRORED]
    with loader(paths[:1], [views]) as shown:
        epochs = [next(shown.batches([np.array([0])], epoch)) for epoch in range(4)]
    content = paths[0].read_bytes()
    expected = list(load_views(content, views, SIZE, "antialias"))
    for epoch, pixels in zip(epochs, [*expected, expected[0]], strict=True):
        np.testing.assert_array_equal(epoch[0], pixels)


def test_pictures_without_room_are_decoded_again(paths, monkeypatch):
    monkeypatch.setattr("edgeclf.training.fresh_views.KEPT_BYTES", 0)
    with loader(paths, [[CROP]] * len(paths)) as shown:
        first, second = (
            next(shown.batches([np.arange(len(paths))], epoch)) for epoch in range(2)
        )
    np.testing.assert_array_equal(first, second)


def test_a_picture_that_cannot_be_decoded_is_an_error(paths):
    paths[1].write_bytes(b"no picture")
    with (
        loader(paths, [[PLAIN]] * len(paths)) as shown,
        pytest.raises(ImageError, match=paths[1].name),
    ):
        list(shown.batches([np.arange(len(paths))]))
