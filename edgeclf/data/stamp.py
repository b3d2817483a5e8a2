"""Mark JPEG and PNG files by which a later run knows its own work.

The mark is a comment that says what the file was made from, and has a checksum of
what was made: the file is known only as long as neither has changed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_START = len(_PNG) + 4 + 4 + 13 + 4  # behind its first chunk, IHDR
_PNG_KEYWORD = b"Comment\0"


def stamped(encoded: bytes, text: str) -> bytes:
    """Return the picture with a comment: `text`, and a checksum of the picture.

    Args:
        encoded: A JPEG that begins with JFIF's segment, as Pillow's do, or a PNG.
        text: ASCII, one line.
    """
    start = _start(encoded)
    comment = f"{text} image=crc32:{zlib.crc32(encoded):08x}".encode("ascii")
    return encoded[:start] + _segment(encoded, comment) + encoded[start:]


def is_stamped(path: Path, text: str) -> bool:
    """Say whether `path` is what `stamped` made with that text, unchanged."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    start = _start(content)
    length = len(_segment(content, f"{text} image=crc32:{0:08x}".encode("ascii")))
    return stamped(content[:start] + content[start + length :], text) == content


def begins_with(path: Path, text: str) -> bool:
    """Say whether a file has a stamp whose text begins like this.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(1 << 12)
    start = _start(head)
    before = len(_segment(head, b"")) - (4 if head.startswith(_PNG) else 0)
    return head[start + before :].startswith(text.encode("ascii"))


def _start(content: bytes) -> int:
    """Return where the stamp is: behind the first segment or chunk."""
    if content.startswith(_PNG):
        return _PNG_START
    # APP0 has its length at bytes 4-5.
    # Source: JFIF 1.02, "JFIF APP0 marker ... immediately following the SOI marker".
    return 4 + int.from_bytes(content[4:6], "big")


def _segment(content: bytes, comment: bytes) -> bytes:
    """Return the comment as a JPEG's COM segment, or as a PNG's tEXt chunk."""
    if not content.startswith(_PNG):
        return b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
    # Source: PNG (Third Edition), 5.3 "Chunk layout" and 11.3.3.2 "tEXt".
    data = _PNG_KEYWORD + comment
    checksum = zlib.crc32(b"tEXt" + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + b"tEXt" + data + checksum
