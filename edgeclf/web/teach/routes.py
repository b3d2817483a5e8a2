"""Teach: its page, and its part of the API under /v1/teach."""

from __future__ import annotations

from fastapi import APIRouter

from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes of the API, with `service.workshop` there."""
    return APIRouter()
