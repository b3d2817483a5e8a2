"""The app: all routes behind the guards."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp

from edgeclf import __version__
from edgeclf.web import api, chat, guards, live, model_page, pages
from edgeclf.web.engine import Engine
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.service import Service
from edgeclf.web.settings import WebSettings

_HERE = Path(__file__).parent


def create_app(settings: WebSettings, model: LoadedModel | None) -> ASGIApp:
    """Return the app; closing model and engine is up to who runs it.

    Args:
        settings: How it runs.
        model: That labels pictures; None: one has to be taught first.
    """
    service = Service(
        settings,
        Engine(settings.workers, settings.queue),
        model,
        Jinja2Templates(_HERE / "templates"),
        _workshop(settings),
    )
    service.templates.env.globals["service"] = service
    service.templates.env.globals["version"] = __version__
    # Their own pages load scripts from elsewhere; ours are in `pages`.
    app = FastAPI(title="edgeclf", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(api.router(service))
    app.include_router(pages.router(service))
    app.include_router(live.router(service))
    app.include_router(model_page.router(service))
    if settings.chat_url is not None:
        app.include_router(chat.router(service))
    if service.workshop is not None:
        from edgeclf.web.teach import pages as teach_pages
        from edgeclf.web.teach import routes

        app.include_router(routes.router(service))
        app.include_router(teach_pages.router(service))
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.state.service = service
    return guards.guarded(app, service)


def _workshop(settings: WebSettings):  # type: ignore[no-untyped-def]
    if settings.teach is None:
        return None
    from edgeclf.web.teach.workshop import Workshop

    return Workshop(settings.teach, settings.architecture)
