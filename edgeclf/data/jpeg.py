"""Write pictures as upright RGB JPEG files, once: a file that is current stays."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from edgeclf.data.stamp import is_stamped, stamped
from edgeclf.errors import ImageError
from edgeclf.files import write_bytes
from edgeclf.image import load

MAX_JPEG_SIDE = 65_500  # pixels; libjpeg's limit

_STAMP_VERSION = 1  # changes when the same picture would be written differently


def convert(source: Path, targets: list[Path], quality: int) -> int:
    """Write `source` as JPEG to the targets that are not its JPEG yet: how many.

    Raises:
        ImageError: `source` cannot be read.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ImageError(f"{source} cannot be read: {error.strerror}.") from error
    digest = hashlib.sha256(content).hexdigest()
    stamp = _stamp(digest, quality)
    outdated = [path for path in targets if not is_stamped(path, stamp)]
    if outdated:
        encoded = stamped(_encoded(content, str(source), quality), stamp)
        for path in outdated:
            write_bytes(path, encoded)
    return len(outdated)


def _encoded(content: bytes, name: str, quality: int) -> bytes:
    image = Image.fromarray(load(content, None, name=name))
    if max(image.size) > MAX_JPEG_SIDE:
        raise ImageError(
            f"{name} has {image.width} x {image.height} pixels. JPEG ends at "
            f"{MAX_JPEG_SIDE} a side: make it smaller first."
        )
    encoded = io.BytesIO()
    # Full colour resolution: ornaments live from small coloured details.
    image.save(encoded, "JPEG", quality=quality, subsampling=0)
    return encoded.getvalue()


def _stamp(digest: str, quality: int) -> str:
    """Return what the file's comment says: what it was made from, and how."""
    return (
        f"edgeclf prepare_data {_STAMP_VERSION} quality={quality:03d} "
        f"source=sha256:{digest}"
    )
