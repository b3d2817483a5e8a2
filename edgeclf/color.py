"""Pixels of every mode that Pillow has as RGB, as a viewer would show them on white."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRIP_PIXELS = 1 << 20  # converted at a time: a whole copy more could be 400 MB

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture in mode RGB: itself, or a copy.

    Transparency is composed over white. Gray of more than 8 bits is scaled to 0-255:
    integers mean 0-65535; floats the least of 0-1, 0-255 and 0-65535 that holds them.
    Values outside are stretched from the darkest to the lightest one.
    """
    image.load()
    if image.mode.startswith(("I", "F")):
        return _in_strips(image, _gray_conversion(image))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _in_strips(image, _on_white)
    return image if image.mode == "RGB" else image.convert("RGB")


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of whole rows, from top to bottom, that cover `(width, height)`."""
    width, height = size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _in_strips(
    image: Image.Image, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    whole = Image.new("RGB", image.size)
    for box in strips(image.size):
        whole.paste(convert(image.crop(box)), box[:2])
    return whole


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _gray_conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return what turns a strip of `image`, of mode I, I;16 or F, into RGB."""
    low, scale = (0.0, 0.0) if image.mode.startswith("I;") else _range(image)
    transparent = image.info.get("transparency")

    def convert(strip: Image.Image) -> Image.Image:
        values = np.asarray(strip)
        if values.dtype.itemsize == 2:
            levels = np.arange(1 << 16, dtype=np.uint32)
            gray = ((levels + 128) // 257).astype(np.uint8)[values]
        else:
            gray = np.rint((_finite(values) - low) * scale).astype(np.uint8)
        if isinstance(transparent, int):
            gray[values == transparent] = 255
        return Image.fromarray(gray).convert("RGB")

    return convert


def _range(image: Image.Image) -> tuple[float, float]:
    """Return what is black, and how much a level is brighter than the one below."""
    tops = (1, 255, 65535) if image.mode == "F" else (65535,)
    low, high = math.inf, -math.inf
    for box in strips(image.size):
        values = _finite(np.asarray(image.crop(box)))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low >= 0 and high <= tops[-1]:
        low, high = 0.0, float(next(top for top in tops if high <= top))
    return low, 255 / (high - low) if high > low else 0.0


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
