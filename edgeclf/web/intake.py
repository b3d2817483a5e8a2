"""The pictures of a request: multipart, raw or JSON; in memory, never a file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from itertools import count
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from edgeclf.console import sentence
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import PRIVATE
from edgeclf.web.limits import held
from edgeclf.web.multipart import Multipart
from edgeclf.web.problems import ProblemError, invalid, too_many, unprocessable
from edgeclf.web.schemas import GivenPicture, PicturesRequest
from edgeclf.web.service import Service

UNNAMED = "picture {}"  # by its place in the request, from 1 on
FIELD = "image"
MOST_LETTERS = 255  # of a name, as of a file's
MOST_VALUES = 200  # of JSON for each picture that it may have; an address has some
FETCHES = 4  # pictures of one request that are fetched at a time
FETCH_S = 15.0  # for each of them
MEGABYTE = 10**6
_LONGEST_TYPE = 500  # letters of a Content-Type; a boundary has 70 at most
_BLANKS = dict.fromkeys(map(ord, " \t\n\r\v\f"))  # and ends of lines: left out
_LOOK_S = 0.05  # between two looks whether another fetch has ended
_IN_A_THREAD = 1 << 16  # bytes of JSON from which on parsing must not hold others up

# Of all requests together: each may hold as many bytes as a request may have.
_fetching = threading.BoundedSemaphore(2 * FETCHES)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Picture:
    """One picture of a request.

    Attributes:
        name: What it is called in the answer; it never leads to a file.
        content: The encoded picture; None when it could not be had.
        error: Why not, a sentence; None otherwise.
        is_private: Whether that is because its address is not a public one.
    """

    name: str
    content: bytes | None
    error: str | None = None
    is_private: bool = False


async def read_pictures(
    request: Request, service: Service, kind: type[PicturesRequest] = PicturesRequest
) -> list[Picture]:
    """Return the pictures of a request.

    Its body is `multipart/form-data` with one or several fields `image`, a picture
    itself, or JSON; it is then, without the pictures, in `request.state.asked`.

    Args:
        request: Whose body nobody has read, and which `limits.BodyLimit` has bounded.
        service: For its limits.
        kind: What JSON may hold. Default: pictures alone.

    Raises:
        ProblemError: The body is too large (413), of another type (415), malformed
            (400), or without a picture, with too many, or with other fields (422); or
            all that is in memory is too much (503).
    """
    content_type, parameters = _content_type(request)
    if content_type == "multipart/form-data":
        return await _of_multipart(request, parameters.get("boundary", ""), service)
    if content_type == "application/json":
        return await _of_json(await _body(request), request, service, kind)
    if content_type.startswith("image/") or content_type in (
        "",
        "application/octet-stream",
    ):
        return [_raw(await _body(request))]
    raise ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported type",
        "Expected multipart/form-data, application/json, or a picture itself "
        f"(image/*). Received: {shown(content_type)[:80]}.",
        {"Accept": "multipart/form-data, application/json, image/*"},
    )


def plain(name: str, place: int) -> str:
    """Return the last part of a name, without control characters, not too long.

    Args:
        name: That was given; "" if none was.
        place: Of the picture in the request, from 1 on.
    """
    name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[:MOST_LETTERS] or UNNAMED.format(
        place
    )


def shown(text: str) -> str:
    """Return a text with `?` for what cannot be seen."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _content_type(request: Request) -> tuple[str, dict[str, str]]:
    """Return type and parameters, in lower case; empty where there is none."""
    message = Message()
    # Python's own parser takes seconds for a long one with a quote that does not end.
    message["content-type"] = request.headers.get("content-type", "")[:_LONGEST_TYPE]
    first, *others = message.get_params(failobj=[("", "")])
    parameters = {name.lower(): str(value) for name, value in others}
    return first[0].strip().lower(), parameters


async def _body(request: Request) -> bytes:
    """Return the body; unlike `Request.body`, the request does not keep it."""
    return b"".join([piece async for piece in request.stream()])


def _raw(content: bytes) -> Picture:
    if not content:
        raise unprocessable("Expected a picture. Received: an empty body.")
    return Picture(UNNAMED.format(1), content)


async def _of_multipart(
    request: Request, boundary: str, service: Service
) -> list[Picture]:
    parser = Multipart(boundary, FIELD, service.settings.max_images)
    try:
        async for piece in request.stream():
            parser.feed(piece)
        pictures: list[Picture] = []
        parts = parser.end()
        while parts:  # each is in memory twice for a moment only
            name, content = parts.popleft()
            pictures.append(
                Picture(plain(name or "", len(pictures) + 1), bytes(content))
            )
        return pictures
    finally:
        parser.close()


