"""Which tags stand together, and which the model gives together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report import matrix
from edgeclf.report.figures import count
from edgeclf.report.layout import (
    Column,
    Section,
    heading,
    label,
    paragraph,
    scrolling,
    table,
)
from edgeclf.report.markup import Child, join


def together_section(report: Mapping[str, Any]) -> Section | None:
    """Return the co-occurrence of the tags, and where the model's differs."""
    cooccurrence = report.get("cooccurrence") or {}
    labels, counts = cooccurrence.get("labels") or [], cooccurrence.get("counts") or []
    content: list[Child] = []
    if labels and len(labels) == len(counts):
        number = len((report.get("model") or {}).get("labels") or labels)
        which = (
            f"The {len(labels)} most frequent tags. " if number > len(labels) else ""
        )
        content += [
            paragraph(
                f"{which}Each cell counts the pictures with both tags; the stronger its"
                " blue, the larger their share of those with the tag of the row. On the"
                " diagonal are the pictures with the tag.",
                kind="soft",
            ),
            scrolling("Tags that stand together", matrix.draw_together(counts, labels)),
        ]
    pairs = report.get("pairs") or []
    if pairs:
        content += [heading("Given together too often, or too rarely"), _pairs(pairs)]
    if not content:
        return None
    return Section("together", "Which tags stand together", join(*content))


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> Child:
    columns = [
        Column("Tag"), Column("And"), Column("Test pictures with both", is_number=True),
        Column("Given both", is_number=True), Column("Difference", is_number=True),
    ]  # fmt: skip
    rows: list[list[Child]] = [
        [label(pair["labels"][0]), label(pair["labels"][1]), count(pair["true"]),
         count(pair["given"]), f"{pair['given'] - pair['true']:+d}"]
        for pair in pairs
    ]  # fmt: skip
    return table("Pairs of tags that the model gives otherwise", columns, rows)
