"""A contact sheet: labelled pictures row by row, mistakes marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw

from edgeclf import image
from edgeclf.lettering import INK, PAPER, SOFT_INK, TRACK, draw_text, text_width
from edgeclf.results import Category

# Blue and vermilion are told apart with every kind of colour vision. Source: M. Okabe
# and K. Ito, "Color Universal Design", 2008.
RIGHT = (0, 114, 178)
WRONG = (213, 94, 0)
WRONG_INK = (168, 66, 0)  # dark enough to be read on white

MARGIN = 24
GAP = 12
HEAD = 62  # height of title and subtitle
FOOT = 34  # height of the legend
SIDE = 150  # width of the class names
CAPTION = 34  # height of label and score bar below a picture


@dataclass(frozen=True)
class LabelledPicture:
    """A picture with what it is and what the model calls it.

    Attributes:
        path: The picture.
        truth: Its true class.
        category: The model's best category.
    """

    path: Path
    truth: str
    category: Category

    @property
    def is_right(self) -> bool:
        """Whether the model's label is the true one."""
        return self.category.label == self.truth


def contact_sheet(
    pictures: Sequence[LabelledPicture],
    title: str,
    subtitle: str = "",
    columns: int = 8,
    tile: int = 120,
) -> Image.Image:
    """Lay out pictures on white, one class after the other, with label and score.

    A right label has a blue bar and a tick in a round badge; a wrong one an orange
    bar, a cross in a square badge and a frame round the picture.

    Args:
        pictures: At least one. Rows follow the order in which classes first appear.
        title: First line.
        subtitle: Second line, smaller.
        columns: Pictures in a row; a class with more gets several rows.
        tile: Side of a picture in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: There is no picture, or `columns` or `tile` is too small.
        ImageError: A picture cannot be decoded.
    """
    if not pictures or columns < 1 or tile < 32:
        raise ValueError(
            "Expected one picture or more, columns of at least 1 and tile of at least "
            f"32. Received: {len(pictures)} pictures, columns={columns}, tile={tile}."
        )
    order = list(dict.fromkeys(picture.truth for picture in pictures))
    ranked = sorted(pictures, key=lambda picture: order.index(picture.truth))
    rows: list[list[LabelledPicture]] = []
    for _, group in groupby(ranked, key=lambda picture: picture.truth):
        members = list(group)
        rows += [members[i : i + columns] for i in range(0, len(members), columns)]
    used = max(len(row) for row in rows)
    step = tile + CAPTION + GAP
    width = 2 * MARGIN + SIDE + used * (tile + GAP) - GAP
    height = 2 * MARGIN + HEAD + len(rows) * step + FOOT
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    room = width - 2 * MARGIN
    draw_text(draw, (MARGIN, MARGIN - 4), title, 24, INK, room)
    draw_text(draw, (MARGIN, MARGIN + 28), subtitle, 14, SOFT_INK, room)
    above = ""
    for index, row in enumerate(rows):
        top = MARGIN + HEAD + index * step
        if row[0].truth != above:
            above = row[0].truth
            _draw_class(draw, top, tile, [p for p in ranked if p.truth == above])
        for column, picture in enumerate(row):
            left = MARGIN + SIDE + column * (tile + GAP)
            _draw_tile(sheet, draw, (left, top), tile, picture)
    _draw_legend(sheet, draw, (MARGIN + SIDE, height - MARGIN - 14))
    return sheet


def _draw_class(
    draw: ImageDraw.ImageDraw, top: int, tile: int, members: list[LabelledPicture]
) -> None:
    """Write a class's name, word by word where it is long, and its count."""
    draw.line((MARGIN, top - GAP // 2, MARGIN + SIDE - GAP, top - GAP // 2), TRACK)
    y = top + 6
    lines = [members[0].truth]
    if text_width(lines[0], 17) > SIDE - GAP:
        lines = lines[0].split()[: max(1, (tile - 24) // 22)]
    for line in lines:
        draw_text(draw, (MARGIN, y), line, 17, INK, SIDE - GAP)
        y += 22
    right = sum(member.is_right for member in members)
    count = f"{right} of {len(members)} right"
    draw_text(draw, (MARGIN, y + 2), count, 13, SOFT_INK, SIDE - GAP)


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    tile: int,
    picture: LabelledPicture,
) -> None:
    """Draw a picture, its badge, the score bar and the label it was given."""
    left, top = corner
    colour = RIGHT if picture.is_right else WRONG
    sheet.paste(Image.fromarray(image.load(picture.path, (tile, tile))), corner)
    box = (left, top, left + tile - 1, top + tile - 1)
    if picture.is_right:
        draw.rectangle(box, outline=TRACK)
    else:
        draw.rectangle(box, outline=colour, width=4)
    _draw_badge(sheet, (left + tile - 22, top + 4), picture.is_right)
    score = min(max(picture.category.score, 0.0), 1.0)
    bar_top, bar_right = top + tile + 5, left + tile - 32
    draw.rectangle((left, bar_top, bar_right, bar_top + 6), fill=TRACK)
    filled = left + round(score * (bar_right - left))
    draw.rectangle((left, bar_top, filled, bar_top + 6), fill=colour)
    draw_text(draw, (left + tile - 26, bar_top - 4), f"{score:.2f}", 12, INK)
    label = picture.category.label or "unknown"
    draw_text(
        draw,
        (left, bar_top + 9),
        label,
        12.5,
        INK if picture.is_right else WRONG_INK,
        tile,
    )


def _draw_badge(sheet: Image.Image, corner: tuple[int, int], is_right: bool) -> None:
    """Paste a tick in a circle or a cross in a square, 18 pixels wide."""
    side = 72  # drawn four times as large, so that its edges are smooth
    badge = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(badge)
    edge = (2, 2, side - 3, side - 3)
    if is_right:
        draw.ellipse(edge, fill=RIGHT, outline=PAPER, width=6)
        draw.line((20, 37, 32, 50, 52, 24), fill=PAPER, width=9, joint="curve")
    else:
        draw.rectangle(edge, fill=WRONG, outline=PAPER, width=6)
        draw.line((22, 22, 50, 50), fill=PAPER, width=9)
        draw.line((22, 50, 50, 22), fill=PAPER, width=9)
    small = badge.resize((18, 18), Image.Resampling.BOX)
    sheet.paste(small, corner, small)


def _draw_legend(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int]
) -> None:
    left, top = corner
    for is_right, words in ((True, "right"), (False, "wrong: the label it was given")):
        _draw_badge(sheet, (left, top), is_right)
        draw_text(draw, (left + 24, top + 1), words, 13, SOFT_INK)
        left += 24 + round(text_width(words, 13)) + 24
    draw.rectangle((left, top + 6, left + 40, top + 12), fill=TRACK)
    draw.rectangle((left, top + 6, left + 30, top + 12), fill=RIGHT)
    draw_text(draw, (left + 48, top + 1), "score", 13, SOFT_INK)
