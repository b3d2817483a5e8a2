"""Whether a request was meant for this server, and by whom: names and origins.

A page of another site can make a browser send requests here. It cannot read the
answers, and it cannot choose the headers that are looked at here: `Host`, `Origin` and
`Sec-Fetch-Site` are the browser's own words.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeclf.web.access import is_loopback
from edgeclf.web.problems import ProblemError
from edgeclf.web.sessions import COOKIE

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # Source: RFC 9110, 9.2.1
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


class HostCheck:
    """Refuses names that are not of this server.

    Somebody's domain may be made to lead to this machine's own address; a browser
    takes that for one site with the domain's pages, but says the domain as Host.

    Args:
        app: What answers.
        host: That is bound. Of a loopback one, only loopback names pass; of others all
            addresses, as no domain can be written so, and this machine's own names.
        names: That pass too.
    """

    def __init__(self, app: ASGIApp, host: str, names: Iterable[str] = ()) -> None:
        self._app = app
        self._is_remote = not is_loopback(host)
        self._names = {_bare(name) for name in (host, *names)}
        if self._is_remote:
            own = _bare(socket.gethostname())
            # As machines are called in a home network. Source: RFC 6762, 3.
            self._names |= {own, f"{own.partition('.')[0]}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: It was meant for another server.
        """
        if not self._is_own(Headers(scope=scope).get("host", "")):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Another server was meant",
                "Expected a name of this server as Host. Received another one. If it "
                "is this server's, start it with --hostname NAME.",
            )
        await self._app(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        matched = _HOST.fullmatch(host)
        if matched is None:
            return False
        name = _bare(matched[1])
        if name in self._names or is_loopback(name):
            return True
        return self._is_remote and _is_address(name)


class OriginCheck:
    """Refuses what the page of another site has a browser do.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ProblemError: It changes something, and another site's page asked for it.
        """
        if scope["method"] not in SAFE_METHODS:
            _check_origin(Headers(scope=scope))
        await self._app(scope, receive, send)


def _check_origin(headers: Headers) -> None:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site == "same-origin":
        return
    if site not in (None, "none"):
        raise _refusal(f"a page of another site (Sec-Fetch-Site: {site})")
    if origin is not None:
        if not _is_same(origin, headers.get("host", "")):
            raise _refusal("a page of another site (its Origin is not this Host)")
    elif site is None and COOKIE in headers.get("cookie", ""):
        raise _refusal("a session's cookie without an Origin")


def _refusal(received: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        "Asked for by another site",
        "Expected a request from a page of this server, or from a program. Received: "
        f"one from {received}. Open this server's own page and do it there.",
    )


def _is_same(origin: str, host: str) -> bool:
    """Tell whether an origin is the host; where only a proxy has https, too."""
    scheme, separator, authority = origin.lower().partition("://")
    if not separator or scheme not in _DEFAULT_PORT:
        return False  # `null` too: a page without an origin, of anybody
    port = _DEFAULT_PORT[scheme]
    return authority.removesuffix(port) == host.lower().removesuffix(port) != ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bare(name: str) -> str:
    return name.strip("[]").rstrip(".").lower()
