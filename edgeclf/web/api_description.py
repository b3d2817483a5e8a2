"""What the API is described with, in OpenAPI: routes, bodies, answers, errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from edgeclf.web.api_errors import ERRORS
from edgeclf.web.problems import CONTENT_TYPE
from edgeclf.web.schemas import MOST_LABEL, MOST_LABELS
from edgeclf.web.settings import WebSettings

_OF_PICTURES = (400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503)

_HASH = "3f1b7a0c5d2e4f6890ab12cd34ef56a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d"
_MODEL = {"name": "model.tflite", "sha256": _HASH}
_FAILED = {
    "image": "notes.txt",
    "error": "notes.txt is not a picture in a format that Pillow reads. Convert it to "
    "JPEG or PNG, or leave it out.",
}
_LABELLED = {
    "image": "plate.jpg",
    "categories": [
        {"index": 2, "label": "gzhel", "score": 0.9712},
        {"index": 5, "label": "khokhloma", "score": 0.0184},
    ],
}


def _problem(status: int) -> dict[str, Any]:
    title, detail, what_to_do = ERRORS[status]
    example: dict[str, Any] = {
        "type": f"/api#status-{status}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if status == 422:
        example["results"] = [_FAILED]
    described: dict[str, Any] = {
        "description": f"{title}. {what_to_do}",
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example,
            }
        },
    }
    if status in (429, 503):
        described["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return described


_ANY_PROBLEM = {
    "description": "Any other error, such as 405 for another method.",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _answers(success: dict[str, Any], statuses: tuple[int, ...]) -> dict[Any, Any]:
    problems = {status: _problem(status) for status in statuses}
    return {200: success, **problems, "default": _ANY_PROBLEM}


def _json(description: str, schema: str, example: object) -> dict[str, Any]:
    return {
        "description": description,
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "example": example,
            }
        },
    }


_TIMED = {
    "Server-Timing": {
        "description": "Milliseconds: `read` to take the pictures in, `work` to wait "
        "for a worker, to decode and to run the model.",
        "schema": {"type": "string"},
    }
}
_RED = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1Pe"
    "AAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
_A_PICTURE = {"type": "string", "format": "binary"}


def _body(schema: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the bodies that a route takes.

    Args:
        schema: Of JSON.
        options: Of the example of JSON, beside the pictures.
    """
    return {
        "required": True,
        "description": "Pictures, in one of three ways.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": False,
                    "properties": {
                        "image": {
                            "description": "A picture; the field may be there several "
                            "times. Its file name is the name in the answer.",
                            "type": "array",
                            "minItems": 1,
                            "items": _A_PICTURE,
                        }
                    },
                },
            },
            "image/*": {"schema": {**_A_PICTURE, "description": "The picture itself."}},
            "application/octet-stream": {"schema": _A_PICTURE},
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "examples": {
                    "address": {
                        "value": {
                            "images": [{"url": "https://example.com/plate.jpg"}],
                            **options,
                        }
                    },
                    "content": {
                        "value": {
                            "images": [
                                {
                                    "base64": _RED,
                                    "name": "red.png",
                                }
                            ]
                        }
                    },
                },
            },
        },
    }


def _parameter(
    name: str, schema: dict[str, Any], description: str, example: object
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
        "example": example,
    }


_OPTIONS = [
    _parameter(
        "top_k",
        {"type": "integer", "minimum": 1, "maximum": MOST_LABELS},
        "Labels at most. Default: the server's, else 5; of tags all above their "
        "thresholds.",
        3,
    ),
    _parameter(
        "score_threshold",
        {"type": "number", "minimum": 0, "maximum": 1},
        "Least score of a label.",
        0.1,
    ),
    _parameter(
        "reject",
        {"type": "boolean"},
        "Whether what is like no class is `unknown`. Default: the server's.",
        True,
    ),
]
_LABEL = _parameter(
    "label",
    {"type": "string", "maxLength": MOST_LABEL},
    "The class: its label or its index. Default: the best.",
    "gzhel",
)


