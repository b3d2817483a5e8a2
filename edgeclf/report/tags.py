"""How good a multi-label model is: the headline, and each tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report.collection import SPLITS
from edgeclf.report.figures import count, decimal, interval, is_number, percent, plural
from edgeclf.report.layout import (
    LONG,
    Column,
    Section,
    folded,
    label,
    metered,
    paragraph,
    table,
)
from edgeclf.report.markup import Child, Markup, element, join
from edgeclf.report.performance import (
    drawn_tiles,
    drop,
    file_tiles,
    hero,
    unmeasured,
    where_measured,
)

_SIDE, _ROOM = 100, 6  # of a small curve, and the room around it


def tag_headline(report: Mapping[str, Any]) -> Markup | None:
    """Return the mean average precision in large, and the other figures."""
    accuracy = report.get("accuracy") or {}
    device, full = accuracy.get("device") or {}, accuracy.get("float") or {}
    mean = device.get("mean_average_precision")
    # Without a tag known of any test picture F1 is 0, which says nothing.
    f1 = {} if mean is None else device
    micro, tiles = f1.get("micro_f1_interval_95"), []
    if full and device.get("kind") != "float":
        before = full.get("mean_average_precision")
        tiles.append(("Before quantization", percent(before), drop(mean, before)))
    tiles += [
        ("Micro F1", percent(f1.get("micro_f1")),
         interval(micro) if micro else "every tag given counts the same"),
        ("Macro F1", percent(f1.get("macro_f1")), "every tag counts the same"),
        ("Exactly right", percent(device.get("subset_accuracy")),
         "pictures with all their tags, and no other"),
        ("Hamming loss", percent(device.get("hamming_loss")),
         "wrong pairs of picture and tag"),
        ("Ranking precision", percent(device.get("label_ranking_average_precision")),
         "how far a picture\u2019s own tags stand on top"),
        ("Binary cross-entropy", decimal(device.get("binary_cross_entropy")), "nats"),
        *file_tiles(report),
    ]  # fmt: skip
    drawn = drawn_tiles(tiles)
    if mean is None or not is_number(mean):
        return unmeasured(drawn, report)
    words = "mean average precision of the tags"
    if device.get("num"):
        words += f" on {plural(device['num'], 'test picture')}"
    words += f", measured {where_measured(report)}."
    ends = device.get("mean_average_precision_interval_95")
    return hero(mean, words, ends, drawn)


def tags_section(report: Mapping[str, Any]) -> Section | None:
    """Return the pictures, the threshold and the figures of each tag."""
    counted = {entry["label"]: entry for entry in
               (report.get("data") or {}).get("tags") or []}  # fmt: skip
    entries = report.get("per_tag") or [
        {"label": name} for name in counted
    ]  # without test pictures the counts are all there is
    if not entries:
        return None
    splits = [split for split in SPLITS
              if any(entry.get(split) for entry in counted.values())]  # fmt: skip
    is_measured = bool(report.get("per_tag"))
    columns = [Column("Tag")]
    columns += [Column(split.capitalize(), is_number=True) for split in splits]
    if is_measured:
        columns += [
            Column(name, is_number=True)
            for name in ("Average precision", "Precision", "Recall", "F1", "Threshold")
        ]
    rows: list[list[Child]] = []
    for entry in entries:
        own = counted.get(entry["label"], {})
        row: list[Child] = [label(entry["label"])]
        row += [count(own.get(split)) for split in splits]
        if is_measured:
            row += [
                metered(entry.get("average_precision")),
                metered(entry.get("precision")), metered(entry.get("recall")),
                metered(entry.get("f1") if entry.get("num_positive") else None),
                decimal(entry.get("threshold")),
            ]  # fmt: skip
        rows.append(row)
    words = paragraph(
        "The first figures count the pictures with the tag. Average precision tells how"
        " well the score ranks them before all others, whatever the threshold. A tag is"
        " given from its threshold on: precision is the share of these that have it,"
        " recall the share of those with it that get it, and F1 the mean of the two"
        " that leans to the lower.",
        kind="soft",
    )
    drawn = table("Figures by tag", columns, rows, is_sortable=True, is_dense=True)
    if len(rows) > 3 * LONG and is_measured:
        order = sorted(range(len(rows)), key=lambda row: _goodness(entries[row]))
        weakest = [rows[row] for row in order[:LONG]]
        drawn = join(
            paragraph(f"The {LONG} tags that are recognised least:"),
            table("Weakest tags", columns, weakest, is_sortable=True, is_dense=True),
            folded(f"All {len(rows)} tags", drawn),
        )
    return Section("tags", "Tag by tag", join(words, drawn))


def precision_recall_section(report: Mapping[str, Any]) -> Section | None:
    """Return what precision each recall costs, a small chart for each tag."""
    entries = {entry["label"]: entry for entry in report.get("per_tag") or []}
    curves = [curve for curve in report.get("precision_recall") or []
              if curve.get("points") and curve["label"] in entries]  # fmt: skip
    if not curves:
        return None
    curves.sort(key=lambda curve: _goodness(entries[curve["label"]]))
    charts = [_small_chart(curve, entries[curve["label"]]) for curve in curves]
    first = element("ul", charts[: 2 * LONG], class_="small-charts")
    rest = None
    if len(charts) > 2 * LONG:
        hidden = element("ul", charts[2 * LONG :], class_="small-charts")
        rest = folded(f"{len(charts) - 2 * LONG} more", hidden)
    words = paragraph(
        "Each line goes from the highest score, at the left, to the one at which every"
        " picture with the tag is found, at the right: recall from 0 to 100%, upwards"
        " precision from 0 to 100%. The point is the tag\u2019s threshold. The weakest"
        " come first.",
        kind="soft",
    )
    return Section(
        "precision-recall", "Precision against recall", join(words, first, rest)
    )


def _small_chart(curve: Mapping[str, Any], entry: Mapping[str, Any]) -> Markup:
    points = [(point["recall"], point["precision"]) for point in curve["points"]]
    # From the axis to the first point: its precision holds up to there.
    places = [_at(0.0, points[0][1]), *(_at(*point) for point in points)]
    path = "M" + "L".join(f"{left:.1f},{top:.1f}" for left, top in places)
    name, precision = curve["label"], percent(entry.get("average_precision"))
    title = f"Precision against recall of {name}; average precision {precision}"
    dot = None
    if is_number(entry.get("precision")) and is_number(entry.get("recall")):
        left, top = _at(entry["recall"], entry["precision"])
        words = (
            f"Given from {decimal(entry.get('threshold'))} on: precision"
            f" {percent(entry['precision'])}, recall {percent(entry['recall'])}"
        )
        dot = element(
            "circle", element("title", words), cx=left, cy=top, r=4.0, class_="dot two"
        )
    drawn = element(
        "svg",
        element("title", title),
        element("rect", x=_ROOM, y=_ROOM, width=_SIDE, height=_SIDE, class_="frame"),
        element("path", d=_grid(), class_="grid"),
        element("path", d=path, class_="line one"),
        dot,
        class_="chart", role="img",
        viewBox=f"0 0 {_SIDE + 2 * _ROOM} {_SIDE + 2 * _ROOM}",
    )  # fmt: skip
    note = element("span", precision, class_="soft figure")
    return element("li", drawn, element("p", label(name), " ", note))


def _grid() -> str:
    steps = [_ROOM + _SIDE * part // 4 for part in (1, 2, 3)]
    upright = "".join(f"M{step},{_ROOM}v{_SIDE}" for step in steps)
    return upright + "".join(f"M{_ROOM},{step}h{_SIDE}" for step in steps)


def _at(recall: float, precision: float) -> tuple[float, float]:
    return _ROOM + _SIDE * recall, _ROOM + _SIDE * (1 - precision)


def _goodness(entry: Mapping[str, Any]) -> float:
    """Return what tags are ranked by; one without test pictures comes last."""
    precision = entry.get("average_precision")
    return 2.0 if precision is None else float(precision)


def weakest_tag(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the tag that is ranked worst; None where none is known."""
    known = [entry for entry in entries if is_number(entry.get("average_precision"))]
    return min(known, key=_goodness, default=None)
