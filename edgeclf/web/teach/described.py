"""What the API says of projects, classes and models."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from edgeclf.web.teach import trained
from edgeclf.web.teach.names import shown_name
from edgeclf.web.teach.project import Listed, Project
from edgeclf.web.teach.workshop import Workshop

_LAST_S = 253402300799.0  # the end of the year 9999, the last that Python knows
NEWEST = 60  # pictures of a class that are listed unless all are asked for
_SHOWN = (
    *("size_bytes", "accuracy", "accuracy_low", "accuracy_high", "labels"),
    *("trained", "seconds", "result"),
)


def project_summary(project: Project) -> dict[str, Any]:
    """Return a row of the list of projects."""
    pictures = [*project.listing().values()]
    newest_ns = max(
        (row.modified_ns for rows in pictures for row in rows),
        default=None,
    )
    if newest_ns is None:
        newest_ns = project.folder.stat().st_mtime_ns
    # A clock that was wrong, or an archive, may give files dates of any year.
    newest_s = min(max(newest_ns / 1e9, 0.0), _LAST_S)
    modified = datetime.datetime.fromtimestamp(newest_s, datetime.timezone.utc)
    return {
        "name": project.name,
        "num_classes": len(pictures),
        "num_pictures": sum(map(len, pictures)),
        "has_model": trained.current(project) is not None,
        "accuracy": (trained.record(project) or {}).get("accuracy"),
        "modified": modified.isoformat(timespec="seconds"),
    }


def project_details(
    workshop: Workshop,
    project: Project,
    listing: Mapping[str, list[Listed]],
    *,
    every: bool = False,
) -> dict[str, Any]:
    """Return all of a project.

    Args:
        workshop: It is one of its.
        project: What is described.
        listing: Its pictures.
        every: Whether to list all pictures, and not the newest alone.
    """
    classes = [
        class_details(label, pictures, every=every)
        for label, pictures in listing.items()
    ]
    return {
        "name": project.name,
        "is_single": workshop.is_single,
        "classes": classes,
        "num_pictures": sum(entry["num_pictures"] for entry in classes),
        "background": project.background,
        "training": workshop.trainer.status(project),
        "model": model_details(project, project.fingerprint(listing)),
    }


def class_details(
    label: str, pictures: list[Listed], *, every: bool = False
) -> dict[str, Any]:
    """Return a class with its pictures, the newest first."""
    shown = pictures if every else pictures[:NEWEST]
    return {
        "name": label,
        "num_pictures": len(pictures),
        "pictures": [{"id": row.id, "name": shown_name(row.name)} for row in shown],
    }


def model_details(project: Project, fingerprint: str) -> dict[str, Any] | None:
    """Return what is known of a project's model; None without one.

    Args:
        project: Whose model it is.
        fingerprint: Of the pictures that there are now.
    """
    record = trained.record(project)
    if record is None:
        return None
    is_current = record.get("fingerprint") == fingerprint
    return {**{name: record.get(name) for name in _SHOWN}, "is_current": is_current}
