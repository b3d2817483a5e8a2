"""Pictures to look at: one with its labels, one with where they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgeclf.class_activation_map import relative
from edgeclf.decoder import ImageSource
from edgeclf.image import decode, stretch
from edgeclf.lettering import INK, PAPER, SOFT_INK, TRACK, Fill, draw_text, text_width
from edgeclf.results import Category, label_of

SIDE = 640  # longest side of the picture in pixels
MARGIN = 20
PANEL = 260  # width of the labels beside the picture
ROW = 50  # height of a label and its bar
BAR = 8
FOOT = 52  # height of the legend below a heat map
LEGEND = 150  # width of its colours
BEST: Fill = (0, 114, 178)
OTHERS: Fill = (120, 172, 210)

# Black, purple, orange, yellow in steps that the eye finds equal, and growing lighter,
# so that it stays in order without colours. Source: "inferno" of S. van der Walt and
# N. Smith, matplotlib 1.5, CC0; every 16th of its 256 colours, and the last.
# fmt: off
_INFERNO = np.array([
    (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110),
    (113, 25, 110), (138, 34, 106), (163, 44, 97), (188, 55, 84), (210, 70, 68),
    (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17), (249, 203, 53),
    (242, 234, 105), (252, 255, 164),
], np.float32)
# fmt: on
_HEAT = 0.6  # share of the colour; the rest is the picture in gray
_CONTRAST = 0.5  # of that gray: light and dark must not pass for evidence


def show(
    image: ImageSource,
    categories: Sequence[Category],
    *,
    region: Sequence[float] | None = None,
    rotation: int = 0,
) -> Image.Image:
    """Draw a picture with its labels, their scores and a bar for each.

    Args:
        image: As for `Classifier.classify`.
        categories: As `Classifier.classify` returns them. Those that find no room are
            counted in the last line.
        region: As for `Classifier.classify`; only this part is drawn.
        rotation: As for `Classifier.classify`.

    Returns:
        An RGB picture; the one in it is upright, its longest side `SIDE` pixels.

    Raises:
        ImageError, OSError, TypeError, ValueError: As `image.load`.
    """
    picture = _fitted(image, region, rotation)
    height = max(picture.height, min(len(categories), 5) * ROW, ROW)
    canvas = Image.new(
        "RGB", (picture.width + PANEL + 3 * MARGIN, height + 2 * MARGIN), PAPER
    )
    canvas.paste(picture, (MARGIN, MARGIN + (height - picture.height) // 2))
    draw = ImageDraw.Draw(canvas)
    left = picture.width + 2 * MARGIN
    room = height // ROW
    shown = categories if len(categories) <= room else categories[: room - 1]
    for row, category in enumerate(shown):
        _draw_category(draw, (left, MARGIN + row * ROW), category, first=row == 0)
    rest = len(categories) - len(shown)
    if rest or not categories:
        note = f"and {rest} more" if rest else "no label"
        draw_text(draw, (left, MARGIN + len(shown) * ROW), note, 15, SOFT_INK, PANEL)
    return canvas


def overlay(
    image: ImageSource,
    evidence: NDArray[np.float32],
    category: Category | None = None,
    *,
    region: Sequence[float] | None = None,
    rotation: int = 0,
) -> Image.Image:
    """Draw a picture in gray, and in colour over it where the evidence is.

    Args:
        image: As for `Classifier.classify`.
        evidence: As `ClassActivationMapper.map` returns it; only what speaks for the
            class is drawn, as a share of the most there is.
        category: The class that the evidence is for; its label goes below.
        region: As for `ClassActivationMapper.map`.
        rotation: As for `ClassActivationMapper.map`.

    Returns:
        An RGB picture; the one in it is upright, its longest side `SIDE` pixels.

    Raises:
        ImageError, OSError, TypeError, ValueError: As `image.load`.
    """
    picture = _fitted(image, region, rotation)
    inner = max(picture.width, 2 * LEGEND)
    canvas = Image.new(
        "RGB", (inner + 2 * MARGIN, picture.height + FOOT + 2 * MARGIN), PAPER
    )
    centred = MARGIN + (inner - picture.width) // 2
    canvas.paste(heated(picture, evidence), (centred, MARGIN))
    top = MARGIN + picture.height + 14
    draw = ImageDraw.Draw(canvas)
    if category is not None:
        room = inner - LEGEND - MARGIN
        draw_text(draw, (MARGIN, top), label_of(category), 18, INK, room)
        draw_text(draw, (MARGIN, top + 24), _percent(category), 14, SOFT_INK, room)
    _draw_legend(canvas, draw, (MARGIN + inner - LEGEND, top + 4))
    return canvas


def heated(picture: Image.Image, evidence: NDArray[np.float32]) -> Image.Image:
    """Return a picture in gray, in colour where the evidence is: `overlay`'s middle.

    Args:
        picture: RGB.
        evidence: As for `overlay`.

    Returns:
        An RGB picture of the same size.
    """
    smooth = Image.fromarray(relative(evidence)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    gray = np.asarray(picture.convert("L"), np.float32)[..., np.newaxis]
    gray = 127.5 + _CONTRAST * (gray - 127.5)
    shares = np.rint(255 * np.asarray(smooth).clip(0, 1)).astype(np.uint8)
    heat = colors(np.linspace(0, 1, 256))[shares]
    mixed = np.rint(gray * (1 - _HEAT) + heat * _HEAT).astype(np.uint8)
    return Image.fromarray(mixed)


def colors(shares: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the colour of shares in [0, 1]: RGB 0-255 along a new last axis."""
    steps = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(shares, steps, _INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _percent(category: Category) -> str:
    return f"{100 * category.score:.1f} %"


def _fitted(
    image: ImageSource, region: Sequence[float] | None, rotation: int
) -> Image.Image:
    """Return the picture or its region, the longest side `SIDE` pixels."""
    decoded = decode(image, (SIDE, SIDE), region=region, rotation=rotation)
    left, top, right, bottom = decoded.box
    scale = SIDE / max(right - left, bottom - top)
    size = (
        max(1, round(scale * (bottom - top))),
        max(1, round(scale * (right - left))),
    )
    return Image.fromarray(stretch(decoded, size))


def _draw_category(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    category: Category,
    *,
    first: bool,
) -> None:
    """Write label and score on one line, a bar under both."""
    left, top = corner
    score = _percent(category)
    width = text_width(score, 15)
    draw_text(draw, (left + PANEL - width, top + 2), score, 15, INK)
    room = PANEL - width - MARGIN
    draw_text(draw, (left, top), label_of(category), 18 if first else 16, INK, room)
    bar_top = top + 25
    draw.rectangle((left, bar_top, left + PANEL - 1, bar_top + BAR - 1), fill=TRACK)
    filled = round(min(max(category.score, 0.0), 1.0) * PANEL)
    if filled:
        box = (left, bar_top, left + filled - 1, bar_top + BAR - 1)
        draw.rectangle(box, fill=BEST if first else OTHERS)


def _draw_legend(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int]
) -> None:
    left, top = corner
    strip = np.rint(colors(np.linspace(0, 1, LEGEND))).astype(np.uint8)
    canvas.paste(Image.fromarray(np.repeat(strip[np.newaxis], 12, axis=0)), corner)
    draw_text(draw, (left, top + 18), "no evidence", 13, SOFT_INK)
    right = left + LEGEND - text_width("most", 13)
    draw_text(draw, (right, top + 18), "most", 13, SOFT_INK)
