"""The pages for people: predict and about."""

from __future__ import annotations

import asyncio
import platform
from functools import partial
from http import HTTPStatus
from importlib import metadata
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from edgeclf import __version__
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import EdgeclfError
from edgeclf.web.chosen import Chosen, chosen_model
from edgeclf.web.engine import BusyError
from edgeclf.web.intake import read_pictures
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.picture_calls import work_on
from edgeclf.web.problems import ProblemError, busy_problem
from edgeclf.web.service import Service

_PACKAGES = (
    ("LiteRT", "ai-edge-litert"),
    ("tflite-runtime", "tflite-runtime"),
    ("Pillow", "pillow"),
    ("NumPy", "numpy"),
    ("FastAPI", "fastapi"),
)


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def predict(request: Request) -> Response:
        chosen = chosen_model(request.query_params, service)
        return _predict_page(request, service, chosen)

    @routes.post("/")
    async def predict_without_scripts(request: Request) -> Response:
        chosen = await asyncio.to_thread(chosen_model, request.query_params, service)
        show = partial(_predict_page, request, service, chosen)
        if chosen.model is None:
            return show()
        try:
            results = await _labelled(request, service, chosen.model)
        except BusyError as error:
            return show(problem=busy_problem(error))
        except ProblemError as problem:
            return show(problem=problem)
        return show(results)

    @routes.post("/predict/picture")
    async def fetched_picture(request: Request) -> Response:
        return await _fetched(request, service)

    @routes.get("/about")
    async def about(request: Request) -> Response:
        context = {"versions": _versions()}
        return service.templates.TemplateResponse(request, "about.html", context)

    return routes


def _predict_page(
    request: Request,
    service: Service,
    chosen: Chosen,
    results: list[dict[str, Any]] | None = None,
    problem: ProblemError | None = None,
) -> Response:
    model = chosen.model
    context = {
        "model": model,
        "chosen": chosen,
        "results": results or [],
        "complaint": problem and problem.detail,
        **({} if model is None else _knowledge(model)),
    }
    return service.templates.TemplateResponse(
        request,
        "predict.html",
        context,
        problem.status if problem else HTTPStatus.OK,
        problem.headers if problem else None,
    )


def _knowledge(model: LoadedModel) -> dict[str, Any]:
    """Return what the page says of a model."""
    classifier = model.classifier
    return {
        "labels": classifier.labels,
        "num_classes": classifier.num_classes,
        "multi_label": classifier.multi_label,
    }


async def _labelled(
    request: Request, service: Service, model: LoadedModel
) -> list[dict[str, Any]]:
    """Return what the page shows of each picture of a form.

    Raises:
        ProblemError: The form cannot be used.
        BusyError: There is no room for its pictures now.
    """
    settings = service.settings
    done = await work_on(
        await read_pictures(request, service),
        partial(model.classify, top_k=settings.top_k, reject=settings.reject),
        service.engine,
        request.app.state.metrics,
        request,
    )
    return [
        {"image": one.picture.name, "categories": one.result, "error": one.error}
        for one in done
    ]


def _versions() -> list[tuple[str, str]]:
    """Return what runs here, each `(name, version)`; not what is not installed."""
    versions = [("edgeclf", __version__), ("Python", platform.python_version())]
    for name, package in _PACKAGES:
        try:
            versions.append((name, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return versions


async def _fetched(request: Request, service: Service) -> Response:
    """Return the only picture as it came, for a page that labels and shows it itself.

    Nothing but pictures goes through: this must be no way to read other servers.

    Raises:
        ProblemError: There are several (422), or what came is no picture (422).
        BusyError: There is no room for it now.
    """
    pictures = await read_pictures(request, service)
    if len(pictures) != 1:
        raise _refused("Expected one picture. Received: several.")
    name, content = pictures[0].name, pictures[0].content
    if pictures[0].is_private:  # whoever uses a browser has no options to give
        raise _refused(f"{name}: this server fetches only from public addresses.")
    if content is None:
        raise _refused(pictures[0].error or f"{name} could not be fetched.")
    try:
        await service.engine.run([partial(_check, content, name)])
    except EdgeclfError as error:
        raise _refused(str(error)) from error
    # Whatever else is in it, a browser must not take it for a page of ours.
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
        "Cache-Control": "no-store",
    }
    return Response(content, HTTPStatus.OK, headers, "application/octet-stream")


def _check(content: bytes, name: str) -> None:
    """Raise `ImageError` unless this begins as a picture does."""
    with pillow_settings(), open_image(content, name):
        pass


def _refused(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "Not a picture", detail)
