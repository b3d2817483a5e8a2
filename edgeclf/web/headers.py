"""Headers that every answer has, so that a browser keeps pages to themselves."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = "/static/"

# Nothing is loaded from elsewhere, and no script stands in a page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_REFUSED = (
    *("accelerometer", "autoplay", "display-capture", "encrypted-media"),
    *("fullscreen", "geolocation", "gyroscope", "hid", "idle-detection"),
    *("local-fonts", "magnetometer", "microphone", "midi", "payment"),
    *("picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial"),
    *("usb", "xr-spatial-tracking"),
)
PERMISSIONS_POLICY = ", ".join(
    ["camera=(self)", *(f"{feature}=()" for feature in _REFUSED)]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": PERMISSIONS_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Others learn nothing. `no-referrer` would also take the Origin from our own
    # forms, which is what tells them from forms of other pages where there is no
    # Sec-Fetch-Site. Source: Fetch Standard, "append a request `Origin` header".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Of https alone; half a year, this host only: what runs beside it is not ours.
STRICT_TRANSPORT_SECURITY = "max-age=15552000"
_ENCODED = tuple(
    (name.lower().encode(), value.encode()) for name, value in HEADERS.items()
)
_HTTPS_ONLY = (b"strict-transport-security", STRICT_TRANSPORT_SECURITY.encode())
_CACHE_CONTROL = b"cache-control"


class Headers:
    """Sets what an answer does not set itself.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                wanted = _wanted(scope, message["status"])
                given += [pair for pair in wanted if pair[0] not in names]
                message = {**message, "headers": given}
            await send(message)

        await self._app(scope, receive, with_headers)


def _wanted(scope: Scope, status: int) -> Iterator[tuple[bytes, bytes]]:
    yield from _ENCODED
    # A file is asked for again each time and sent if it has changed.
    is_file = scope["path"].startswith(STATIC) and status < 400
    yield _CACHE_CONTROL, b"no-cache" if is_file else b"no-store"
    if scope["scheme"] == "https":
        yield _HTTPS_ONLY
