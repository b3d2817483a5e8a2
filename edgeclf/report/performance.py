"""How good the model is: the headline, the classes, who is taken for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeclf.report import matrix
from edgeclf.report.figures import (
    NOTHING,
    count,
    file_size,
    interval,
    is_number,
    milliseconds,
    percent,
    plural,
)
from edgeclf.report.layout import (
    LONG,
    Column,
    Section,
    folded,
    label,
    metered,
    paragraph,
    scrolling,
    table,
)
from edgeclf.report.markup import Child, Markup, element, join

_WIDE = 0.1  # an interval from one end to the other, of which a word is due
_FILES = {
    "int8": "on the int8 file, as a device runs it",
    "float16": "on the float16 file, as a device runs it",
}
_FILE = "on the model file"


def headline(report: Mapping[str, Any]) -> Markup | None:
    """Return the accuracy in large, what is sure of it, and the main figures."""
    device = (report.get("accuracy") or {}).get("device")
    tiles = _tiles(report)
    if not device or not is_number(device.get("accuracy")):
        return unmeasured(tiles, report)
    accuracy, number = device["accuracy"], device.get("num")
    counted = "of the test pictures"
    if number:
        hits = round(accuracy * number)
        counted = f"{count(hits)} of {plural(number, 'test picture')}"
    words = f"{counted} named right, measured {where_measured(report)}."
    return hero(accuracy, words, device.get("interval_95"), tiles)


def hero(
    share: float,
    words: str,
    ends: Sequence[float] | None,
    tiles: Sequence[Markup],
) -> Markup:
    """Return the main figure in large, with its interval, and the others beside it.

    Args:
        share: In [0, 1].
        words: What it is of.
        ends: Of its interval; None if not known.
        tiles: The other figures.
    """
    sure = None
    if ends:
        note = " Wide, because the test pictures are few."
        is_wide = ends[1] - ends[0] > _WIDE
        sure = f"95% interval: {interval(ends)}.{note if is_wide else ''}"
    big = element(
        "div",
        element("p", percent(share), class_="big"),
        paragraph(words, kind="lead"),
        _range(share, ends),
        paragraph(sure, kind="soft") if sure else None,
        class_="hero",
    )
    return element("div", big, element("div", tiles, class_="tiles"), class_="headline")


def where_measured(report: Mapping[str, Any]) -> str:
    """Return which file the figures are of."""
    device = (report.get("accuracy") or {}).get("device") or {}
    return _FILES.get(str(device.get("kind")), _FILE)


def classes_section(report: Mapping[str, Any]) -> Section | None:
    """Return precision, recall and F1 of each class."""
    entries = report.get("per_class") or []
    if not entries:
        return None
    columns = [
        Column("Class"), Column("Test pictures", is_number=True),
        Column("Recall", is_number=True), Column("95% interval", is_number=True),
        Column("Precision", is_number=True), Column("F1", is_number=True),
    ]  # fmt: skip
    has_intervals = any(entry.get("recall_interval_95") for entry in entries)
    rows = []
    for entry in entries:
        row: list[Child] = [
            label(entry["label"]), count(entry.get("num_test")),
            metered(entry.get("recall")), interval(entry.get("recall_interval_95")),
            metered(entry.get("precision")), metered(entry.get("f1")),
        ]  # fmt: skip
        rows.append(row if has_intervals else [*row[:3], *row[4:]])
    if not has_intervals:
        del columns[3]
    words = paragraph(
        "Recall: of the pictures of a class, how many were named so. Precision: of the"
        " pictures named so, how many are of the class. F1 is the mean of the two that"
        " leans to the lower.",
        kind="soft",
    )
    drawn = table("Figures by class", columns, rows, is_sortable=True)
    if len(rows) > 2 * LONG:
        order = sorted(range(len(rows)), key=lambda row: _goodness(entries[row]))
        weakest = [rows[row] for row in order[:LONG]]
        drawn = join(
            paragraph(f"The {LONG} classes that are recognised least:"),
            table("Weakest classes", columns, weakest, is_sortable=True),
            folded(f"All {len(rows)} classes", drawn),
        )
    return Section("classes", "Class by class", join(words, drawn))


def confusion_section(report: Mapping[str, Any]) -> Section | None:
    """Return the confusion matrix and the pairs that are confused most."""
    counts = report.get("confusion_matrix") or []
    # Of a model of very many classes only those that play a part.
    labels = [entry["label"] for entry in report.get("per_class") or []] or (
        (report.get("model") or {}).get("labels") or []
    )
    if not counts or len(counts) != len(labels):
        return None
    grid = matrix.Grid(len(labels))
    words = (
        "Each row is a true class, each column what its pictures were taken for. Blue"
        " is right, orange is wrong; the stronger, the larger the share of the row."
    )
    content: list[Child] = [
        paragraph(words, kind="soft"),
        scrolling("Confusion matrix", matrix.draw(counts, labels)),
    ]
    pairs = matrix.most_confused(counts, labels)
    if pairs:
        rows = [
            [label(pair.label), label(pair.predicted), count(pair.num),
             metered(pair.share, "two")] for pair in pairs
        ]  # fmt: skip
        columns = [
            Column("True class"), Column("Taken for"),
            Column("Pictures", is_number=True), Column("Of the class", is_number=True),
        ]  # fmt: skip
        content.append(element("h3", "Most confused"))
        content.append(table("Most confused classes", columns, rows))
    elif not grid.has_counts:
        content.append(paragraph("No picture was taken for another class."))
    return Section("confusion", "Who is taken for whom", join(*content))


def unmeasured(tiles: list[Markup], report: Mapping[str, Any]) -> Markup | None:
    """Return what heads a report without an accuracy."""
    words = None
    if report.get("command") == "retrain":
        missing = "How good it is has not been measured: there was no test picture."
        words = paragraph(missing, kind="lead")
    if words is None and not tiles:
        return None
    return join(words, element("div", tiles, class_="tiles alone") if tiles else None)


def _goodness(entry: Mapping[str, Any]) -> float:
    """Return what classes are ranked by; one without test pictures comes last."""
    recall = entry.get("recall")
    return 2.0 if recall is None else float(recall)


def _tiles(report: Mapping[str, Any]) -> list[Markup]:
    """Return the main figures with their names, those that are known."""
    accuracy = report.get("accuracy") or {}
    device, full = accuracy.get("device") or {}, accuracy.get("float") or {}
    tiles: list[tuple[str, str, str]] = []
    if full and device.get("kind") != "float":
        before = full.get("accuracy")
        cost = drop(device.get("accuracy"), before)
        tiles.append(("Before quantization", percent(before), cost))
    tiles += [
        ("Macro F1", percent(device.get("macro_f1")), "every class counts the same"),
        ("Calibration error", percent((report.get("calibration") or {}).get("ece")),
         "mean gap between score and hit rate"),
        *file_tiles(report),
        ("Always the commonest class", percent(_commonest(report)),
         "what guessing would get"),
    ]  # fmt: skip
    return drawn_tiles(tiles)


def file_tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, figure and note of the model file's size and speed."""
    model, latency = report.get("model") or {}, report.get("latency") or {}
    return [
        ("File", file_size(model.get("size_bytes")), _parameters(model)),
        ("Latency", milliseconds(latency.get("median_ms")), _latency_note(latency)),
    ]


