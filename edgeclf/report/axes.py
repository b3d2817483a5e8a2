"""Axes of charts: which values they span and where their ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LOG_FROM = 8  # largest to smallest, from which factors are shown as steps
_NICE = (1, 2, 5, 10)  # Source: P. Heckbert, "Nice numbers for graph labels", 1990.


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: What it measures, and the unit.
        low: Value at its start.
        high: Value at its end, more than `low`.
        is_percent: Its values are shares in [0, 1], written as percentages.
        is_log: Equal steps are equal factors; `low` is more than 0.
    """

    label: str
    low: float
    high: float
    is_percent: bool = False
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where on the axis a value is: 0 at its start, 1 at its end."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Return values on the axis and what is written at them."""
        if self.is_log:
            return [(tick, f"{tick:g}") for tick in _log_ticks(self.low, self.high)]
        step = _nice_step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-6)
        last = math.floor(self.high / step + 1e-6)
        scale, sign = (100, "%") if self.is_percent else (1, "")
        decimals = max(0, -math.floor(math.log10(step * scale) + 1e-9))
        values = [step * index for index in range(first, last + 1)]
        return [(tick, f"{scale * tick:,.{decimals}f}{sign}") for tick in values]


def spanning(
    label: str,
    values: Iterable[float],
    *,
    is_percent: bool = False,
    is_log: bool = False,
) -> Axis:
    """Return an axis that holds all values and ends at ticks.

    Args:
        label: What it measures.
        values: At least one.
        is_percent: See `Axis`; such an axis ends at 0 or 1 at the latest.
        is_log: See `Axis`; it is not where a value is not more than 0, or the largest
            is less than `_LOG_FROM` times the smallest.
    """
    values = list(values)
    low, high = min(values), max(values)
    if is_log and low > 0 and high >= _LOG_FROM * low:
        low, high = low / 1.3, high * 1.3
        return Axis(label, low, high, is_percent=is_percent, is_log=True)
    if high - low < 1e-9:
        room = 0.05 if is_percent else max(abs(high) / 2, 0.5)
        low, high = low - room, high + room
    for _ in range(2):  # a wider span may have wider steps
        step = _nice_step(high - low)
        low = step * math.floor(low / step + 1e-6)
        high = step * math.ceil(high / step - 1e-6)
    if is_percent:
        low, high = max(low, 0.0), min(high, 1.0)
    return Axis(label, low, high, is_percent=is_percent)


def _nice_step(span: float, steps: int = 5) -> float:
    """Return the step that divides a span into about so many round ones."""
    exact = span / steps
    size = 10.0 ** math.floor(math.log10(exact))
    return size * next(nice for nice in _NICE if exact <= nice * size * (1 + 1e-6))


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [nice * 10.0**power for power in powers for nice in _NICE[:3]]
    return [tick for tick in ticks if low <= tick <= high]
