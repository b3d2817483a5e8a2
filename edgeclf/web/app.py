"""The app: all routes behind the guards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp

from edgeclf import __version__
from edgeclf.web import api, api_page, chat, guards, live, model_page, pages, problems
from edgeclf.web.engine import Engine
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.metrics import Measured, Metrics
from edgeclf.web.service import Service
from edgeclf.web.settings import WebSettings

if TYPE_CHECKING:
    from edgeclf.web.teach.workshop import Workshop

_HERE = Path(__file__).parent


def create_app(settings: WebSettings, model: LoadedModel | None) -> ASGIApp:
    """Return the app; when it ends, it closes its engine and what can be taught.

    Args:
        settings: How it runs.
        model: That labels pictures; None: one has to be taught first. Closing it is up
            to who opened it.

    Raises:
        OSError: The folder of what is taught cannot be made or written to.
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
    app = FastAPI(
        title="edgeclf",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        # It would lead to whatever name the request says, and from https to http
        # behind a proxy.
        redirect_slashes=False,
        lifespan=_closing(service),
    )
    app.add_exception_handler(ClientDisconnect, _unheard)
    problems.install(app)
    app.include_router(api.router(service))
    app.include_router(api_page.router(service, app))
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
    app.state.metrics = Metrics(service)
    return Measured(guards.guarded(app, service), app.state.metrics)


def _workshop(settings: WebSettings) -> Workshop | None:
    if settings.teach is None:
        return None
    from edgeclf.web.teach.workshop import Workshop

    return Workshop(settings.teach, settings.architecture)


def _closing(
    service: Service,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for part in (service.workshop, service.engine):
            if part is not None:
                await asyncio.to_thread(part.close)

    return lifespan


async def _unheard(request: Request, error: Exception) -> Response:
    """Answer a client that is gone: nobody hears it, and nothing went wrong here."""
    return Response(status_code=499)  # what nginx logs in this case
