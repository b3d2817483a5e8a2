"""Line charts as SVG that takes its colours from the page's style.

A chart says the same twice: drawn, and in words in its title and in the titles of its
points, for those who point at them and for those who cannot see it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from edgeclf.report.axes import Axis, spanning
from edgeclf.report.figures import percent
from edgeclf.report.markup import Markup, element, join

WIDTH, HEIGHT = 360, 250  # of a chart; it grows and shrinks with the page
LEFT, RIGHT, TOP, BOTTOM = 46, 348, 30, 206  # where its axes are
_FONT_SIZE = 11.5  # as the style has it
_NARROW, _WIDE = frozenset(" .,:;'|!()[]ijlftrI"), frozenset("mwMW@%")
_BALL = 7.5  # radius of a point with its number in it


class Point(NamedTuple):
    """One thing on a scatter plot.

    Attributes:
        number: What it bears: that of its row in a table.
        x: From left to right.
        y: From bottom to top.
        label: Its name, for those who point at it.
        low: Lower end of the interval of `y`.
        high: Upper end of it.
        is_best: Whether it stands out.
    """

    number: int
    x: float
    y: float
    label: str
    low: float | None = None
    high: float | None = None
    is_best: bool = False


class Plot:
    """The area of a chart: places values on it and draws marks there.

    Args:
        x: Axis from left to right.
        y: Axis from bottom to top.
    """

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x = x
        self.y = y

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point, in the units of the SVG."""
        left = LEFT + (RIGHT - LEFT) * self.x.share(x)
        return left, BOTTOM - (BOTTOM - TOP) * self.y.share(y)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        """Draw a line through the points."""
        return element("path", d=self._path(points), class_=f"line {kind}")

    def band(self, points: Sequence[tuple[float, float, float]]) -> Markup:
        """Fill between the lower and the upper ends: `(x, low, high)` of each."""
        edge = [(x, high) for x, _, high in points]
        edge += [(x, low) for x, low, _ in reversed(points)]
        return element("path", d=self._path(edge) + "Z", class_="band")

    def bar(self, low: float, high: float, y: float) -> Markup:
        """Draw a bar from the lower end of the axis up to `y`."""
        left, top = self.at(low, y)
        right, bottom = self.at(high, self.y.low)
        return element(
            "rect", x=left + 1, y=top, width=max(right - left - 2, 1.0),
            height=bottom - top, class_="column",
        )  # fmt: skip

    def dot(
        self, x: float, y: float, title: str, kind: str = "one", radius: float = 3.2
    ) -> Markup:
        """Draw a point that says what it is when it is pointed at."""
        left, top = self.at(x, y)
        return element(
            "circle", element("title", title), cx=left, cy=top, r=radius,
            class_=f"dot {kind}",
        )  # fmt: skip

    def whisker(self, x: float, low: float, high: float) -> Markup:
        """Draw an interval as a line upright."""
        left, top = self.at(x, high)
        _, bottom = self.at(x, low)
        return element("line", x1=left, y1=top, x2=left, y2=bottom, class_="whisker")

    def note(self, x: float, y: float, words: str) -> Markup:
        """Write words over a point, to the side where there is more room."""
        left, top = self.at(x, y)
        is_right = left > (LEFT + RIGHT) / 2
        return element(
            "text", words, x=left + (6 if is_right else -6), y=top - 9, class_="note",
            text_anchor="end" if is_right else "start",
        )  # fmt: skip

    def chart(
        self, title: str, *marks: Markup, legend: Sequence[tuple[str, str]] = ()
    ) -> Markup:
        """Return the whole chart.

        Args:
            title: What it shows, in a sentence.
            *marks: What has been drawn, from back to front.
            legend: Kind and name of each line.
        """
        return element(
            "svg", element("title", title), self._grid(), join(*marks),
            _legend(legend), class_="chart", role="img",
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
        )  # fmt: skip

    def _grid(self) -> Markup:
        marks = []
        for tick, written in self.y.ticks():
            _, top = self.at(self.x.low, tick)
            marks += [
                element("line", x1=LEFT, x2=RIGHT, y1=top, y2=top, class_="grid"),
                element("text", written, x=LEFT - 6, y=top + 4, text_anchor="end"),
            ]
        for tick, written in self.x.ticks():
            left, _ = self.at(tick, self.y.low)
            marks += [
                element("line", x1=left, x2=left, y1=BOTTOM, y2=BOTTOM + 4,
                        class_="grid"),
                element("text", written, x=left, y=BOTTOM + 17, text_anchor="middle"),
            ]  # fmt: skip
        middle = (LEFT + RIGHT) / 2
        return join(
            marks,
            element("text", self.x.label, x=middle, y=HEIGHT - 8.0,
                    text_anchor="middle", class_="axis"),
            element("text", self.y.label, x=2, y=14, class_="axis"),
        )  # fmt: skip

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        places = [self.at(x, y) for x, y in points]
        return "M" + "L".join(f"{left:.2f},{top:.2f}" for left, top in places)


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    *,
    is_percent: bool = True,
    is_log: bool = True,
) -> Markup:
    """Return a plot of named points, for example accuracy against latency.

    Args:
        points: At least one.
        x_label: What `x` is, and its unit.
        y_label: What `y` is.
        is_percent: Whether `y` is a share in [0, 1].
        is_log: Whether equal steps of `x` are equal factors.

    Returns:
        An SVG, for the inside of a `document`.
    """
    ends = [end for point in points for end in (point.low, point.y, point.high)]
    plot = Plot(
        spanning(x_label, [point.x for point in points], is_log=is_log),
        spanning(y_label, [end for end in ends if end is not None],
                 is_percent=is_percent),
    )  # fmt: skip
    marks = [
        plot.whisker(point.x, point.low, point.high)
        for point in points
        if point.low is not None and point.high is not None
    ]
    for point in points:
        height = percent(point.y) if is_percent else f"{point.y:.4g}"
        title = f"{point.label}: {x_label} {point.x:.4g}, {y_label} {height}"
        kind = "one best" if point.is_best else "one"
        left, top = plot.at(point.x, point.y)
        marks += [
            plot.dot(point.x, point.y, title, kind, _BALL),
            element("text", point.number, x=left, y=top + 3.5, text_anchor="middle",
                    class_="number"),
        ]  # fmt: skip
    return plot.chart(f"{y_label} against {x_label}", *marks)


def shortened(words: str, width: float, font_size: float = _FONT_SIZE) -> str:
    """Return words that take no more than a width, dots at the end where cut."""
    if text_width(words, font_size) <= width:
        return words
    while words and text_width(words + "\u2026", font_size) > width:
        words = words[:-1]
    return words.rstrip() + "\u2026"


def text_width(words: str, font_size: float = _FONT_SIZE) -> float:
    """Return about how wide words are; the font is the reader's own."""
    return font_size * sum(map(_letter_width, words))


def _letter_width(letter: str) -> float:
    """Return about how wide a letter is, as a share of the font's height."""
    if letter in _NARROW:
        return 0.39
    if letter in _WIDE or letter.isupper():
        return 0.82 if letter in _WIDE else 0.7
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.6


def _legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Return the names of the lines, from right to left over the plot."""
    marks = []
    right = float(RIGHT)
    for kind, name in reversed(entries):
        marks.append(
            element("text", name, x=right, y=14, text_anchor="end", class_="note")
        )
        right -= text_width(name) + 6
        path = f"M{right - 18:.2f},10L{right:.2f},10"
        marks.append(element("path", d=path, class_=f"line {kind}"))
        right -= 18 + 14
    return join(marks)
