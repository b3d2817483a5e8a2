"""Pictures: whatever the bytes are, pixels of the wanted size or an `EdgeclfError`."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image

from edgeclf import EdgeclfError, image

MAX_BYTES = 16_384
SIZE = (24, 32)  # (height, width)

warnings.simplefilter("ignore")


def seeds() -> dict[str, bytes]:
    """Return a small picture of each format that Pillow writes."""
    from test_hostile_images import samples

    return {
        name: content for name, content in samples().items() if len(content) < MAX_BYTES
    }


def try_input(content: bytes) -> None:
    """Load a picture as labelling does, in a way that its length decides."""
    number = len(content)
    size = SIZE if number % 5 else None
    try:
        pixels = image.load(
            content,
            size,
            resize=image.RESIZE_METHODS[number % 3],
            rotation=90 * (number % 4),
            region=None if number % 2 else (0.1, 0.0, 1.0, 0.7),
        )
    except EdgeclfError:
        return
    if pixels.dtype != np.uint8 or (size and pixels.shape != (*SIZE, 3)):
        raise AssertionError(f"{pixels.dtype} {pixels.shape}")
    if Image.MAX_IMAGE_PIXELS is None:  # of the process, not ours to change
        raise AssertionError("Pillow's own limit is gone")
