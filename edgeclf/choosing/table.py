"""The comparison as a table: for the terminal, for a spreadsheet, for a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgeclf.choosing.outcome import Outcome

MISSING = "-"


class _Column(NamedTuple):
    """A column of the table.

    Attributes:
        title: What stands above it.
        cell: Returns its text for an outcome that did not fail.
        is_setting: Left out where all candidates have the same.
    """

    title: str
    cell: Callable[[Outcome], str]
    is_setting: bool = False


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f}"


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _interval(outcome: Outcome) -> str:
    interval = outcome.merit_interval_95
    return MISSING if interval is None else "-".join(map(_percent, interval))


def _tags(outcome: Outcome, name: str) -> float | None:
    value = getattr(outcome.tags, name, None)
    return None if value is None else float(value)


_COLUMNS = (
    _Column("backbone", lambda o: o.candidate.backbone),
    _Column("solver", lambda o: o.candidate.solver, is_setting=True),
    _Column("views", lambda o: str(o.candidate.views), is_setting=True),
    _Column("type", lambda o: o.candidate.quantize, is_setting=True),
    _Column("mAP %", lambda o: _percent(_tags(o, "mean_average_precision"))),
    _Column("accuracy %", lambda o: _percent(o.accuracy)),
    _Column("micro-F1 %", lambda o: _percent(_tags(o, "micro_f1"))),
    _Column("95 %", _interval),
    _Column("float %", lambda o: _percent(o.accuracy_float)),
    _Column("macro-F1 %", lambda o: _percent(o.macro_f1)),
    _Column("loss", lambda o: _number(o.cross_entropy, 3)),
    _Column("trained", lambda o: f"{o.parameters_trained:,}"),
    _Column("frozen", lambda o: f"{o.parameters_frozen:,}"),
    _Column("MMACs", lambda o: _number(o.macs / 1e6, 1)),
    _Column("MB", lambda o: _number(o.size_bytes / 1e6, 2)),
    _Column("ms", lambda o: _number(o.latency_ms, 2)),
    _Column("90 % ms", lambda o: _number(o.latency_p90_ms, 2)),
    _Column("train s", lambda o: _number(o.training_s, 1)),
)

# What a spreadsheet gets: unrounded, units in the names.
_FIELDS = (
    "name",
    "backbone",
    "architecture",
    "solver",
    "views",
    "quantize",
    "num_test",
    "accuracy",
    "accuracy_low_95",
    "accuracy_high_95",
    "accuracy_int8",
    "accuracy_float",
    "mean_average_precision",
    "micro_f1",
    "micro_f1_low_95",
    "micro_f1_high_95",
    "macro_f1",
    "cross_entropy",
    "parameters_trained",
    "parameters_frozen",
    "macs",
    "size_bytes",
    "latency_ms",
    "latency_p10_ms",
    "latency_p90_ms",
    "training_s",
    "model",
    "error",
)


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the table, its head first; the first column counts the candidates.

    Settings and figures that are the same or missing for all are left out. Of a
    candidate that failed there are the settings, and the error in the last cell.
    """
    trained = [outcome for outcome in outcomes if outcome.error is None]
    shown = [column for column in _COLUMNS if _is_shown(column, outcomes, trained)]
    table = [["", *(column.title for column in shown)]]
    for number, outcome in enumerate(outcomes, 1):
        is_trained = outcome.error is None
        cells = [
            column.cell(outcome)
            for column in shown
            if is_trained or column.is_setting or column is _COLUMNS[0]
        ]
        error = [] if is_trained else [f"failed: {outcome.error}"]
        table.append([str(number), *cells, *error])
    return table


def _is_shown(
    column: _Column, outcomes: Sequence[Outcome], trained: Sequence[Outcome]
) -> bool:
    if column.is_setting:
        return len({column.cell(outcome) for outcome in outcomes}) > 1
    return column is _COLUMNS[0] or any(column.cell(o) != MISSING for o in trained)


def settings_in_common(outcomes: Sequence[Outcome]) -> str:
    """Return the settings that the table leaves out, as a line."""
    parts = []
    for column in _COLUMNS:
        values = {column.cell(outcome) for outcome in outcomes}
        if column.is_setting and len(values) == 1:
            parts.append(f"{column.title} {values.pop()}")
    return ", ".join(parts)


def as_text(outcomes: Sequence[Outcome]) -> str:
    """Return lines for a terminal: the names to the left, numbers to the right."""
    table = rows(outcomes)
    full = [row for row in table if len(row) == len(table[0])]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    lines = []
    for row in table:
        cells = [
            f"{cell:{width}}" if place == 1 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """Return the figures unrounded, as CSV with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        values = outcome.describe()
        if outcome.error is None:
            name = "accuracy" if outcome.tags is None else "micro_f1"
            low, high = outcome.merit_interval_95 or (None, None)
            values |= {f"{name}_low_95": low, f"{name}_high_95": high}
        writer.writerow(values)
    return text.getvalue()
