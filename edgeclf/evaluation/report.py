"""The report as plain values: what its JSON holds and its page shows.

`edgeclf.report.page.render` draws what is there and leaves out what is not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgeclf.console import number_of
from edgeclf.evaluation.calibration import describe_calibration
from edgeclf.evaluation.coverage import coverage_curve
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.pictures import remarkable
from edgeclf.report.page import FORMAT_VERSION

MAX_CLASSES = 150  # of a foreign model, of which most may play no part


def new_report(command: str, title: str) -> dict[str, Any]:
    """Return the head of a report.

    Args:
        command: "retrain" or "evaluate".
        title: What is reported on.
    """
    return {
        "format_version": FORMAT_VERSION,
        "title": title,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": command,
    }


def describe_evaluation(
    evaluation: Evaluation,
    labels: Sequence[str],
    kind: str,
    temperature: float | None,
    floating: Evaluation | None = None,
) -> dict[str, Any]:
    """Return every section of a report that the measured scores give.

    Args:
        evaluation: Scores of the model file on one picture or more.
        labels: Names of its classes.
        kind: "int8", "float16" or "float": what the file holds.
        temperature: What the model's logits are divided by; None if not known.
        floating: Scores of the model before quantization; None if not known.
    """
    matter, names = with_classes_that_matter(evaluation, labels)
    described = matter.describe(names)
    return {
        "accuracy": {
            "device": {"kind": kind, **_headline(evaluation, described)},
            "float": None
            if floating is None
            else {"kind": "float", **_headline(floating, floating.describe(labels))},
        },
        "per_class": described["per_class"],
        "confusion_matrix": described["confusion_matrix"],
        "calibration": describe_calibration(
            evaluation.scores, evaluation.classes, temperature
        ),
        "reject": {
            "curve": coverage_curve(evaluation.scores, evaluation.classes),
            "rule": evaluation.describe_reject(),
            "background": None,
        },
        "pictures": remarkable(evaluation, labels),
    }


def reject_line(reject: Mapping[str, Any]) -> str | None:
    """Return what `label_image --reject` does; None for a model without a rule.

    Args:
        reject: As the report has it: of the `rule` `coverage` and `accuracy`, of the
            `background` `num` and `rejected`, or None.
    """
    rule, background = reject["rule"], reject["background"]
    if rule is None or rule["coverage"] is None:
        return None
    line = f"With --reject it keeps {rule['coverage']:.1%} of these pictures"
    if rule["accuracy"] is not None:
        line += f", of which {rule['accuracy']:.1%} are right"
    if background is not None:
        pictures = number_of(background["num"], "picture")
        line += f", and rejects {background['rejected']:.1%} of {pictures} of no class"
    return line


def with_classes_that_matter(
    evaluation: Evaluation, labels: Sequence[str]
) -> tuple[Evaluation, list[str]]:
    """Leave out classes that no picture has and none is taken for, if there are many.

    The scores of the others stay as they are.
    """
    if len(labels) <= MAX_CLASSES:
        return evaluation, list(labels)
    used = np.union1d(evaluation.classes, evaluation.predicted)
    return (
        replace(
            evaluation,
            scores=evaluation.scores[:, used],
            classes=np.searchsorted(used, evaluation.classes),
        ),
        [labels[index] for index in used.tolist()],
    )


def _headline(evaluation: Evaluation, described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "accuracy": described["accuracy"],
        "interval_95": described["accuracy_interval_95"],
        "num": len(evaluation.classes),
        "macro_f1": described["macro_f1"],
        "cross_entropy": described["cross_entropy"],
    }
