"""The door: a token, of programs with each request, of people on a page, once."""

from __future__ import annotations

import hmac
import re
import time
import urllib.parse
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeclf.web.guesses import Guesses
from edgeclf.web.headers import STATIC
from edgeclf.web.problems import ProblemError
from edgeclf.web.sessions import DURATION_S, Sessions

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

LOGIN, LOGOUT = "/login", "/logout"
# What everybody may ask for: how the pages look, and whether the server lives.
FREE = ("/healthz",)
_MAX_FORM = 8192  # bytes
_MAX_FIELDS = 8
# An address of this server as browsers read it: they take `\` for `/`, drop tabs and
# line ends, and `//` begins another server. Source: URL Standard, 4.4.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class Door:
    """Lets nobody in without the token.

    Args:
        app: What answers who is let in.
        token: That is asked for.
        templates: Of the pages.
    """

    def __init__(self, app: ASGIApp, token: str, templates: Jinja2Templates) -> None:
        self._app = app
        self._token = token.encode()
        self._sessions = Sessions(token)
        self._guesses = Guesses()
        self._page = templates.get_template("login.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: Who asks is not let in.
        """
        path = scope["path"]
        if path == LOGIN:
            answer = await self._login(Request(scope, receive))
        elif path == LOGOUT and scope["method"] == "POST":
            answer = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
            self._set_cookie(answer, scope, "", 0)
            # What pages have kept of pictures goes too.
            answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        elif path in FREE or path.startswith(STATIC) or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        else:
            answer = self._refused(scope)
        await answer(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        """Tell whether a session or a token comes with the request.

        Raises:
            ProblemError: Too many wrong tokens came.
        """
        headers = Headers(scope=scope)
        cookies = headers.get("cookie", "")
        if self._sessions.is_open(cookies, time.time()):
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_right(token.strip(), scope)

    def _is_right(self, token: str, scope: Scope) -> bool:
        """Tell whether this is the token, and count who is wrong.

        Raises:
            ProblemError: Too many wrong tokens came.
        """
        address = (scope.get("client") or ("unknown",))[0]
        wait_s = self._guesses.wait_s(address, time.monotonic())
        if wait_s:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many wrong tokens",
                f"Expected the token. Received too many wrong ones. Try again in "
                f"{wait_s} s.",
                {"Retry-After": str(wait_s)},
            )
        # Header values come as Latin-1. Source: ASGI specification, HTTP scope.
        if hmac.compare_digest(token.encode(errors="replace"), self._token):
            self._guesses.was_right(address)
            return True
        self._guesses.was_wrong(address, time.monotonic())
        return False

    def _refused(self, scope: Scope) -> Response:
        """Return the way to the login page.

        Raises:
            ProblemError: A program asks, not a person.
        """
        headers = Headers(scope=scope)
        is_page = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get(
            "accept", ""
        )
        if is_page:
            target = _target(scope)
            query = "" if target == "/" else "?next=" + urllib.parse.quote(target, "")
            return RedirectResponse(LOGIN + query, HTTPStatus.SEE_OTHER)
        came = "a wrong one" if "authorization" in headers else "none"
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Token needed",
            f"Expected the header `Authorization: Bearer TOKEN`. Received: {came}. "
            f"In a browser, log in at {LOGIN} first.",
            {"WWW-Authenticate": 'Bearer realm="edgeclf"'},
        )

    async def _login(self, request: Request) -> Response:
        """Show the page, or open a session.

        Raises:
            ProblemError: Another method than these, or a form that is too large.
        """
        headers = request.headers
        if request.method in ("GET", "HEAD"):
            target = own_path(request.query_params.get("next", "/"))
            if self._sessions.is_open(headers.get("cookie", ""), time.time()):
                return RedirectResponse(target, HTTPStatus.SEE_OTHER)
            # A link of another site leads here without the cookie of who is logged in.
            is_link = headers.get("sec-fetch-site") in ("cross-site", "same-site")
            return self._shown(target, is_link=is_link)
        if request.method != "POST":
            raise ProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "Method not allowed",
                f"Expected GET or POST for {LOGIN}. Received: {request.method}.",
                {"Allow": "GET, HEAD, POST"},
            )
        form = await _form(request)
        target = own_path(form.get("next", ["/"])[0])
        try:
            is_right = self._is_right(form.get("token", [""])[0].strip(), request.scope)
        except ProblemError as problem:
            return self._shown(target, problem)
        if not is_right:
            wrong = ProblemError(
                HTTPStatus.FORBIDDEN, "Wrong token", "This is not the token. Try again."
            )
            return self._shown(target, wrong)
        answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        content = self._sessions.issue(time.time())
        self._set_cookie(answer, request.scope, content, DURATION_S)
        return answer

    def _shown(
        self, target: str, problem: ProblemError | None = None, is_link: bool = False
    ) -> Response:
        html = self._page.render(target=target, problem=problem, is_link=is_link)
        return Response(
            html,
            problem.status if problem else HTTPStatus.OK,
            problem.headers if problem else None,
            "text/html",
        )

    def _set_cookie(
        self, answer: Response, scope: Scope, value: str, max_age: int
    ) -> None:
        is_https = _is_https(scope)
        answer.set_cookie(
            self._sessions.name(is_https),
            value,
            max_age=max_age,
            path="/",
            secure=is_https,
            httponly=True,
            samesite="strict",
        )


def own_path(text: str) -> str:
    """Return an address of this server; `/` for any other, and for the door's own."""
    if not _OWN_PATH.fullmatch(text) or text.startswith((LOGIN, LOGOUT)):
        return "/"
    return text


async def _form(request: Request) -> dict[str, list[str]]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MAX_FORM:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "Form too large",
                f"Expected a form of {_MAX_FORM:,} bytes or fewer. Received: more.",
            )
    try:
        text = content.decode("utf-8", "replace")
        return urllib.parse.parse_qs(text, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "Form not understood",
            f"Expected {_MAX_FIELDS} fields or fewer. Received: more.",
        ) from error


def _target(scope: Scope) -> str:
    """Return the address that was asked for, as it was written."""
    path, query = scope["raw_path"], scope["query_string"]
    address = path + (b"?" + query if query else b"")
    return own_path(address.decode("latin-1"))


def _is_https(scope: Scope) -> bool:
    """Tell whether the browser speaks https, with us or with a proxy before us."""
    origin = Headers(scope=scope).get("origin", "")
    return scope["scheme"] == "https" or origin.startswith("https://")
