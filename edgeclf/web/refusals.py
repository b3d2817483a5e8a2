"""Answers of the guards themselves: problem details, or a page to read."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.web.limits import has_body
from edgeclf.web.problems import ProblemError, problem_response

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

# A connection that is closed on what still arrives is reset, and the answer is lost
# with it: some more is taken, and dropped. Source: RFC 9112, 9.6.
LINGER_S = 2.0
LINGER_BYTES = 256 * 10**6

logger = logging.getLogger("edgeclf")


class Refusals:
    """Answers what a guard raises, and what nobody foresaw.

    Args:
        app: The guards, and the app behind them.
        templates: Of the pages.
    """

    def __init__(self, app: ASGIApp, templates: Jinja2Templates) -> None:
        self._app = app
        self._page = templates.get_template("problem.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        has_begun = False
        is_whole = not has_body(scope)

        async def watched_receive() -> Message:
            nonlocal is_whole
            message = await receive()
            is_whole = is_whole or not message.get("more_body", False)
            return message

        async def watched_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except ProblemError as problem:
            if has_begun:
                raise
            answer = self._answer(scope, problem)
        except Exception:
            if has_begun:
                raise  # the server cuts the connection, and logs it
            logger.exception("%s failed.", scope["method"])
            answer = self._answer(scope, _unforeseen())
        else:
            return
        if is_whole:
            await answer(scope, receive, send)
        else:
            await _answer_and_close(answer, receive, send)

    def _answer(self, scope: Scope, problem: ProblemError) -> Response:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "")
        if not wants_page or scope["path"].startswith("/v1/"):
            return problem_response(problem)
        html = self._page.render(problem=problem)
        return Response(html, problem.status, problem.headers, "text/html")


async def _answer_and_close(answer: Response, receive: Receive, send: Send) -> None:
    """Answer before the body has come, and do not wait for all of it."""
    answer.headers["Connection"] = "close"
    await send(
        {
            "type": "http.response.start",
            "status": answer.status_code,
            "headers": answer.raw_headers,
        }
    )
    await send(
        {"type": "http.response.body", "body": bytes(answer.body), "more_body": True}
    )
    dropped = 0
    with anyio.move_on_after(LINGER_S):
        more = True
        while more and dropped < LINGER_BYTES:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _unforeseen() -> ProblemError:
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "The server failed at this. Its log says why.",
    )
