"""Matrices of counts as pictures, for PNG files or TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgeclf.lettering import INK, PAPER, SOFT_INK, TRACK, Fill, draw_text, text_width
from edgeclf.report.figures import count, percent, plural
from edgeclf.report.markup import printable
from edgeclf.report.matrix import COUNT_SIZE, Grid, cells, cells_together

HIT: Fill = (0, 114, 178)  # Okabe and Ito's blue and vermilion, as on the page
MISS: Fill = (213, 94, 0)

_SCALE = 2  # pixels of the picture for one of the page, where text has to be read
_MARGIN = 16
_HEAD = 46  # height of the title
_MAX_NAME = 200


def confusion_matrix(
    matrix: Sequence[Sequence[int]] | NDArray[np.integer], labels: Sequence[str]
) -> Image.Image:
    """Draw a confusion matrix.

    Args:
        matrix: Counts, `(num_classes, num_classes)`: rows true, columns predicted.
        labels: Name of each class, at least one.

    Returns:
        An RGB picture: right answers blue, wrong ones orange, stronger where they are
        a larger share of their row; with counts where there is room for them.

    Raises:
        ValueError: The matrix is not square, or has another number of classes.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)) or not len(labels):
        raise ValueError(
            f"Expected a matrix of shape (num_classes, num_classes) and a label for "
            f"each class. Received: shape {counts.shape} and {len(labels)} labels."
        )
    total, hits = int(counts.sum()), int(np.trace(counts))
    drawn = [
        (*cell, HIT if cell[0] == cell[1] else MISS) for cell in cells(counts.tolist())
    ]
    return _drawn(
        drawn,
        labels,
        f"{percent(hits / total)} right" if total else "No pictures",
        f"{count(hits)} of {plural(total, 'picture')}; rows true, columns predicted",
    )


def cooccurrence_matrix(
    counts: Sequence[Sequence[int]], labels: Sequence[str]
) -> Image.Image:
    """Draw how many pictures have each pair of tags.

    Args:
        counts: `(tags, tags)`, on the diagonal the pictures of each tag.
        labels: Name of each tag, at least one.

    Returns:
        An RGB picture: a pair is bluer where it is a larger share of the row's tag.
    """
    drawn = [
        (*cell, TRACK if cell[0] == cell[1] else HIT) for cell in cells_together(counts)
    ]
    return _drawn(
        drawn,
        labels,
        "Tags that stand together",
        "pictures with both; bluer, the larger their share of those with the row's tag",
    )


def _drawn(
    drawn: Sequence[tuple[int, int, int, float, Fill]],
    labels: Sequence[str],
    title: str,
    note: str,
) -> Image.Image:
    """Draw cells, of row, column, count, share and colour, with names around them."""
    labels = [" ".join(printable(label).split()) for label in labels]
    widths = (text_width(str(cell[2]), COUNT_SIZE) for cell in drawn)
    grid = Grid(len(labels), max(widths, default=0.0))
    scale = _SCALE if grid.has_names else 1
    size = grid.font_size * scale
    widest = max(text_width(label, size) for label in labels) if grid.has_names else 0
    room = round(min(widest, _MAX_NAME * scale))
    left = (_MARGIN + 8) * scale + max(room, 60 * scale)
    top = (_MARGIN + _HEAD) * scale + room
    side, span = grid.side * scale, grid.side * scale * len(labels)
    head = max(340 * scale, round(text_width(note, 12 * scale)) + _MARGIN * scale)
    canvas = Image.new(
        "RGB", (max(left + span, head) + _MARGIN * scale, top + span + _MARGIN * scale),
        PAPER,
    )  # fmt: skip
    draw = ImageDraw.Draw(canvas)
    margin = _MARGIN * scale
    draw_text(draw, (margin, margin), title, 18 * scale, INK)
    draw_text(draw, (margin, margin + 23 * scale), note, 12 * scale, SOFT_INK)
    for row, column, number, share, color in drawn:
        corner = (left + column * side, top + row * side)
        _draw_cell(draw, grid, scale, corner, (number, share), color)
    _draw_lines(draw, grid, (left, top), side)
    if grid.has_names:
        _draw_names(canvas, labels, (left, top), (side, size, room))
    return canvas


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    grid: Grid,
    scale: int,
    corner: tuple[int, int],
    content: tuple[int, float],
    color: Fill,
) -> None:
    (left, top), (number, share), side = corner, content, grid.side * scale
    fill = color if color == TRACK else _mixed(color, grid.strength(share))
    draw.rectangle((left, top, left + side - 1, top + side - 1), fill=fill)
    lines = [(str(number), COUNT_SIZE * scale)] if grid.has_counts else []
    if grid.has_shares and color != TRACK:  # all of its own
        lines.append((f"{100 * share:.0f}%", 11 * scale))
    y = top + side / 2 - 0.6 * sum(size for _, size in lines)
    for words, size in lines:
        x = left + (side - text_width(words, size)) / 2
        draw_text(draw, (x, y), words, size, INK)
        y += 1.2 * size


def _draw_lines(
    draw: ImageDraw.ImageDraw, grid: Grid, corner: tuple[int, int], side: int
) -> None:
    left, top = corner
    span = side * grid.num_classes
    every = 1 if grid.has_names else grid.num_classes  # only round the others
    for index in range(0, grid.num_classes + 1, every):
        at = index * side
        draw.line((left, top + at, left + span, top + at), fill=TRACK)
        draw.line((left + at, top, left + at, top + span), fill=TRACK)


def _draw_names(
    canvas: Image.Image,
    labels: Sequence[str],
    corner: tuple[int, int],
    measures: tuple[int, int, int],
) -> None:
    """Write the classes beside the rows, and upright over the columns."""
    (left, top), (side, size, room) = corner, measures
    draw = ImageDraw.Draw(canvas)
    for index, label in enumerate(labels):
        middle = index * side + (side - 1.3 * size) / 2
        width = min(text_width(label, size), room)
        place = (left - 8 - width, top + middle)
        draw_text(draw, place, label, size, INK, room)
        strip = Image.new("RGB", (room + size, round(1.4 * size)), PAPER)
        draw_text(ImageDraw.Draw(strip), (0, 0), label, size, INK, room)
        upright = strip.crop((0, 0, room, strip.height)).rotate(90, expand=True)
        canvas.paste(upright, (left + round(middle), top - 8 - room))


def _mixed(color: Fill, strength: float) -> Fill:
    """Return a colour over white, as if it were so opaque."""
    red, green, blue = (
        round(paper + strength * (part - paper))
        for part, paper in zip(color, PAPER, strict=True)
    )
    return red, green, blue
