"""Paths from a list or a pipe, one a line, and how to tell them from a picture."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from edgeclf.errors import ImageError

HEAD_BYTES = 1 << 10
CHUNK_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 16  # longer than any path and any sensible URL

# Bytes that are in encoded pictures and not in lists of paths: control characters, and
# two zero bytes, since one may stand between two paths (`find -print0`).
_BINARY = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]|\0\0|\A\0")
# Pictures that are text, and what people take for pictures.
# Source: netpbm's pbm(5), pgm(5), ppm(5) and pfm(5); X11's XBM and XPM.
_TEXT_PICTURE = re.compile(
    rb"P[1-7Ff]\s+[#\d]|#define\s|/\* XPM|<svg|<\?xml|<!DOCTYPE|%PDF|%!PS"
)


def first_bytes(stream: BinaryIO) -> bytes:
    """Return enough of the stream to tell what it holds; less only where it ends.

    That is a whole line or 1 KiB. A pipe is not waited for once a line is there.
    """
    head = b""
    while len(head) < HEAD_BYTES and b"\n" not in head and b"\0" not in head:
        chunk = _read(stream)
        if not chunk:
            break
        head += chunk
    return head


def is_picture(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a picture rather than paths."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    head = head[:HEAD_BYTES]
    return bool(_BINARY.search(head) or _TEXT_PICTURE.match(head))


def path_lines(name: str, head: bytes, stream: BinaryIO) -> Iterator[str]:
    r"""Yield each path as soon as its line is there.

    Lines end in `\n` or `\r\n`; where the first bytes hold a zero byte, paths do, and
    a path may then hold `\n`. Blank lines are skipped, a byte order mark is dropped.

    Args:
        name: What errors call the list.
        head: What `first_bytes` returned.
        stream: The rest.

    Yields:
        Paths, of which bytes that are not UTF-8 are kept as `os.fsdecode` does.

    Raises:
        ImageError: The text is UTF-16, or a line is longer than any path.
        OSError: The stream cannot be read.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ImageError(
            f"Expected {name} to hold paths in UTF-8, one a line. Received: UTF-16. "
            "Save it as UTF-8."
        )
    separator = b"\0" if b"\0" in head else b"\n"
    chunk = head.removeprefix(codecs.BOM_UTF8)
    rest = b""
    while chunk:
        *lines, rest = (rest + chunk).split(separator)
        yield from filter(None, map(_path, lines))
        if len(rest) > MAX_LINE_BYTES:
            raise ImageError(
                f"Expected paths in {name}, one a line. Received: a line of more than "
                f"{MAX_LINE_BYTES} bytes."
            )
        chunk = _read(stream)
    yield from filter(None, [_path(rest)])


def _path(line: bytes) -> str:
    return os.fsdecode(line.rstrip(b"\r")) if line.strip() else ""


def _read(stream: BinaryIO) -> bytes:
    """Return what is there now; wait only if nothing is."""
    read = getattr(
        stream, "read1", stream.read
    )  # raw files have no read1 and need none
    chunk: bytes | None = read(CHUNK_BYTES)
    return chunk or b""
