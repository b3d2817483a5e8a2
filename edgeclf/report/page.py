"""The report as one HTML page, which is the model card as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeclf.report.card import limits_section, model_section, reproduce_section
from edgeclf.report.collection import data_section
from edgeclf.report.confidence import calibration_section, reject_section
from edgeclf.report.document import document
from edgeclf.report.figures import plural
from edgeclf.report.layout import Section, file_name
from edgeclf.report.learning import learning_section, training_section
from edgeclf.report.markup import Child, element, join
from edgeclf.report.performance import classes_section, confusion_section, headline
from edgeclf.report.pictures import (
    Thumbnails,
    mislabelled_section,
    pictures_section,
)
from edgeclf.report.tag_limits import tag_limits_section
from edgeclf.report.tag_pictures import suspects_section, tag_pictures_section
from edgeclf.report.tags import precision_recall_section, tag_headline, tags_section
from edgeclf.report.together import together_section

__all__ = ["FORMAT_VERSION", "Thumbnails", "render", "sections"]

FORMAT_VERSION = 1  # of the report


def render(report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]) -> str:
    """Return the page of a report.

    What the report does not know is left out of the page: a key that is missing or
    None takes its section with it. The same report gives the same page.

    Args:
        report: As plain values of JSON. Shares are in [0, 1]; the rows of
            `confusion_matrix` are true classes, its columns predicted ones. One with
            `multi_label` tells of a model of tags.
        thumbnails: Small pictures by the file names that are in the report. A picture
            without one is listed by its name.

    Returns:
        HTML that needs no other file and no network.

    Raises:
        ValueError: The report is of a format that this version does not know.
    """
    version = report.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ValueError(
            f"Expected a report of format_version {FORMAT_VERSION}. Received: "
            f"{version!r}. Make the report again, or render it with the edgeclf that "
            "made it."
        )
    title = str(report.get("title") or "Report of a model")
    drawn = sections(report, thumbnails)
    return document(title, _header(report, title), drawn, _footer(report))


def sections(
    report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]
) -> list[Section]:
    """Return the parts of the page that the report knows enough for, in order.

    Args:
        report: As for `render`.
        thumbnails: Likewise.
    """
    return [section for make in _makers(thumbnails) if (section := make(report))]


def _makers(
    thumbnails: Mapping[str, Thumbnails],
) -> list[Callable[[Mapping[str, Any]], Section | None]]:
    """Return what makes the sections, in the order in which people ask for them."""
    return [
        classes_section,
        confusion_section,
        tags_section,
        lambda report: pictures_section(report, thumbnails),
        lambda report: tag_pictures_section(report, thumbnails),
        lambda report: suspects_section(report, thumbnails),
        together_section,
        precision_recall_section,
        lambda report: mislabelled_section(report, thumbnails),
        learning_section,
        calibration_section,
        reject_section,
        training_section,
        data_section,
        limits_section,
        tag_limits_section,
        model_section,
        reproduce_section,
    ]


def _header(report: Mapping[str, Any], title: str) -> Child:
    model, of_tags = report.get("model") or {}, bool(report.get("multi_label"))
    parts: list[Child] = [
        file_name(model["file"]) if model.get("file") else None,
        model.get("architecture"),
        plural(len(model["labels"]), *(["tag"] if of_tags else ["class", "classes"]))
        if model.get("labels")
        else None,
        _day(report.get("created")),
    ]
    known = [element("li", part) for part in parts if part is not None]
    return join(
        element("h1", element("bdi", title)),
        element("ul", known, class_="about") if known else None,
        (tag_headline if of_tags else headline)(report),
    )


def _footer(report: Mapping[str, Any]) -> Child:
    version = (report.get("versions") or {}).get("edgeclf")
    return element("p", "Made by edgeclf", f" {version}" if version else "", ".")


def _day(created: object) -> Child:
    """Return the day of a time in ISO 8601, which says the time to machines."""
    if not created:
        return None
    written = str(created)
    return element("time", written.replace("T", " ").rstrip("Z")[:16], datetime=written)
