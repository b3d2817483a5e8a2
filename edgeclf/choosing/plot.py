"""Draw accuracy against what it costs, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 520, 360  # pixels at the size it is drawn for
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 46  # margins
LOGARITHMIC_FROM = 8  # highest to lowest cost from which a logarithmic axis is used
# Source: M. Okabe and K. Ito, "Color Universal Design" (2008): blue and orange stay
# apart for every eye. The chosen point has another shape, too.
POINT, CHOSEN = "#0072b2", "#d55e00"
_STEPS = (1, 2, 5)


class Point(NamedTuple):
    """A candidate in the plot.

    Attributes:
        number: Of its row in the table; drawn beside it.
        name: Shown where the pointer rests.
        cost: To the right, above 0.
        accuracy: Upwards, in [0, 1].
        interval: Its ends, in [0, 1].
        is_chosen: Whether it is the one recommended.
    """

    number: int
    name: str
    cost: float
    accuracy: float
    interval: tuple[float, float]
    is_chosen: bool


def scatter(points: Sequence[Point], cost_name: str) -> str:
    """Return an `<svg>` of points with their intervals.

    Args:
        points: At least one.
        cost_name: What stands below the lower axis, with its unit.
    """
    costs = [point.cost for point in points]
    across = _Axis(min(costs), max(costs), LEFT, WIDTH - RIGHT)
    lowest = min(point.interval[0] for point in points)
    highest = max(point.interval[1] for point in points)
    upwards = _Axis(
        math.floor(20 * lowest) * 5,
        min(100, math.ceil(20 * highest) * 5),
        HEIGHT - BOTTOM,
        TOP,
        is_percent=True,
    )
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="accuracy against {html.escape(cost_name)}">'
    ]
    for value in upwards.ticks():
        y = upwards.place(value)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "grid"))
        parts.append(_text(LEFT - 6, y + 4, f"{value:g} %", "end"))
    for value in across.ticks():
        x = across.place(value)
        parts.append(_line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, "axis"))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{value:g}", "middle"))
    axis = HEIGHT - BOTTOM
    parts.append(_line(LEFT, axis, WIDTH - RIGHT, axis, "axis"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, cost_name, "middle"))
    for point in points:
        parts += _drawn(point, across, upwards)
    return "\n".join([*parts, "</svg>"])


class _Axis:
    """Carries values to pixels, on a logarithmic scale where they span much."""

    def __init__(
        self,
        low: float,
        high: float,
        start: float,
        end: float,
        *,
        is_percent: bool = False,
    ) -> None:
        self._is_log = not is_percent and high / low > LOGARITHMIC_FROM
        if not is_percent:
            low, high = low / 1.15, high * 1.15  # room for numbers beside points
        self._low, self._high = low, high
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        low, high = self._low, self._high
        if self._is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low or 1)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Return round values between both ends."""
        if self._is_log:
            powers = range(-4, 7)
            values = [step * 10.0**power for power in powers for step in _STEPS]
        else:
            width = (self._high - self._low or 1) / 4
            power = 10.0 ** math.floor(math.log10(width))
            step = next(power * s for s in (1, 2, 5, 10) if power * s >= width)
            first = math.ceil(self._low / step)
            values = [step * (first + number) for number in range(6)]
        return [value for value in values if self._low <= value <= self._high]


def _drawn(point: Point, across: _Axis, upwards: _Axis) -> list[str]:
    x, y = across.place(point.cost), upwards.place(100 * point.accuracy)
    low, high = (upwards.place(100 * end) for end in point.interval)
    color = CHOSEN if point.is_chosen else POINT
    title = html.escape(f"{point.name}: {point.accuracy:.1%}")
    if point.is_chosen:
        shape = f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12"/>'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    return [
        f'<g fill="{color}" stroke="{color}"><title>{title}</title>',
        _line(x, low, x, high, "interval"),
        f"{shape}</g>",
        _text(x + 10, y - 6, str(point.number), "start", "number"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return (
        f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
        f'y2="{y2:.1f}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, name: str = "label") -> str:
    return (
        f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )
