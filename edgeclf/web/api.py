"""The API under /v1, and what machines ask for: health, metrics."""

from __future__ import annotations

from fastapi import APIRouter

from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    return APIRouter()
