"""The confusion matrix: how its cells are drawn, as SVG, and who is taken for whom."""

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
_MAX_NAME = 170  # pixels of a class's name
# Opacity of one picture in many and of a full row: text on it can still be read.
_WITH_COUNTS, _WITHOUT_COUNTS = (0.12, 0.72), (0.35, 1.0)


@dataclass(frozen=True)
class Grid:
    """The measures of a drawn matrix.

    Attributes:
        num_classes: Rows and columns.
    """

    num_classes: int

    @property
    def side(self) -> int:
        """Side of a cell in pixels."""
        for most, side in _SIDES:
            if self.num_classes <= most:
                return side
        return max(2, _LONGEST // self.num_classes)

    @property
    def has_names(self) -> bool:
        """Whether there is room for the names of the classes."""
        return self.side >= _NAMES_FROM

    @property
    def has_counts(self) -> bool:
        """Whether there is room for the counts."""
        return self.side >= _COUNTS_FROM

    @property
    def has_shares(self) -> bool:
        """Whether there is room for the shares of the row below them."""
        return self.side >= _SHARES_FROM

    @property
    def font_size(self) -> int:
        """Height of the names in pixels."""
        return min(13, self.side - 1)

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


def draw(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """Return the matrix as SVG: rows true, columns predicted.

    Args:
        matrix: Counts, `(num_classes, num_classes)`.
        labels: Name of each class.
    """
    grid = Grid(len(labels))
    names = [shortened(label, _MAX_NAME, grid.font_size) for label in labels]
    widest = max((text_width(name, grid.font_size) for name in names), default=0.0)
    widest = max(widest, 76.0) if grid.has_names else 76.0
    lean, rise = grid.leaning(widest)
    left, top, span = widest + 12, rise + 26, grid.side * len(labels)
    right = left + span + lean + 4
    height = top + span + 4
    total = sum(sum(row) for row in matrix)
    hits = sum(matrix[index][index] for index in range(len(labels)))
    title = (
        f"Confusion matrix of {plural(len(labels), 'class', 'classes')}: {hits} of "
        f"{plural(total, 'picture')} on the diagonal"
    )
    return element(
        "svg",
        element("title", title),
        element("rect", x=left, y=top, width=span, height=span, class_="sheet"),
        _lines(grid, left, top) if grid.has_names else None,
        _axis_names(left, top),
        _names(grid, names, left, top) if grid.has_names else None,
        [
            _cell(grid, cell, labels, left + cell[1] * grid.side,
                  top + cell[0] * grid.side)
            for cell in cells(matrix)
        ],
        class_="matrix", role="img", viewBox=f"0 0 {right:.0f} {height:.0f}",
        width=round(right), height=round(height), font_size=grid.font_size,
    )  # fmt: skip


def _cell(
    grid: Grid,
    cell: tuple[int, int, int, float],
    labels: Sequence[str],
    left: float,
    top: float,
) -> Markup:
    row, column, count, share = cell
    middle, middle_y = left + grid.side / 2, top + grid.side / 2
    title = (
        f"{labels[row]} taken for {labels[column]}: {count}, "
        f"{percent(share)} of its pictures"
    )
    written = None
    if grid.has_counts:
        below = grid.has_shares
        written = join(
            element("text", count, x=middle, y=middle_y + (0 if below else 5),
                    text_anchor="middle", class_="count"),
            element("text", f"{100 * share:.0f}%", x=middle, y=middle_y + 14,
                    text_anchor="middle", class_="share") if below else None,
        )  # fmt: skip
    return element(
        "g",
        element("title", title),
        element("rect", x=left, y=top, width=grid.side, height=grid.side,
                class_="hit" if row == column else "miss",
                fill_opacity=grid.strength(share)),
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


def _axis_names(left: float, top: float) -> Markup:
    return join(
        element("text", "predicted \u2192", x=left - 8, y=top - 20, text_anchor="end",
                class_="axis"),
        element("text", "true \u2193", x=left - 8, y=top - 6, text_anchor="end",
                class_="axis"),
    )  # fmt: skip
