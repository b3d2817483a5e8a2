"""The pages that teach: all projects, and one of them.

What they show comes from the API, so that two tabs see the same.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from edgeclf.data.listing import BACKGROUND
from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes of the pages, with `service.workshop` there."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/teach")
    def projects(request: Request) -> Response:
        return service.templates.TemplateResponse(request, "teach.html")

    @routes.get("/teach/{project}")
    def project(request: Request, project: str) -> Response:
        if service.workshop is None:
            raise RuntimeError("There is nothing to teach in.")
        about = {
            "project": service.workshop.project(project).name,
            "background": BACKGROUND,
            "max_images": service.settings.max_images,
            "max_mb": service.settings.max_mb,
        }
        return service.templates.TemplateResponse(request, "teach_project.html", about)

    return routes
