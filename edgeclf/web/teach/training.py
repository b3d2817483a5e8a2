"""Trainings of projects: one runs, others wait; and how each goes."""

from __future__ import annotations

import contextlib
import datetime
import logging
import shutil
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from edgeclf.console import number_of, sentence
from edgeclf.web.problems import ProblemError
from edgeclf.web.teach import trained
from edgeclf.web.teach.child import Child
from edgeclf.web.teach.names import shown_name
from edgeclf.web.teach.project import Project, picture_id
from edgeclf.web.teach.refusals import missing, of_disk
from edgeclf.web.teach.sentences import for_visitors
from edgeclf.web.teach.snapshot import SNAPSHOT, Held, check_enough, snapshot
from edgeclf.web.teach.status import (
    FINAL,
    MESSAGES,
    Status,
    new_status,
    summary,
    with_warnings,
)

logger = logging.getLogger("edgeclf")


class _Run:
    """One training, waiting or running."""

    def __init__(self, project: Project, status: Status) -> None:
        self.project = project
        self.status = status
        self.began_s = time.monotonic()
        self.held = Held("", [], [])
        self.folder: Path | None = None
        self.warnings: list[str] = []
        self.pid: int | None = None

    def for_visitors(self, message: str) -> str:
        return for_visitors(message, self.project.name, self.held.labels)


