"""The page that says what the model is, and its downloads."""

from __future__ import annotations

from fastapi import APIRouter

from edgeclf.web.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes."""
    return APIRouter()
