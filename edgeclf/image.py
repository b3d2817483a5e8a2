"""Decode a picture: upright, RGB, one region of it, stretched to the model's input.

Training, calibration, evaluation and the device all call `load`, so that a model
never sees pictures that were prepared in two ways.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.decoder import (
    DAMAGE,
    ImageSource,
    open_image,
    pillow_settings,
    source_name,
    to_rgb,
    translated_errors,
)

PREPROCESSING_VERSION = 1  # changes when `load` returns other pixels for a picture
RESIZE_METHODS = ("antialias", "bilinear", "nearest")

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


def load(
    source: ImageSource,
    input_size: tuple[int, int] | None,
    *,
    resize: str = "antialias",
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
            half-pixel centres, fractions dropped, as TensorFlow Lite and MediaPipe
            resize. "nearest": the nearest source pixel.
        region: `(left, top, right, bottom)` of the upright and rotated picture:
            floats in [0, 1] relative to it, or ints in pixels. Default: all of it.
        rotation: 0, 90, 180 or 270 degrees clockwise, after EXIF, before `region`.
        name: What errors call the picture. Default: its path, else "image".

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB, contiguous, the caller's own.

    Raises:
        ImageError: The picture is damaged, cut short, empty, in an unknown format,
            or has more than `decoder.MAX_PIXELS` pixels.
        FileNotFoundError: The path does not exist. (Another `OSError`: it cannot be
            opened.)
        TypeError: `source` is none of the types above, or an array that is not uint8.
        ValueError: Another argument is outside its range.
    """
    _check_arguments(input_size, resize, rotation)
    name = source_name(source) if name is None else name
    with pillow_settings():
        image = open_image(source, name)
        # Leaving the block closes a path's file, never one of the caller's.
        with nullcontext() if image is source else image:
            with translated_errors(name):
                turns = _turns(image, rotation)
            width, height = image.size[::-1] if _swaps_axes(turns) else image.size
            box = _pixel_box(region, width, height)
            size = input_size or _own_size(box)
            with translated_errors(name):
                if image is not source and resize == "antialias":
                    box = _draft(image, box, size, turns)
                upright = to_rgb(image)
                for turn in turns:
                    upright = upright.transpose(turn)
                return _stretch(upright, box, size, resize)


def _own_size(box: Box) -> tuple[int, int]:
    return max(1, round(box[3] - box[1])), max(1, round(box[2] - box[0]))


def _check_arguments(
    input_size: tuple[int, int] | None, resize: str, rotation: int
) -> None:
    if input_size is not None and (
        len(input_size) != 2 or any(side < 1 for side in input_size)
    ):
        raise ValueError(
            "Expected input_size=(height, width) in pixels, both at least 1. "
            f"Received: input_size={input_size}"
        )
    if resize not in RESIZE_METHODS:
        raise ValueError(
            f"Expected resize to be one of {', '.join(RESIZE_METHODS)}. "
            f"Received: resize={resize!r}"
        )
    if rotation not in (0, *_CLOCKWISE):
        raise ValueError(
            "Expected rotation to be 0, 90, 180 or 270 degrees. "
            f"Received: rotation={rotation!r}"
        )


def _turns(image: Image.Image, rotation: int) -> list[Image.Transpose]:
    """Return what makes the picture upright, then rotated, in this order."""
    if image.format not in ("JPEG", "MPO"):
        image.load()  # a PNG may keep its EXIF behind the pixels
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
    edges = tuple(region)
    if len(edges) != 4 or not all(isinstance(edge, Real) for edge in edges):
        raise ValueError(
            "Expected region=(left, top, right, bottom): floats in [0, 1] or ints in "
            f"pixels. Received: region={region!r}"
        )
    if all(isinstance(edge, Integral) for edge in edges):
        scale = (1, 1)
        bounds = f"{width} x {height} pixels of the picture"
    else:
        scale = (width, height)
        bounds = "relative picture, [0, 1]"
    left, top, right, bottom = edges
    box = (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1])
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise ValueError(
            f"Expected region=(left, top, right, bottom) with left < right and "
            f"top < bottom inside the {bounds}. Received: region={region!r}"
        )
    return box


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
    across = 2 * width / (box[2] - box[0])  # wanted pixels for each source pixel
    down = 2 * height / (box[3] - box[1])
    if _swaps_axes(turns):
        across, down = down, across
    full_width, full_height = image.size
    drafted = image.draft(
        None, (math.ceil(full_width * across), math.ceil(full_height * down))
    )
    if drafted is None:
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


def _stretch(
    image: Image.Image, box: Box, input_size: tuple[int, int], resize: str
) -> NDArray[np.uint8]:
    height, width = input_size
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
    else:
        image = image.resize((width, height), _FILTERS[resize], box)
    return np.array(image)
