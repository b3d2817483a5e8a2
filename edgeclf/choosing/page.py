"""The comparison as one HTML page: the table, the recommendation, two plots."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.choosing.outcome import Outcome
from edgeclf.choosing.table import MISSING, rows
from edgeclf.report.charts import Point, scatter
from edgeclf.report.document import document
from edgeclf.report.layout import Column, Section, file_name, paragraph, table
from edgeclf.report.markup import Child, Markup, element, join


def render(
    outcomes: Sequence[Outcome],
    chosen: Outcome | None,
    title: str,
    notes: Sequence[str],
) -> str:
    """Return a page that needs no other file.

    Args:
        outcomes: The candidates, at least one.
        chosen: The one that is recommended, marked in table and plots.
        title: The heading.
        notes: Paragraphs below the table.
    """
    latencies = [outcome.latency_ms for outcome in outcomes]
    sizes = [outcome.size_bytes / 1e6 for outcome in outcomes]
    plots = [
        _plot(outcomes, chosen, latencies, "milliseconds for one picture"),
        _plot(outcomes, chosen, sizes, "megabytes"),
    ]
    drawn = [element("div", plot, class_="drawing") for plot in plots if plot]
    sections = [
        Section("candidates", "The candidates", _table(outcomes, chosen)),
        Section("choice", "Which one to take", element("div", map(paragraph, notes))),
    ]
    if drawn:
        content = element("div", drawn, class_="pair-of-charts")
        sections.append(Section("costs", "What accuracy costs", content))
    return document(title, element("h1", title), sections)


def _plot(
    outcomes: Sequence[Outcome],
    chosen: Outcome | None,
    costs: Sequence[float | None],
    cost_name: str,
) -> Markup | None:
    points = [
        Point(
            number,
            cost,
            outcome.merit,
            outcome.candidate.name,
            *_ends(outcome),
            is_best=outcome is chosen,
        )
        for number, (outcome, cost) in enumerate(zip(outcomes, costs, strict=True), 1)
        if outcome.error is None and cost
    ]
    has_tags = any(outcome.tags is not None for outcome in outcomes)
    name = "micro-F1" if has_tags else "accuracy"
    return scatter(points, cost_name, name) if points else None


def _ends(outcome: Outcome) -> tuple[float | None, float | None]:
    return outcome.merit_interval_95 or (None, None)


def _table(outcomes: Sequence[Outcome], chosen: Outcome | None) -> Markup:
    """Return the table, number and name in one column, and below it what failed."""
    (_, name, *titles), *body = rows(outcomes)
    lines: list[list[Child]] = []
    errors = []
    for (number, backbone, *cells), outcome in zip(body, outcomes, strict=True):
        if outcome.error is not None:
            errors.append(paragraph(f"{number}. {cells.pop()}", kind="error"))
        note = "recommended" if outcome is chosen else "failed" if outcome.error else ""
        mark = paragraph(note, kind="soft") if note else None
        missing = [MISSING] * (len(titles) - len(cells))
        lines.append([[f"{number}. ", file_name(backbone), mark], *cells, *missing])
    columns = [Column(name), *(Column(title, is_number=True) for title in titles)]
    written = table("Candidates", columns, lines, is_sortable=True, is_dense=True)
    return join(written, errors)
