"""Views: the same picture cropped, flipped or lit otherwise, for training only.

A view is drawn from a seed and the picture's own hash, so that it is the same in
every run and can be cached like the picture itself. The distortions and their meaning
are those of tensorflow-for-poets' `retrain`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf import image

DEFAULT_VIEWS = 8  # of a picture, the plain one included

# What views vary when no distortion is asked for.
LEAST_AREA = 0.5  # of the picture that a crop shows
ASPECT = 0.2  # how far the crop is stretched, natural logarithm
LIGHT = 0.2  # how far brightness, contrast and saturation go up or down

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """How a picture is changed before it becomes a bottleneck.

    Attributes:
        region: The part to crop, `(left, top, right, bottom)` in [0, 1]; None for all.
        flip: Whether left and right are swapped.
        brightness: Factor on every pixel value.
        contrast: Then a factor on every value's distance from the mean of all.
        saturation: Then a factor on every value's distance from its pixel's mean.
    """

    region: Region | None = None
    flip: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    def load(
        self, content: bytes, input_size: tuple[int, int], resize: str
    ) -> NDArray[np.uint8]:
        """Return the view of an encoded picture, uint8 `(height, width, 3)` RGB.

        Raises:
            ImageError: The picture cannot be decoded; the message calls it "it".
        """
        (pixels,) = load_views(content, [self], input_size, resize)
        return pixels

    def of(
        self, decoded: image.Decoded, input_size: tuple[int, int], resize: str
    ) -> NDArray[np.uint8]:
        """Return the view of a decoded picture, uint8 `(height, width, 3)` RGB."""
        if self.region is not None:
            decoded = image.Decoded(decoded.image, _within(decoded.box, self.region))
        pixels = image.stretch(decoded, input_size, resize)
        if self.flip:
            pixels = pixels[:, ::-1]
        if (self.brightness, self.contrast, self.saturation) != (1.0, 1.0, 1.0):
            pixels = self._lit(np.ascontiguousarray(pixels))
        return pixels

    def _lit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # All three are one affine map of a pixel's colours: with gray g = mean(rgb) and
        # m the mean of everything, c * b * (s * rgb + (1 - s) * g) + (1 - c) * b * m.
        factor = self.brightness * self.contrast
        others = factor * (1.0 - self.saturation) / 3
        own = factor * self.saturation + others
        offset = (1.0 - self.contrast) * self.brightness * float(pixels.mean())
        matrix = (
            *(own, others, others, offset),
            *(others, own, others, offset),
            *(others, others, own, offset),
        )
        lit = Image.fromarray(pixels).convert("RGB", matrix)  # rounds and clips
        return np.asarray(lit)


PLAIN = View()


def load_views(
    content: bytes, views: Sequence[View], input_size: tuple[int, int], resize: str
) -> Iterator[NDArray[np.uint8]]:
    """Return views of an encoded picture, decoded once for all of them.

    Args:
        content: The picture's file.
        views: The plain view alone shows exactly what `image.load` returns; a JPEG
            may be decoded larger than that for the sake of small crops.
        input_size: `(height, width)` of the results in pixels.
        resize: As for `image.load`.

    Returns:
        uint8 `(height, width, 3)` RGB each.

    Raises:
        ImageError: The picture cannot be decoded; the message calls it "it".
    """
    decoded = decode_for(content, views, input_size, resize)
    # One at a time: a large network's inputs take more memory than the picture.
    return (view.of(decoded, input_size, resize) for view in views)


def decode_for(
    content: bytes, views: Sequence[View], input_size: tuple[int, int], resize: str
) -> image.Decoded:
    """Decode a picture as large as these views of it need.

    Args:
        content: The picture's file.
        views: What `View.of` will be called for.
        input_size: As for `load_views`.
        resize: As for `image.load`.

    Raises:
        ImageError: The picture cannot be decoded; the message calls it "it".
    """
    regions = [view.region or (0.0, 0.0, 1.0, 1.0) for view in views]
    narrowest = min(right - left for left, _, right, _ in regions)
    lowest = min(bottom - top for _, top, _, bottom in regions)
    height, width = input_size
    # The whole picture at the size at which the smallest crop has the input's.
    whole_size = (math.ceil(height / lowest), math.ceil(width / narrowest))
    return image.decode(content, whole_size, resize=resize, name="it")


def _within(box: image.Box, region: Region) -> image.Box:
    """Return the part of a box that a relative region of it covers."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    return (
        left + region[0] * width,
        top + region[1] * height,
        left + region[2] * width,
        top + region[3] * height,
    )


@dataclass(frozen=True)
class Distortions:
    """Ranges that views are drawn from; all off by default.

    Attributes:
        flip_left_right: Whether half of the views are mirrored.
        random_crop: Margin around the crop box, percent.
        random_scale: How much to enlarge before cropping, percent.
        random_brightness: How far to darken or lighten, percent (0-100).
    """

    flip_left_right: bool = False
    random_crop: float = 0.0
    random_scale: float = 0.0
    random_brightness: float = 0.0

    def __bool__(self) -> bool:
        return self != Distortions()

    def draw(
        self, digest: bytes, seed: int, count: int = DEFAULT_VIEWS - 1
    ) -> list[View]:
        """Return `count` views of the picture with that SHA-256.

        With `flip_left_right` alone there is nothing to draw: the mirrored picture is
        the only view.
        """
        if self == Distortions(flip_left_right=True):
            return [View(flip=True)][:count]
        source = _source(digest, seed)
        return [self._draw_one(source) for _ in range(count)]

    def _draw_one(self, source: np.random.Generator) -> View:
        # retrain.py enlarges the picture by margin * scale and crops the input size
        # out of it: the crop then shows 1 / (margin * scale) of each side.
        margin = 1.0 + self.random_crop / 100.0
        scale = source.uniform(1.0, 1.0 + self.random_scale / 100.0)
        side = 1.0 / (margin * scale)
        left, top = source.uniform(0.0, 1.0 - side, size=2).tolist()
        spread = self.random_brightness / 100.0
        return View(
            region=(left, top, min(left + side, 1.0), min(top + side, 1.0)),
            flip=self.flip_left_right and bool(source.random() < 0.5),
            brightness=float(source.uniform(1.0 - spread, 1.0 + spread)),
        )


def draw_variations(digest: bytes, seed: int, count: int) -> list[View]:
    """Return `count` views of the picture with that SHA-256: crops, flips, light."""
    source = _source(digest, seed)
    return [_draw_variation(source) for _ in range(count)]


def _draw_variation(source: np.random.Generator) -> View:
    area = source.uniform(LEAST_AREA, 1.0)
    aspect = math.exp(source.uniform(-ASPECT, ASPECT))
    width = min(1.0, math.sqrt(area * aspect))
    height = min(1.0, math.sqrt(area / aspect))
    left, top = source.uniform(0.0, 1.0 - width), source.uniform(0.0, 1.0 - height)
    flip = bool(source.random() < 0.5)
    factors = source.uniform(1.0 - LIGHT, 1.0 + LIGHT, size=3).tolist()
    region = (left, top, min(left + width, 1.0), min(top + height, 1.0))
    return View(region, flip, *factors)


def _source(digest: bytes, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32)])
