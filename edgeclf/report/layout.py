"""The parts that the sections of the page are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edgeclf.report.figures import count, percent
from edgeclf.report.markup import Child, Markup, element

LONG = 12  # rows and entries that are shown without opening what holds the others
MOST = 100  # that are listed at all; the JSON file has every one


class Section(NamedTuple):
    """A part of the page with a heading of its own.

    Attributes:
        key: Its place in the page's address, after `#`.
        title: Its heading.
        content: What follows.
    """

    key: str
    title: str
    content: Markup


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: Its heading.
        is_number: Whether it holds figures, which stand to the right.
    """

    title: str
    is_number: bool = False


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Child]],
    *,
    is_sortable: bool = False,
    is_dense: bool = False,
) -> Markup:
    """Return a table that scrolls in its own box where it is too wide.

    Args:
        caption: What it lists; for those who hear the page.
        columns: The first one names the rows.
        rows: A cell for each column.
        is_sortable: Whether a click on a heading sorts it.
        is_dense: Whether its columns are many, and set closer for that.
    """
    head = [
        element("th", column.title, scope="col", class_=_kind(column))
        for column in columns
    ]
    kinds = ["sortable"] * is_sortable + ["dense"] * is_dense
    body = []
    for first, *others in rows:
        cells = [element("th", first, scope="row", class_=_kind(columns[0]))]
        for column, cell in zip(columns[1:], others, strict=True):
            cells.append(element("td", cell, class_=_kind(column)))
        body.append(element("tr", cells))
    written = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head)),
        element("tbody", body),
        class_=" ".join(kinds) or None,
    )
    return scrolling(caption, written)


def scrolling(name: str, content: Child) -> Markup:
    """Return a box that scrolls sideways, also with the keyboard."""
    return element(
        "div", content, class_="scroll", tabindex=0, role="group", aria_label=name
    )


def facts(entries: Iterable[tuple[str, Child]]) -> Markup:
    """Return names and values as a list; those without a value are left out."""
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", content))
            for name, content in entries
            if content is not None
        ],
        class_="facts",
    )


def meter(share: float | None, kind: str = "one") -> Markup | None:
    """Return a bar as long as a share; the figure stands beside it in words."""
    if share is None:
        return None
    filled = 100 * min(max(share, 0.0), 1.0)
    return element(
        "svg",
        element("rect", width=100, height=8, class_="track"),
        element("rect", width=filled, height=8, class_=f"column {kind}"),
        class_="meter", viewBox="0 0 100 8", preserveAspectRatio="none",
        aria_hidden="true",
    )  # fmt: skip


def metered(share: float | None, kind: str = "one") -> list[Child]:
    """Return a percentage and its bar."""
    return [element("span", percent(share), class_="figure"), meter(share, kind)]


def names(labels: Sequence[str], most: int = LONG) -> list[Child]:
    """Return names in a row, the first of many."""
    listed: list[Child] = []
    for name in labels[:most]:
        listed += [", " if listed else None, label(name)]
    more = len(labels) - most
    return [*listed, f" and {more} more" if more > 0 else None]


def label(name: str) -> Markup:
    """Return the name of a class, whatever direction it is written in."""
    return element("bdi", name, class_="label")


def file_name(name: str) -> Markup:
    """Return the name of a file."""
    return element("bdi", name, class_="file")


def paragraph(*words: Child, kind: str | None = None) -> Markup:
    """Return a paragraph."""
    return element("p", *words, class_=kind)


def heading(words: str) -> Markup:
    """Return the heading of a part of a section."""
    return element("h3", words)


def beside(figure: Markup, *words: Child) -> Markup:
    """Return a figure with what there is to say of it at its side."""
    return element(
        "div",
        element("div", figure, class_="drawing"),
        element("div", *words, class_="words"),
        class_="beside",
    )


def folded(summary: str, *content: Child) -> Markup:
    """Return content that opens when its summary is pressed."""
    return element("details", element("summary", summary), *content)


def unlisted(number: int) -> Markup | None:
    """Return how many entries stand in the JSON file alone."""
    if number <= MOST:
        return None
    more = f"And {count(number - MOST)} more, which the JSON file beside this lists."
    return paragraph(more, kind="soft")


def _kind(column: Column) -> str | None:
    return "number" if column.is_number else None
