"""Take the pictures out of a multipart body while it comes, straight into memory."""

from __future__ import annotations

import logging
from collections import deque
from http import HTTPStatus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edgeclf.web.problems import ProblemError, too_many, unprocessable

# It writes what it raises as well, and clients are told.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())

# Bytes; older versions of the parser have no limit, and are slow with long ones.
_LONGEST_HEADERS = 4096  # all of a part together


class Multipart:
    """A multipart body of pictures, fed piece by piece.

    Args:
        boundary: Of the parts, from the content type.
        field: What all parts have to be called.
        max_parts: The most that are taken.

    Raises:
        ProblemError: The boundary is none (400).
    """

    def __init__(self, boundary: str, field: str, max_parts: int) -> None:
        self._field = field
        self._max_parts = max_parts
        self._parts: deque[tuple[str | None, bytearray]] = deque()
        self._content = bytearray()
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._header_bytes = 0  # of the part's headers up to now
        self._headers: dict[bytes, bytes] = {}
        self._has_ended = False
        if not boundary:
            raise _malformed("there is no boundary in its Content-Type")
        try:
            self._parser = MultipartParser(
                boundary.encode("utf-8", "surrogateescape"),
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._add,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            ProblemError: It is malformed (400), a part of another name, or one too
                many (422).
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def end(self) -> deque[tuple[str | None, bytearray]]:
        """Return file name and content of all parts.

        Raises:
            ProblemError: It was cut short (400), or holds no part (422).
        """
        if not self._has_ended:
            raise _malformed("it was cut short")
        if not self._parts:
            raise self._unexpected("no field")
        return self._parts

    def close(self) -> None:
        """Let go of all parts.

        The parser and this hold each other: what is large would stay until Python
        looks for such rings, long after the answer.
        """
        self._parts, self._content = deque(), bytearray()

    def _begin(self) -> None:
        if len(self._parts) == self._max_parts:
            raise too_many(self._max_parts)
        self._headers, self._header_bytes = {}, 0

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(memoryview(data)[start:end])
        self._count(end - start)

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(memoryview(data)[start:end])
        self._count(end - start)

    def _count(self, size_bytes: int) -> None:
        self._header_bytes += size_bytes
        if self._header_bytes > _LONGEST_HEADERS:
            raise _malformed("a part has headers that are too long")

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)

    def _open(self) -> None:
        """Begin to keep a part, of which all headers are known."""
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != self._field:
            shown = "".join(c for c in field if c.isprintable())[:80]
            raise self._unexpected(f"a field {shown!r}")
        name = options.get(b"filename")
        self._content = bytearray()
        self._parts.append(
            (None if name is None else name.decode("utf-8", "replace"), self._content)
        )

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._content.extend(memoryview(data)[start:end])

    def _end(self) -> None:
        self._has_ended = True

    def _unexpected(self, received: str) -> ProblemError:
        return unprocessable(
            f"Expected one or several fields {self._field!r}, each with a picture; "
            f"options such as top_k belong into the address. Received: {received}."
        )


def _malformed(reason: str) -> ProblemError:
    reason = "".join(c for c in reason if c.isprintable())[:200].rstrip(".")
    return ProblemError(
        HTTPStatus.BAD_REQUEST,
        "Malformed body",
        f"Expected multipart/form-data. Received: a body that is not: {reason}.",
    )