class Trainer:
    """Trains projects, one at a time, in a process of its own.

    Args:
        architecture: Backbone, as for `retrain`; None for its default.
        on_trained: Called with a project when it has another model.
    """

    def __init__(
        self, architecture: str | None, on_trained: Callable[[Project], None]
    ) -> None:
        self._architecture = _absolute(architecture)
        self._replacement: str | None = None
        self._on_trained = on_trained
        self._child = Child(self._heard)
        self._lock = threading.RLock()
        self._waiting: list[_Run] = []
        self._running: _Run | None = None
        self._last: dict[str, Status] = {}
        self._warmed: dict[str, str] = {}
        self._is_closed = False
        self._is_ending = False  # the process; another is started when it is gone

    def start(self, project: Project) -> Status:
        """Begin a training, or let it wait until others have ended.

        Raises:
            ProblemError: One is under way, or there is too little to train on.
        """
        check_enough(project)
        with self._lock:
            under_way = self._found(project)
            if under_way is not None:
                raise ProblemError(
                    HTTPStatus.CONFLICT,
                    "Under way",
                    "This project is being trained already. Wait for it, or cancel it.",
                    extensions={"training": under_way.status},
                )
            waiting = len(self._waiting) + (self._running is not None)
            message = (
                f"Waiting for {number_of(waiting, 'other training')}."
                if waiting
                else "Beginning."
            )
            run = _Run(project, new_status("queued", message))
            self._waiting.append(run)
            self._next()
            return dict(run.status)

    def cancel(self, project: Project) -> None:
        """End a training; the model in use stays.

        Raises:
            ProblemError: None is under way.
        """
        with self._lock:
            run = self._found(project)
            if run is None:
                raise missing("training", project.name)
            if run in self._waiting:
                self._waiting.remove(run)
                self._end(run, new_status("cancelled", "Cancelled before it began."))
                return
            self._end(run, new_status("cancelled", "Cancelled.", run.began_s))
            self._is_ending = True
        self._child.end()
        with self._lock:
            trained.clean(project)  # of what it wrote until it was gone
            self._is_ending = False
            self._next()

    def status(self, project: Project) -> Status | None:
        """Return how the training goes, or how the last one went; None before it."""
        with self._lock:
            run = self._found(project)
            if run is not None:
                status = dict(run.status)
                if status["state"] == "running":
                    status["seconds"] = round(time.monotonic() - run.began_s, 2)
                return status
            if project.name in self._last:
                return dict(self._last[project.name])
        found = trained.read_status(project)
        if found is None or found.get("state") in FINAL:
            return found
        # Of a server that was ended in the midst of it, or right at its end.
        if (done := trained.done(project, found.get("run"))) is not None:
            status = new_status("done", summary(done["result"], []))
            return {**status, "seconds": done["seconds"], "result": done["result"]}
        return new_status(
            "failed",
            "The training was interrupted: the server was ended. Train again; what "
            "was computed is kept, so it is quicker.",
        )

    def warm(self, project: Project, fingerprint: str = "") -> None:
        """Let bottlenecks be computed while pictures are still being added.

        Args:
            project: Whose.
            fingerprint: Of its pictures: those that it was called for before are ready.
                Empty for pictures that have just come.
        """
        with self._lock:
            if self._is_closed or self._is_ending or self._running is not None:
                return
            if fingerprint and self._warmed.get(project.name) == fingerprint:
                return
            self._warmed[project.name] = fingerprint
            try:
                self._child.send({"do": "warm", **self._about(project)})
            except OSError as error:
                logger.warning("Cannot prepare a training: %s", sentence(error))

    def forget(self, project: Project) -> None:
        """Cancel what is under way, and forget the rest, of a project that goes."""
        with contextlib.suppress(ProblemError):
            self.cancel(project)
        with self._lock:
            self._last.pop(project.name, None)
            self._warmed.pop(project.name, None)

    def close(self) -> None:
        """End what runs, without a word of it: the next server says so."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._running = None
        self._child.end()

    @property
    def pid(self) -> int | None:
        """Of the process; None if there is none."""
        return self._child.pid

    def _found(self, project: Project) -> _Run | None:
        runs = [self._running, *self._waiting]
        return next(
            (run for run in runs if run and run.project.folder == project.folder), None
        )

    def _about(self, project: Project) -> dict[str, str | None]:
        return {
            "folder": str(project.folder.resolve()),
            "bottlenecks": str(project.ours.resolve() / trained.BOTTLENECKS),
            "architecture": self._replacement or self._architecture,
        }

    def _next(self) -> None:
        """Begin what has waited longest, if nothing runs; the lock is held."""
        is_held = self._is_closed or self._is_ending or self._running is not None
        if is_held or not self._waiting:
            return
        run = self._running = self._waiting.pop(0)
        run.began_s = time.monotonic()
        run.status = new_status("running", "Looking at the pictures.", stage="pictures")
        try:
            run.folder = trained.new_run(run.project)
            trained.write_status(run.project, {**run.status, "run": run.folder.name})
            run.held = snapshot(run.project, run.folder)
            run.warnings = [
                f"Class {label} has 1 picture only and is left out: add more to it."
                for label in run.held.left_out
            ]
            command = {
                **self._about(run.project),
                "do": "train",
                "run": str(run.folder.resolve()),
                "pictures": SNAPSHOT,
                "folder": run.project.name,
            }
            run.pid = self._child.send(command)
        except (OSError, ProblemError) as error:
            problem = of_disk(error) if isinstance(error, OSError) else error
            self._end(run, new_status("failed", problem.detail, run.began_s))
            self._next()

    def _heard(self, event: dict[str, Any]) -> None:
        """Take up what the process tells, in its thread."""
        kind = event["event"]
        with self._lock:
            if kind == "backbone":
                self._replacement = event["name"]
                logger.info("Teaching with the backbone %s.", event["name"])
            if kind == "ended":
                self._warmed.clear()
            run = self._running
            # What a process says that was ended is of no interest.
            if run is None or run.pid != event["pid"]:
                return
            if kind == "progress":
                run.status |= {
                    "stage": event["stage"],
                    "done": event["done"],
                    "total": event["total"],
                    "message": MESSAGES.get(event["stage"], "Working."),
                }
            elif kind == "warning":
                message = shown_name(event["message"])
                logger.warning("%s: %s", run.project.name, message)
                if event["is_of_pictures"]:
                    run.warnings.append(run.for_visitors(message))
            elif kind == "done":
                self._finish(run, event["result"])
                self._next()
            elif kind == "ended" and event["status"] == 0:
                # It went for want of work just before the command came: once more.
                self._running = None
                self._waiting.insert(0, run)
                self._next()
            elif kind in ("failed", "ended"):
                message = run.for_visitors(event["message"])
                message = with_warnings(message, run.warnings)
                self._end(run, new_status("failed", message, run.began_s))
                self._next()

    def _finish(self, run: _Run, result: dict[str, Any]) -> None:
        for entry in result["misclassified"]:
            label, _, name = entry["name"].partition("/")
            entry["id"] = picture_id(name)
            entry["label"] = label
            entry["name"] = shown_name(entry["name"])
        status = new_status("done", summary(result, run.warnings), run.began_s)
        status["result"] = result
        now = datetime.datetime.now(datetime.timezone.utc)
        described = {
            **{name: result[name] for name in _KEPT},
            "trained": now.isoformat(timespec="seconds"),
            "fingerprint": run.held.fingerprint,
            "seconds": status["seconds"],
            "result": result,
        }
        try:
            if run.folder is None:
                raise FileNotFoundError("The training's folder is gone.")
            shutil.rmtree(run.folder / SNAPSHOT, ignore_errors=True)
            trained.publish(run.project, run.folder, described)
        except OSError as error:
            status = new_status("failed", of_disk(error).detail, run.began_s)
            self._end(run, status)
            return
        self._on_trained(run.project)
        self._end(run, status)

    def _end(self, run: _Run, status: Status) -> None:
        """Keep how a training went; the lock is held."""
        if self._running is run:
            self._running = None
        run.status = status
        self._last[run.project.name] = status
        try:
            if run.project.ours.is_dir():
                trained.write_status(run.project, status)
        except OSError as error:
            logger.warning("Cannot keep how a training went: %s", sentence(error))
        trained.clean(run.project)
        logger.info("%s: %s %s", run.project.name, status["state"], status["message"])


_KEPT = ("accuracy", "accuracy_low", "accuracy_high", "labels", "size_bytes")


def _absolute(architecture: str | None) -> str | None:
    """Return a name as it is, and a file by its whole path."""
    if architecture is not None and Path(architecture).is_file():
        return str(Path(architecture).resolve())
    return architecture
