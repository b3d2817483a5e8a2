"""Teach: its part of the API under /v1/teach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from edgeclf.console import sentence
from edgeclf.errors import EdgeclfError, ImageError
from edgeclf.web import api, intake
from edgeclf.web.problems import CONTENT_TYPE, ProblemError
from edgeclf.web.service import Service
from edgeclf.web.teach import pictures, trained
from edgeclf.web.teach.described import (
    class_details,
    project_details,
    project_summary,
    shown_name,
)
from edgeclf.web.teach.project import Project
from edgeclf.web.teach.refusals import missing, of_disk, unprocessable
from edgeclf.web.teach.training import FINAL
from edgeclf.web.teach.workshop import Workshop

PREFIX = "/v1/teach/projects"
_LOOK_S = 0.1  # between two looks at how a training goes
_ALIVE_S = 10.0  # of an answer that says nothing: then it says that it is alive
# Reports hold all that they show, and a policy that lets their own style and script
# pass alone; here they get no rights of the app's pages.
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-scripts"
)
_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}

_PROBLEM: dict[str, Any] = {
    "description": "What was expected, what came, and what to do.",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

Result = TypeVar("Result")


class NameGiven(BaseModel):
    """A name for a project or a class."""

    model_config = ConfigDict(extra="forbid")

    name: str


def router(service: Service) -> APIRouter:
    """Return the routes of the API, with `service.workshop` there."""
    workshop = service.workshop
    if workshop is None:
        raise RuntimeError("There is nothing to teach in.")
    routes = APIRouter(
        prefix=PREFIX, tags=["teach"], responses={422: _PROBLEM, "default": _PROBLEM}
    )
    _add_projects(routes, workshop)
    _add_classes(routes, workshop)
    _add_pictures(routes, workshop, service)
    _add_training(routes, workshop)
    _add_model(routes, workshop, service)
    return routes


async def _off_loop(call: Callable[[], Result]) -> Result:
    """Run what reads or writes files in a thread; a full disk is a problem."""
    try:
        return await asyncio.to_thread(call)
    except (ImageError, ProblemError):
        raise
    except OSError as error:
        raise of_disk(error) from error


def _add_projects(routes: APIRouter, workshop: Workshop) -> None:
    @routes.get("")
    async def list_projects() -> JSONResponse:
        """List the projects."""

        def listed() -> list[dict[str, Any]]:
            found = map(workshop.project, workshop.project_names())
            return [project_summary(project) for project in found]

        return JSONResponse({"projects": await _off_loop(listed)})

    @routes.post("", status_code=HTTPStatus.CREATED)
    async def add_project(given: NameGiven) -> JSONResponse:
        """Make a project."""

        def added() -> dict[str, Any]:
            return project_details(workshop, workshop.add_project(given.name))

        return JSONResponse(await _off_loop(added), HTTPStatus.CREATED)

    @routes.get("/{project}")
    async def get_project(
        project: str, every: Annotated[bool, Query(alias="all")] = False
    ) -> JSONResponse:
        """Describe a project with its classes; of each the newest pictures, or all."""

        def described() -> dict[str, Any]:
            found = workshop.project(project)
            details = project_details(workshop, found, every=every)
            model = details["model"]
            filled = [entry for entry in details["classes"] if entry["num_pictures"]]
            if len(filled) > 1 and not (model and model["is_current"]):
                workshop.trainer.warm(found)  # it is likely to be trained
            return details

        return JSONResponse(await _off_loop(described))

    @routes.delete("/{project}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_project(project: str) -> Response:
        """Delete a project with all its pictures."""
        await _off_loop(lambda: workshop.delete_project(project))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_classes(routes: APIRouter, workshop: Workshop) -> None:
    @routes.post("/{project}/classes", status_code=HTTPStatus.CREATED)
    async def add_class(project: str, given: NameGiven) -> JSONResponse:
        """Make a class."""

        def added() -> dict[str, Any]:
            label = workshop.project(project).add_class(given.name)
            return class_details(label, [])

        return JSONResponse(await _off_loop(added), HTTPStatus.CREATED)

    @routes.patch("/{project}/classes/{label}")
    async def rename_class(project: str, label: str, given: NameGiven) -> JSONResponse:
        """Give a class another name."""

        def renamed() -> dict[str, Any]:
            found = workshop.project(project)
            name = found.rename_class(label, given.name)
            return class_details(name, found.pictures(name))

        return JSONResponse(await _off_loop(renamed))

    @routes.delete("/{project}/classes/{label}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_class(project: str, label: str) -> Response:
        """Delete a class with its pictures."""
        await _off_loop(lambda: workshop.project(project).delete_class(label))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_pictures(routes: APIRouter, workshop: Workshop, service: Service) -> None:
    path = "/{project}/classes/{label}/pictures"

    @routes.post(path)
    async def add_pictures(project: str, label: str, request: Request) -> JSONResponse:
        """Add pictures to a class, in the multipart field `image`, repeatable."""
        found = await _off_loop(lambda: workshop.project(project))
        await _off_loop(lambda: found.own_class_folder(label))
        given = await intake.read_pictures(request, service)
        return JSONResponse(await _added(found, label, given, workshop, service))

    @routes.get(f"{path}/{{picture}}")
    async def get_picture(project: str, label: str, picture: str) -> Response:
        """Return a picture as its file is."""

        def file() -> FileResponse:
            row = workshop.project(project).picture(label, picture)
            kind = _TYPES.get(row.path.suffix[1:].lower())
            return FileResponse(
                row.path,
                media_type=kind or "application/octet-stream",
                filename=None if kind else shown_name(row.path.name),
                headers={"Cache-Control": "private, no-cache"},
            )

        return await _off_loop(file)

    @routes.get(f"{path}/{{picture}}/thumbnail")
    async def get_thumbnail(
        project: str, label: str, picture: str, request: Request
    ) -> Response:
        """Return a picture as a JPEG of at most 160 pixels a side."""

        def thumbnail() -> Response:
            row = workshop.project(project).picture(label, picture)
            headers = {
                "ETag": pictures.etag(row),
                "Cache-Control": "private, max-age=86400",
            }
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(status_code=304, headers=headers)
            try:
                content = workshop.thumbnails.of(row)
            except ImageError as error:
                raise unprocessable(str(error)) from error
            return Response(content, headers=headers, media_type="image/jpeg")

        return await _off_loop(thumbnail)

    @routes.delete(f"{path}/{{picture}}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_picture(project: str, label: str, picture: str) -> Response:
        """Delete a picture."""
        await _off_loop(
            lambda: workshop.project(project).delete_picture(label, picture)
        )
        return Response(status_code=HTTPStatus.NO_CONTENT)


async def _added(
    project: Project,
    label: str,
    given: list[intake.Picture],
    workshop: Workshop,
    service: Service,
) -> dict[str, Any]:
    """Check pictures in the engine's threads, and write those that are good."""
    outcomes = await service.engine.run([partial(_checked, each) for each in given])
    good = [each for each in outcomes if isinstance(each, pictures.Checked)]
    added = await _off_loop(lambda: pictures.add(project, label, good))
    if added.names:
        await _off_loop(lambda: workshop.trainer.warm(project))
    return {
        "added": [{"id": found, "name": name} for found, name in added.names],
        "duplicates": added.duplicates,
        "errors": [
            {"image": each.name, "error": outcome}
            for each, outcome in zip(given, outcomes, strict=True)
            if isinstance(outcome, str)
        ],
        "warnings": [
            {
                "image": name,
                "warning": f"This very picture is in the class {other} too. Training "
                "leaves out pictures of two classes.",
            }
            for name, other in added.elsewhere
        ],
        "num_pictures": added.num_pictures,
    }


