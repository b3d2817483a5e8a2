"""What a project was trained to: a folder that is there as a whole or not at all.

```
.edgeclf/
    current             -> "run-5c…": the name of the folder that counts
    run-5c…/            -> model.tflite, labels.txt, model.html, model.json, …
    status.json         -> how the last training went
    bottlenecks/        -> the cache of `retrain`
```
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeclf import files
from edgeclf.web.teach.project import Project

MODEL, LABELS, REPORT = "model.tflite", "labels.txt", "model.html"
BOTTLENECKS = "bottlenecks"
_CURRENT, _RECORD, _STATUS, _RUN = "current", "trained.json", "status.json", "run-"


def current(project: Project) -> Path | None:
    """Return the folder of the model in use; None before the first training."""
    try:
        name = (project.ours / _CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = project.ours / name
    if not name.startswith(_RUN) or "/" in name or not (folder / MODEL).is_file():
        return None
    return folder


def record(project: Project) -> dict[str, Any] | None:
    """Return what is known of the model in use; None without one."""
    folder = current(project)
    return None if folder is None else _read(folder / _RECORD)


def done(project: Project, run: object) -> dict[str, Any] | None:
    """Return what is known of the model in use if it is of this training."""
    folder = current(project)
    is_used = folder is not None and folder.name == run
    return record(project) if is_used else None


def new_run(project: Project) -> Path:
    """Make a folder for a training.

    Raises:
        OSError: It cannot be made; also if the project was deleted this moment.
    """
    project.ours.mkdir(exist_ok=True)
    run = project.ours / f"{_RUN}{uuid.uuid4().hex[:12]}"
    run.mkdir()
    return run


def publish(project: Project, run: Path, described: Mapping[str, Any]) -> None:
    """Let what a training has written be what is in use.

    Raises:
        OSError: It cannot be written; what was in use stays.
    """
    files.write_text(run / _RECORD, json.dumps(described, sort_keys=True))
    files.write_text(project.ours / _CURRENT, f"{run.name}\n")
    clean(project)


def clean(project: Project) -> None:
    """Remove what trainings that did not end well have left, and older models."""
    used = current(project)
    for run in project.ours.glob(f"{_RUN}*"):
        if run != used:
            shutil.rmtree(run, ignore_errors=True)


def write_status(project: Project, status: Mapping[str, Any]) -> None:
    """Keep how the training goes, for a server that is started anew.

    Raises:
        OSError: It cannot be written.
    """
    files.write_text(project.ours / _STATUS, json.dumps(status, sort_keys=True))


def read_status(project: Project) -> dict[str, Any] | None:
    """Return how the last training went; None before the first."""
    return _read(project.ours / _STATUS)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