def drawn_tiles(tiles: Iterable[tuple[str, str, str]]) -> list[Markup]:
    """Return figures with their names and notes, those that are known."""
    return [
        element(
            "div",
            element("p", name, class_="name"),
            element("p", figure, class_="value"),
            element("p", note, class_="note") if note else None,
            class_="tile",
        )
        for name, figure, note in tiles
        if figure != NOTHING
    ]


def drop(after: float | None, before: float | None) -> str:
    """Return in words what quantization cost, in points of a percentage."""
    if after is None or before is None:
        return ""
    change = 100 * (after - before)
    if abs(change) < 0.05:
        return "quantization costs nothing"
    verb = "costs" if change < 0 else "gains"
    return f"quantization {verb} {abs(change):.1f} points"


def _parameters(model: Mapping[str, Any]) -> str:
    parameters = model.get("parameters")
    return f"{count(parameters)} parameters" if parameters else ""


def _latency_note(latency: Mapping[str, Any]) -> str:
    notes = []
    if latency.get("p90_ms") is not None:
        notes.append(f"90% under {milliseconds(latency['p90_ms'])}")
    if latency.get("num_threads"):
        notes.append(plural(latency["num_threads"], "thread"))
    return ", ".join(notes)


def _commonest(report: Mapping[str, Any]) -> float | None:
    """Return the share of the largest class among the test pictures; None of one."""
    entries = report.get("per_class") or []
    tested = [entry["num_test"] for entry in entries if entry.get("num_test")]
    return max(tested) / sum(tested) if len(tested) > 1 else None


def _range(share: float, ends: Sequence[float] | None) -> Markup | None:
    """Draw a share and its interval on a line from 0 to 100%."""
    if not ends:
        return None
    low, high = (100 * end for end in ends)
    return element(
        "svg",
        element("title", f"{percent(share)}, interval {interval(ends)}, of 100%"),
        element("rect", width=100, height=3, y=3.5, class_="track"),
        element("rect", x=low, width=high - low, height=3, y=3.5, class_="band"),
        element("rect", x=100 * share - 0.5, width=1, height=10, class_="column"),
        class_="range", viewBox="0 0 100 10", preserveAspectRatio="none", role="img",
    )  # fmt: skip
