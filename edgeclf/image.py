"""Decode a picture: upright, RGB, one region of it, stretched to the model's input.

Training, calibration, evaluation and the device all call `load`, so that a model
never sees pictures that were prepared in two ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from numbers import Integral, Real
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.color import STRIP_PIXELS, strips, to_rgb
from edgeclf.decoder import (
    DAMAGE,
    ImageSource,
    open_image,
    pillow_settings,
    source_name,
    translated_errors,
)
from edgeclf.limits import check_cost

PREPROCESSING_VERSION = 1  # changes when `load` returns other pixels for a picture
RESIZE_METHODS = ("antialias", "bilinear", "nearest")
DEFAULT_RESIZE = "antialias"

_JPEG_FORMATS = ("JPEG", "MPO")  # MPO: several pictures in one file, as phones write

Box: TypeAlias = tuple[float, float, float, float]

_ORIENTATION_TAG = 0x0112
# What turns a picture upright, by EXIF orientation. Source: CIPA DC-008 (Exif 2.32),
# tag Orientation. Pillow's ROTATE_... are counterclockwise.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CLOCKWISE = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
# Which edge (left, top, right, bottom) of the picture becomes left, top, right, bottom.
_EDGES = {
    Image.Transpose.FLIP_LEFT_RIGHT: (2, 1, 0, 3),
    Image.Transpose.FLIP_TOP_BOTTOM: (0, 3, 2, 1),
    Image.Transpose.ROTATE_180: (2, 3, 0, 1),
    Image.Transpose.ROTATE_90: (1, 2, 3, 0),
    Image.Transpose.ROTATE_270: (3, 0, 1, 2),
    Image.Transpose.TRANSPOSE: (1, 0, 3, 2),
    Image.Transpose.TRANSVERSE: (3, 2, 1, 0),
}
_METADATA_KEYS = frozenset(
    {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
)
_FILTERS = {
    "antialias": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}


class Decoded(NamedTuple):
    """A decoded picture, before it is resized.

    Attributes:
        image: Upright and rotated, mode RGB; a JPEG may have been scaled down.
        box: The region in it, `(left, top, right, bottom)` in pixels.
    """

    image: Image.Image
    box: Box


def load(
    source: ImageSource,
    input_size: tuple[int, int] | None,
    *,
    resize: str = DEFAULT_RESIZE,
    region: Sequence[float] | None = None,
    rotation: int = 0,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Decode a picture and stretch it, whole and without crop, to `input_size`.

    Transparency is composed over white, 16-bit gray is scaled to 8 bits, the first
    frame of an animation counts.

    Args:
        source: Path, encoded bytes, binary file, `PIL.Image.Image` or uint8 array of
            shape `(height, width, 3)`, RGB. The EXIF orientation is applied; broken
            EXIF is ignored.
        input_size: `(height, width)` of the result in pixels. None: the picture's
            (or the region's) own, in whole pixels.
        resize: "antialias": bilinear, over every source pixel that a target pixel
            covers (a JPEG may be scaled down while it is decoded, to no less than
            twice `input_size`). "bilinear": the nearest 2 x 2 source pixels,
            half-pixel centres, as TensorFlow and OpenCV resize, but fractions are
            dropped. (MediaPipe Tasks 1.2.2 takes pixels of the upper left half of
            what a target pixel covers.) "nearest": the pixel under the centre.
        region: `(left, top, right, bottom)` of the upright and rotated picture:
            floats in [0, 1] relative to it, or ints in pixels. Default: all of it.
        rotation: 0, 90, 180 or 270 degrees clockwise, after EXIF, before `region`.
        name: What errors call the picture. Default: its path, else "image".

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, contiguous, the caller's own.

    Raises:
        ImageError: The picture is damaged, cut short, empty, in an unknown format,
            or would take more memory or time than `edgeclf.limits` allows.
        FileNotFoundError: The path does not exist. (Another `OSError`: it cannot be
            opened.)
        TypeError: `source` is none of the types above, or an array that is not uint8.
        ValueError: Another argument is outside its range.
    """
    return stretch(
        decode(
            source,
            input_size,
            resize=resize,
            region=region,
            rotation=rotation,
            name=name,
        ),
        input_size,
        resize,
    )


