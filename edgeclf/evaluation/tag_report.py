"""The report on a multi-label model as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeclf.evaluation.calibration import describe_tag_calibration
from edgeclf.evaluation.cooccurrence import pairs_that_differ
from edgeclf.evaluation.tag_metrics import TagEvaluation, precision_and_recall
from edgeclf.evaluation.tag_pictures import remarkable_tags

MAX_POINTS = 100  # of a small curve: no more can be seen


def describe_tag_evaluation(
    evaluation: TagEvaluation,
    labels: Sequence[str],
    kind: str,
    floating: TagEvaluation | None = None,
) -> dict[str, Any]:
    """Return every section of a report that the measured scores give.

    Args:
        evaluation: Scores of the model file on one picture or more.
        labels: Names of its tags.
        kind: "int8", "float16" or "float": what the file holds.
        floating: Scores of the model before quantization; None if not known.
    """
    described = evaluation.describe(labels)
    return {
        "multi_label": True,
        "accuracy": {
            "device": {"kind": kind, **_headline(described)},
            "float": floating
            and {"kind": "float", **_headline(floating.describe(labels))},
        },
        "per_tag": described["per_tag"],
        "precision_recall": _curves(evaluation, labels),
        "pairs": pairs_that_differ(evaluation, labels),
        "calibration": describe_tag_calibration(evaluation.scores, evaluation.targets),
        "pictures": remarkable_tags(evaluation, labels),
    }


def tag_lines(described: Mapping[str, Any]) -> list[str]:
    """Return the main figures for a terminal.

    Args:
        described: As `TagEvaluation.describe` has them.
    """
    number, precision = described["num"], described["mean_average_precision"]
    mean = "unknown" if precision is None else f"{precision:.1%}"
    return [
        f"mAP = {mean} (N={number})"
        + _ends(described["mean_average_precision_interval_95"]),
        f"Micro-F1 = {described['micro_f1']:.1%}"
        + _ends(described["micro_f1_interval_95"]),
        f"Macro-F1 = {described['macro_f1']:.1%}",
        f"Subset accuracy = {described['subset_accuracy']:.1%}, "
        f"Hamming loss = {described['hamming_loss']:.1%}",
        "Label ranking average precision = "
        f"{described['label_ranking_average_precision']:.1%}",
        f"Binary cross-entropy = {described['binary_cross_entropy']:.4f} nats",
    ]


def _ends(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    return f", 95% interval {interval[0]:.1%} to {interval[1]:.1%}"


def _headline(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: described[key] for key in described if key != "per_tag"}


def _curves(evaluation: TagEvaluation, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision and recall of each tag, from the highest score down."""
    curves = []
    for label, truths, scores in zip(
        labels, evaluation.targets.T, evaluation.scores.T, strict=True
    ):
        if not truths.any():
            continue
        precisions, recalls, _ = precision_and_recall(truths, scores)
        # Where no picture with the tag is won the line only falls: it needs the ends.
        wins = np.flatnonzero(np.diff(recalls, prepend=0))
        corners = np.union1d(np.union1d(wins, wins[wins > 0] - 1), len(recalls) - 1)
        chosen = np.linspace(0, len(corners) - 1, MAX_POINTS).round().astype(int)
        shown = np.unique(corners[chosen])
        curves.append(
            {
                "label": label,
                "points": [
                    {"recall": float(recalls[at]), "precision": float(precisions[at])}
                    for at in shown.tolist()
                ],
            }
        )
    return curves
