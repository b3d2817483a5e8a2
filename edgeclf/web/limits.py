"""How large, how long and how many requests may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.web.headers import STATIC
from edgeclf.web.login import FREE
from edgeclf.web.problems import ProblemError

MAX_HEAD = 16 * 1024  # bytes of all headers
MAX_ADDRESS = 4 * 1024  # bytes of path and query
# Ends of the addresses that pictures are posted to.
PICTURES = ("/classify", "/embed", "/heatmap", "/pictures", "/picture")
BODIES = 8  # of the largest size may be in memory at a time, all requests together
_MB = 10**6
_HOLD = "edgeclf.hold"  # in a scope
_RETRY_AFTER_S = 2


class HeadLimit:
    """Refuses long heads: what reads headers is often slow with long ones.

    The server's own limit is for heads that come in several pieces.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: Its address or its headers are too long.
        """
        size_bytes = sum(len(name) + len(value) for name, value in scope["headers"])
        if size_bytes > MAX_HEAD:
            raise ProblemError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Headers too long",
                f"Expected {MAX_HEAD:,} bytes of headers or fewer. Received: "
                f"{size_bytes:,}.",
            )
        size_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        if size_bytes > MAX_ADDRESS:
            raise ProblemError(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                "Address too long",
                f"Expected an address of {MAX_ADDRESS:,} bytes or fewer. Received: "
                f"{size_bytes:,}.",
            )
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses large bodies: announced ones at once, others when they grow too large.

    Where no pictures are taken a body is JSON, of which a little makes much.

    Args:
        app: What answers.
        max_mb: Largest body, MB (10^6 bytes).
    """

    def __init__(self, app: ASGIApp, max_mb: int) -> None:
        self._app = app
        self._max_mb = max_mb
        self._held = 0  # bytes of requests in work, and what was fetched for them

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: Its body is too large, or all bodies together are, or it has
                two lengths.
        """
        path = scope["path"]
        # Names of classes and projects are ends of addresses too, but not of POST.
        takes_pictures = scope["method"] == "POST" and (
            path == "/" or path.endswith(PICTURES)
        )
        limit_mb = self._max_mb if takes_pictures else min(1, self._max_mb)
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise _two_lengths()
        if announced.isdecimal() and int(announced) > limit_mb * _MB:
            raise _too_large(limit_mb, takes_pictures)
        received = fetched = 0
        has_begun = False
        refusal: ProblemError | None = None

        async def counted() -> Message:
            nonlocal received, refusal
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._held += size
            if received > limit_mb * _MB:
                refusal = _too_large(limit_mb, takes_pictures)
            elif size and self._held > BODIES * self._max_mb * _MB:
                refusal = _busy("bodies")
            if refusal is not None:
                raise refusal
            return message

        def hold(size_bytes: int) -> None:
            nonlocal fetched
            fetched += size_bytes
            self._held += size_bytes
            if self._held > BODIES * self._max_mb * _MB:
                raise _busy("bodies")

        scope[_HOLD] = hold

        async def watched(message: Message) -> None:
            nonlocal has_begun
            if refusal is None or has_begun:
                has_begun = True
                await send(message)

        # Whatever the app makes of a body that ends so, this is the answer.
        try:
            await self._app(scope, counted, watched)
        except Exception:
            if refusal is None or has_begun:
                raise
        finally:
            self._held -= received + fetched
        if refusal is not None and not has_begun:
            raise refusal


class TimeLimit:
    """Refuses what takes too long to arrive or to work on.

    An answer that has begun may go on: streams of events last as long as a training.

    Args:
        app: What answers.
        limit_s: From a request's head to the begin of the answer.
    """

    def __init__(self, app: ASGIApp, limit_s: float) -> None:
        self._app = app
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: It took too long.
        """
        has_begun = False
        is_whole = not has_body(scope)

        async def watched_receive() -> Message:
            nonlocal is_whole
            message = await receive()
            is_whole = is_whole or not message.get("more_body", False)
            return message

        with anyio.move_on_after(self._limit_s) as timer:

            async def watched_send(message: Message) -> None:
                nonlocal has_begun
                has_begun = True
                timer.deadline = math.inf
                await send(message)

            await self._app(scope, watched_receive, watched_send)
        if timer.cancelled_caught and not has_begun:
            raise self._refusal(is_whole)

    def _refusal(self, is_whole: bool) -> ProblemError:
        if is_whole:
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Took too long",
                f"The server has worked on this for {self._limit_s:g} s and given up. "
                "Send fewer pictures, or start it with a longer --timeout.",
                {"Retry-After": str(_RETRY_AFTER_S)},
            )
        return ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            "Took too long to arrive",
            f"Expected the whole request within {self._limit_s:g} s. Received: a part. "
            "Send fewer or smaller pictures.",
        )


class RequestLimit:
    """Refuses requests while many others are in work.

    Args:
        app: What answers.
        most: In work at a time; files of the pages and questions whether the server
            lives do not count.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: Too many others are in work.
        """
        if scope["path"] in FREE or scope["path"].startswith(STATIC):
            await self._app(scope, receive, send)
            return
        if self._count >= self._most:
            raise _busy("requests")
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1


def held(request: Request) -> Callable[[int], None]:
    """Return what counts bytes that a request has besides its body, until it ends.

    It raises `ProblemError` when all requests together have too many.
    """
    hold: Callable[[int], None] = request.scope[_HOLD]
    return hold


def has_body(scope: Scope) -> bool:
    """Tell whether a request's head says that a body comes."""
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return True
    return headers.get("content-length", "0").strip("0") != ""


def _too_large(limit_mb: int, takes_pictures: bool) -> ProblemError:
    advice = (
        " Send fewer or smaller pictures; whoever runs the server can give it a larger "
        "--max_mb."
    )
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Request too large",
        f"Expected {limit_mb} MB or fewer in one request"
        f"{'.' if takes_pictures else ' to this address, which takes no pictures.'} "
        f"Received: more.{advice if takes_pictures else ''}",
    )


def _two_lengths() -> ProblemError:
    """Return the refusal of what a proxy may have read as another request.

    Source: RFC 9112, 6.3.
    """
    return ProblemError(
        HTTPStatus.BAD_REQUEST,
        "Two lengths",
        "Expected Content-Length or Transfer-Encoding. Received: both.",
        {"Connection": "close"},
    )


def _busy(what: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Busy",
        f"The server has too many {what} at a time. Send yours again in "
        f"{_RETRY_AFTER_S} s.",
        {"Retry-After": str(_RETRY_AFTER_S)},
    )
