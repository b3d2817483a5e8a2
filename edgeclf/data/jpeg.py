"""Write pictures as upright RGB JPEG files, once: a file that is current stays."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path

from PIL import Image

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
    outdated = [path for path in targets if not _is_current(path, digest, quality)]
    if outdated:
        encoded = _stamped(_encoded(content, str(source), quality), digest, quality)
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


def _stamped(encoded: bytes, digest: str, quality: int) -> bytes:
    """Add a JPEG comment by which a later run knows its own work.

    It names what the file was made from, and has a checksum of what was made: the
    file is known only as long as neither has changed.
    """
    # The comment goes behind the first segment, APP0, whose length is at bytes 4-5.
    # Source: JFIF 1.02, "JFIF APP0 marker ... immediately following the SOI marker".
    start = 4 + int.from_bytes(encoded[4:6], "big")
    comment = (
        f"edgeclf prepare_data {_STAMP_VERSION} quality={quality:03d} "
        f"source=sha256:{digest} image=crc32:{zlib.crc32(encoded):08x}"
    ).encode()
    segment = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
    return encoded[:start] + segment + encoded[start:]


def _is_current(path: Path, digest: str, quality: int) -> bool:
    """Say whether `path` is what `_stamped` made of that source, unchanged."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    start = 4 + int.from_bytes(content[4:6], "big")
    end = start + len(_stamped(b"", digest, quality))  # the comment's length is fixed
    return _stamped(content[:start] + content[end:], digest, quality) == content
