"""Training and learning curves as pictures, for PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from PIL import Image, ImageDraw

from edgeclf.lettering import INK, PAPER, SOFT_INK, TRACK, Fill, draw_text, text_width
from edgeclf.report.axes import Axis
from edgeclf.report.learning import Line, learning_lines, training_lines

WIDTH, HEIGHT = 640, 420  # of one chart in pixels
LEFT, RIGHT, TOP, BOTTOM = 76, 616, 64, 356  # where its axes are
COLORS: dict[str, Fill] = {"one": (0, 114, 178), "two": (213, 94, 0)}
BAND: Fill = (204, 227, 240)

_FINER = 3  # drawn so many times as large, so that lines are smooth
_SIZE = 16  # height of the font
_DASH, _GAP = 12.0, 8.0  # of the second line; colour alone must not tell them apart


class Chart:
    """A chart in the making; lines are drawn large, text when it is finished.

    Args:
        x: Axis from left to right.
        y: Axis from bottom to top.
    """

    def __init__(self, x: Axis, y: Axis) -> None:
        self._x = x
        self._y = y
        self._large = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER), PAPER)
        self._draw = ImageDraw.Draw(self._large)

    def band(self, points: Sequence[tuple[float, float, float]]) -> None:
        """Fill between the lower and the upper ends: `(x, low, high)` of each."""
        edge = [self._at(x, high) for x, _, high in points]
        edge += [self._at(x, low) for x, low, _ in reversed(points)]
        if len(points) > 1:
            self._draw.polygon(edge, fill=BAND)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through the points, dashed where it is the second kind."""
        places = [self._at(x, y) for x, y in points]
        pieces = [places] if kind == "one" else _dashes(places)
        for piece in pieces:
            self._draw.line(piece, fill=COLORS[kind], width=3 * _FINER, joint="curve")
        if len(points) == 1:
            self.dots(points, kind)

    def dots(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw the points."""
        for x, y in points:
            left, top = self._at(x, y)
            reach = 5 * _FINER
            box = (left - reach, top - reach, left + reach, top + reach)
            self._draw.ellipse(box, fill=COLORS[kind], outline=PAPER, width=_FINER)

    def finished(self, legend: Sequence[tuple[str, str]] = ()) -> Image.Image:
        """Return the chart with its axes and the kind and name of each line."""
        lines = self._large.reduce(_FINER)
        picture = Image.new("RGB", lines.size, PAPER)
        draw = ImageDraw.Draw(picture)
        self._draw_axes(draw)
        # What is darker stays: lines cross the grid and are not cut by it.
        marks = lines.convert("L").point(lambda gray: 255 if gray < 250 else 0)
        picture.paste(lines, mask=marks)
        draw_text(draw, (16, 14), self._y.label, _SIZE, INK)
        right = float(RIGHT)
        for kind, name in reversed(legend):
            right -= text_width(name, _SIZE)
            draw_text(draw, (right, 14), name, _SIZE, INK)
            places = [(right - 40.0, 25.0), (right - 10.0, 25.0)]
            for piece in [places] if kind == "one" else _dashes(places, 1):
                draw.line(piece, fill=COLORS[kind], width=3)
            right -= 40 + 24
        return picture

    def _draw_axes(self, draw: ImageDraw.ImageDraw) -> None:
        for tick, words in self._y.ticks():
            y = BOTTOM - (BOTTOM - TOP) * self._y.share(tick)
            draw.line((LEFT, y, RIGHT, y), fill=TRACK)
            left = LEFT - 10 - text_width(words, _SIZE)
            draw_text(draw, (left, y - 0.65 * _SIZE), words, _SIZE, SOFT_INK)
        for tick, words in self._x.ticks():
            x = LEFT + (RIGHT - LEFT) * self._x.share(tick)
            draw.line((x, BOTTOM, x, BOTTOM + 6), fill=TRACK)
            left = x - text_width(words, _SIZE) / 2
            draw_text(draw, (left, BOTTOM + 10), words, _SIZE, SOFT_INK)
        left = (LEFT + RIGHT - text_width(self._x.label, _SIZE)) / 2
        draw_text(draw, (left, HEIGHT - 30), self._x.label, _SIZE, INK)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point on the large picture."""
        left = LEFT + (RIGHT - LEFT) * self._x.share(x)
        top = BOTTOM - (BOTTOM - TOP) * self._y.share(y)
        return left * _FINER, top * _FINER


def training_curves(points: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw accuracy and cross-entropy step by step, side by side.

    Args:
        points: As for `training_lines`.

    Returns:
        An RGB picture, as wide as the charts there is something to draw in.

    Raises:
        ValueError: No step has a figure.
    """
    charts = [_training_chart(*parts) for parts in training_lines(points)]
    if not charts:
        raise ValueError(
            "Expected steps with an accuracy or a cross-entropy. Received: "
            f"{len(points)} steps without any."
        )
    picture = Image.new("RGB", (WIDTH * len(charts), HEIGHT), PAPER)
    for index, chart in enumerate(charts):
        picture.paste(chart, (index * WIDTH, 0))
    return picture


def learning_curve(points: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw accuracy against the number of training pictures.

    Args:
        points: As for `learning_lines`.

    Returns:
        An RGB picture.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("Expected one point or more. Received: none.")
    x, y, line, band = learning_lines(points)
    chart = Chart(x, y)
    chart.band(band)
    chart.line(line, "one")
    chart.dots(line, "one")
    return chart.finished()


def _training_chart(x: Axis, y: Axis, lines: Sequence[Line]) -> Image.Image:
    chart = Chart(x, y)
    for kind, _, points in lines:
        chart.line(points, kind)
    return chart.finished([(kind, name) for kind, name, _ in lines])


def _dashes(
    places: Sequence[tuple[float, float]], finer: int = _FINER
) -> list[list[tuple[float, float]]]:
    """Cut a line into dashes; the pattern runs on round its corners."""
    dash, gap = _DASH * finer, _GAP * finer
    pieces: list[list[tuple[float, float]]] = []
    walked = 0.0  # since the start of the dash
    piece = list(places[:1])
    for (x, y), (end_x, end_y) in pairwise(places):
        length = ((end_x - x) ** 2 + (end_y - y) ** 2) ** 0.5
        passed = 0.0
        while passed < length:
            is_dash = walked < dash
            rest = (dash if is_dash else dash + gap) - walked
            step = min(rest, length - passed)
            passed, walked = passed + step, walked + step
            share = passed / length
            place = (x + share * (end_x - x), y + share * (end_y - y))
            if is_dash:
                piece.append(place)
            if step == rest:
                if is_dash:
                    pieces.append(piece)
                else:
                    walked, piece = 0.0, [place]
    return [*pieces, piece] if walked < dash and len(piece) > 1 else pieces
