"""Turn a picture into a changed copy: rotated, cropped, mirrored, lit otherwise."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import asdict, dataclass, fields

import numpy as np
from PIL import Image, ImageFilter

from edgeclf import image
from edgeclf.data.jpeg import MAX_JPEG_SIDE
from edgeclf.data.stamp import stamped
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import ImageError
from edgeclf.training.views import View

STAMP = "edgeclf augment"
QUALITY = 95  # of JPEG files
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


def stamp_of(digest: bytes, changes: Changes, seed: int, number: int) -> str:
    """Return what a copy's comment says: everything that it follows from.

    Args:
        digest: SHA-256 of the picture's file.
        changes: How far the copy may differ.
        seed: Another seed, other copies.
        number: Of the copy, from 1.
    """
    settings = f"{_VERSION} {QUALITY} {asdict(changes)} {seed} {number}"
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    return f"{STAMP} {key} source=sha256:{digest.hex()}"


def ending_of(content: bytes, name: str) -> str:
    """Return the ending of a picture's copies: ".jpg", or ".png" without loss.

    Raises:
        ImageError: It is no picture.
    """
    with pillow_settings(), open_image(content, name) as opened:
        return ".jpg" if opened.format in LOSSY else ".png"


def encoded_copy(
    decoded: image.Decoded, ending: str, digest: bytes, changes: Changes, draw: int
) -> bytes:
    """Return a changed copy of a picture as a file's content, without a stamp.

    The copy has the picture's size. It follows from the picture's own hash, the
    changes and the seed in `draw`, whatever the file is called.

    Args:
        decoded: The picture, upright and in full.
        ending: What `ending_of` says.
        digest: SHA-256 of the picture's file.
        changes: How far to go.
        draw: The seed and the copy's number, as one number.

    Raises:
        ImageError: It is too large for a JPEG.
    """
    source = np.random.default_rng([draw, *np.frombuffer(digest, np.uint32)])
    picture = _moved(decoded.image, changes, source)
    flip = changes.flip and bool(source.random() < 0.5)
    factors = [
        float(source.uniform(1.0 - spread / 100.0, 1.0 + spread / 100.0))
        for spread in (changes.brightness, changes.contrast, changes.saturation)
    ]
    radius = float(source.uniform(0.0, changes.blur))
    size = (picture.height, picture.width)
    whole = image.Decoded(picture, (0.0, 0.0, picture.width, picture.height))
    pixels = View(None, flip, *factors).of(whole, size, image.DEFAULT_RESIZE)
    copy = Image.fromarray(np.ascontiguousarray(pixels))
    if radius > 0:
        copy = copy.filter(ImageFilter.GaussianBlur(radius))
    return _encoded(copy, ending)


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


def _encoded(copy: Image.Image, ending: str) -> bytes:
    buffer = io.BytesIO()
    if ending == ".png":
        copy.save(buffer, "PNG")
        return buffer.getvalue()
    if max(copy.size) > MAX_JPEG_SIDE:
        raise ImageError(f"has a side of more than {MAX_JPEG_SIDE} pixels.")
    # Full colour resolution: small coloured details matter.
    copy.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def file_of(
    decoded: image.Decoded,
    ending: str,
    digest: bytes,
    changes: Changes,
    seed: int,
    number: int,
) -> bytes:
    """Return the content of a copy's file, stamped; see `encoded_copy`."""
    draw = seed << 32 | number
    content = encoded_copy(decoded, ending, digest, changes, draw)
    return stamped(content, stamp_of(digest, changes, seed, number))