def decode(
    source: ImageSource,
    input_size: tuple[int, int] | None,
    *,
    resize: str = DEFAULT_RESIZE,
    region: Sequence[float] | None = None,
    rotation: int = 0,
    name: str | None = None,
) -> Decoded:
    """Decode a picture, upright and RGB: the first half of `load`.

    Args:
        source: As for `load`.
        input_size: What `stretch` will make of it: a JPEG is decoded no larger than
            that needs. None: in full.
        resize: The filter of `stretch`.
        region: As for `load`.
        rotation: As for `load`.
        name: As for `load`.

    Returns:
        The picture and where `region` lies in it. It may be `source` itself: not to
        be changed.

    Raises:
        ImageError, OSError, TypeError, ValueError: As `load`.
    """
    _check_filter(input_size, resize)
    if isinstance(rotation, bool) or rotation not in (0, *_CLOCKWISE):
        raise ValueError(
            "Expected rotation to be 0, 90, 180 or 270 degrees. "
            f"Received: rotation={rotation!r}"
        )
    name = source_name(source) if name is None else name
    with pillow_settings():
        image, box, turns = _read(source, input_size, resize, region, rotation, name)
        with translated_errors(name):
            for turn in turns:
                image = image.transpose(turn)
    return Decoded(image, box)


def stretch(
    decoded: Decoded, input_size: tuple[int, int] | None, resize: str = DEFAULT_RESIZE
) -> NDArray[np.uint8]:
    """Resize the decoded region to `input_size`: the second half of `load`.

    Args:
        decoded: What `decode` returned for the same `input_size` and `resize`.
        input_size: `(height, width)` of the result in pixels. None: the region's own.
        resize: As for `load`.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, contiguous, the caller's own.

    Raises:
        ValueError: An argument is outside its range.
    """
    _check_filter(input_size, resize)
    image, box = decoded
    height, width = input_size or own_size(box)
    # Cropped first: the filter must not see what lies outside the region.
    left, top = math.floor(box[0]), math.floor(box[1])
    right, bottom = math.ceil(box[2]), math.ceil(box[3])
    if (left, top, right, bottom) != (0, 0, *image.size):
        image = image.crop((left, top, right, bottom))
        box = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if resize == "bilinear":
        image = image.transform(
            (width, height), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
        )
    elif (image.size, box) != ((width, height), (0, 0, width, height)):
        image = image.resize((width, height), _FILTERS[resize], box)
    if width * height <= STRIP_PIXELS:
        return np.array(image)
    pixels = np.empty((height, width, 3), np.uint8)
    for strip in strips(image.size):  # Pillow makes two copies on the way
        pixels[strip[1] : strip[3]] = np.asarray(image.crop(strip))
    return pixels


def _read(
    source: ImageSource,
    input_size: tuple[int, int] | None,
    resize: str,
    region: Sequence[float] | None,
    rotation: int,
    name: str,
) -> tuple[Image.Image, Box, list[Image.Transpose]]:
    """Return the picture as it is stored, in RGB, `decode`'s box, and how to turn it.

    Only what is returned outlives the call: the file's own pixels do not stay in
    memory while the picture is turned.
    """
    image = open_image(source, name)
    # Leaving the block closes a path's file, never one of the caller's.
    with nullcontext() if image is source else image:
        stored_size = image.size
        with translated_errors(name):
            if image.format not in _JPEG_FORMATS:
                check_cost(image, stored_size)
                image.load()  # a PNG may keep its EXIF behind the pixels
            turns = _turns(image, rotation)
        width, height = image.size[::-1] if _swaps_axes(turns) else image.size
        box = _pixel_box(region, width, height)
        with translated_errors(name):
            if image.format in _JPEG_FORMATS:
                if image is not source and resize == "antialias":
                    box = _draft(image, box, input_size or own_size(box), turns)
                check_cost(image, stored_size)
            return to_rgb(image), box, turns


