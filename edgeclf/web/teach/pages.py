"""The pages that teach."""

from __future__ import annotations

from fastapi import APIRouter

from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes of the pages, with `service.workshop` there."""
    return APIRouter()
