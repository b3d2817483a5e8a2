"""What the scores are worth, and when the model had better say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report.axes import Axis, spanning
from edgeclf.report.charts import Plot
from edgeclf.report.figures import count, decimal, is_number, percent, plural
from edgeclf.report.layout import Column, Section, beside, folded, paragraph, table
from edgeclf.report.markup import Child, join

_LARGEST = 8.0  # radius of the point of the bin with the most pictures
_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)  # rows of the table


def calibration_section(report: Mapping[str, Any]) -> Section | None:
    """Return how often the model is right at each score."""
    calibration = report.get("calibration") or {}
    bins = [entry for entry in calibration.get("bins") or [] if entry.get("count")]
    if not bins:
        return None
    of_tags = bool(report.get("multi_label"))
    right, nouns = ("right", ("picture", "pictures"))
    if of_tags:
        right, nouns = "true", ("pair", "pairs of picture and tag")
    plot = Plot(
        Axis("score", 0.0, 1.0, is_percent=True),
        Axis(right, 0.0, 1.0, is_percent=True),
    )
    most = max(entry["count"] for entry in bins)
    marks = [plot.bar(entry["low"], entry["high"], entry["accuracy"]) for entry in bins]
    marks.append(plot.line([(0.0, 0.0), (1.0, 1.0)], "ideal"))
    for entry in bins:
        title = (
            f"Score {percent(entry['low'])} to {percent(entry['high'])}: "
            f"{plural(entry['count'], *nouns)}, {percent(entry['accuracy'])} {right},"
            f" mean score {percent(entry['confidence'])}"
        )
        radius = max(3.0, _LARGEST * float(entry["count"] / most) ** 0.5)
        place = (entry["confidence"], entry["accuracy"])
        marks.append(plot.dot(*place, title, "two", radius))
    ece, before = calibration.get("ece"), calibration.get("ece_before")
    chart = plot.chart(
        f"Share of {right} {'tags' if of_tags else 'answers'} by score; calibration"
        f" error {percent(ece)}",
        *marks,
    )
    words: list[Child] = [
        paragraph(
            "Of the tags with a score of 80%, 80 of 100 should be true"
            if of_tags
            else "A score of 80% should be right in 80 of 100 cases",
            f": the dashed line. Each point stands for the {nouns[1]} of one range of"
            " scores; the larger the point, the more of them. Above the line the model"
            " is too modest, below it too sure.",
        )
    ]
    if is_number(ece):
        after = f"The expected calibration error is {percent(ece)}"
        earlier = f"; before calibration it was {percent(before)}" if before else ""
        chance = calibration.get("ece_by_chance")
        noise = ""
        if chance:
            noise = (
                f" Of so many {nouns[1]} chance alone makes it {percent(chance)}, were"
                " every score exact."
            )
        words.append(paragraph(after, earlier, ".", noise))
    rows = [
        [f"{percent(entry['low'])} to {percent(entry['high'])}", count(entry["count"]),
         percent(entry["confidence"]), percent(entry["accuracy"])] for entry in bins
    ]  # fmt: skip
    columns = [
        Column("Scores"), Column("Pairs" if of_tags else "Pictures", is_number=True),
        Column("Mean score", is_number=True),
        Column(right.capitalize(), is_number=True),
    ]  # fmt: skip
    words.append(folded("The figures", table("Accuracy by score", columns, rows)))
    return Section("calibration", "What a score is worth", beside(chart, *words))


def reject_section(report: Mapping[str, Any]) -> Section | None:
    """Return the accuracy of what is answered, against how much is answered."""
    reject = report.get("reject") or {}
    curve = [
        point
        for point in reject.get("curve") or []
        if is_number(point.get("coverage")) and is_number(point.get("accuracy"))
    ]
    if not curve:
        return None
    curve.sort(key=lambda point: float(point["coverage"]))
    rule = reject.get("rule")
    answered = rule if rule and is_number(rule.get("accuracy")) else None
    shown = [*curve, answered] if answered else curve
    plot = Plot(
        Axis("answered", 0.0, 1.0, is_percent=True),
        spanning("right", [point["accuracy"] for point in shown], is_percent=True),
    )
    line = [(point["coverage"], point["accuracy"]) for point in curve]
    marks = [plot.line(line, "one")]
    words: list[Child] = []
    if answered:
        place = (answered["coverage"], answered["accuracy"])
        title = (
            f"answers {percent(answered['coverage'])}, of these "
            f"{percent(answered['accuracy'])} right"
        )
        marks += [plot.dot(*place, title, "two", 5.0), plot.note(*place, "its rule")]
        words.append(paragraph("The rule in the model file ", title, "."))
    elif rule:
        words.append(
            paragraph("The rule in the model file takes every picture for unknown.")
        )
    else:
        words.append(
            paragraph("The model file carries no rule for saying \u201cunknown\u201d.")
        )
    title = "When to say \u201cunknown\u201d"
    if len(line) < 2:  # all scores are alike
        return Section("reject", title, join(*words))
    chart = plot.chart("Accuracy of the answered pictures by their share", *marks)
    intent = paragraph(
        "From right to left, the model keeps silent on more and more of the pictures of"
        " which it is least sure. What it still answers should be right more often."
    )
    words = [intent, *words]
    words.append(folded("The figures", _reject_table(curve)))
    return Section("reject", title, beside(chart, *words))


def _reject_table(curve: Sequence[Mapping[str, Any]]) -> Child:
    """Return the points of the curve that are nearest to round shares."""
    rows: list[list[Child]] = []
    for wanted in _COVERAGES:
        point = min(curve, key=lambda point: abs(point["coverage"] - wanted))
        row: list[Child] = [
            percent(point["coverage"]), percent(point["accuracy"]),
            decimal(point.get("score")),
        ]  # fmt: skip
        if row not in rows:
            rows.append(row)
    columns = [
        Column("Answered"), Column("Right", is_number=True),
        Column("Score of at least", is_number=True),
    ]  # fmt: skip
    return join(table("Accuracy by share of pictures answered", columns, rows))
