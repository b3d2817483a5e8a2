"""A server that speaks the OpenAI chat API: its words, as they come.

Source: https://platform.openai.com/docs/api-reference/chat; llama.cpp's server, Ollama
and vLLM speak the same under `/v1`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from edgeclf import __version__
from edgeclf.errors import EdgeclfError

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "EDGECLF_CHAT_KEY"
CONNECT_S = 5.0
READ_S = 180.0  # between two pieces: a model may first have to be loaded from a disk
WHOLE_S = 600.0  # of an answer
MOST_BYTES = 4_000_000  # of an answer, with all that is around its words
MOST_CHARACTERS = 50_000  # of an answer's words
_MOST_SAID = 300  # characters of an error of the server that are passed on
_EVENTS, _JSON = "text/event-stream", "application/json"


class ChatError(Exception):
    """There is no answer, or no more of it; a sentence for who has asked."""


class ChatServer:
    """A server that answers questions; nothing is sent to it before the first one.

    No redirect is followed and no proxy of the environment used: what is asked goes to
    this address and nowhere else.

    Args:
        url: Of its API, such as `http://localhost:11434/v1`.
        model: What it calls its model; None: the first that it has.
        key: That it asks for; "": none.

    Raises:
        EdgeclfError: The key cannot be sent.
    """

    def __init__(self, url: str, model: str | None = None, key: str = "") -> None:
        self._url = url.rstrip("/")
        self._given_model = model
        self._found_model: str | None = None
        self._key = key.strip()
        if not re.fullmatch(r"[\x21-\x7e]*", self._key):
            raise EdgeclfError(
                f"Expected letters, digits and signs without spaces in {KEY_VARIABLE}. "
                f"Received: {len(self._key)} characters that are not all of these."
            )

    async def answer(self, messages: list[dict[str, str]]) -> AsyncGenerator[str, None]:
        """Yield the words of the answer as they come.

        Closing the generator ends the request.

        Args:
            messages: As the API has them, `role` and `content`.

        Raises:
            ChatError: There is no answer, or it ended too early.
        """
        length = 0
        with self._sentences():
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(self._client())
                model = await self._model(client)
                asked = {"model": model, "messages": messages, "stream": True}
                response = await stack.enter_async_context(
                    client.stream("POST", f"{self._url}/chat/completions", json=asked)
                )
                await self._check(response, model)
                async for words in self._words(response):
                    length += len(words)
                    yield words
                    if length > MOST_CHARACTERS:
                        raise ChatError("The answer is too long; the rest is left out.")
        if length == 0:
            raise ChatError("The chat server answered without a word. Ask again.")

    def _client(self) -> httpx.AsyncClient:
        import ssl

        import httpx  # here: most servers have no chat

        secure = self._url.lower().startswith("https:")
        headers = {
            "User-Agent": f"edgeclf/{__version__}",
            "Accept": f"{_EVENTS}, {_JSON}",
            "Accept-Encoding": "identity",  # a small answer stays small
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
            # The system's certificates: a server at home has one of its own.
            verify=ssl.create_default_context() if secure else False,
        )

    async def _model(self, client: httpx.AsyncClient) -> str:
        """Return the name of the model that is asked."""
        if name := self._given_model or self._found_model:
            return name
        async with client.stream("GET", f"{self._url}/models") as response:
            await self._check(response, None)
            listed = _object(await _whole(response)).get("data")
        names = [
            entry["id"]
            for entry in (listed if isinstance(listed, list) else [])
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        ]
        if not names:
            raise ChatError(
                "The chat server has no model yet. Load one there, or start this "
                "server with --chat_model."
            )
        self._found_model = name = str(names[0])
        return name

    async def _words(self, response: httpx.Response) -> AsyncIterator[str]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind.lower() == _EVENTS:
            from httpx_sse import EventSource

            response.stream = _bounded(response)
            response.encoding = "utf-8"  # Source: HTML, 9.2.5
            async for event in EventSource(response).aiter_sse():
                if event.data.strip() == "[DONE]":
                    return
                if event.data.strip():
                    yield self._piece(_object(event.data), "delta")
        elif kind.lower() == _JSON:  # it does not know how to stream
            yield self._piece(_object(await _whole(response)), "message")
        else:
            raise _no_api(f"an answer of the kind {kind[:80] or 'unknown'}")

    def _piece(self, value: dict[str, Any], part: str) -> str:
        """Return the words of a part of the answer; "" where it has none."""
        if value.get("error"):
            said = self._said(value["error"])
            raise ChatError(f"The chat server has failed{said}")
        choices = value.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        held = first.get(part) if isinstance(first, dict) else None
        words = held.get("content") if isinstance(held, dict) else None
        return words if isinstance(words, str) else ""

    async def _check(self, response: httpx.Response, model: str | None) -> None:
        """Refuse an answer that is an error, with a sentence."""
        status = response.status_code
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise _no_api(f"an answer in the encoding {encoding[:80]}")
        if status == 200:
            return
        if status in (401, 403):
            # What it says may hold the key.
            what = "refuses the key in" if self._key else "asks for a key: set"
            raise ChatError(
                f"The chat server {what} {KEY_VARIABLE}. Who runs this server can "
                "change that."
            )
        if 300 <= status < 400:
            raise ChatError(
                "The chat server sends us elsewhere, which is not followed. Who runs "
                "this server can give --chat_url the right address."
            )
        try:
            error = _object(await _whole(response)).get("error")
        except ChatError:
            error = None
        said = self._said(error)
        if status == 429:
            raise ChatError(
                f"The chat server is asked too often{_wait(response)}{said}"
            )
        if status == 404:
            self._found_model = None
            what = "nothing" if model is None else f"no model {model!r}"
            raise ChatError(
                f"The chat server has {what} at this address{said} Who runs this "
                "server can change --chat_url or --chat_model."
            )
        raise ChatError(f"The chat server has failed with status {status}{said}")

    def _said(self, error: Any) -> str:
        """Return an error of the server as the end of a sentence, without the key."""
        message = error.get("message") if isinstance(error, dict) else error
        if not isinstance(message, str) or not message.strip():
            return "."
        text = message.replace(self._key, "…") if self._key else message
        text = " ".join(text.split())
        cut = text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]} …"
        return f": {cut.rstrip('.')}."

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what httpx raises into sentences; they name no address."""
        import httpx

        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ChatError(
                "The chat server cannot be reached. Is it running, and is --chat_url "
                "its address?"
            ) from error
        except httpx.TimeoutException as error:
            raise ChatError(
                f"The chat server has said nothing for {READ_S:.0f} s."
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ChatError(
                "The connection to the chat server broke; the answer is not whole."
            ) from error


def _object(text: str | bytes) -> dict[str, Any]:
    """Return JSON of the server.

    Raises:
        ChatError: It is no object of JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _no_api("something else")
    return value


def _no_api(received: str) -> ChatError:
    return ChatError(
        "Expected a server that speaks the OpenAI chat API at --chat_url, which often "
        f"ends in /v1. Received: {received}."
    )


def _wait(response: httpx.Response) -> str:
    seconds = response.headers.get("retry-after", "")
    return f"; come again in {seconds} s" if re.fullmatch("[0-9]{1,6}", seconds) else ""


async def _whole(response: httpx.Response) -> bytes:
    response.stream = _bounded(response)
    return await response.aread()


def _bounded(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return the bytes of a response; ChatError when they are too many or too slow.

    Bytes, not words: a server may say that it is alive, and nothing else, for ever.
    """
    import httpx

    inner = response.stream
    if not isinstance(inner, httpx.AsyncByteStream):
        raise TypeError("Expected the stream of an asynchronous client.")

    class Bounded(httpx.AsyncByteStream):
        def __init__(self, stream: httpx.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size, ends_at = 0, time.monotonic() + WHOLE_S
            async for piece in self._stream:
                size += len(piece)
                if size > MOST_BYTES:
                    raise ChatError("The answer is too long; the rest is left out.")
                if time.monotonic() > ends_at:
                    raise ChatError("The answer took too long; it is not whole.")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded(inner)
