"""Figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NOTHING = "\u2013"  # where a figure is not known


def is_number(value: object) -> bool:
    """Tell whether a value of the report is a finite number."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def percent(share: float | None) -> str:
    """Return a share in [0, 1] with one decimal, as the intervals have it.

    All and nothing are said of nothing less: 0.9997 is 99.97%, not 100.0%.
    """
    if share is None or not is_number(share):
        return NOTHING
    for decimals in (1, 2):
        written = f"{100 * share:.{decimals}f}"
        if float(written) not in {0.0, 100.0} or share in {0, 1}:
            return f"{written}%"
    return "under 0.01%" if share < 0.5 else "over 99.99%"


def interval(ends: Sequence[float] | None) -> str:
    """Return the two ends of an interval of shares."""
    return f"{percent(ends[0])} to {percent(ends[1])}" if ends else NOTHING


def decimal(value: float | None, decimals: int = 3) -> str:
    """Return a number with so many decimals."""
    if value is None or not is_number(value):
        return NOTHING
    return f"{value:.{decimals}f}"


def count(value: float | None) -> str:
    """Return a whole number, its thousands apart."""
    return NOTHING if value is None or not is_number(value) else f"{value:,.0f}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Return `1 picture`, `2 pictures`."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def file_size(size_bytes: float | None) -> str:
    """Return a size in the unit that fits, of 1000 bytes or 1000 times those."""
    if size_bytes is None or not is_number(size_bytes):
        return NOTHING
    if size_bytes < 1e5:
        return f"{size_bytes / 1e3:.1f} kB"
    return f"{size_bytes / 1e6:.2f} MB"


def milliseconds(value: float | None) -> str:
    """Return a time with three digits that count."""
    if value is None or not is_number(value):
        return NOTHING
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def value(item: Any) -> str:
    """Return a setting or fact of any kind as one line."""
    if item is None:
        return NOTHING
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.6g}"
    if isinstance(item, dict):
        return ", ".join(f"{key} {value(part)}" for key, part in item.items())
    if isinstance(item, (list, tuple)):
        return ", ".join(value(part) for part in item)
    return str(item)
