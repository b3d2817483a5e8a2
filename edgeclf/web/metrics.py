"""What the server has done, for Prometheus. Nothing of the users' is in it."""

from __future__ import annotations

import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf import __version__
from edgeclf.web.service import Service

REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
PICTURE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
OTHER = "other"  # every address that is no route: a scanner must not fill the memory
DESCRIPTION = "/openapi.json"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """Counts and times of one server.

    Args:
        service: Whose queue and model are told.

    Attributes:
        picture_seconds: Decoding and inference of each picture.
        pictures: How many were `labelled` or `failed`.
    """

    def __init__(self, service: Service) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._requests = Counter(
            "edgeclf_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "edgeclf_request_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.picture_seconds = Histogram(
            "edgeclf_picture_seconds",
            "Decoding a picture and running the model on it.",
            buckets=PICTURE_SECONDS,
            registry=registry,
        )
        self.pictures = Counter(
            "edgeclf_pictures",
            "Pictures that were worked on.",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("labelled", "failed"):
            self.pictures.labels(outcome)  # there from the start, with 0
        queue = Gauge(
            "edgeclf_queue_length",
            "Pictures that wait for a worker.",
            registry=registry,
        )
        queue.set_function(lambda: service.engine.waiting)
        version = Gauge(
            "edgeclf_info",
            "Always 1; what runs.",
            ("version", "model", "sha256"),
            registry=registry,
        )
        model = service.model
        version.labels(
            __version__,
            "" if model is None else model.name,
            "" if model is None else model.sha256,
        ).set(1)

    def response(self) -> Response:
        """Return all of it in Prometheus's text format."""
        return Response(
            generate_latest(self._registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"},
        )

    def add_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request, by the route that it matched."""
        route = route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)


def route_of(scope: Scope) -> str:
    """Return the route as it was declared, `/v1/teach/projects/{p}`; else `other`."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    if scope["path"] == DESCRIPTION:  # FastAPI's own, which does not tell its route
        return DESCRIPTION
    return "/static" if scope["path"].startswith("/static/") else OTHER


class Measured:
    """Counts the requests of an app, also those that its guards turn away.

    Args:
        app: Behind its guards.
        metrics: Where to.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and look at the status of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.add_request(scope, status, time.perf_counter() - began)
