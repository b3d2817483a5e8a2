"""Answers of the guards themselves: problem details, or a page to read."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.web.limits import has_body
from edgeclf.web.problems import ProblemError, problem_response, unforeseen

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

# A connection that is closed on what still arrives is reset, and the answer is lost
# with it: some more is taken, and dropped. Source: RFC 9112, 9.6.
LINGER_S = 1.0
LINGER_BYTES = 256 * 10**6
_RETRY_AFTER_S = 5  # a start takes less

logger = logging.getLogger("edgeclf")


class Refusals:
    """Answers what a guard raises, and what nobody foresaw.

    Whoever answers before the body has come: the connection ends with that answer.

    Args:
        app: The guards, and the app behind them.
        templates: Of the pages.
    """

    def __init__(self, app: ASGIApp, templates: Jinja2Templates) -> None:
        self._app = app
        self._page = templates.get_template("problem.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            if exchange.has_begun:
                raise
            answer = self._answer(scope, problem)
        except asyncio.CancelledError:  # by the server, when its end has come
            if not exchange.has_begun:
                await self._answer(scope, _ending())(
                    scope, exchange.receive, exchange.send
                )
            raise
        except Exception:
            if exchange.has_begun:
                raise  # the server cuts the connection, and logs it
            logger.exception("%s failed.", scope["method"])
            answer = self._answer(scope, unforeseen())
        else:
            return
        await answer(scope, exchange.receive, exchange.send)

    def _answer(self, scope: Scope, problem: ProblemError) -> Response:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if not wants_page or scope["path"].startswith("/v1/"):
            return problem_response(problem)
        html = self._page.render(problem=problem)
        return Response(html, problem.status, problem.headers, "text/html")


def _ending() -> ProblemError:
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Ending",
        "The server ends before this was done. Send it again when it is back.",
        {"Retry-After": str(_RETRY_AFTER_S)},
    )


class _Exchange:
    """A request and its answer: how much of each was seen.

    Args:
        scope: Of the request.
        receive: Of the server.
        send: Of the server.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_whole = not has_body(scope)
        # Looking for more of a body would tell the client to send it.
        self._waits = "expect" in Headers(scope=scope)
        self._is_cut = False
        self.has_begun = False

    async def receive(self) -> Message:
        """Return what comes next of the request."""
        message = await self._receive()
        self._is_whole = self._is_whole or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send what comes next of the answer."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            if not self._is_whole and not self._waits:
                with anyio.move_on_after(0):  # a small one that nobody has read
                    await self.receive()
            self._is_cut = not self._is_whole
            if self._is_cut:
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
        elif self._is_cut and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _linger(self) -> None:
        dropped = 0
        with anyio.move_on_after(LINGER_S):
            while not self._is_whole and dropped < LINGER_BYTES:
                message = await self.receive()
                dropped += len(message.get("body", b""))
