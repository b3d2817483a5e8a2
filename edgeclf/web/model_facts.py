"""What a model is, for programs and for chat servers."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from edgeclf.report.figures import count, file_size, interval, percent, plural
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.model_report import by_report

_MOST_LABELS = 100  # of a card: a chat server reads it with every question
# Of the report's accuracy what programs ask for, by the names of `--metrics_json`.
_FIGURES = (
    *("accuracy", "macro_f1", "micro_f1", "mean_average_precision"),
    *("cross_entropy", "binary_cross_entropy", "hamming_loss", "subset_accuracy"),
)
_PICTURES = ("num_train", "num_validation", "num_test")
_USES = ("training", "validation", "testing")


def described(model: LoadedModel) -> dict[str, Any]:
    """Return what is known of a model, as plain values of JSON.

    What is not known is None. Shares are in [0, 1].
    """
    return by_report(model, partial(_facts, model))


def card_text(model: LoadedModel) -> str:
    """Return what is known of a model as a few lines of plain text."""
    return by_report(model, partial(_card, model))


def _facts(model: LoadedModel, report: dict[str, Any]) -> dict[str, Any]:
    classifier = model.classifier
    file, data = report["model"], report.get("data") or {}
    size = classifier.input_size
    facts = {
        "name": model.name,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "num_classes": classifier.num_classes,
        "labels": None if classifier.labels is None else [*classifier.labels],
        "multi_label": classifier.multi_label,
        "thresholds": [round(float(least), 6) for least in classifier.thresholds]
        if classifier.multi_label
        else None,
        "input_size": None if size is None else [*size],
        "resize": classifier.resize,
        "architecture": file.get("architecture"),
        "quantize": file.get("quantize"),
        "parameters": file.get("parameters"),
        "has_reject_rule": bool(classifier.info.record.get("reject")),
        "measured": _measured(report),
        "pictures": {name: data.get(name) for name in _PICTURES}
        if any(data.get(name) is not None for name in _PICTURES)
        else None,
        "dataset_sha256": data.get("dataset_sha256"),
        "seed": data.get("seed"),
        "created": report.get("created"),
        "versions": report.get("versions"),
    }
    json.dumps(facts, allow_nan=False)  # raises of what JSON has no number for
    return facts


def _card(model: LoadedModel, report: dict[str, Any]) -> str:
    facts = _facts(model, report)
    measured, size = facts["measured"] or {}, facts["input_size"]
    labels = facts["labels"] or []
    noun = ("tag", "tags") if facts["multi_label"] else ("class", "classes")
    listed = ", ".join(labels[:_MOST_LABELS])
    more = len(labels) - _MOST_LABELS
    lines = [
        f"Model: {facts['name']}, {file_size(facts['size_bytes'])}",
        facts["architecture"] and f"Architecture: {facts['architecture']}",
        facts["quantize"] and f"Numbers: {facts['quantize']}",
        size and f"Input: {size[1]} x {size[0]} pixels, RGB",
        f"It gives {plural(facts['num_classes'], *noun)}"
        + (f": {listed}" if listed else "")
        + (f" and {count(more)} more" if more > 0 else ""),
        facts["multi_label"] and "A picture may have several tags, or none.",
        _accuracy_line(measured),
        facts["pictures"] and _pictures_line(facts["pictures"]),
        facts["has_reject_rule"]
        and "It has a rule by which pictures of no class are called unknown.",
    ]
    return "\n".join(line for line in lines if line)


def _measured(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return the figures on test pictures; None if nothing was measured."""
    accuracy = report.get("accuracy") or {}
    device, full = accuracy.get("device") or {}, accuracy.get("float") or {}
    figures = {name: device.get(name) for name in _FIGURES if name in device}
    if not figures:
        return None
    ends = device.get("interval_95") or device.get("mean_average_precision_interval_95")
    return {
        **figures,
        "interval_95": None if ends is None else [*ends],
        "accuracy_float": full.get("accuracy"),
        "num_test": device.get("num"),
    }


def _accuracy_line(measured: dict[str, Any]) -> str | None:
    ends, number = measured.get("interval_95"), measured.get("num_test")
    for key, name in (
        ("mean_average_precision", "Mean average precision of the tags"),
        ("accuracy", "Accuracy"),
    ):
        if measured.get(key) is not None:
            of = f" on {plural(number, 'test picture')}" if number else ""
            sure = f" (95% interval {interval(ends)})" if ends else ""
            return f"{name}: {percent(measured[key])}{of}{sure}"
    return None


def _pictures_line(pictures: dict[str, Any]) -> str:
    known = [
        f"{count(pictures[name])} for {use}"
        for name, use in zip(_PICTURES, _USES, strict=True)
        if pictures[name]
    ]
    return f"Pictures: {', '.join(known)}"
