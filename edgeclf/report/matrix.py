"""Matrices of counts as SVG: who is taken for whom, and what stands together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgeclf.report.charts import shortened, text_width
from edgeclf.report.figures import percent, plural
from edgeclf.report.markup import Markup, element, join

# Side of a cell in pixels for so many classes at most.
_SIDES = ((8, 58), (14, 44), (30, 28), (60, 15), (130, 11))
_SHARES_FROM, _COUNTS_FROM, _NAMES_FROM = 44, 28, 11  # smallest cells that show them
_LONGEST = 1400  # pixels that the cells of more classes share
COUNT_SIZE = 15  # height of a count in pixels, as the style has it
_COUNT_ROOM = 4  # pixels beside the widest count
_MAX_NAME = 170  # pixels of a class's name
# Opacity of one picture in many and of a full row: text on it can still be read.
_WITH_COUNTS, _WITHOUT_COUNTS = (0.12, 0.72), (0.35, 1.0)


@dataclass(frozen=True)
class Grid:
    """The measures of a drawn matrix.

    Attributes:
        num_classes: Rows and columns.
        count_width: Of the widest count in pixels, which every cell has room for.
    """

    num_classes: int
    count_width: float = 0.0

    @property
    def side(self) -> int:
        """Side of a cell in pixels."""
        if self.has_counts:
            return max(self._least_side, math.ceil(self.count_width) + _COUNT_ROOM)
        return self._least_side

    @property
    def _least_side(self) -> int:
        for most, side in _SIDES:
            if self.num_classes <= most:
                return side
        return max(2, _LONGEST // self.num_classes)

    @property
    def has_names(self) -> bool:
        """Whether there is room for the names of the classes."""
        return self._least_side >= _NAMES_FROM

    @property
    def has_counts(self) -> bool:
        """Whether there is room for the counts."""
        return self._least_side >= _COUNTS_FROM

    @property
    def has_shares(self) -> bool:
        """Whether there is room for the shares of the row below them."""
        return self._least_side >= _SHARES_FROM

    @property
    def font_size(self) -> int:
        """Height of the names in pixels."""
        return min(13, self._least_side - 1)

    @property
    def angle(self) -> int:
        """Degrees by which the names over the columns are turned to the left."""
        return 45 if self.has_counts else 90  # upright where columns are narrow

    def leaning(self, width: float) -> tuple[float, float]:
        """Return how far a name of a width goes to the right and up over a column."""
        if not self.has_names:
            return 0.0, 0.0
        angle = math.radians(self.angle)
        return width * math.cos(angle), width * math.sin(angle)

    def strength(self, share: float) -> float:
        """Return how strong the colour of a cell is, from its share of the row."""
        weakest, strongest = _WITH_COUNTS if self.has_counts else _WITHOUT_COUNTS
        return weakest + (strongest - weakest) * share


class Confusion(NamedTuple):
    """Pictures of one class that were taken for another.

    Attributes:
        label: What they are.
        predicted: What they were taken for.
        num: How many.
        share: Of all pictures of their class, in [0, 1].
    """

    label: str
    predicted: str
    num: int
    share: float


class Cell(NamedTuple):
    """What is drawn where a row and a column meet.

    Attributes:
        row: Its index.
        column: Its index.
        number: What is written there.
        share: Of the row, in [0, 1]: how strong its colour is.
        kind: "hit", "miss" or "own", the tag with itself.
        title: What it says when it is pointed at.
    """

    row: int
    column: int
    number: int
    share: float
    kind: str
    title: str


def cells(matrix: Sequence[Sequence[int]]) -> list[tuple[int, int, int, float]]:
    """Return row, column, count and share of the row of each cell to be filled.

    Those are the ones with a count, and the diagonal of every class with a picture.
    """
    filled = []
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts):
            if count or (row == column and total):
                filled.append((row, column, count, count / total))
    return filled


def most_confused(
    matrix: Sequence[Sequence[int]], labels: Sequence[str], limit: int = 10
) -> list[Confusion]:
    """Return the pairs of classes with the most mistakes, the most first."""
    mistakes = [cell for cell in cells(matrix) if cell[0] != cell[1] and cell[2]]
    mistakes.sort(key=lambda cell: (-cell[2], -cell[3], cell[0], cell[1]))
    return [
        Confusion(labels[row], labels[column], count, share)
        for row, column, count, share in mistakes[:limit]
    ]


def cells_together(
    counts: Sequence[Sequence[int]],
) -> list[tuple[int, int, int, float]]:
    """Return row, column, count and share of the row's tag of each pair that occurs."""
    return [
        (row, column, count, count / numbers[row])
        for row, numbers in enumerate(counts)
        for column, count in enumerate(numbers)
        if count
    ]