def _route(
    name: str,
    summary: str,
    description: str,
    success: dict[str, Any],
    statuses: tuple[int, ...] = (401, 421, 429, 500, 503),
    **extra: Any,
) -> dict[str, Any]:
    """Return what a route is declared with."""
    return {
        "operation_id": name,
        "summary": summary,
        "description": description,
        "response_class": Response,
        "responses": _answers(success, statuses),
        "openapi_extra": extra,
    }


CLASSIFY = _route(
    "classify",
    "Label pictures",
    "Items are as `label_image --json` prints them, in the order of the pictures. One "
    "that cannot be read has an `error`; if none can, the answer is a problem.",
    {
        **_json(
            "At least one picture was labelled.",
            "ClassifyAnswer",
            {"results": [_LABELLED, _FAILED], "model": _MODEL},
        ),
        "headers": _TIMED,
    },
    _OF_PICTURES,
    requestBody=_body("ClassifyRequest", {"top_k": 5}),
    parameters=_OPTIONS,
)
EMBED = _route(
    "embed",
    "Turn pictures into vectors",
    "The numbers before the model's last layer: pictures that look alike have vectors "
    "that are close.",
    {
        **_json(
            "At least one picture was read.",
            "EmbedAnswer",
            {
                "results": [{"image": "plate.jpg", "vector": [0.0, 1.25, 0.5]}],
                "depth": 3,
                "model": _MODEL,
            },
        ),
        "headers": _TIMED,
    },
    _OF_PICTURES,
    requestBody=_body("PicturesRequest", {}),
)
HEAT_MAP = _route(
    "heatmap",
    "Show what speaks for a class",
    "The picture, and in colour where the evidence is. Takes one picture.",
    {
        "description": "The picture with the map over it.",
        "content": {"image/png": {"schema": _A_PICTURE}},
    },
    _OF_PICTURES,
    requestBody=_body("PicturesRequest", {}),
    parameters=[_LABEL],
)
MODEL = _route(
    "model",
    "Say what the model is",
    "What the file says of itself.",
    {
        "description": "Labels, size, thresholds, and where it comes from.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ModelAnswer"},
                "example": {
                    **_MODEL,
                    "size_bytes": 1048527,
                    "num_classes": 3,
                    "labels": ["gorodets", "gzhel", "khokhloma"],
                    "multi_label": False,
                    "input_size": [224, 224],
                    "architecture": "mobilenet_v1_0.50_224",
                    "has_reject_rule": True,
                    "measured": {
                        "accuracy": 0.9643,
                        "interval_95": [0.823, 0.9937],
                        "num_test": 28,
                    },
                },
            }
        },
    },
    (401, 404, 421, 429, 500, 503),
)
HEALTH = _route(
    "healthz",
    "Say that the server answers",
    "For whoever restarts it when it does not. Needs no token.",
    _json("It does.", "Health", {"status": "ok"}),
    (421, 500),
    security=[],
)
METRICS = _route(
    "metrics",
    "Count what was done",
    "Requests, times, the queue and memory, for Prometheus. Nothing of the users'.",
    {
        "description": "Prometheus's text format.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'edgeclf_pictures_total{outcome="labelled"} 12.0\n',
            }
        },
    },
)
_PATHS = ("/v1/", "/healthz", "/metrics")


def describe(app: FastAPI, settings: WebSettings) -> dict[str, Any]:
    """Return the OpenAPI document of an app's API; pages are not in it.

    Args:
        app: With all its routes.
        settings: Whether a token is asked for.
    """
    from edgeclf.web.answers import schemas  # of use here alone

    found = get_openapi(
        title="edgeclf",
        version=app.version,
        summary="Label pictures with a small model, on your own machine.",
        description="Errors are problem details (RFC 9457). Paths keep their meaning "
        "as long as they begin with /v1. Limits: "
        f"{settings.max_mb} MB and {settings.max_images} pictures a request.",
        routes=app.routes,
        servers=[{"url": "/"}],
    )
    found["paths"] = {
        path: operations
        for path, operations in found["paths"].items()
        if path.startswith(_PATHS)
    }
    components = found.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas()}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    if settings.token is not None:
        found["security"] = [{"bearer": []}]
    return found
