"""What a request must pass before anything is done, from the outermost guard on.

1. `Headers` gives every answer, refusals too, what a browser is to obey.
2. `Refusals` makes an answer of what the guards below raise.
3. `HeadLimit`: how long address and headers are.
4. `HostCheck`: was this server meant? Pages of others learn nothing below this. With a
   token every name will do: the session's cookie belongs to one.
5. `OriginCheck`: does a page of our own ask for a change, or a program?
6. `TimeLimit`: for all below, reading the body included.
7. `BodyLimit`: for all below, the login form included.
8. `Door`: the token; only with one. Strangers take no place among the requests.
9. `RequestLimit`: how many are in work.
10. `Head`: has HEAD answered as GET.

The cheap checks come first, and none of the first five reads the body.
`web.connections` stands before all of them: it sees bytes, not requests.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from edgeclf.web.head import Head
from edgeclf.web.headers import Headers
from edgeclf.web.limits import BodyLimit, HeadLimit, RequestLimit, TimeLimit
from edgeclf.web.login import Door
from edgeclf.web.origin import HostCheck, OriginCheck
from edgeclf.web.refusals import Refusals
from edgeclf.web.service import Service


def guarded(app: ASGIApp, service: Service) -> ASGIApp:
    """Return the app behind all guards."""
    settings = service.settings
    inner: ASGIApp = RequestLimit(Head(app), settings.queue + settings.workers)
    if settings.token is not None:
        inner = Door(inner, settings.token, service.templates)
    inner = BodyLimit(inner, settings.max_mb)
    inner = TimeLimit(inner, settings.timeout_s)
    inner = OriginCheck(inner)
    # A session's cookie is of one name: without it another name's page gets nothing.
    if settings.token is None:
        inner = HostCheck(inner, settings.host, settings.hostnames)
    inner = HeadLimit(inner)
    inner = Headers(Refusals(inner, service.templates))

    async def only_http(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await inner(scope, receive, send)
        elif scope["type"] == "lifespan":
            await app(scope, receive, send)
        else:
            await send({"type": "websocket.close"})  # there are none here

    return only_http