def _checked(given: intake.Picture) -> pictures.Checked | str:
    """Return a picture that can be added, or a sentence that says why it cannot."""
    if given.content is None:
        return given.error or f"{given.name} could not be had."
    try:
        return pictures.checked(given.content, given.name)
    except ImageError as error:
        return str(error)


def _add_training(routes: APIRouter, workshop: Workshop) -> None:
    path = "/{project}/training"
    trainer = workshop.trainer

    @routes.post(path, status_code=HTTPStatus.ACCEPTED)
    async def train(project: str) -> JSONResponse:
        """Train a project, or let it wait until others are trained."""
        status = await _off_loop(lambda: trainer.start(workshop.project(project)))
        return JSONResponse(status, HTTPStatus.ACCEPTED)

    @routes.get(path)
    async def get_training(project: str) -> JSONResponse:
        """Say how the training of a project goes, or how the last one went."""
        return JSONResponse(await _off_loop(lambda: _status(workshop, project)))

    @routes.delete(path, status_code=HTTPStatus.NO_CONTENT)
    async def cancel(project: str) -> Response:
        """End the training of a project; its model stays as it was."""
        await _off_loop(lambda: trainer.cancel(workshop.project(project)))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @routes.get(f"{path}/events")
    async def events(project: str) -> Response:
        """Stream how the training goes, as server-sent events, until it has ended."""
        await _off_loop(lambda: _status(workshop, project))
        return StreamingResponse(
            _events(workshop, project),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )


