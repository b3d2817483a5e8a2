"""The page that shows the API to people, and its description to programs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from edgeclf.web.api_description import describe
from edgeclf.web.api_errors import ERRORS
from edgeclf.web.service import Service

_STATIC = Path(__file__).parent / "static"
CLIENTS = {"curl": "client.sh", "Python": "client.py", "JavaScript": "client.mjs"}


def router(service: Service, app: FastAPI) -> APIRouter:
    """Return the routes.

    Args:
        service: For the templates.
        app: Whose API is described.
    """
    routes = APIRouter(include_in_schema=False)

    @cache
    def document() -> dict[str, Any]:
        return describe(app, service.settings)

    # FastAPI's own way to extend what it describes.
    app.openapi = document  # type: ignore[method-assign]

    @routes.get("/api")
    async def api(request: Request) -> Response:
        found = document()
        page: Response = service.templates.TemplateResponse(
            request,
            "api.html",
            {
                "operations": [*_operations(found)],
                "limits": found["info"]["description"],
                "clients": {
                    name: (file, (_STATIC / file).read_text(encoding="utf-8"))
                    for name, file in CLIENTS.items()
                },
                "errors": ERRORS,
                "pretty": _pretty,
            },
        )
        return page

    return routes


def _pretty(example: Any) -> str:
    """Return an example as it is read best, its entries in their own order."""
    if isinstance(example, str):
        return example
    return json.dumps(example, indent=2, ensure_ascii=False)


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations one by one, with path and method."""
    return [
        {"path": path, "method": method.upper(), **operation}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
