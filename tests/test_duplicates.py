import io

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import image
from edgeclf.data.duplicates import conflicting, fingerprint, group_near_duplicates


def scene(seed):
    """A smooth random picture, uint8 (120, 160, 3): one that survives JPEG."""
    source = np.random.default_rng(seed)
    small = source.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(
        Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)
    )


def saved(pixels, size=(160, 120), **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(buffer, "JPEG", **options)
    return image.load(buffer.getvalue(), (64, 64))


def grouped(pictures, names=None):
    names = names or [f"{number}.jpg" for number in range(len(pictures))]
    prints = np.stack([fingerprint(picture) for picture in pictures])
    flat = np.stack([picture[::4, ::4].reshape(-1) for picture in pictures])
    return group_near_duplicates(names, prints, flat.astype(np.float32)).tolist()


def test_conflicting_finds_copies_in_two_classes_only():
    digests = [b"a", b"b", b"a", b"b", b"c"]
    labels = ["x", "y", "z", "y", "x"]
    assert conflicting(digests, labels) == [[0, 2]]


def test_fingerprint_is_256_bits_of_rising_gray():
    rising = np.tile(np.arange(0, 255, 5, dtype=np.uint8)[None, :, None], (51, 1, 3))
    assert np.unpackbits(fingerprint(rising)).tolist() == [1] * 256
    assert not np.unpackbits(fingerprint(rising[:, ::-1])).any()


def test_resaved_pictures_are_grouped():
    pictures = [
        saved(scene(1), quality=95),
        saved(scene(2), quality=95),
        saved(scene(1), quality=30),
        saved(scene(1), size=(100, 75), quality=80),
    ]
    assert grouped(pictures) == [0, 1, 0, 0]


def test_different_pictures_are_not_grouped():
    pictures = [saved(scene(seed)) for seed in range(40)]
    assert grouped(pictures) == list(range(40))


def test_flat_pictures_of_two_colours_are_not_grouped():
    flat = [np.full((64, 64, 3), value, np.uint8) for value in (30, 30, 200)]
    assert grouped(flat) == [0, 0, 2]


def test_nohash_names_are_grouped():
    pictures = [saved(scene(seed)) for seed in range(3)]
    names = ["a/plate_nohash_1.jpg", "a/b.jpg", "a/plate_nohash_2.jpg"]
    assert grouped(pictures, names) == [0, 1, 0]


def test_names_and_looks_join_one_group_together():
    pictures = [
        saved(scene(seed), quality=quality)
        for seed, quality in ((1, 95), (2, 95), (3, 95), (2, 40), (4, 95), (5, 95))
    ]
    names = ["c.jpg", "b.jpg", "a_nohash_1.jpg", "a.jpg", "b_nohash_x.jpg", "d.jpg"]
    assert grouped(pictures, names) == [0, 1, 1, 1, 1, 5]


def test_many_pictures_are_compared_across_blocks():
    pictures = [saved(scene(seed % 290)) for seed in range(300)]
    assert grouped(pictures)[290:] == list(range(10))


@pytest.mark.parametrize("kind", ["decor", "flowers"])
def test_real_pictures_are_not_grouped(shared, kind):
    paths = sorted((shared / "data" / kind).rglob("*.[jp][pn]g"))[::4]
    assert len(paths) > 100
    assert grouped([image.load(path, (64, 64)) for path in paths]) == list(
        range(len(paths))
    )


def test_tiny_pictures_differ():
    pictures = [tiny.pixels("red", seed, (64, 64)) for seed in range(20)]
    assert grouped(pictures) == list(range(20))
