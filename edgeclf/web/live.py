"""The page that labels a camera."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from edgeclf.web.chosen import chosen_model
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.service import Service

# Sides of the frames that are sent, pixels: of small inputs still enough for their
# resize to choose from, of large ones no more than a camera's usual picture.
_LEAST_SIDE, _MOST_SIDE = 320, 640
# Classes whose scores are asked for: those of further places play no part.
_MOST_CLASSES = 100


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/live")
    def page(request: Request) -> Response:
        chosen = chosen_model(request.query_params, service)
        context = {"model": chosen.model, "chosen": chosen}
        if chosen.model is not None:
            context |= watched(chosen.model)
        return service.templates.TemplateResponse(request, "live.html", context)

    return routes


def watched(model: LoadedModel) -> dict[str, Any]:
    """Return what a page needs to know of a model to label a camera with it.

    Returns:
        `top_k`: classes to ask for; `side`: of the frames, pixels; `thresholds`: of
        tags, in the order of the output, None of classes.
    """
    classifier = model.classifier
    longest = max(classifier.input_size or (0,))
    return {
        "top_k": min(classifier.num_classes, _MOST_CLASSES),
        "side": min(max(longest, _LEAST_SIDE), _MOST_SIDE),
        "thresholds": [round(float(least), 4) for least in classifier.thresholds]
        if classifier.multi_label
        else None,
    }