def _status(workshop: Workshop, name: str) -> dict[str, Any]:
    project = workshop.project(name)
    status = workshop.trainer.status(project)
    if status is None:
        raise missing("training", name)
    return status


async def _events(workshop: Workshop, project: str) -> AsyncIterator[str]:
    """Yield each status that differs from the one before, the first at once."""
    told, silent_s = "", 0.0
    while True:
        try:
            status = await _off_loop(lambda: _status(workshop, project))
        except ProblemError:  # the project was deleted
            return
        said = json.dumps({**status, "seconds": 0})
        if said != told:
            told, silent_s = said, 0.0
            yield f"data: {json.dumps(status)}\n\n"
        elif silent_s >= _ALIVE_S:
            silent_s = 0.0
            yield ": alive\n\n"
        if status["state"] in FINAL:
            return
        await asyncio.sleep(_LOOK_S)
        silent_s += _LOOK_S


def _add_model(routes: APIRouter, workshop: Workshop, service: Service) -> None:
    @routes.post("/{project}/classify")
    async def classify(project: str, request: Request) -> Response:
        """Label pictures with what a project was trained to, as `/v1/classify`."""

        def loaded():  # type: ignore[no-untyped-def]
            name = workshop.project(project).name
            try:
                return workshop.model(name)
            except (EdgeclfError, KeyError) as error:
                raise missing("model", f"{name} ({sentence(error)})") from error

        model = await _off_loop(loaded)
        if model is None:
            raise missing("model", project)
        return await api.answer_classify(request, service, model)

    def download(project: str, name: str, kind: str, saved: str) -> FileResponse:
        found = workshop.project(project)
        folder = trained.current(found)
        if folder is None or not (folder / name).is_file():
            raise missing("model", project)
        return FileResponse(
            folder / name,
            media_type=kind,
            filename=saved.format(found.name) if saved else None,
            headers={"Cache-Control": "private, no-cache"},
        )

    @routes.get("/{project}/model.tflite")
    async def get_model(project: str) -> Response:
        """Return the model file."""
        kind = "application/octet-stream"
        return await _off_loop(
            lambda: download(project, trained.MODEL, kind, "{}.tflite")
        )

    @routes.get("/{project}/labels.txt")
    async def get_labels(project: str) -> Response:
        """Return the labels, one a line."""
        kind = "text/plain; charset=utf-8"
        return await _off_loop(
            lambda: download(project, trained.LABELS, kind, "{}.labels.txt")
        )

    @routes.get("/{project}/report.html")
    async def get_report(project: str) -> Response:
        """Return the report on the training, a page that needs nothing else."""
        answer = await _off_loop(
            lambda: download(project, trained.REPORT, "text/html", "")
        )
        answer.headers["Content-Security-Policy"] = _REPORT_POLICY
        return answer
