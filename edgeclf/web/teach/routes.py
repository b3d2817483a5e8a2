"""Teach: its part of the API under /v1/teach."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response, StreamingResponse

from edgeclf.console import sentence
from edgeclf.errors import EdgeclfError
from edgeclf.web import api
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.problems import CONTENT_TYPE, ProblemError
from edgeclf.web.service import Service
from edgeclf.web.teach import picture_routes, trained
from edgeclf.web.teach.described import (
    class_details,
    project_details,
    project_summary,
)
from edgeclf.web.teach.off_loop import file_response, off_loop
from edgeclf.web.teach.refusals import missing
from edgeclf.web.teach.status import FINAL
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
_PROBLEM: dict[str, Any] = {
    "description": "What was expected, what came, and what to do.",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


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
    picture_routes.add_to(routes, workshop, service)
    _add_training(routes, workshop)
    _add_model(routes, workshop, service)
    return routes


def _add_projects(routes: APIRouter, workshop: Workshop) -> None:
    @routes.get("")
    async def list_projects() -> JSONResponse:
        """List the projects."""

        def listed() -> list[dict[str, Any]]:
            found = []
            for name in workshop.project_names():
                # Another tab may delete one in the midst of it.
                with contextlib.suppress(ProblemError, FileNotFoundError):
                    found.append(project_summary(workshop.project(name)))
            return found

        return JSONResponse({"projects": await off_loop(listed)})

    @routes.post("", status_code=HTTPStatus.CREATED)
    async def add_project(given: NameGiven) -> JSONResponse:
        """Make a project."""

        def added() -> dict[str, Any]:
            return project_details(workshop, workshop.add_project(given.name), {})

        return JSONResponse(await off_loop(added), HTTPStatus.CREATED)

    @routes.get("/{project}")
    async def get_project(
        project: str, every: Annotated[bool, Query(alias="all")] = False
    ) -> JSONResponse:
        """Describe a project with its classes; of each the newest pictures, or all."""

        def described() -> dict[str, Any]:
            found = workshop.project(project)
            listing = found.listing()
            details = project_details(workshop, found, listing, every=every)
            model = details["model"]
            filled = [entry for entry in details["classes"] if entry["num_pictures"]]
            if len(filled) > 1 and not (model and model["is_current"]):
                # It is likely to be trained.
                workshop.trainer.warm(found, found.fingerprint(listing))
            return details

        return JSONResponse(await off_loop(described))

    @routes.delete("/{project}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_project(project: str) -> Response:
        """Delete a project with all its pictures."""
        await off_loop(lambda: workshop.delete_project(project))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_classes(routes: APIRouter, workshop: Workshop) -> None:
    @routes.post("/{project}/classes", status_code=HTTPStatus.CREATED)
    async def add_class(project: str, given: NameGiven) -> JSONResponse:
        """Make a class."""

        def added() -> dict[str, Any]:
            label = workshop.project(project).add_class(given.name)
            return class_details(label, [])

        return JSONResponse(await off_loop(added), HTTPStatus.CREATED)

    @routes.patch("/{project}/classes/{label}")
    async def rename_class(project: str, label: str, given: NameGiven) -> JSONResponse:
        """Give a class another name."""

        def renamed() -> dict[str, Any]:
            found = workshop.project(project)
            name = found.rename_class(label, given.name)
            return class_details(name, found.pictures(name))

        return JSONResponse(await off_loop(renamed))

    @routes.delete("/{project}/classes/{label}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_class(project: str, label: str) -> Response:
        """Delete a class with its pictures."""
        await off_loop(lambda: workshop.project(project).delete_class(label))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _add_training(routes: APIRouter, workshop: Workshop) -> None:
    path = "/{project}/training"
    trainer = workshop.trainer

    @routes.post(path, status_code=HTTPStatus.ACCEPTED)
    async def train(project: str) -> JSONResponse:
        """Train a project, or let it wait until others are trained."""
        status = await off_loop(lambda: trainer.start(workshop.project(project)))
        return JSONResponse(status, HTTPStatus.ACCEPTED)

    @routes.get(path)
    async def get_training(project: str) -> JSONResponse:
        """Say how the training of a project goes, or how the last one went."""
        return JSONResponse(await off_loop(lambda: _status(workshop, project)))

    @routes.delete(path, status_code=HTTPStatus.NO_CONTENT)
    async def cancel(project: str) -> Response:
        """End the training of a project; its model stays as it was."""
        await off_loop(lambda: trainer.cancel(workshop.project(project)))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @routes.get(f"{path}/events")
    async def events(project: str) -> Response:
        """Stream how the training goes, as server-sent events, until it has ended."""
        await off_loop(lambda: _status(workshop, project))
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
            status = await off_loop(lambda: _status(workshop, project))
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
    async def needed(project: str) -> LoadedModel:
        def loaded() -> LoadedModel | None:
            name = workshop.project(project).name
            try:
                return workshop.model(name)
            except (EdgeclfError, KeyError) as error:
                raise missing("model", f"{name} ({sentence(error)})") from error

        model = await off_loop(loaded)
        if model is None:
            raise missing("model", project)
        return model

    @routes.post("/{project}/classify")
    async def classify(project: str, request: Request) -> Response:
        """Label pictures with what a project was trained to, as `/v1/classify`."""
        return await api.answer_classify(request, service, await needed(project))

    @routes.post("/{project}/heatmap")
    async def heatmap(project: str, request: Request) -> Response:
        """Show what speaks for a label of a project, as `/v1/heatmap`."""
        return await api.answer_heat_map(request, service, await needed(project))

    def download(project: str, name: str, kind: str, saved: str) -> Response:
        found = workshop.project(project)
        folder = trained.current(found)
        if folder is None or not (folder / name).is_file():
            raise missing("model", project)
        return file_response(
            folder / name, kind, saved.format(found.name) if saved else None
        )

    @routes.get("/{project}/model.tflite")
    async def get_model(project: str) -> Response:
        """Return the model file."""
        kind = "application/octet-stream"
        return await off_loop(
            lambda: download(project, trained.MODEL, kind, "{}.tflite")
        )

    @routes.get("/{project}/labels.txt")
    async def get_labels(project: str) -> Response:
        """Return the labels, one a line."""
        kind = "text/plain; charset=utf-8"
        return await off_loop(
            lambda: download(project, trained.LABELS, kind, "{}.labels.txt")
        )

    @routes.get("/{project}/report.html")
    async def get_report(project: str) -> Response:
        """Return the report on the training, a page that needs nothing else."""
        answer = await off_loop(
            lambda: download(project, trained.REPORT, "text/html", "")
        )
        answer.headers["Content-Security-Policy"] = _REPORT_POLICY
        return answer
