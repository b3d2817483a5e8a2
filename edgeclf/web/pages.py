"""The pages for people: predict and about."""

from __future__ import annotations

from fastapi import APIRouter

from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    return APIRouter()
