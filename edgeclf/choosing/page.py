"""The comparison as one HTML page: the table, two plots, the recommendation."""

from __future__ import annotations

import html
from collections.abc import Sequence

from edgeclf.choosing.outcome import Outcome
from edgeclf.choosing.plot import Point, scatter
from edgeclf.choosing.table import rows

_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #22262e; margin: 1.5rem auto;
  max-width: 70rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e0e3e8;
  white-space: nowrap; }
th:nth-child(2), td:nth-child(2), td.error { text-align: left; }
td.error { white-space: normal; }
tr.chosen td { font-weight: 600; background: #fdf1e9; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { flex: 1 1 20rem; margin: 1rem 0; }
p { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; }
svg .grid { stroke: #e0e3e8; } svg .axis { stroke: #6a707a; }
svg .interval { stroke-width: 1.5; } svg .label { font-size: 12px; fill: #4a505a; }
svg .number { font-size: 13px; font-weight: 600; fill: #22262e; }
"""


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
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{html.escape(title)}</h1>",
            _table(outcomes, chosen),
            *(f"<p>{html.escape(note)}</p>" for note in notes),
            f'<div class="plots">{"".join(plots)}</div>',
            "</body></html>\n",
        ]
    )


def _plot(
    outcomes: Sequence[Outcome],
    chosen: Outcome | None,
    costs: Sequence[float | None],
    cost_name: str,
) -> str:
    points = [
        Point(
            number,
            outcome.candidate.name,
            cost,
            outcome.accuracy,
            outcome.accuracy_interval_95,
            outcome is chosen,
        )
        for number, (outcome, cost) in enumerate(zip(outcomes, costs, strict=True), 1)
        if outcome.error is None and cost
    ]
    return f"<figure>{scatter(points, cost_name)}</figure>" if points else ""


def _table(outcomes: Sequence[Outcome], chosen: Outcome | None) -> str:
    head, *body = rows(outcomes)
    lines = ['<div class="wide"><table><thead><tr>']
    lines += [f"<th>{html.escape(cell)}</th>" for cell in head]
    lines.append("</tr></thead><tbody>")
    for row, outcome in zip(body, outcomes, strict=True):
        mark = ' class="chosen"' if outcome is chosen else ""
        cells = [f"<td>{html.escape(cell)}</td>" for cell in row]
        if outcome.error is not None:
            span = len(head) - len(row) + 1
            text = html.escape(row[-1])
            cells[-1] = f'<td class="error" colspan="{span}">{text}</td>'
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])
