"""Errors of the API as problem details, and of pages as pages.

Source: RFC 9457.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeclf.web.engine import BusyError

logger = logging.getLogger("edgeclf")

CONTENT_TYPE = "application/problem+json"
# For people: the page of the API says of each status what to do.
TYPE = "/api#status-{}"
_MACHINES = ("/v1/", "/healthz", "/metrics", "/openapi.json")


class ProblemError(Exception):
    """An error that is answered with problem details.

    Args:
        status: Of the answer, such as 422.
        title: What kind of error it is; the same for all of a kind.
        detail: A sentence: what was expected, what came, what to do.
        headers: Of the answer, `Retry-After` perhaps.
        extensions: What else the answer tells, by name.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})


def problem_response(problem: ProblemError) -> Response:
    """Return a problem as the answer of the API; also for middleware."""
    return JSONResponse(
        {
            **problem.extensions,
            "type": TYPE.format(problem.status),
            "title": problem.title,
            "status": problem.status,
            # What came may hold halves of letters, which UTF-8 has not.
            "detail": problem.detail.encode("utf-8", "replace").decode(),
        },
        problem.status,
        problem.headers,
        CONTENT_TYPE,
    )


def busy_problem(error: BusyError) -> ProblemError:
    """Return the problem of a full queue: come again a little later."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Busy",
        f"The server has more pictures to work on than it can queue. Send yours again "
        f"in {error.retry_after_s} s.",
        {"Retry-After": str(error.retry_after_s)},
    )


def unprocessable(detail: str) -> ProblemError:
    """Return the problem of a request that is well-formed, but cannot be followed."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid values", detail)


def too_many(most: int) -> ProblemError:
    """Return the problem of a request with more pictures than are taken."""
    return unprocessable(
        f"Expected at most {most} pictures in a request. Received: more. Send them in "
        "several."
    )


def install(app: FastAPI) -> None:
    """Let all errors of an app be answered so; to be called before it runs."""

    async def answer(request: Request, error: Exception) -> Response:
        return _answer(request, _problem(error))

    for kind in (ProblemError, BusyError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)
    app.add_middleware(_LastResort)


class _LastResort:
    """Answer what nobody foresaw with a problem; log it once, with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if has_begun:
                raise  # the server cuts the connection, and logs it
            # As text of Python: an address may hold line ends and codes of terminals.
            logger.exception("%s %r failed.", scope["method"], scope["path"])
            answer = _answer(Request(scope), unforeseen())
            await answer(scope, receive, send)


def _problem(error: Exception) -> ProblemError:
    """Return an error that a handler is there for as a problem."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, BusyError):
        return busy_problem(error)
    if isinstance(error, RequestValidationError):
        return invalid(error.errors())
    if not isinstance(error, HTTPException):
        return unforeseen()
    title = HTTPStatus(error.status_code).phrase
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND and detail == title:
        detail = "There is nothing at this address. /api lists all that there is."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"Expected {allowed} for this address. /api tells what it takes."
    return ProblemError(error.status_code, title, detail, error.headers)


def invalid(errors: Any, known: Collection[str] | None = None) -> ProblemError:
    """Return the problem of values that pydantic refuses: where, and why.

    Args:
        errors: Of pydantic.
        known: Names that there are, to be told to who gave another. Default: they are
            not told.
    """
    faults = [
        f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg']}"
        for error in errors[:5]
    ]
    is_unknown = any(
        error["type"] == "extra_forbidden" and len(error["loc"]) == 1
        for error in errors
    )
    names = ""
    if is_unknown and known is not None:
        names = f" Known here: {', '.join(known) or 'none'}."
    return unprocessable(
        f"Expected what /api describes. Received: {'; '.join(faults)}.{names}"
    )


def unforeseen() -> ProblemError:
    """Return the problem of an error that nobody thought of."""
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "The server failed at this. Its log says why.",
    )


def _answer(request: Request, problem: ProblemError) -> Response:
    """Return problem details; a page to who wants to look at one."""
    path = request.scope["path"]
    wants_page = "text/html" in request.headers.get("accept", "")
    if path.startswith(_MACHINES) or not wants_page:
        return problem_response(problem)
    page: Response = request.app.state.service.templates.TemplateResponse(
        request,
        "problem.html",
        {"problem": problem},
        problem.status,
        problem.headers,
    )
    return page
