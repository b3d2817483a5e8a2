"""What a multi-label model is for, and where its measured limits are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeclf.report.card import basis, limits_of
from edgeclf.report.figures import count, percent, plural
from edgeclf.report.layout import Section, label, names
from edgeclf.report.markup import Child, join
from edgeclf.report.tags import weakest_tag

_FEW = 10  # test pictures with a tag; with fewer its figures say little


def tag_limits_section(report: Mapping[str, Any]) -> Section | None:
    """Return what the model can be used for, and where its measured limits are."""
    if not report.get("multi_label"):
        return None
    labels = (report.get("model") or {}).get("labels") or []
    found = [_purpose(labels), basis(report), _weakest(report), _uncertain(report),
             _imbalance(report)]  # fmt: skip
    items = [item for item in found if item is not None]
    return limits_of(items) if items else None


def _purpose(labels: list[str]) -> Child:
    if not labels:
        return None
    return join(
        f"It gives pictures any of {plural(len(labels), 'tag')}, several or none: ",
        *names(labels), ". What it has no tag for it cannot name.",
    )  # fmt: skip


def _weakest(report: Mapping[str, Any]) -> Child:
    entry = weakest_tag(report.get("per_tag") or [])
    if entry is None or entry["average_precision"] >= 1:
        return None
    words = f": its average precision is {percent(entry['average_precision'])}"
    if entry.get("num_positive"):
        words += f", on {plural(entry['num_positive'], 'test picture')} with it"
    return join("Its weakest tag is ", label(entry["label"]), words, ".")


def _uncertain(report: Mapping[str, Any]) -> Child:
    entries = report.get("per_tag") or []
    few = [entry for entry in entries if 0 < entry["num_positive"] < _FEW]
    none = [entry["label"] for entry in entries if not entry["num_positive"]]
    parts: list[Child] = []
    if few:
        parts.append(
            f"{plural(len(few), 'tag has', 'tags have')} fewer than {_FEW} test"
            " pictures; figures of a single such tag say little."
        )
    if none:
        parts += [
            " " if few else None, "Nothing has been measured of ", *names(none), ".",
        ]  # fmt: skip
    return join(*parts) if parts else None


def _imbalance(report: Mapping[str, Any]) -> Child:
    tags = (report.get("data") or {}).get("tags") or []
    trained = [(tag["train"], tag["label"]) for tag in tags if tag.get("train")]
    if len(trained) < 2 or max(trained)[0] < 3 * min(trained)[0]:
        return None
    (most, largest), (least, smallest) = max(trained), min(trained)
    return join(
        f"It learned from {count(most)} pictures with ", label(largest),
        f", but only {count(least)} with ", label(smallest), ".",
    )  # fmt: skip
