"""The API under /v1, and what machines ask for: health, metrics."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeclf.decoder import ImageSource
from edgeclf.web import api_description as description
from edgeclf.web.intake import read_pictures, shown
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.metrics import Metrics
from edgeclf.web.model_facts import described
from edgeclf.web.picture_calls import Worked, work_on
from edgeclf.web.problems import ProblemError, invalid, unprocessable
from edgeclf.web.schemas import ClassifyRequest, HeatMapOptions, NoOptions, Options
from edgeclf.web.service import Service

Given = TypeVar("Given", bound=BaseModel)
Value = TypeVar("Value")


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/v1/classify", **description.CLASSIFY)
    async def classify(request: Request) -> Response:
        return await answer_classify(request, service, _model(service))

    @routes.post("/v1/embed", **description.EMBED)
    async def embed(request: Request) -> Response:
        return await _answer_embed(request, service, _model(service))

    @routes.post("/v1/heatmap", **description.HEAT_MAP)
    async def heatmap(request: Request) -> Response:
        return await answer_heat_map(request, service, _model(service))

    @routes.get("/v1/model", **description.MODEL)
    async def model() -> Response:
        # What a report holds may be long; few ask for it.
        return JSONResponse(await asyncio.to_thread(described, _model(service)))

    @routes.get("/healthz", **description.HEALTH)
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    @routes.get("/metrics", **description.METRICS)
    async def metrics(request: Request) -> Response:
        return _metrics(request).response()

    return routes


async def answer_classify(
    request: Request, service: Service, model: LoadedModel
) -> Response:
    """Label the pictures of a request.

    Args:
        request: Whose body nobody has read.
        service: For limits, defaults and the engine.
        model: That labels.

    Raises:
        ProblemError: The request cannot be used, or none of its pictures (422).
        BusyError: There is no room for them now.
    """
    began = time.perf_counter()
    given = _options(request, Options)
    pictures = await read_pictures(request, service, ClassifyRequest)
    asked = getattr(request.state, "asked", Options())  # of a body of JSON
    settings = service.settings
    label = partial(
        _labels,
        model=model,
        top_k=_first(asked.top_k, given.top_k, settings.top_k),
        score_threshold=_first(asked.score_threshold, given.score_threshold),
        reject=bool(_first(asked.reject, given.reject, settings.reject)),
    )
    was_read = time.perf_counter()
    done = await work_on(pictures, label, service.engine, _metrics(request), request)
    return _answer(done, "categories", model, began, was_read)


async def _answer_embed(
    request: Request, service: Service, model: LoadedModel
) -> Response:
    """Return the bottlenecks of a request's pictures; raises as `answer_classify`."""
    began = time.perf_counter()
    _options(request, NoOptions)
    pictures = await read_pictures(request, service)
    was_read = time.perf_counter()
    done = await work_on(
        pictures,
        lambda image: model.embed(image).tolist(),
        service.engine,
        _metrics(request),
        request,
    )
    return _answer(done, "vector", model, began, was_read)


async def answer_heat_map(
    request: Request, service: Service, model: LoadedModel
) -> Response:
    """Return a PNG that shows what speaks for a class; raises as `answer_classify`."""
    label = _known_label(_options(request, HeatMapOptions).label, model)
    pictures = await read_pictures(request, service)
    if len(pictures) != 1:
        raise unprocessable(f"Expected one picture. Received: {len(pictures)}.")
    [done] = await work_on(
        pictures,
        lambda image: model.heat_map(image, label),
        service.engine,
        _metrics(request),
        request,
    )
    if done.error is not None:
        raise unprocessable(done.error)
    return Response(done.result, media_type="image/png")


def _labels(
    image: ImageSource,
    *,
    model: LoadedModel,
    top_k: int | None,
    score_threshold: float | None,
    reject: bool,
) -> list[dict[str, Any]]:
    categories = model.classify(
        image, top_k=top_k, score_threshold=score_threshold, reject=reject
    )
    return [*map(vars, categories)]


def _answer(
    done: list[Worked], entry: str, model: LoadedModel, began: float, was_read: float
) -> Response:
    """Return what became of each picture, and where the time went.

    Args:
        done: All pictures.
        entry: What the result of one is called.
        model: That did it.
        began: When the request came, by `time.perf_counter`.
        was_read: When its pictures were there.
    """
    results = [
        {"image": each.picture.name, entry: each.result}
        if each.error is None
        else {"image": each.picture.name, "error": each.error}
        for each in done
    ]
    errors = [each.error for each in done if each.error is not None]
    if len(errors) == len(done):
        more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "No readable picture",
            f"{errors[0]}{more}",
            extensions={"results": results},
        )
    answer: dict[str, Any] = {
        "results": results,
        "model": {"name": model.name, "sha256": model.sha256},
    }
    if entry == "vector":
        answer["depth"] = next(len(each.result) for each in done if not each.error)
    now = time.perf_counter()
    read_ms, work_ms = 1000 * (was_read - began), 1000 * (now - was_read)
    timing = f"read;dur={read_ms:.1f}, work;dur={work_ms:.1f}"
    return JSONResponse(answer, headers={"Server-Timing": timing})


def _options(request: Request, kind: type[Given]) -> Given:
    """Return the options in the address of a request.

    Raises:
        ProblemError: One is unknown, there twice, or outside its range (422).
    """
    given = dict(request.query_params)
    for name in given:
        if len(request.query_params.getlist(name)) > 1:
            raise unprocessable(
                f"Expected each option once. Received: {shown(name)[:80]} several "
                "times."
            )
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise invalid(faults, kind.model_fields) from error


def _first(*values: Value | None) -> Value | None:
    """Return the first that is not None, if any."""
    return next((value for value in values if value is not None), None)


def _known_label(label: str | None, model: LoadedModel) -> str | int | None:
    """Return the class that is asked for: its label, or its index.

    Raises:
        ProblemError: The model has no such class (422).
    """
    labels = model.classifier.labels or ()
    if label is None or label in labels:
        return label
    if label.isascii() and label.isdecimal():
        index = int(label)
        if index < model.classifier.num_classes:
            return index
    raise unprocessable(
        f"Expected a label of {model.name}. Received: {shown(label)[:80]}."
    )


def _model(service: Service) -> LoadedModel:
    if service.model is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "No model",
            "The server was started without --model. Start it with one, or use the "
            "model of a project: /v1/teach/projects.",
        )
    return service.model


def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics
