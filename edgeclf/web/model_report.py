"""What is known of a model, in the form of a report.

It comes from the report beside the file, if that is of this very file; else from the
record inside it. A file of another maker has neither: size, input and labels are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from edgeclf.evaluation.report_files import (
    ENDING,
    EVALUATION_ENDING,
    beside,
    read_values,
)
from edgeclf.report.figures import is_number
from edgeclf.report.page import FORMAT_VERSION
from edgeclf.web.loaded_model import LoadedModel

# Where things lie on the server's disk, and the names of its pictures: the report that
# can be downloaded has them.
_PRIVATE = ("settings", "pictures", "mislabelled", "suspects")
_PRIVATE_DATA = ("image_dir", "conflicting", "near_duplicates", "unreadable")
_RECORDED_DATA = ("num_train", "num_validation", "num_test", "dataset_sha256", "seed")
_TAG_FIGURES = ("mean_average_precision", "macro_f1", "micro_f1")

# What comes of a report with other kinds of values than ours have.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

Result = TypeVar("Result")

_recorded: WeakKeyDictionary[LoadedModel, dict[str, Any]] = WeakKeyDictionary()


def by_report(
    model: LoadedModel, describe: Callable[[dict[str, Any]], Result]
) -> Result:
    """Describe a model by what is known of it.

    A report beside it that somebody has spoiled counts as none.

    Args:
        model: The model.
        describe: Called with a report as `edgeclf.report.page.sections` takes it.
            Nothing in it names a file or folder of the server but the model itself.
    """
    report = _beside(model)
    if report is not None:
        try:
            return describe(_public(report, model))
        except _MALFORMED:
            pass
    return describe(_public(_from_record(model), model))


def _public(report: Mapping[str, Any], model: LoadedModel) -> dict[str, Any]:
    report = dict(report)
    for key in _PRIVATE:
        report.pop(key, None)
    described = {**report["model"], "file": model.name}
    described.pop("path", None)
    data = report.get("data") or {}
    return {
        **report,
        "model": described,
        "data": {key: data[key] for key in data if key not in _PRIVATE_DATA},
    }


def without_command(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without the folders that the command was given."""
    kept = {key: report[key] for key in report if key != "settings"}
    for part, private in (("model", "path"), ("data", "image_dir")):
        if isinstance(kept.get(part), dict):
            kept[part] = {k: v for k, v in kept[part].items() if k != private}
    return kept


def has_own_report(model: LoadedModel, ending: str = ENDING) -> bool:
    """Tell whether a report on this very file stands beside it.

    Args:
        model: The file.
        ending: Of the report's page, behind the name of the model.
    """
    page = beside(model.path, ending)
    return page.is_file() and _is_of(read_values(page), model)


def report_ending(model: LoadedModel) -> str | None:
    """Return the ending of the best report beside a model; None without any."""
    for ending in (ENDING, EVALUATION_ENDING):
        if has_own_report(model, ending):
            return ending
    return None


def _beside(model: LoadedModel) -> dict[str, Any] | None:
    for ending in (ENDING, EVALUATION_ENDING):
        report = read_values(beside(model.path, ending))
        if report is not None and _is_of(report, model):
            return report
    return None


def _is_of(report: Mapping[str, Any] | None, model: LoadedModel) -> bool:
    """Tell whether a report is of this very file, in a format that is known."""
    if report is None or report.get("format_version") != FORMAT_VERSION:
        return False
    described = report.get("model")
    return isinstance(described, dict) and described.get("sha256") == model.sha256


def _from_record(model: LoadedModel) -> dict[str, Any]:
    """Return a report of what the file says of itself; it is read once."""
    if model not in _recorded:
        # Imported here: it brings what times models, which a server does not.
        from edgeclf.evaluation.model_file import describe_model

        _recorded[model] = {
            "model": describe_model(model.content, model.path, model.classifier),
            **_measured(model),
        }
    return _recorded[model]


def _measured(model: LoadedModel) -> dict[str, Any]:
    provenance = model.classifier.info.record.get("provenance")
    if not isinstance(provenance, dict):
        return {}
    known = {key: value for key, value in provenance.items() if value is not None}
    is_tags = model.classifier.multi_label
    figures = _tag_figures(known) if is_tags else _class_figures(known)
    data = {key: known[key] for key in _RECORDED_DATA if key in known}
    versions = known.get("versions")
    rule = known.get("reject")
    return {
        "command": "retrain",
        "multi_label": is_tags,
        "accuracy": figures,
        "data": data,
        "versions": versions if isinstance(versions, dict) else None,
        **({} if is_tags else {"reject": {"rule": rule} if _is_rule(rule) else None}),
    }


def _class_figures(known: Mapping[str, Any]) -> dict[str, Any] | None:
    accuracy, number = known.get("accuracy"), known.get("num_test")
    if accuracy is None or not is_number(accuracy):
        return None
    device = {"accuracy": accuracy, "kind": known.get("quantize")}
    if is_number(known.get("macro_f1")):
        device["macro_f1"] = known["macro_f1"]
    if type(number) is int and number > 0:
        from edgeclf.evaluation.metrics import wilson_interval

        hits = round(number * accuracy)
        device |= {"num": number, "interval_95": [*wilson_interval(hits, number)]}
    before = known.get("accuracy_float")
    full = {"accuracy": before} if is_number(before) else None
    return {"device": device, "float": full}


def _tag_figures(known: Mapping[str, Any]) -> dict[str, Any] | None:
    device = {key: known[key] for key in _TAG_FIGURES if is_number(known.get(key))}
    if not device:
        return None
    if type(known.get("num_test")) is int:
        device["num"] = known["num_test"]
    return {"device": {**device, "kind": known.get("quantize")}, "float": None}


def _is_rule(rule: object) -> bool:
    return isinstance(rule, dict) and all(
        is_number(rule.get(key)) for key in ("accuracy", "coverage")
    )
