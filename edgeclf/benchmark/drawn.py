"""Pictures that are drawn for measuring, with the detail of a camera's."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops

# Names and (width, height).
DRAWN = {"320 x 240, drawn": (320, 240), "12 megapixels, drawn": (4000, 3000)}
# Noise in grey levels. A picture that is only enlarged is smooth, its JPEG small and
# quickly decoded; with this one of 12 megapixels has the 3 MB of a camera's.
GRAIN = 6


def draw(size: tuple[int, int]) -> Image.Image:
    """Return a picture of coloured patches with grain; `size` is (width, height)."""
    numbers = np.random.default_rng(0)
    patches = numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return enlarge(Image.fromarray(patches), size)


def enlarge(
    image: Image.Image, size: tuple[int, int], grain: int = GRAIN
) -> Image.Image:
    """Return an RGB picture of `size` = (width, height), with noise of its own.

    Args:
        image: An RGB picture, which stays as it is.
        size: Larger than it.
        grain: Of the noise, in grey levels. 0: none.
    """
    image = image.resize(size, Image.Resampling.BICUBIC)
    if not grain:
        return image
    noise = Image.effect_noise(size, grain).convert("RGB")
    return ImageChops.add(image, noise, offset=-128)
