"""Pictures that are there already are told from new ones."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from edgeclf import image
from edgeclf.collecting.seen import Seen
from edgeclf.data.duplicates import MAX_DIFFERENT_BITS, fingerprint


def scene(seed: int) -> Image.Image:
    """A smooth random picture, 160 x 120."""
    source = np.random.default_rng(seed)
    small = source.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)


def saved(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **({"format": "JPEG"} | options))
    return buffer.getvalue()


def add(seen: Seen, content: bytes, *, colors: bool = True) -> str | None:
    pixels = image.load(content, (64, 64))
    digest = hashlib.sha256(content).digest()
    copy = seen.add(digest, fingerprint(pixels), pixels if colors else None)
    return copy and copy.kind


@pytest.mark.parametrize("colors", [True, False])
def test_copies_are_duplicates_and_resaved_ones_near_duplicates(colors):
    seen = Seen()
    picture = scene(1)
    assert add(seen, saved(picture, quality=95), colors=colors) is None
    assert add(seen, saved(picture, quality=95), colors=colors) == "duplicate"
    smaller = saved(picture.resize((100, 75)), quality=60)
    assert add(seen, smaller, colors=colors) == "near-duplicate"
    assert add(seen, smaller, colors=colors) == "duplicate"
    assert add(seen, saved(scene(2)), colors=colors) is None
    assert len(seen) == 2


def test_flat_pictures_are_told_apart_by_colour():
    seen = Seen()
    white = Image.new("RGB", (64, 64), (255, 255, 255))
    gray = Image.new("RGB", (64, 64), (120, 120, 120))
    assert add(seen, saved(white, format="PNG")) is None
    assert add(seen, saved(gray, format="PNG")) is None
    assert add(seen, saved(white, format="BMP")) == "near-duplicate"
    assert len(seen) == 2


@pytest.mark.parametrize("value", [0, 255])
def test_without_colours_no_bits_prove_nothing(value):
    seen = Seen()
    few = np.full(32, value, np.uint8)
    assert seen.add(b"a", few) is None
    assert seen.add(b"b", few) is None
    assert seen.add(b"a", few) == ("duplicate", "")


@pytest.mark.parametrize("capacity", [3, 1500])  # within the first array, beyond it
def test_the_limit_of_bits_is_that_of_the_splits(capacity):
    source = np.random.default_rng(5)
    prints = source.integers(0, 256, (capacity, 32), dtype=np.uint8)
    seen = Seen()
    for number, bits in enumerate(prints):
        assert seen.add(b"%d" % number, bits, name=f"{number}") is None
    for row in (0, capacity - 1):
        for count, expected in (
            (MAX_DIFFERENT_BITS, ("near-duplicate", f"{row}")),
            (MAX_DIFFERENT_BITS + 1, None),
        ):
            bits = np.unpackbits(prints[row])
            places = source.permutation(256)[:count]
            bits[places] ^= 1
            assert seen.add(b"%d/%d" % (row, count), np.packbits(bits)) == expected


def test_products_on_white_are_no_near_duplicates_of_each_other(shared):
    paths = sorted((shared / "data" / "style_tags").rglob("*.png"))[::3]
    if len(paths) < 100:
        pytest.skip("no pictures of products")
    seen = Seen()
    assert not any(add(seen, path.read_bytes()) for path in paths)
    with Image.open(paths[7]) as picture:
        small = picture.convert("RGB").resize((112, 112))
    assert add(seen, saved(small, quality=70)) == "near-duplicate"
