"""How the model learned: against the number of pictures, and step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeclf.report.axes import Axis, spanning
from edgeclf.report.charts import Plot
from edgeclf.report.figures import count, interval, is_number, percent
from edgeclf.report.layout import Column, Section, beside, folded, paragraph, table
from edgeclf.report.markup import Child, Markup, element

# Kind of line, key of the report before "accuracy" and "cross_entropy", name.
_CURVES = (("one", "train", "training"), ("two", "validation", "validation"))
_FIGURES = (("accuracy", "accuracy"), ("cross_entropy", "cross-entropy, nats"))


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        kind: "one" or "two".
        name: What it shows.
        points: From left to right.
    """

    kind: str
    name: str
    points: list[tuple[float, float]]


def learning_section(report: Mapping[str, Any]) -> Section | None:
    """Return whether more pictures would help."""
    learning = report.get("learning_curve") or {}
    points = [
        point
        for point in learning.get("points") or []
        if is_number(point.get("num_train")) and is_number(point.get("accuracy"))
    ]
    if not points:
        return None
    chart = learning_chart(points)
    words: list[Child] = []
    if learning.get("verdict"):
        words.append(paragraph(learning["verdict"], kind="lead"))
    words.append(
        paragraph(
            "Quick heads of one kind (linear discriminants, one view of each picture)"
            " that learned from fewer and more of the pictures, measured on those they"
            " had not seen; the model itself may do better. Where the line still rises"
            " at its right end, more pictures should help; where it is flat, better"
            " pictures or another backbone would."
        )
    )
    columns = [
        Column("Training pictures"), Column("Accuracy", is_number=True),
        Column("Interval", is_number=True),
    ]  # fmt: skip
    rows = [
        [count(point["num_train"]), percent(point["accuracy"]),
         interval(_ends(point))] for point in points
    ]  # fmt: skip
    figures = table("Accuracy by number of training pictures", columns, rows)
    words.append(folded("The figures", figures))
    content = beside(chart, *words)
    return Section("learning", "Would more pictures help?", content)


def learning_chart(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw accuracy against the number of pictures, with its interval."""
    x, y, line, band = learning_lines(points)
    plot = Plot(x, y)
    marks = [plot.band(band)] if band else []
    marks.append(plot.line(line, "one"))
    for number, accuracy in line:
        title = f"{count(number)} pictures: {percent(accuracy)}"
        marks.append(plot.dot(number, accuracy, title))
    return plot.chart("Accuracy by number of training pictures", *marks)


def learning_lines(
    points: Sequence[Mapping[str, Any]],
) -> tuple[Axis, Axis, list[tuple[float, float]], list[tuple[float, float, float]]]:
    """Return what a learning curve is drawn from, for the page and for PNG.

    Args:
        points: `num_train`, `accuracy`, and the ends of its interval `low` and `high`,
            which may be None; at least one.

    Returns:
        The axes, the points of the line, and those of the band: `(x, low, high)`.
    """
    points = sorted(points, key=lambda point: float(point["num_train"]))
    line = [(point["num_train"], point["accuracy"]) for point in points]
    band = [(point["num_train"], *ends) for point in points if (ends := _ends(point))]
    heights = [height for _, height in line]
    heights += [end for _, low, high in band for end in (low, high)]
    x = spanning("training pictures", [0, *(number for number, _ in line)])
    return x, spanning("accuracy", heights, is_percent=True), line, band


def training_section(report: Mapping[str, Any]) -> Section | None:
    """Return accuracy and cross-entropy step by step."""
    steps = report.get("training_curves") or []
    charts = training_lines(steps)
    if not charts:
        return None
    drawn = [element("div", _training_chart(*c), class_="drawing") for c in charts]
    content = element("div", drawn, class_="pair-of-charts")
    return Section("training", "Training, step by step", content)


def _series(steps: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """Return the steps at which a figure was taken, and the figure."""
    return [
        (float(step["step"]), float(step[key]))
        for step in steps
        if is_number(step.get(key)) and is_number(step.get("step"))
    ]


def training_lines(
    steps: Sequence[Mapping[str, Any]],
) -> list[tuple[Axis, Axis, list[Line]]]:
    """Return what training curves are drawn from, for the page and for PNG.

    Args:
        steps: `step` and, where they were taken, `train_accuracy`,
            `train_cross_entropy`, `validation_accuracy`, `validation_cross_entropy`.

    Returns:
        Axes and lines of a chart for each figure that was taken.
    """
    charts = []
    for figure, label in _FIGURES:
        lines = [
            Line(kind, name, points)
            for kind, split, name in _CURVES
            if (points := _series(steps, f"{split}_{figure}"))
        ]
        if not lines:
            continue
        every = [point for line in lines for point in line.points]
        y = [value for _, value in every]
        charts.append(
            (
                spanning("step", [step for step, _ in every]),
                spanning(label, y, is_percent=figure == "accuracy"),
                lines,
            )
        )
    return charts


def _training_chart(x: Axis, y: Axis, lines: Sequence[Line]) -> Markup:
    plot = Plot(x, y)
    marks = [plot.line(points, kind) for kind, _, points in lines]
    for kind, _, points in lines:
        if len(points) == 1:
            marks.append(plot.dot(*points[0], y.label, kind))
    legend = [(kind, name) for kind, name, _ in lines]
    return plot.chart(f"{y.label} by training step", *marks, legend=legend)


def _ends(point: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = point.get("low"), point.get("high")
    if low is None or high is None:
        return None
    return float(low), float(high)
