"""Bodies of uploads: pictures or a `ProblemError`, however they are cut into pieces."""

from __future__ import annotations

from edgeclf.web.intake import plain
from edgeclf.web.multipart import Multipart
from edgeclf.web.problems import ProblemError

MAX_BYTES = 4096
BOUNDARY, FIELD, MAX_PARTS = "b", "image", 3


def seeds() -> dict[str, bytes]:
    """Return bodies of one and of several parts."""
    one = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--\r\n"
    )
    star = (
        b"--b\r\nContent-Disposition: form-data; name=image; filename*=utf-8''%c3\r\n"
    )
    return {
        "one": one + b"--b--\r\n",
        "three": b"\r\n" + one * 3 + b"--b--\r\nend",
        "other": one.replace(b"image", b"file") + b"--b--",
        "star": star + b"\r\n\r\n--b--\r\n",
    }


def try_input(content: bytes) -> None:
    """Feed a body whole and in pieces; where both are taken, they say the same.

    What stands before the first boundary is passed over only if it comes in one piece.
    """
    whole = _parts(content, len(content) or 1)
    pieces = _parts(content, 1 + len(content) % 7)
    if whole is not None and pieces is not None and whole != pieces:
        raise AssertionError(f"{whole} {pieces}")


def _parts(content: bytes, size: int) -> list[tuple[str, bytes]] | None:
    """Return names and contents; None of a body that is refused."""
    parser = Multipart(BOUNDARY, FIELD, MAX_PARTS)
    try:
        for start in range(0, len(content), size):
            parser.feed(content[start : start + size])
        found = parser.end()
        return [
            (plain(name or "", place), bytes(part))
            for place, (name, part) in enumerate(found)
        ]
    except ProblemError:
        return None
    finally:
        parser.close()
