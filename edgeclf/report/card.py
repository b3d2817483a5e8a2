"""The model card: what the model is, what it is for, how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from edgeclf.report.figures import (
    count,
    decimal,
    file_size,
    interval,
    milliseconds,
    percent,
    plural,
    value,
)
from edgeclf.report.layout import (
    Column,
    Section,
    facts,
    folded,
    heading,
    label,
    names,
    paragraph,
    scrolling,
    table,
)
from edgeclf.report.markup import Child, Markup, element, join

_FEW = 10  # test pictures; with fewer a recall says little
# Facts with a name or a form of their own; the others are listed after them.
_SAID = ("file", "path", "size_bytes", "sha256", "architecture", "quantize",
         "input_size", "labels", "parameters", "num_background")  # fmt: skip


def limits_section(report: Mapping[str, Any]) -> Section | None:
    """Return what the model can be used for, and where its measured limits are."""
    if report.get("multi_label"):
        return None  # of a model of tags other things are to be said
    labels = (report.get("model") or {}).get("labels") or []
    items = [
        item
        for item in (
            _purpose(labels), basis(report), _weakest(report), _uncertain(report),
            _imbalance(report), _unknown(report),
        )
        if item is not None
    ]  # fmt: skip
    if not items:
        return None
    return limits_of(items)


def limits_of(items: Iterable[Child]) -> Section:
    """Return the section that lists what a model is for and where its limits are."""
    content = element("ul", [element("li", item) for item in items], class_="limits")
    return Section("limits", "Intended use and limits", content)


def model_section(report: Mapping[str, Any]) -> Section | None:
    """Return what the model file is."""
    model, data = report.get("model") or {}, report.get("data") or {}
    if not model:
        return None
    size, latency = model.get("input_size"), report.get("latency") or {}
    kind = "Tags" if report.get("multi_label") else "Classes"
    speed = None
    if latency.get("median_ms") is not None:
        machine = latency.get("machine")
        parts = [f"{milliseconds(latency['median_ms'])} median"]
        if latency.get("p90_ms") is not None:
            parts.append(f"{milliseconds(latency['p90_ms'])} at 90%")
        if latency.get("num_threads"):
            parts.append(plural(latency["num_threads"], "thread"))
        speed = ", ".join(parts) + (f", on {machine}" if machine else "")
    entries: list[tuple[str, Child]] = [
        ("File", model.get("file")),
        ("Size", file_size(model["size_bytes"]) if model.get("size_bytes") else None),
        ("SHA-256", _code(model.get("sha256"))),
        ("Backbone", model.get("architecture")),
        ("Numbers", model.get("quantize")),
        ("Input", f"{size[1]} \u00d7 {size[0]} pixels, RGB" if size else None),
        (kind, len(model["labels"]) if model.get("labels") else None),
        ("Parameters", count(model["parameters"]) if model.get("parameters") else None),
        ("Latency", speed),
        ("Cross-entropy", _cross_entropy(report)),
        *(
            (_words(key), _code(item) if key.endswith("sha256") else value(item))
            for key, item in model.items()
            if key not in _SAID and key not in data and item is not None
        ),
        ("Pictures of no class", model.get("num_background") or None),
        ("Data set SHA-256", _code(data.get("dataset_sha256"))),
        ("Seed", data.get("seed")),
    ]
    return Section("model", "The model file", facts(entries))


def reproduce_section(report: Mapping[str, Any]) -> Section | None:
    """Return the command, the settings and the versions."""
    written = command(report)
    settings, versions = report.get("settings") or {}, report.get("versions") or {}
    content: list[Child] = []
    if written:
        content.append(scrolling("Command", element("pre", element("code", written))))
        sha256 = (report.get("data") or {}).get("dataset_sha256")
        if report.get("command") == "retrain" and sha256:
            content.append(
                paragraph(
                    "The same pictures, seed and versions give the same file, byte for"
                    " byte, on a machine of the same kind. The same pictures are those"
                    " whose data set has the SHA-256 above.",
                    kind="soft",
                )
            )
    if versions:
        content.append(heading("Versions"))
        content.append(facts((name, versions[name]) for name in sorted(versions)))
    if settings:
        rows = [[_code(name), value(settings[name])] for name in sorted(settings)]
        columns = [Column("Option"), Column("Value")]
        content.append(folded("All settings", table("Settings", columns, rows)))
    if not content:
        return None
    return Section("reproduce", "How to make it again", join(*content))


def command(report: Mapping[str, Any]) -> str | None:
    """Return the command that made the report, quoted for a shell, an option a line."""
    settings = dict(report.get("settings") or {})
    image_dir = (report.get("data") or {}).get("image_dir")
    words = ["edgeclf", str(report.get("command") or "retrain")]
    if words[1] == "evaluate":
        model = (report.get("model") or {}).get("path")
        tables = {"tags_csv", "unsplash", "tag_folders"} & set(settings)
        if not model or not (image_dir or tables):
            return None
        words += [str(model), *([str(image_dir)] if image_dir else [])]
    elif image_dir:
        settings = {"image_dir": image_dir, **settings}
    elif not settings:
        return None
    lines = [shlex.join(words)]
    for name, setting in settings.items():
        if setting is None or setting is False:
            continue
        option = [f"--{str(name).lstrip('-')}"]
        if setting is not True:
            many = isinstance(setting, (list, tuple))
            option.append(",".join(map(str, setting)) if many else str(setting))
        lines.append(shlex.join(option))
    return " \\\n    ".join(lines)


def _purpose(labels: list[str]) -> Child:
    if not labels:
        return None
    return join(
        f"It tells {plural(len(labels), 'class', 'classes')} of pictures apart: ",
        *names(labels), ". A picture of anything else is outside its use.",
    )  # fmt: skip


def basis(report: Mapping[str, Any]) -> Child:
    """Return which pictures the figures come from."""
    device = (report.get("accuracy") or {}).get("device") or {}
    if not device.get("num"):
        return None
    tested = f"Every figure here comes from {plural(device['num'], 'picture')}"
    elsewhere = (
        "on pictures from elsewhere, taken with another camera or in another light,"
        " nothing has been measured."
    )
    if report.get("command") == "evaluate":
        seen = (report.get("data") or {}).get("num_trained_on")
        known = "Any of them that it was trained with make the figures too good"
        if seen:
            known = (
                f"By their names, it was trained with {count(seen)} of them: then the"
                " figures are too good"
            )
        return f"{tested}. {known}; {elsewhere}"
    trained = (report.get("data") or {}).get("num_train")
    start = f"It learned from {plural(trained, 'picture')}. " if trained else ""
    return f"{start}{tested} of the same collection that it had not seen; {elsewhere}"


def _weakest(report: Mapping[str, Any]) -> Child:
    entries = [
        entry
        for entry in report.get("per_class") or []
        if entry.get("recall") is not None
    ]
    if len(entries) < 2:
        return None
    lowest = min(entries, key=lambda entry: float(entry["recall"]))
    if lowest["recall"] == 1:
        return None
    ends = lowest.get("recall_interval_95")
    sure = f" (95% interval {interval(ends)})" if ends else ""
    return join(
        "Its weakest class is ", label(lowest["label"]),
        f": {percent(lowest['recall'])} of its pictures were recognised{sure}.",
    )  # fmt: skip


def _uncertain(report: Mapping[str, Any]) -> Child:
    few = [
        entry
        for entry in report.get("per_class") or []
        if 0 < (entry.get("num_test") or 0) < _FEW
    ]
    if not few:
        return None
    return (
        f"{plural(len(few), 'class has', 'classes have')} fewer than {_FEW} test"
        " pictures; figures of a single such class say little."
    )


def _imbalance(report: Mapping[str, Any]) -> Child:
    classes = (report.get("data") or {}).get("classes") or []
    trained = [
        (entry["train"], entry["label"]) for entry in classes if entry.get("train")
    ]
    if len(trained) < 2 or max(trained)[0] < 3 * min(trained)[0]:
        return None
    (most, largest), (least, smallest) = max(trained), min(trained)
    return join(
        f"It learned from {count(most)} pictures of ", label(largest),
        f", but only {count(least)} of ", label(smallest), ".",
    )  # fmt: skip


def _unknown(report: Mapping[str, Any]) -> Child:
    if "reject" not in report:
        return None
    rule = (report["reject"] or {}).get("rule")
    if not rule:
        return (
            "It always gives one of its classes, also to a picture of none of them; a"
            " low score is the only warning."
        )
    if not rule.get("coverage"):
        return (
            "Its rule for \u201cunknown\u201d (--reject) takes every test picture for"
            " unknown."
        )
    background, strangers = report["reject"].get("background"), ""
    if background:
        new = "" if report.get("command") == "evaluate" else " that it had not seen"
        strangers = (
            f" Of {plural(background['num'], 'picture')} of no class{new}, it took"
            f" {percent(background['rejected'])} for unknown."
        )
        if not new and (report.get("model") or {}).get("num_background"):
            strangers += " Any of them that fitted the rule make that too good."
    return (
        "With its rule for \u201cunknown\u201d switched on (--reject), it answered"
        f" {percent(rule['coverage'])} of the test pictures, and"
        f" {percent(rule['accuracy'])} of these answers were right.{strangers}"
    )


def _cross_entropy(report: Mapping[str, Any]) -> str | None:
    device = (report.get("accuracy") or {}).get("device") or {}
    nats = device.get("cross_entropy", device.get("binary_cross_entropy"))
    return None if nats is None else f"{decimal(nats)} nats on the test pictures"


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize().replace("sha256", "SHA-256")


def _code(words: str | None) -> Markup | None:
    return element("code", words) if words else None
