"""Views: the same picture cropped, flipped or lit otherwise, for training only.

A view is drawn from a seed and the picture's own hash, so that it is the same in
every run and can be cached like the picture itself. The options and their meaning
are those of tensorflow-for-poets' `retrain`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf import image

VIEWS_PER_PICTURE = 8


@dataclass(frozen=True)
class View:
    """How a picture is changed before it becomes a bottleneck.

    Attributes:
        region: The part to crop, `(left, top, right, bottom)` in [0, 1]; None for all.
        flip: Whether left and right are swapped.
        brightness: Factor on every pixel value.
    """

    region: tuple[float, float, float, float] | None = None
    flip: bool = False
    brightness: float = 1.0

    def load(
        self, content: bytes, input_size: tuple[int, int], resize: str
    ) -> NDArray[np.uint8]:
        """Return the view of an encoded picture, uint8 `(height, width, 3)` RGB.

        Raises:
            ImageError: The picture cannot be decoded; the message calls it "it".
        """
        pixels = image.load(
            content, input_size, resize=resize, region=self.region, name="it"
        )
        if self.flip:
            pixels = pixels[:, ::-1]
        if self.brightness != 1.0:
            scaled = np.rint(pixels.astype(np.float32) * np.float32(self.brightness))
            pixels = np.clip(scaled, 0, 255).astype(np.uint8)
        return pixels


PLAIN = View()


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
        self, digest: bytes, seed: int, count: int = VIEWS_PER_PICTURE
    ) -> list[View]:
        """Return `count` views of the picture with that SHA-256.

        With `flip_left_right` alone there is nothing to draw: the mirrored picture is
        the only view.
        """
        if self == Distortions(flip_left_right=True):
            return [View(flip=True)]
        source = np.random.default_rng([seed, *np.frombuffer(digest, np.uint32)])
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