async def _of_json(
    body: bytes, request: Request, service: Service, kind: type[PicturesRequest]
) -> list[Picture]:
    # What becomes of two megabytes of `1,1,1,` takes one gigabyte. All values but the
    # first come after one of these.
    values = sum(map(body.count, (b",", b"[", b"{")))
    if values > MOST_VALUES * service.settings.max_images:
        raise too_many(service.settings.max_images)
    asked = await _off_loop(len(body), lambda: _parsed(body, kind))
    if len(asked.images) > service.settings.max_images:
        raise too_many(service.settings.max_images)
    # Without the pictures: as text they would stay until the answer is there.
    request.state.asked = asked.model_copy(update={"images": []})
    decoded = await _off_loop(
        len(body), lambda: [*map(_decoded, asked.images, count(1))]
    )
    fetcher = _Fetcher(service, held(request))
    return await fetcher.fetch_all(asked.images, decoded)


async def _off_loop(size_bytes: int, call: Callable[[], Result]) -> Result:
    """Run what takes long with many bytes where it does not hold others up."""
    if size_bytes < _IN_A_THREAD:
        return call()
    return await asyncio.to_thread(call)


def _parsed(body: bytes, kind: type[PicturesRequest]) -> PicturesRequest:
    try:
        # Strict: a number is no truth value, and no text is a number.
        return kind.model_validate_json(body, strict=True)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        if faults[0]["type"] != "json_invalid":
            raise invalid(faults, kind.model_fields) from error
        reason = faults[0]["msg"].removeprefix("Invalid JSON: ")
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "Malformed body",
            f"Expected JSON in UTF-8. Received: a body that is not ({reason}).",
        ) from error


def _decoded(given: GivenPicture, place: int) -> Picture | None:
    """Return a picture that came as base64; None of one that is to be fetched."""
    name = plain(given.name or "", place)
    if given.base64 is None:
        return None
    text = given.base64
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            return Picture(name, None, f"{name}: expected a data: URL with ;base64.")
    try:
        # Not by `split`: of a text of nothing but blanks it makes millions of texts.
        content = base64.b64decode(text.translate(_BLANKS), validate=True)
    except (binascii.Error, ValueError) as error:
        reason = str(error)
        return Picture(name, None, f"{name}: expected base64, received: {reason}.")
    return Picture(name, content)


class _Fetcher:
    """Fetches the pictures of one request, several at a time.

    Together they may be as large as a body: what one takes is not left for the rest.
    """

    def __init__(self, service: Service, hold: Callable[[int], None]) -> None:
        settings = service.settings
        self._hold = hold
        self._left_bytes = settings.max_mb * MEGABYTE
        self._timeout_s = min(FETCH_S, settings.timeout_s / 2)
        self._allow_private = settings.allow_private
        self._places = asyncio.Semaphore(FETCHES)

    async def fetch_all(
        self, images: list[GivenPicture], decoded: list[Picture | None]
    ) -> list[Picture]:
        """Return all pictures, those that are there already too."""
        waiting: list[Coroutine[Any, Any, Picture]] = [
            self._fetch(given, place) if picture is None else _itself(picture)
            for place, (given, picture) in enumerate(
                zip(images, decoded, strict=True), 1
            )
        ]
        return [*await asyncio.gather(*waiting)]

    async def _fetch(self, given: GivenPicture, place: int) -> Picture:
        url = given.url or ""
        name = plain(given.name, place) if given.name else shown(url)
        async with self._places:
            try:
                await self._wait_for_place(url)
                content = await _in_daemon(
                    lambda: self._content(url), _fetching.release
                )
            except (DownloadError, OSError, ValueError) as error:
                is_private = getattr(error, "kind", None) == PRIVATE
                return Picture(name, None, shown(sentence(error, name)), is_private)
        self._hold(len(content))
        self._left_bytes -= len(content)
        if self._left_bytes < 0:
            return Picture(name, None, f"{name}: {self._too_much()}")
        return Picture(name, content)

    async def _wait_for_place(self, url: str) -> None:
        """Take a place among all that are fetched; no thread waits for it.

        Raises:
            DownloadError: None has become free in time.
        """
        ends_at = time.monotonic() + self._timeout_s
        while not _fetching.acquire(blocking=False):
            if time.monotonic() > ends_at:
                raise DownloadError(f"{url}: too many others are being fetched.")
            await asyncio.sleep(_LOOK_S)

    def _content(self, url: str) -> bytes:
        from edgeclf.inputs.fetch import Limits, fetch_image  # most need it not

        limits = Limits(
            size_bytes=max(1, self._left_bytes),
            total_s=self._timeout_s,
            connect_s=min(5.0, self._timeout_s),
        )
        return fetch_image(url, allow_private=self._allow_private, limits=limits)

    def _too_much(self) -> str:
        return "all pictures of the request together are too large."


async def _itself(picture: Picture) -> Picture:
    return picture


async def _in_daemon(call: Callable[[], Result], at_end: Callable[[], None]) -> Result:
    """Run a call in a thread that does not keep the process from ending.

    Args:
        call: That takes long.
        at_end: Called once when it has ended, also when nobody waits any more.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        finally:
            at_end()
        with suppress(RuntimeError):  # the loop has ended meanwhile, and who waited too
            loop.call_soon_threadsafe(settle, result, failure)

    try:
        threading.Thread(target=work, name="fetch", daemon=True).start()
    except RuntimeError:  # there may be no more of them
        at_end()
        raise
    return await future
