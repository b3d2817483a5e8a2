"""HEAD: the head of what GET answers; the server leaves the body out."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.web.problems import ProblemError


class Head:
    """Asks an app for what GET answers.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: The answer to GET would be a stream of events.
        """
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        refusal: ProblemError | None = None

        async def watched(message: Message) -> None:
            nonlocal refusal
            kind = Headers(raw=message.get("headers", [])).get("content-type", "")
            if kind.startswith("text/event-stream"):
                refusal = _endless()
                raise refusal
            await send(message)

        try:
            await self._app(asked, receive, watched)
        except Exception:  # whatever the app makes of it
            if refusal is None:
                raise
        finally:
            scope["route"] = asked.get("route")  # for who counts
        if refusal is not None:
            raise refusal


def _endless() -> ProblemError:
    return ProblemError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.METHOD_NOT_ALLOWED.phrase,
        "Expected GET for this address: it gives events, without an end. /api tells "
        "what it takes.",
        {"Allow": "GET"},
    )
