"""The part of the API of teaching that takes and gives pictures."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from edgeclf.errors import ImageError
from edgeclf.web import intake
from edgeclf.web.service import Service
from edgeclf.web.teach import pictures
from edgeclf.web.teach.names import shown_name
from edgeclf.web.teach.off_loop import file_response, off_loop
from edgeclf.web.teach.project import Project
from edgeclf.web.teach.refusals import unprocessable
from edgeclf.web.teach.workshop import Workshop

_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}


def add_to(routes: APIRouter, workshop: Workshop, service: Service) -> None:
    """Add the routes of pictures."""
    path = "/{project}/classes/{label}/pictures"

    @routes.post(path)
    async def add_pictures(project: str, label: str, request: Request) -> JSONResponse:
        """Add pictures to a class, in the multipart field `image`, repeatable."""
        found = await off_loop(lambda: workshop.project(project))
        await off_loop(lambda: found.own_class_folder(label))
        given = await intake.read_pictures(request, service)
        return JSONResponse(await _added(found, label, given, workshop, service))

    @routes.get(f"{path}/{{picture}}")
    async def get_picture(project: str, label: str, picture: str) -> Response:
        """Return a picture as its file is."""

        def file() -> Response:
            row = workshop.project(project).picture(label, picture)
            kind = _TYPES.get(row.path.suffix[1:].lower())
            return file_response(
                row.path,
                kind or "application/octet-stream",
                None if kind else shown_name(row.path.name),
            )

        return await off_loop(file)

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

        return await off_loop(thumbnail)

    @routes.delete(f"{path}/{{picture}}", status_code=HTTPStatus.NO_CONTENT)
    async def delete_picture(project: str, label: str, picture: str) -> Response:
        """Delete a picture."""
        await off_loop(lambda: workshop.project(project).delete_picture(label, picture))
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
    added = await off_loop(lambda: pictures.add(project, label, good))
    if added.names:
        await off_loop(lambda: workshop.trainer.warm(project))
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
