"""Turn a picture into a changed copy: rotated, cropped, mirrored, lit otherwise."""

from __future__ import annotations

import hashlib
import io
import math
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from edgeclf import image
from edgeclf.data.stamp import is_stamped, stamped
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.training.views import View

STAMP = "edgeclf augment"
QUALITY = 95  # of JPEG files
MAX_SIDE = 2048  # pixels; more than any backbone sees of a crop
# Formats that lose something already; all others are kept without loss, as PNG.
LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JPEG2000"})
MAX_ROTATION = 180.0
MAX_CROP = 90.0
MAX_BLUR = 50.0

_VERSION = 1  # changes when the same settings give another copy


@dataclass(frozen=True)
class Changes:
    """How far copies may differ from their picture.

    Attributes:
        rotate: Up to so many degrees to either side; the picture is enlarged so that
            no empty corner shows.
        brightness: Every value up to so many percent darker or lighter.
        contrast: Percent, on every value's distance from the mean of all.
        saturation: Percent, on every value's distance from its pixel's gray.
        crop: Up to so many percent of each side are cut off, the rest is enlarged.
        blur: Up to so many pixels, standard deviation.
        flip: Whether half of the copies are mirrored.
    """

    rotate: float = 15.0
    brightness: float = 20.0
    contrast: float = 0.0
    saturation: float = 0.0
    crop: float = 0.0
    blur: float = 0.0
    flip: bool = True

    def __post_init__(self) -> None:
        limits = {"rotate": MAX_ROTATION, "crop": MAX_CROP, "blur": MAX_BLUR}
        for field in fields(self):
            value, limit = getattr(self, field.name), limits.get(field.name, 100.0)
            if field.name != "flip" and not 0 <= value <= limit:
                raise ValueError(
                    f"Expected {field.name} from 0 to {limit:g}. Received: {value:g}."
                )
        if not any(asdict(self).values()):
            raise ValueError(
                "Expected something that changes: rotate, brightness, contrast, "
                "saturation, crop, blur or flip. Received: none of them."
            )


class Draw(NamedTuple):
    """Which copy of a picture is meant.

    Attributes:
        changes: How far it may differ.
        max_side: Pixels of its longer side at most.
        seed: Another seed, other copies.
        number: Of the copy, from 1.
    """

    changes: Changes
    max_side: int
    seed: int
    number: int


def stamp_of(digest: bytes, draw: Draw) -> str:
    """Return what a copy's comment says: everything that it follows from.

    Args:
        digest: SHA-256 of the picture's file.
        draw: Which copy.
    """
    changes, *numbers = draw
    settings = f"{_VERSION} {QUALITY} {asdict(changes)} {numbers}"
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    return f"{STAMP} {key} source=sha256:{digest.hex()}"


def is_copy_of(path: Path, digest: bytes) -> bool:
    """Say whether a file is an unchanged copy of a picture, of whatever settings.

    Args:
        path: Of the file.
        digest: SHA-256 of the picture's file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except OSError:
        return False
    text = rf"{STAMP} [0-9a-f]{{16}} source=sha256:{digest.hex()}"
    found = re.search(text.encode("ascii"), head)
    return found is not None and is_stamped(path, found[0].decode("ascii"))


def ending_of(content: bytes, name: str) -> str:
    """Return the ending of a picture's copies: ".jpg", or ".png" without loss.

    Raises:
        ImageError: It is no picture.
    """
    with pillow_settings(), open_image(content, name) as opened:
        return ".jpg" if opened.format in LOSSY else ".png"


def decode(content: bytes, name: str, max_side: int) -> Image.Image:
    """Return a picture upright, RGB, and scaled down to `max_side` if it is larger.

    Raises:
        ImageError: It cannot be decoded.
    """
    # A square, since nobody knows yet whether it lies on its side: it is decoded no
    # smaller than that, and a large JPEG not in full.
    decoded = image.decode(content, (max_side, max_side), name=name)
    height, width = image.own_size(decoded.box)
    scale = min(1.0, max_side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Image.fromarray(image.stretch(decoded, size))


def encoded_copy(picture: Image.Image, ending: str, digest: bytes, draw: Draw) -> bytes:
    """Return a changed copy of a picture as the content of a file, with its stamp.

    The copy has the picture's size. It follows from the hash of the picture's file and
    from `draw`, whatever the file is called.

    Args:
        picture: As `decode` returns it.
        ending: What `ending_of` says.
        digest: SHA-256 of the picture's file.
        draw: Which copy.
    """
    changes, _, seed, number = draw
    source = np.random.default_rng([seed, number, *np.frombuffer(digest, np.uint32)])
    moved = _moved(picture, changes, source)
    flip = changes.flip and bool(source.random() < 0.5)
    factors = [
        float(source.uniform(1.0 - spread / 100.0, 1.0 + spread / 100.0))
        for spread in (changes.brightness, changes.contrast, changes.saturation)
    ]
    radius = float(source.uniform(0.0, changes.blur))
    whole = image.Decoded(moved, (0.0, 0.0, moved.width, moved.height))
    size = (moved.height, moved.width)
    pixels = View(None, flip, *factors).of(whole, size, image.DEFAULT_RESIZE)
    copy = Image.fromarray(np.ascontiguousarray(pixels))
    if radius > 0:
        copy = copy.filter(ImageFilter.GaussianBlur(radius))
    buffer = io.BytesIO()
    if ending == ".png":
        copy.save(buffer, "PNG")
    else:  # full colour resolution: small coloured details matter
        copy.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return stamped(buffer.getvalue(), stamp_of(digest, draw))


def _moved(
    picture: Image.Image, changes: Changes, source: np.random.Generator
) -> Image.Image:
    """Rotate and crop in one step, so that the picture is resampled once.

    The copy shows a rectangle of the picture's shape, turned by `angle` and `scale`
    times as large. Its corners reach scale * (w |cos| + h |sin|) / 2 to the sides of
    its centre and scale * (w |sin| + h |cos|) / 2 up and down: with the largest scale
    for which both fit, no corner is empty. What then is left over moves the centre.
    """
    angle = math.radians(source.uniform(-changes.rotate, changes.rotate))
    part = 1.0 - source.uniform(0.0, changes.crop / 100.0)
    places = source.uniform(-0.5, 0.5, size=2).tolist()
    if not (changes.rotate or changes.crop):
        return picture
    width, height = picture.size
    cosine, sine = math.cos(angle), math.sin(angle)
    across = width * abs(cosine) + height * abs(sine)
    down = width * abs(sine) + height * abs(cosine)
    scale = part * min(width / across, height / down)
    left = width / 2 + places[0] * (width - scale * across)
    top = height / 2 + places[1] * (height - scale * down)
    a, b = scale * cosine, scale * sine
    matrix = (
        *(a, b, left - (a * width + b * height) / 2),
        *(-b, a, top - (-b * width + a * height) / 2),
    )
    return picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
