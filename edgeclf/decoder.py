"""Open pictures with Pillow, under settings of our own; errors name the file."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from edgeclf.errors import ImageError
from edgeclf.limits import MAX_PIXELS

# What Pillow identifies but does not decode, or only with another program, or without
# a limit of its own.
NOT_PICTURES = {
    "BUFR": "weather data",
    "EPS": "PostScript",
    "FITS": "a table or image of astronomy",
    "GRIB": "weather data",
    "HDF5": "an HDF5 file",
    "MPEG": "a film",
    "WMF": "a drawing in WMF",
}
# What telephones write, by the brand at the file's begin. Source: ISO/IEC 23008-12,
# annexes B and D.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

ImageSource: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    bytes,
    bytearray,
    memoryview,
    IO[bytes],
    Image.Image,
    NDArray[np.uint8],
]
# What Pillow's readers raise on damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    MemoryError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def source_name(source: ImageSource) -> str:
    """Return what errors call a picture: its path, else "image"."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    for attribute in ("filename", "name"):  # of a PIL.Image, of a file
        value = getattr(source, attribute, None)
        if isinstance(value, str) and value:
            return value
    return "image"


class _Settings:
    """How many `load` calls are running, and what to put back after the last."""

    lock = threading.Lock()
    running = 0
    catcher: warnings.catch_warnings[None]
    max_image_pixels: int | None
    load_truncated_images: bool


@contextmanager
def pillow_settings() -> Iterator[None]:
    """Decode by our limits whatever Pillow's global settings are, without warnings.

    The settings are the process's, not a thread's: the first of several overlapping
    calls sets them, the last one puts back what was there.
    """
    with _Settings.lock:
        if _Settings.running == 0:
            _Settings.max_image_pixels = Image.MAX_IMAGE_PIXELS
            _Settings.load_truncated_images = ImageFile.LOAD_TRUNCATED_IMAGES
            _Settings.catcher = warnings.catch_warnings()
            _Settings.catcher.__enter__()
            warnings.filterwarnings("ignore", module=r"(PIL|edgeclf)\.")
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _Settings.running += 1
    try:
        yield
    finally:
        with _Settings.lock:
            _Settings.running -= 1
            if _Settings.running == 0:
                Image.MAX_IMAGE_PIXELS = _Settings.max_image_pixels
                ImageFile.LOAD_TRUNCATED_IMAGES = _Settings.load_truncated_images
                _Settings.catcher.__exit__(None, None, None)


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Turn what Pillow's readers raise into an `ImageError` that names the picture.

    An `OSError` of opening a path stays: a missing file, a folder, no permission.
    """
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a picture in a format that Pillow reads. "
            "Convert it to JPEG or PNG, or leave it out."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} is too large to decode safely: it has more than {MAX_PIXELS} "
            "pixels. Make it smaller first."
        ) from error
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = str(error).rstrip(".") or type(error).__name__
        raise ImageError(f"{name} is damaged or cut short: {reason}.") from error


def open_image(source: ImageSource, name: str) -> Image.Image:
    """Return the picture, not yet decoded, or `source` itself when it is one.

    Raises:
        ImageError: It is in an unknown format, empty, or too large.
        OSError: The path cannot be opened.
        TypeError: `source` is of no type that holds a picture.
        ValueError: An array is not of shape `(height, width, 3)`.
    """
    if isinstance(source, Image.Image):
        if not all(source.size):
            raise ImageError(f"{name} is empty ({source.width} x {source.height}).")
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    file: Any
    if isinstance(source, (str, os.PathLike)):
        file = os.fsdecode(source)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
    elif hasattr(source, "read") and not isinstance(source, io.TextIOBase):
        file = source
    else:
        raise TypeError(
            "Expected an image as path, bytes, binary file, PIL.Image or uint8 array. "
            f"Received: {type(source).__name__}"
        )
    image: Image.Image
    with translated_errors(name):
        try:
            image = Image.open(file)
        except UnidentifiedImageError:
            if _is_empty(file):
                raise ImageError("is empty (0 bytes).") from None
            if _is_heic(file):
                raise ImageError(
                    "is a HEIC photo, which is not read. Export it as JPEG; for new "
                    "ones choose JPEG in the camera's settings, on an iPhone Formats, "
                    "Most Compatible."
                ) from None
            raise
        except Image.DecompressionBombError:
            large = _large_jpeg(file)
            if large is None:
                raise
            image = large
        if image.format in NOT_PICTURES:
            with image:  # closes a file that Pillow opened, never a caller's
                raise ImageError(
                    f"is {NOT_PICTURES[image.format]}, not a picture. Convert it to "
                    "PNG first."
                )
    if image.format == "TIFF":
        _silence_libtiff()
    return image


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from writing to stderr what Pillow raises as an error too."""
    import ctypes

    from PIL import _imaging

    with suppress(OSError, AttributeError):  # it is not linked as elsewhere
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _large_jpeg(file: Any) -> Image.Image | None:
    """Open a JPEG of any size: it may be scaled down while it is decoded."""
    from PIL.JpegImagePlugin import JpegImageFile  # knows no limit

    if not isinstance(file, str):
        if not file.seekable():
            return None
        file.seek(0)
    with suppress(SyntaxError):  # not a JPEG
        return JpegImageFile(file)
    return None


def _is_empty(file: Any) -> bool:
    if isinstance(file, str):
        return os.stat(file).st_size == 0  # noqa: PTH116 - pathlib costs start-up time
    return bool(file.seek(0, io.SEEK_END) == 0) if file.seekable() else False


def _is_heic(file: Any) -> bool:
    if isinstance(file, str):
        with open(file, "rb") as opened:  # noqa: PTH123 - as above
            head = opened.read(12)
    elif file.seekable():
        file.seek(0)
        head = file.read(12)
    else:
        return False
    return bool(head[4:8] == b"ftyp" and head[8:] in _HEIC)


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8:
        raise TypeError(f"Expected an array of dtype uint8. Received: {array.dtype}")
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(
            "Expected an array of shape (height, width, 3), RGB. "
            f"Received: shape={array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array))
