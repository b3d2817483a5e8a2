"""A report as files: a page, its values as JSON, and pictures for slides."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from edgeclf.files import encoded
from edgeclf.report.pictures import Thumbnails

ENDING, VALUES_ENDING = ".html", ".json"
EVALUATION_ENDING = ".evaluation.html"  # where the training's report stays
SPLIT_ENDING = ".split.csv"  # of the table of which picture is in which split


class ReportPaths(NamedTuple):
    """Where the parts of a report go.

    Attributes:
        page: The HTML file.
        values: The same as JSON.
        confusion: The confusion matrix as PNG.
        curves: As PNG, if there are any: the training curves, or of a head that is
            solved for without steps the learning curve.
        cooccurrence: Of a multi-label model, as PNG, in place of the confusion matrix.
    """

    page: Path
    values: Path
    confusion: Path
    curves: Path
    cooccurrence: Path


def beside(model: Path, ending: str) -> Path:
    """Return a path named after a model file.

    Args:
        model: `model.tflite`.
        ending: `.html` gives `model.html` beside it.
    """
    return model.with_name(model.name.removesuffix(".tflite") + ending)


def report_paths(page: Path, taken: Path | None = None) -> ReportPaths:
    """Return where the parts of a report go: beside the page, named after it.

    Args:
        page: `model.html`; then the others are `model.json`, `model.confusion.png`,
            `model.curves.png` and `model.cooccurrence.png`.
        taken: A file that somebody asked for. If it is that JSON file, the report's is
            `model.report.json`.
    """
    stem = page.name.removesuffix(page.suffix)
    values = page.with_name(stem + VALUES_ENDING)
    if taken is not None and taken.resolve() == values.resolve():
        values = page.with_name(f"{stem}.report{VALUES_ENDING}")
    return ReportPaths(
        page,
        values,
        page.with_name(f"{stem}.confusion.png"),
        page.with_name(f"{stem}.curves.png"),
        page.with_name(f"{stem}.cooccurrence.png"),
    )


def evaluation_page(model: Path) -> Path:
    """Return where `evaluate` reports by default: over no report of a training.

    Args:
        model: `model.tflite`.
    """
    page = beside(model, ENDING)
    if (read_values(page) or {}).get("command") == "retrain":
        return beside(model, EVALUATION_ENDING)
    return page


def read_values(page: Path) -> dict[str, Any] | None:
    """Return what the JSON of a report says; None if there is none of ours.

    Args:
        page: The report's HTML file.
    """
    paths = report_paths(page)
    for path in (paths.values, report_paths(page, paths.values).values):
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and {"format_version", "command"} <= set(found):
            return found
    return None


def outdated_files(model: Path, content: bytes, written: Iterable[Path]) -> list[Path]:
    """Return the files of reports on an earlier model that will stand beside another.

    Args:
        model: Where the model goes.
        content: The model.
        written: What is written with it.
    """
    new = {path.resolve() for path in written}
    digest = hashlib.sha256(content).hexdigest()
    found: list[Path] = []
    for ending in (ENDING, EVALUATION_ENDING):
        page = beside(model, ending)
        described = (read_values(page) or {}).get("model") or {"sha256": digest}
        if described.get("sha256") != digest:
            found += report_paths(page, foreign_values(page))
    return [path for path in found if path.resolve() not in new and path.exists()]


def foreign_values(page: Path) -> Path | None:
    """Return the JSON file that has the place of a report's and is none.

    That may be what `retrain --metrics_json model.json` has written: it stays.

    Args:
        page: The report's HTML file.
    """
    path = report_paths(page).values
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return path
    is_report = isinstance(found, dict) and {"format_version", "command"} <= set(found)
    return None if is_report else path


def report_contents(
    report: Mapping[str, Any],
    thumbnails: Mapping[str, Thumbnails],
    paths: ReportPaths,
) -> dict[Path, bytes]:
    """Return what the files of a report hold.

    Args:
        report: Its values.
        thumbnails: Pictures of it, by file name.
        paths: Where they go.
    """
    # Imported here: fonts and drawing take as long to load as all before them.
    from edgeclf.report.confusion import confusion_matrix, cooccurrence_matrix
    from edgeclf.report.curves import learning_curve, training_curves
    from edgeclf.report.page import render

    # Bytes of file names that are not UTF-8 become escapes of JSON, `\udcff`.
    values = (report_json(report) + "\n").encode(errors="backslashreplace")
    contents = {paths.values: values}
    contents[paths.page] = encoded(render(report, thumbnails))
    if report.get("confusion_matrix"):
        labels = [entry["label"] for entry in report["per_class"]]
        matrix = confusion_matrix(report["confusion_matrix"], labels)
        contents[paths.confusion] = _png(matrix)
    if report.get("cooccurrence"):
        matrix = cooccurrence_matrix(**report["cooccurrence"])
        contents[paths.cooccurrence] = _png(matrix)
    if report.get("training_curves"):
        contents[paths.curves] = _png(training_curves(report["training_curves"]))
    elif report.get("learning_curve"):
        curve = learning_curve(report["learning_curve"]["points"])
        contents[paths.curves] = _png(curve)
    return contents


def report_json(report: Mapping[str, Any]) -> str:
    """Return a report as JSON, keys sorted."""
    return json.dumps(
        report, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False
    )


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
