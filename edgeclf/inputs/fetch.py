"""Fetch one picture from the web: bounded in size and time, public addresses only."""

from __future__ import annotations

import email.message
import email.utils
import http.client
import math
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from http import HTTPStatus

from edgeclf.inputs.connection import (
    CHUNK_BYTES,
    PORTS,
    FetchError,
    Server,
    connect,
    plain,
    printable,
    refusal,
)

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
PAUSE_S = 0.5  # before the second attempt
TIMEOUT, TOO_LARGE, NOT_A_PICTURE = "timeout", "too large", "not a picture"
REDIRECTS, UNREACHABLE, CUT = "redirects", "unreachable", "connection cut"
CERTIFICATE, NOT_HTTP, EMPTY = "certificate", "not http", "empty"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Besides image/*. The second is what S3 says of files that it was told no type of.
_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})


@dataclass(frozen=True)
class Limits:
    """What one picture may cost.

    Attributes:
        size_bytes: The most that is taken of one picture.
        total_s: Seconds for everything: lookup, redirects, both attempts, the body.
        connect_s: Seconds to look up a name and to reach its host.
        redirects: How often the server may send us elsewhere.
    """

    size_bytes: int = 64 << 20
    total_s: float = 30.0
    connect_s: float = 10.0
    redirects: int = 5


LIMITS = Limits()


def _at_once(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Asking:
    """What is asked for, and how.

    Attributes:
        accept: The types that are wanted, for the server.
        is_wanted: Whether the answer's type (such as `image/png`, "" for none) is.
        noun: What errors call it.
        contact: An address of who asks, for the server; None for none.
        visiting: Called with each host's name and port before it is reached, for a
            block in which it is. What that yields are the seconds that it took to
            begin, which do not count.
        authorization: What shows that we may ask, for the first server alone; None for
            nothing.
    """

    accept: str
    is_wanted: Callable[[str], bool]
    noun: str
    contact: str | None = None
    visiting: Callable[[str], AbstractContextManager[float | None]] = _at_once
    authorization: str | None = None


def is_picture_type(kind: str) -> bool:
    """Return whether a body of this type may be a picture."""
    return kind in _TYPES or kind.startswith("image/")


PICTURE = Asking("image/*", is_picture_type, "picture")


def fetch_image(
    url: str, *, allow_private: bool = False, limits: Limits = LIMITS
) -> bytes:
    """Return the encoded picture at an address; what may pass is tried once more.

    Every address that the host's name stands for must be public, and the connection
    goes to one that was checked: no second lookup can lead it elsewhere. That holds
    for each redirect again, and none leads from https to http.

    Proxies of the environment (`http_proxy`) are not used: a proxy looks names up
    itself, so nothing of this would hold. Where there is no other way out, let another
    program fetch the picture, and give the file or pipe it to `-`.

    Args:
        url: http or https, without a user name.
        allow_private: Let it lead to private, loopback and other special addresses.
        limits: Size and times.

    Returns:
        The body of the answer; whether it is a picture, decoding shows.

    Raises:
        DownloadError: The address is malformed or not public, its host cannot be
            reached, or the answer is of another type, empty, or beyond `limits`.
    """
    deadline = time.monotonic() + limits.total_s
    try:
        return fetch(url, PICTURE, deadline, allow_private=allow_private, limits=limits)
    except FetchError as error:
        if not error.passing or time.monotonic() + PAUSE_S > deadline:
            raise
    time.sleep(PAUSE_S)
    return fetch(url, PICTURE, deadline, allow_private=allow_private, limits=limits)


def fetch(
    url: str, asking: Asking, deadline: float, *, allow_private: bool, limits: Limits
) -> bytes:
    """Return the body at an address, after one attempt.

    Args:
        url: See `fetch_image`.
        asking: What is asked for.
        deadline: When to give up, by `time.monotonic`.
        allow_private: See `fetch_image`.
        limits: Size, times and redirects; `total_s` is only named in errors.

    Raises:
        FetchError: It cannot be had, or could not be had this time.
    """
    place, host = url, None
    reached = False
    try:
        for _ in range(limits.redirects + 1):
            server = Server.of(place)
            host = server.name
            with asking.visiting(host) as waited_s:
                deadline += waited_s or 0.0
                until = min(deadline, time.monotonic() + limits.connect_s)
                reached = False
                stream = connect(server, until, deadline, allow_private=allow_private)
                reached = True
                is_first = server[1:4] == Server.of(url)[1:4]  # not for others' ears
                secret = asking.authorization if is_first else None
                with (
                    stream,
                    closing(
                        stream.ask(server, asking.accept, asking.contact, secret)
                    ) as answer,
                ):
                    if answer.status not in _REDIRECTS:
                        return _body(place, answer, asking, limits.size_bytes)
                    place = _redirect(place, answer)
    except FetchError as error:
        error.host = host
        raise
    except (OSError, http.client.HTTPException) as error:
        kind, reason = _reason(error)
        if not reached and kind != CERTIFICATE:
            kind = UNREACHABLE
        if time.monotonic() >= deadline:
            reason = f"it took more than {limits.total_s:g} s"
        failure = FetchError(
            f"Cannot fetch {printable(url)}: {reason}.",
            kind=kind,
            passing=_may_pass(error),
        )
        failure.host = host
        raise failure from error
    reason = f"it was redirected more than {limits.redirects} times"
    raise refusal(url, reason, REDIRECTS)


def _redirect(place: str, response: http.client.HTTPResponse) -> str:
    """Return where the answer sends us."""
    location = response.headers.get("Location", "")
    # Headers are read as Latin-1; what servers mean is UTF-8.
    location = location.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    try:
        target = urllib.parse.urljoin(place, location)
    except ValueError:
        target = ""
    old, new = (url.partition(":")[0].lower() for url in (place, target))
    if not location or new not in PORTS or (old, new) == ("https", "http"):
        reason = f"it was redirected to {plain(printable(location)) or 'nowhere'}"
        raise refusal(place, f"{reason}, which is not as safe", REDIRECTS)
    return target


def _body(
    place: str, response: http.client.HTTPResponse, asking: Asking, limit: int
) -> bytes:
    """Return what was asked for, of which no more than `limit` bytes are taken."""
    status = plain(f"{response.status} {response.reason}").strip()
    if response.status != HTTPStatus.OK:
        raise FetchError(
            f"Cannot fetch {printable(place)}: the server answered {status}.",
            kind=str(response.status),
            passing=response.status in RETRIED_STATUS,
            wait_s=_wait_s(response.headers),
        )
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not asking.is_wanted(kind):
        reason = f"expected a {asking.noun}, received {plain(kind)}"
        raise refusal(place, reason, NOT_A_PICTURE)
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        reason = f"expected a plain answer, received {plain(coding)}"
        raise refusal(place, reason, NOT_A_PICTURE)
    announced = response.length
    body = bytearray()
    while announced is None or len(body) < announced:
        if max(len(body), announced or 0) > limit:
            raise refusal(place, f"it is larger than {limit} bytes", TOO_LARGE)
        chunk = response.read1(CHUNK_BYTES)
        if not chunk:
            break
        body += chunk
    if announced is not None and len(body) < announced:
        raise ConnectionError(
            f"the connection was cut after {len(body)} of {announced} bytes"
        )
    if not body:
        raise refusal(place, f"expected a {asking.noun}, received 0 bytes", EMPTY)
    return bytes(body)


def _wait_s(headers: email.message.Message) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, a number or a date.

    A date counts from the server's own, if it says that: this machine's clock may be
    wrong.

    Source: RFC 9110, sections 10.2.3 and 6.6.1.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _seconds_of(text)
    if until is None:
        return None
    now = _seconds_of(headers.get("Date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _seconds_of(date: str) -> float | None:
    """Return the seconds since 1970 of a date in a header, None if it is none."""
    try:
        seconds = email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return seconds if math.isfinite(seconds) else None


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may fare better."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, ssl.SSLCertVerificationError)


def _reason(error: Exception) -> tuple[str, str]:
    """Return what went wrong, in a word or two and in a clause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE, f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, http.client.RemoteDisconnected):
        return CUT, "the server hung up without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return CUT, "the connection was cut"
    if isinstance(error, http.client.BadStatusLine):
        return NOT_HTTP, "the answer is not http"
    reason = error.strerror if isinstance(error, OSError) else None
    clause = plain(reason or str(error) or type(error).__name__).rstrip(".")
    return _kind(error), clause


def _kind(error: Exception) -> str:
    if isinstance(error, http.client.HTTPException):
        return NOT_HTTP
    return TIMEOUT if isinstance(error, TimeoutError) else CUT
