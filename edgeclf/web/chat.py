"""Ask a chat server about the last prediction.

The server that this one was told of hears the questions, what is known of the model,
and the labels of the last picture with their scores. It does not get the picture.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgeclf.web.chat_question import MOST_BYTES, messages_for, parsed
from edgeclf.web.chat_server import KEY_VARIABLE, ChatError, ChatServer
from edgeclf.web.problems import ProblemError
from edgeclf.web.service import Service

MOST_CHATS = 8  # at a time; a small chat server answers one after the other
_RETRY_AFTER_S = 10
# A proxy before this server is not to keep the words until the answer is whole.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def router(service: Service) -> APIRouter:
    """Return the routes; `service.settings.chat_url` is there.

    Raises:
        EdgeclfError: The key in `EDGECLF_CHAT_KEY` cannot be sent.
    """
    settings = service.settings
    url = str(settings.chat_url)
    server = ChatServer(url, settings.chat_model, os.environ.get(KEY_VARIABLE, ""))
    places = _Places(MOST_CHATS)
    routes = APIRouter(include_in_schema=False)

    @routes.get("/chat")
    def page(request: Request) -> Response:
        # The host alone: a path may name an account.
        context = {"chat_host": urlsplit(url).hostname}
        return service.templates.TemplateResponse(request, "chat.html", context)

    @routes.post("/chat")
    async def ask(request: Request) -> Response:
        question = parsed(await _body(request))
        messages = messages_for(question, service.model)
        release = places.taken()
        return _Stream(_events(server, messages), release)

    return routes


class _Places:
    """Counts chats that run."""

    def __init__(self, most: int) -> None:
        self._free = most

    def taken(self) -> Callable[[], None]:
        """Take a place; return what gives it back.

        Raises:
            ProblemError: There is none.
        """
        if self._free == 0:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Busy",
                f"The chat is answering {MOST_CHATS} others. Ask again in "
                f"{_RETRY_AFTER_S} s.",
                {"Retry-After": str(_RETRY_AFTER_S)},
            )
        self._free -= 1
        return self._give_back

    def _give_back(self) -> None:
        self._free += 1


class _Stream(StreamingResponse):
    """Events, whose source is closed at once when nobody hears them any more."""

    def __init__(
        self, events: AsyncGenerator[bytes, None], release: Callable[[], None]
    ) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_HEADERS)
        self._events = events
        self._release = release

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            self._release()


async def _events(
    server: ChatServer, messages: list[dict[str, str]]
) -> AsyncGenerator[bytes, None]:
    """Yield the answer as events, and how it ended as the last one."""
    answer = server.answer(messages)
    try:
        async for words in answer:
            yield _event({"delta": words})
        yield _event({"done": True})
    except ChatError as error:
        yield _event({"error": str(error)})
    finally:
        await answer.aclose()


def _event(value: dict[str, Any]) -> bytes:
    # ASCII: half a letter, which some servers send alone, is joined in the browser.
    return f"data: {json.dumps(value)}\n\n".encode("ascii")


async def _body(request: Request) -> bytes:
    """Return the request's body.

    Raises:
        ProblemError: It is larger than any chat of the page.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "Request too large",
                f"Expected at most {MOST_BYTES // 1000} kB. Received: more. Begin a "
                "new chat.",
            )
    return bytes(content)