def draw(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """Return a confusion matrix as SVG: rows true, columns predicted.

    Args:
        matrix: Counts, `(num_classes, num_classes)`.
        labels: Name of each class.
    """
    total = sum(sum(row) for row in matrix)
    hits = sum(matrix[index][index] for index in range(len(labels)))
    title = (
        f"Confusion matrix of {plural(len(labels), 'class', 'classes')}: {hits} of "
        f"{plural(total, 'picture')} on the diagonal"
    )
    drawn = [
        Cell(
            row, column, count, share, "hit" if row == column else "miss",
            f"{labels[row]} taken for {labels[column]}: {count}, "
            f"{percent(share)} of its pictures",
        )
        for row, column, count, share in cells(matrix)
    ]  # fmt: skip
    return _draw(drawn, labels, title, ("predicted \u2192", "true \u2193"))


def draw_together(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """Return how many pictures have each pair of tags as SVG.

    Args:
        counts: `(tags, tags)`, on the diagonal the pictures of each tag.
        labels: Name of each tag.
    """
    drawn = [
        Cell(row, column, count, share, "own", f"{labels[row]}: {count}")
        if row == column
        else Cell(
            row, column, count, share, "hit",
            f"{labels[row]} and {labels[column]}: {count}, "
            f"{percent(share)} of those with {labels[row]}",
        )
        for row, column, count, share in cells_together(counts)
    ]  # fmt: skip
    title = f"How many pictures have each pair of {plural(len(labels), 'tag')}"
    return _draw(drawn, labels, title, ("and \u2192", "tag \u2193"))


def _draw(
    drawn: Sequence[Cell], labels: Sequence[str], title: str, axes: tuple[str, str]
) -> Markup:
    """Return cells, with the names of rows and columns around them."""
    widths = (text_width(str(cell.number), COUNT_SIZE) for cell in drawn)
    grid = Grid(len(labels), max(widths, default=0.0))
    names = [shortened(label, _MAX_NAME, grid.font_size) for label in labels]
    widest = max((text_width(name, grid.font_size) for name in names), default=0.0)
    widest = max(widest, 76.0) if grid.has_names else 76.0
    lean, rise = grid.leaning(widest)
    left, top, span = widest + 12, rise + 26, grid.side * len(labels)
    right = left + span + lean + 4
    height = top + span + 4
    return element(
        "svg",
        element("title", title),
        element("rect", x=left, y=top, width=span, height=span, class_="sheet"),
        _lines(grid, left, top) if grid.has_names else None,
        _axis_names(left, top, *axes),
        _names(grid, names, left, top) if grid.has_names else None,
        [
            _cell(grid, cell, left + cell.column * grid.side,
                  top + cell.row * grid.side)
            for cell in drawn
        ],
        class_="matrix", role="img", viewBox=f"0 0 {right:.0f} {height:.0f}",
        width=round(right), height=round(height), font_size=grid.font_size,
    )  # fmt: skip


def _cell(grid: Grid, cell: Cell, left: float, top: float) -> Markup:
    middle, middle_y = left + grid.side / 2, top + grid.side / 2
    written = None
    if grid.has_counts:
        below = grid.has_shares and cell.kind != "own"  # all of its own
        written = join(
            element("text", cell.number, x=middle, y=middle_y + (0 if below else 5),
                    text_anchor="middle", class_="count"),
            element("text", f"{100 * cell.share:.0f}%", x=middle, y=middle_y + 14,
                    text_anchor="middle", class_="share") if below else None,
        )  # fmt: skip
    return element(
        "g",
        element("title", cell.title),
        element("rect", x=left, y=top, width=grid.side, height=grid.side,
                class_=cell.kind,
                fill_opacity=None if cell.kind == "own" else grid.strength(cell.share)),
        written,
    )  # fmt: skip


def _lines(grid: Grid, left: float, top: float) -> Markup:
    """Draw the lines between the cells as one path."""
    span = grid.side * grid.num_classes
    steps = [grid.side * index for index in range(grid.num_classes + 1)]
    path = "".join(f"M{left:.2f},{top + step:.2f}h{span}" for step in steps)
    path += "".join(f"M{left + step:.2f},{top:.2f}v{span}" for step in steps)
    return element("path", d=path, class_="grid")


def _names(grid: Grid, names: Sequence[str], left: float, top: float) -> Markup:
    """Write the classes at the rows, and aslant over the columns."""
    marks = []
    for index, name in enumerate(names):
        middle = (index + 0.5) * grid.side
        x, y = left + middle + 3, top - 6
        turn = f"rotate({-grid.angle} {x:.2f} {y:.2f})"
        marks += [
            element("text", name, x=left - 8, y=top + middle + grid.font_size * 0.35,
                    text_anchor="end"),
            element("text", name, x=x, y=y, transform=turn),
        ]  # fmt: skip
    return join(marks)


def _axis_names(left: float, top: float, column: str, row: str) -> Markup:
    return join(
        element("text", column, x=left - 8, y=top - 20, text_anchor="end",
                class_="axis"),
        element("text", row, x=left - 8, y=top - 6, text_anchor="end", class_="axis"),
    )  # fmt: skip