def own_size(box: Box, at_most: int | None = None) -> tuple[int, int]:
    """Return `(height, width)` of a region in whole pixels.

    Args:
        box: The region, as `decode` returns it.
        at_most: What it is shrunk to, pixels a side. Default: it keeps its size.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    shrink = max(1.0, max(width, height) / at_most) if at_most else 1.0
    return max(1, round(height / shrink)), max(1, round(width / shrink))


def check_resize(resize: str) -> None:
    """Check the name of a filter.

    Raises:
        ValueError: It is none of `RESIZE_METHODS`.
    """
    if resize not in RESIZE_METHODS:
        raise ValueError(
            f"Expected resize to be one of {', '.join(RESIZE_METHODS)}. "
            f"Received: resize={resize!r}"
        )


def _check_filter(input_size: tuple[int, int] | None, resize: str) -> None:
    if input_size is not None and (
        np.shape(input_size) != (2,)
        or not all(isinstance(side, Integral) and side >= 1 for side in input_size)
    ):
        raise ValueError(
            "Expected input_size=(height, width) in pixels, both at least 1. "
            f"Received: input_size={input_size}"
        )
    check_resize(resize)


def _turns(image: Image.Image, rotation: int) -> list[Image.Transpose]:
    """Return what makes the picture upright, then rotated, in this order."""
    turns = []
    if image.format == "TIFF" or _METADATA_KEYS.intersection(image.info):
        with suppress(*DAMAGE):  # broken EXIF must not stop a whole picture
            turns.append(_UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1)))
    turns.append(_CLOCKWISE.get(rotation))
    return [turn for turn in turns if turn is not None]


def _pixel_box(region: Sequence[float] | None, width: int, height: int) -> Box:
    """Return `region` as (left, top, right, bottom) in pixels."""
    if region is None:
        return (0.0, 0.0, width, height)
    edges = tuple(region) if isinstance(region, Iterable) else ()
    if len(edges) != 4 or not all(map(_is_number, edges)):
        raise ValueError(
            "Expected region=(left, top, right, bottom): floats in [0, 1] or ints in "
            f"pixels. Received: region={region!r}"
        )
    across, down = width, height
    bounds = "relative picture, [0, 1]"
    if all(isinstance(edge, Integral) for edge in edges):
        across = down = 1
        bounds = f"{width} x {height} pixels of the picture"
    left, top, right, bottom = map(float, edges)
    box = (left * across, top * down, right * across, bottom * down)
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise ValueError(
            f"Expected region=(left, top, right, bottom) with left < right and "
            f"top < bottom inside the {bounds}. Received: region={region!r}"
        )
    return box


def _is_number(edge: object) -> bool:
    return isinstance(edge, Real) and not isinstance(edge, bool)


def _draft(
    image: Image.Image,
    box: Box,
    input_size: tuple[int, int],
    turns: list[Image.Transpose],
) -> Box:
    """Let a JPEG be scaled down while it is decoded; return `box` scaled alike.

    Decoding is most of the work. The inverse cosine transform can leave out the high
    frequencies; twice the target keeps enough of them for the filter that follows.
    """
    height, width = input_size
    # Wanted pixels for each source pixel.
    across = min(1.0, 2 * width / (box[2] - box[0]))
    down = min(1.0, 2 * height / (box[3] - box[1]))
    if _swaps_axes(turns):
        across, down = down, across
    full_width, full_height = image.size
    drafted = image.draft(
        None, (math.ceil(full_width * across), math.ceil(full_height * down))
    )
    if drafted is None:  # drafted before
        return box
    shrink = round(full_width / drafted[1][2])  # 1, 2, 4 or 8
    # The last column and row may cover less than others. Turned, they may be the first.
    surplus = (
        0.0,
        0.0,
        image.width - full_width / shrink,
        image.height - full_height / shrink,
    )
    left, top, _, _ = _turned(surplus, turns)
    return (
        box[0] / shrink + left,
        box[1] / shrink + top,
        box[2] / shrink + left,
        box[3] / shrink + top,
    )


def _turned(edges: Box, turns: list[Image.Transpose]) -> Box:
    """Return what stands at left, top, right and bottom after the turns."""
    for turn in turns:
        left, top, right, bottom = _EDGES[turn]
        edges = (edges[left], edges[top], edges[right], edges[bottom])
    return edges


def _swaps_axes(turns: list[Image.Transpose]) -> bool:
    return _turned((0, 1, 0, 1), turns)[0] == 1
