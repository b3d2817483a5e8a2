"""How the model learned: against the number of pictures, and step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report.axes import spanning
from edgeclf.report.charts import Plot
from edgeclf.report.figures import count, interval, is_number, percent
from edgeclf.report.layout import Column, Section, beside, folded, paragraph, table
from edgeclf.report.markup import Child, Markup, element

# Kind of line, key of the report before "accuracy" and "cross_entropy", name.
CURVES = (("one", "train", "training"), ("two", "validation", "validation"))


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
    points = sorted(points, key=lambda point: float(point["num_train"]))
    heights = [point["accuracy"] for point in points]
    band = [(point["num_train"], *ends) for point in points if (ends := _ends(point))]
    heights += [end for _, low, high in band for end in (low, high)]
    plot = Plot(
        spanning("training pictures", [0, *(point["num_train"] for point in points)]),
        spanning("accuracy", heights, is_percent=True),
    )
    line = [(point["num_train"], point["accuracy"]) for point in points]
    marks = [plot.band(band)] if band else []
    marks.append(plot.line(line, "one"))
    for number, accuracy in line:
        title = f"{count(number)} pictures: {percent(accuracy)}"
        marks.append(plot.dot(number, accuracy, title))
    return plot.chart("Accuracy by number of training pictures", *marks)


def training_section(report: Mapping[str, Any]) -> Section | None:
    """Return accuracy and cross-entropy step by step."""
    steps = report.get("training_curves") or []
    charts = [
        chart
        for chart in (
            _training_chart(steps, "accuracy", "accuracy", is_percent=True),
            _training_chart(steps, "cross_entropy", "cross-entropy, nats"),
        )
        if chart is not None
    ]
    if not charts:
        return None
    drawn = [element("div", chart, class_="drawing") for chart in charts]
    content = element("div", drawn, class_="pair-of-charts")
    return Section("training", "Training, step by step", content)


def series(steps: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """Return the steps at which a figure was taken, and the figure."""
    return [
        (float(step["step"]), float(step[key]))
        for step in steps
        if is_number(step.get(key)) and is_number(step.get("step"))
    ]


def _training_chart(
    steps: Sequence[Mapping[str, Any]],
    figure: str,
    label: str,
    *,
    is_percent: bool = False,
) -> Markup | None:
    lines = [
        (kind, name, points)
        for kind, split, name in CURVES
        if (points := series(steps, f"{split}_{figure}"))
    ]
    if not lines:
        return None
    every = [point for _, _, points in lines for point in points]
    plot = Plot(
        spanning("step", [step for step, _ in every]),
        spanning(label, [value for _, value in every], is_percent=is_percent),
    )
    marks = [plot.line(points, kind) for kind, _, points in lines]
    for kind, _, points in lines:
        if len(points) == 1:
            marks.append(plot.dot(*points[0], label, kind))
    legend = [(kind, name) for kind, name, _ in lines]
    return plot.chart(f"{label} by training step", *marks, legend=legend)


def _ends(point: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = point.get("low"), point.get("high")
    if low is None or high is None:
        return None
    return float(low), float(high)
