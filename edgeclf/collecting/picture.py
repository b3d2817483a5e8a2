"""Look into a downloaded picture: is it one, of which format and size, how it looks."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgeclf import image
from edgeclf.collecting.seen import COLOR_SIDE, mean_colors
from edgeclf.data.duplicates import fingerprint
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import ImageError
from edgeclf.inputs.fetch import NOT_A_PICTURE
from edgeclf.inputs.paths import IMAGE_ENDINGS
from edgeclf.interpreter import num_processors

TOO_SMALL, TOO_MANY_PIXELS, DAMAGED = "too small", "too many pixels", "damaged"

_SIZE = (64, 64)  # (height, width) that fingerprint and colours are taken of
# What is not called like its format.
_ENDINGS = {"JPEG": ".jpg", "MPO": ".jpg", "JPEG2000": ".jp2"}
# A hostile picture may take 0.9 GiB while it is decoded: see edgeclf.limits.
_decoding = threading.Semaphore(min(4, num_processors()))


class RejectedError(ImageError):
    """A picture is not taken.

    Attributes:
        kind: Why, in a word or two.
        bound: Its shorter side in pixels, where that is why; else None.
    """

    def __init__(self, message: str, kind: str, bound: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.bound = bound


@dataclass(frozen=True)
class Picture:
    """What is known of a picture that can be decoded.

    Attributes:
        digest: SHA-256 of its file.
        size_bytes: Of its file.
        ending: That of its format, such as ".jpg".
        width: In the file, in pixels; EXIF may turn it.
        height: See `width`.
        fingerprint: 256-bit difference hash, uint8 `(32,)`.
        colors: Mean colours of 8 x 8 cells, uint8 `(8, 8, 3)`.
    """

    digest: bytes
    size_bytes: int
    ending: str
    width: int
    height: int
    fingerprint: NDArray[np.uint8]
    colors: NDArray[np.uint8]


def examine(content: bytes, name: str, min_side: int = 1) -> Picture:
    """Decode a picture, as `edgeclf.image` does, and return what it is.

    Args:
        content: Its file.
        name: What errors call it.
        min_side: Pixels that its shorter side must have.

    Raises:
        RejectedError: It cannot be decoded, or only at too high a cost, or is smaller.
    """
    with _decoding:
        try:
            with pillow_settings(), open_image(content, name) as opened:
                width, height = opened.size
                ending = _ending(opened, name)
            if min(width, height) < min_side:
                raise RejectedError(
                    f"{name} is too small: expected {min_side} pixels or more on each "
                    f"side, received {width} x {height}.",
                    TOO_SMALL,
                    min(width, height),
                )
            pixels = image.load(content, _SIZE, name=name)
        except RejectedError:
            raise
        except ImageError as error:
            raise RejectedError(str(error), _kind(error)) from error
    return Picture(
        hashlib.sha256(content).digest(),
        len(content),
        ending,
        width,
        height,
        fingerprint(pixels),
        mean_colors(pixels).reshape(COLOR_SIDE, COLOR_SIDE, 3),
    )


def _ending(opened: Image.Image, name: str) -> str:
    """Return what a file of this format is called, whatever the address says."""
    file_format = opened.format or ""
    ending = _ENDINGS.get(file_format, f".{file_format.lower()}")
    if ending not in IMAGE_ENDINGS:
        raise RejectedError(f"{name} is {file_format}, not a picture.", NOT_A_PICTURE)
    return ending


def _kind(error: ImageError) -> str:
    if isinstance(error.__cause__, UnidentifiedImageError):
        return NOT_A_PICTURE
    if "too large to decode safely" in str(error):
        return TOO_MANY_PIXELS
    return NOT_A_PICTURE if "not a picture" in str(error) else DAMAGED
