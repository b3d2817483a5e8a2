"""Read what a search service answers: JSON of which nothing can be relied upon."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

from edgeclf.errors import DownloadError

MAX_TEXT = 300  # letters of a title or a name that are kept
MAX_HTML = 4000  # that are looked at: the parser's time grows with their square
MAX_ADDRESS = 8192  # servers take no longer ones


class _Text(HTMLParser):
    """Collects what is between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("br", "p", "div", "li", "tr"):
            self.parts.append(" ")


def plain_text(html: str) -> str:
    """Return one line of text for a piece of HTML."""
    parser = _Text()
    # AssertionError: what some versions of Python say of "<![x[".
    with suppress(AssertionError):
        parser.feed(html[:MAX_HTML])
        parser.close()
    return _one_line("".join(parser.parts))


def text_of(entry: object, *names: str) -> str | None:
    """Return one line of text at `entry[names[0]][names[1]]...`; None if there is none.

    Numbers are taken as text, since some services give identifiers as such.
    """
    for name in names:
        if not isinstance(entry, Mapping):
            return None
        entry = entry.get(name)
    if isinstance(entry, int) and not isinstance(entry, bool):
        return str(entry)
    if not isinstance(entry, str):
        return None
    return _one_line(entry) or None


def _one_line(text: str) -> str:
    """Return text without control characters, which would reach a terminal."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:MAX_TEXT]


def address_of(entry: object, *names: str) -> str | None:
    """Return the first web address among `entry[name]`; None if there is none."""
    for name in names:
        value = entry.get(name) if isinstance(entry, Mapping) else None
        if not isinstance(value, str) or len(value) > MAX_ADDRESS:
            continue
        if value.lower().startswith(("http://", "https://")):
            return value
    return None


def entries_of(answer: Any, service: str, *names: str) -> Sequence[Any]:
    """Return the list at `answer[names[0]][names[1]]...`.

    Raises:
        DownloadError: There is none: the service answers otherwise than documented.
    """
    value = answer
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, list):
        raise DownloadError(
            f"Expected {'.'.join(names)} in the answer of {service}. "
            f"Received: {str(answer)[:80]!r}."
        )
    return value


def base_address(variable: str, default: str) -> str:
    """Return a service's address: of the environment, else its own."""
    return os.environ.get(variable) or default
