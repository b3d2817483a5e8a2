"""Fetch one picture from the web: bounded in size and time, public addresses only."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.parse
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import (
    CHUNK_BYTES,
    PORTS,
    Server,
    connect,
    plain,
    printable,
    refusal,
)

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
PAUSE_S = 0.5  # before the second attempt

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
        try:
            return _fetch(url, deadline, allow_private, limits)
        except (OSError, http.client.HTTPException) as error:
            if not _may_pass(error) or time.monotonic() + PAUSE_S > deadline:
                raise
        time.sleep(PAUSE_S)
        return _fetch(url, deadline, allow_private, limits)
    except DownloadError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error)
        if time.monotonic() >= deadline:
            reason = f"it took more than {limits.total_s:g} s"
        raise refusal(url, reason) from error


def _fetch(url: str, deadline: float, allow_private: bool, limits: Limits) -> bytes:
    """Follow redirects up to a picture.

    Raises:
        DownloadError: It cannot be had.
        OSError, http.client.HTTPException: It could not be had this time.
    """
    place = url
    for _ in range(limits.redirects + 1):
        server = Server.of(place)
        until = min(deadline, time.monotonic() + limits.connect_s)
        stream = connect(server, until, deadline, allow_private=allow_private)
        with stream, closing(stream.ask(server)) as response:
            if response.status not in _REDIRECTS:
                return _body(place, response, limits.size_bytes)
            place = _redirect(place, response)
    raise refusal(url, f"it was redirected more than {limits.redirects} times")


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
        raise refusal(place, f"{reason}, which is not as safe")
    return target


def _body(place: str, response: http.client.HTTPResponse, limit: int) -> bytes:
    """Return the picture, of which no more than `limit` bytes are taken."""
    status = plain(f"{response.status} {response.reason}").strip()
    if response.status in RETRIED_STATUS:
        raise ConnectionError(f"the server answered {status}")
    if response.status != HTTPStatus.OK:
        raise refusal(place, f"the server answered {status}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES and not kind.startswith("image/"):
        raise refusal(place, f"expected a picture, received {plain(kind)}")
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise refusal(place, f"expected a plain answer, received {plain(coding)}")
    announced = response.length
    body = bytearray()
    while announced is None or len(body) < announced:
        if max(len(body), announced or 0) > limit:
            raise refusal(place, f"it is larger than {limit} bytes")
        chunk = response.read1(CHUNK_BYTES)
        if not chunk:
            break
        body += chunk
    if announced is not None and len(body) < announced:
        raise ConnectionError(
            f"the connection was cut after {len(body)} of {announced} bytes"
        )
    if not body:
        raise refusal(place, "expected a picture, received 0 bytes")
    return bytes(body)


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may fare better."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, (DownloadError, ssl.SSLCertVerificationError))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server hung up without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was cut"
    if isinstance(error, http.client.BadStatusLine):
        return "the answer is not http"
    reason = error.strerror if isinstance(error, OSError) else None
    return plain(reason or str(error) or type(error).__name__).rstrip(".")
