"""The pictures that the model learned from and was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report.figures import count, plural
from edgeclf.report.layout import (
    LONG,
    MOST,
    Column,
    Section,
    file_name,
    folded,
    heading,
    label,
    meter,
    paragraph,
    table,
    unlisted,
)
from edgeclf.report.markup import Child, element, join

SPLITS = ("train", "validation", "test")


def data_section(report: Mapping[str, Any]) -> Section | None:
    """Return the counts by class and split, and what is wrong with the files."""
    data = report.get("data") or {}
    content: list[Child] = [
        _counts(data.get("classes") or []),
        _conflicting(data.get("conflicting") or [], report.get("command")),
        _near_duplicates(data.get("near_duplicates") or []),
        _unreadable(data.get("unreadable") or []),
    ]
    if not any(content) and not data.get("tags"):
        return None
    return Section("data", "The pictures behind it", join(_summary(data), *content))


def total(entry: Mapping[str, Any]) -> int:
    """Return the pictures of a class, of all splits."""
    return sum(int(entry.get(split) or 0) for split in SPLITS)


def _summary(data: Mapping[str, Any]) -> Child:
    parts = [
        plural(data[f"num_{split}"], f"{name} picture")
        for split, name in zip(SPLITS, ("training", *SPLITS[1:]), strict=True)
        if data.get(f"num_{split}")
    ]
    if data.get("num_without_tags"):
        number = plural(data["num_without_tags"], "picture has", "pictures have")
        parts.append(f"{number} none of the tags")
    return paragraph(", ".join(parts), ".") if parts else None


def _counts(classes: Sequence[Mapping[str, Any]]) -> Child:
    """Return a row for each class, its bar as long as its share of the largest."""
    if not classes:
        return None
    totals = [total(entry) for entry in classes]
    most = max(totals) or 1
    splits = [split for split in SPLITS if any(entry.get(split) for entry in classes)]
    columns = [Column("Class"), Column("Pictures", is_number=True)]
    columns += [Column(split.capitalize(), is_number=True) for split in splits]
    rows: list[list[Child]] = []
    for entry, pictures in zip(classes, totals, strict=True):
        figure = element("span", count(pictures), class_="figure")
        bar = meter(pictures / most)
        row: list[Child] = [label(entry["label"]), [figure, bar]]
        rows.append(row + [count(entry.get(split)) for split in splits])
    drawn = table("Pictures by class", columns, rows, is_sortable=True)
    if len(rows) > 2 * LONG:
        drawn = folded(f"All {len(rows)} classes", drawn)
    least = min(totals)
    if most <= 2 * least or not least:
        return drawn
    largest = label(classes[totals.index(most)]["label"])
    smallest = label(classes[totals.index(least)]["label"])
    words = paragraph(
        "The classes differ in size: ", largest,
        f" has {most / least:.0f} times the pictures of ", smallest, ".",
    )  # fmt: skip
    return join(words, drawn)


def _conflicting(files: Sequence[str], command: object) -> Child:
    if not files:
        return None
    return join(
        heading("The same picture in several classes"),
        paragraph(
            "They count here, though one class at most is right."
            if command == "evaluate"
            else "Left out, since nobody knows which class is right."
        ),
        _listed([file_name(file) for file in files[:MOST]]),
        unlisted(len(files)),
    )


def _near_duplicates(groups: Sequence[Sequence[str]]) -> Child:
    if not groups:
        return None
    entries = []
    for group in groups[:MOST]:
        names: list[Child] = []
        for file in group:
            names += [", " if names else None, file_name(file)]
        entries.append(join(*names))
    pictures = sum(len(group) for group in groups)
    number = plural(len(groups), "group")
    return join(
        heading("Duplicates and near-duplicates"),
        paragraph(f"{number} of pictures that look alike, {count(pictures)} in all."),
        _listed(entries),
        unlisted(len(groups)),
    )


def _unreadable(entries: Sequence[Mapping[str, Any]]) -> Child:
    if not entries:
        return None
    columns = [Column("File"), Column("Why")]
    rows = [[file_name(entry["file"]), entry.get("reason")] for entry in entries[:MOST]]
    return join(
        heading("Left out: not readable"),
        table("Unreadable", columns, rows),
        unlisted(len(entries)),
    )


def _listed(entries: Sequence[Child]) -> Child:
    """Return a list; what is long opens when it is pressed."""
    items = [element("li", entry) for entry in entries]
    first = element("ul", items[:LONG], class_="files")
    if len(items) <= LONG:
        return first
    rest = element("ul", items[LONG:], class_="files")
    return join(first, folded(f"{len(items) - LONG} more", rest))
