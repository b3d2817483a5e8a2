"""HTML and SVG in which text is escaped unless it says that it is markup.

`element("td", label)` escapes the label, whatever is in it; `element("tr", cell)` takes
the cell as it is, since `element` made it. Joining the two kinds with `+` gives plain
text again, which is escaped: nothing slips through by being forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

# Browsers take these for a damaged file, and a file name may hold every one of them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_WITHOUT_END = frozenset({"br", "circle", "col", "img", "line", "meta", "path", "rect"})
_HTML_VOID = frozenset({"br", "col", "img", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = str | int | float | Iterable["Child"] | None
Attribute: TypeAlias = str | int | float | bool | None


def text(value: object) -> Markup:
    """Return any value as printable text of a page, its special characters escaped."""
    if isinstance(value, Markup):
        return value
    return Markup(_escaped(value))


def join(*children: Child) -> Markup:
    """Return the children one after the other: None is left out, lists are opened."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, (str, int, float)):
            parts.append(text(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def element(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element.

    Args:
        tag: Its name.
        *children: What is in it; see `join`.
        **attributes: `class_` is the attribute `class`, `text_anchor` is
            `text-anchor`. None and False leave an attribute out, True writes its name
            alone. Floats are written with two decimals at most.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _HTML_VOID:
        return Markup(f"<{tag}{written}>")
    if tag in _WITHOUT_END and not children:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def number(value: float) -> str:
    """Return a coordinate with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    written = number(value) if isinstance(value, float) else _escaped(value)
    return f' {name}="{written}"'


def printable(words: str) -> str:
    """Return text in which U+FFFD stands for what can neither be shown nor stored.

    That is control characters, and the surrogates that stand for bytes of file names
    that are not UTF-8.
    """
    return _UNPRINTABLE.sub("\ufffd", words)


def _escaped(value: object) -> str:
    return escape(printable(str(value)))
