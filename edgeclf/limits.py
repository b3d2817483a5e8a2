"""What a picture may cost: less than 1 GiB of memory and 5 s, a hostile one too.

Files of a few kB can ask for any amount of both. All figures were measured with
Pillow 13 at 16 megapixels.
"""

from __future__ import annotations

import os
from contextlib import suppress

from PIL import Image

from edgeclf.errors import ImageError

MEMORY_BYTES = 900 << 20  # for one picture; the rest of 1 GiB is Python's
MAX_PIXELS = 64 << 20  # 12 bytes and 0.05 microseconds each, all copies included
MAX_SIDE = 100_000  # the filter needs memory for each row and column

_OTHER_LIMITS = {
    "AVIF": 48 << 20,  # 16 bytes a pixel
    "HEIF": 48 << 20,  # of a plugin, like AVIF
    "JPEG": 100 << 20,  # 8 bytes a pixel, and fast
    "JPEG2000": 32 << 20,  # 25 bytes a pixel
    "MPO": 100 << 20,  # several JPEGs
    "WEBP": 48 << 20,  # 16 bytes a pixel
}
_MAX_PIXELS_IN_PYTHON = 4 << 20  # 1 microsecond a pixel: DDS, QOI, compressed BMP

_MAX_SCANNED_PIXELS = 2_500_000_000  # of all passes over a JPEG, 1 ns a pixel
_COEFFICIENT_BYTES = 2
_START_OF_SCAN = b"\xff\xda"


def check_cost(image: Image.Image, stored_size: tuple[int, int]) -> None:
    """Refuse a picture that is not yet decoded and would cost too much.

    Args:
        image: As opened; a JPEG as drafted: what counts is the size it is decoded to.
        stored_size: `(width, height)` in the file.

    Raises:
        ImageError: It would; the message begins after the picture's name.
    """
    if _is_decoded(image):
        return  # the caller's own
    width, height = image.size
    at_most = _OTHER_LIMITS.get(image.format or "", MAX_PIXELS)
    if any(tile[0] in Image.DECODERS for tile in _tiles(image)):
        at_most = min(at_most, _MAX_PIXELS_IN_PYTHON)
    if width * height > at_most or max(width, height) > MAX_SIDE:
        raise _too_large(
            f"{width} x {height} pixels, of which a {image.format} may have {at_most}, "
            f"and {MAX_SIDE} on a side."
        )
    if image.format in ("JPEG", "MPO"):
        _check_jpeg(image, stored_size)


def _is_decoded(image: Image.Image) -> bool:
    if _tiles(image):
        return False
    with suppress(AssertionError):  # Pillow's, when there are no pixels yet
        return image.im is not None
    return False  # the tiles of WebP, AVIF, ICO and ICNS are not known before


def _tiles(image: Image.Image) -> list[tuple[object, ...]]:
    """Return what is left to decode, as far as it is known."""
    return getattr(image, "tile", None) or []


def _check_jpeg(image: Image.Image, stored_size: tuple[int, int]) -> None:
    """Refuse a JPEG of too many scans, or too large for what it has.

    Each scan is a pass over the whole picture, at its full size even where it is
    scaled down, and may take no more than ten bytes of the file. Of several scans,
    libjpeg keeps all coefficients in memory.
    """
    scans = _count_scans(image)
    pixels = stored_size[0] * stored_size[1]
    if scans * pixels > _MAX_SCANNED_PIXELS:
        raise _too_large(f"a JPEG of {scans} scans with {pixels} pixels.")
    if scans == 1:
        return
    factors = [across * down for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
    coefficients = pixels * sum(factors) // max(factors)  # a colour may have fewer
    decoded = 4 * image.width * image.height
    if coefficients * _COEFFICIENT_BYTES + decoded > MEMORY_BYTES:
        raise _too_large(f"a JPEG of {scans} scans with {pixels} pixels.")


def _count_scans(image: Image.Image) -> int:
    """Return how many scans a JPEG has; 1 if the first one has all its colours."""
    file, layers = image.fp, image.layers  # type: ignore[attr-defined]
    position = file.tell()
    # Pillow has read up to the end of the first scan's header, the length of which
    # begins it. Source: ITU-T T.81, B.2.3.
    length = 6 + 2 * layers
    file.seek(max(0, position - length))
    header = length.to_bytes(2, "big") + bytes([layers])
    if "progressive" not in image.info and file.read(3) == header:
        file.seek(position)
        return 1
    file.seek(0, os.SEEK_SET)
    scans = file.read().count(_START_OF_SCAN)  # in data, FF is followed by 00
    file.seek(position)
    return int(scans)


def _too_large(reason: str) -> ImageError:
    return ImageError(f"is too large to decode safely: {reason} Make it smaller first.")
