"""Connect to a web server by a public address, until a deadline."""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import queue
import re
import socket
import ssl
import threading
import time
import urllib.parse
from functools import cache
from typing import Any, NamedTuple, cast

import edgeclf
from edgeclf.errors import DownloadError

PORTS = {"http": 80, "https": 443}
CHUNK_BYTES = 1 << 16
NOT_AN_ADDRESS, PRIVATE = "not an address", "private address"

# What a path and a query may hold as it is. Source: RFC 3986, section 2, with %.
_SAFE = "%/:?#[]@!$&'()*+,;=~"
# Networks whose addresses end in an IPv4 address, which is the one that counts.
# Source: RFC 6052, section 2.1 (NAT64); RFC 4291, section 2.5.5.2 (IPv4-mapped).
_WRAPPING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0/96")))
# What some versions of Python take for public. Source: the IANA registries of special
# addresses; RFC 3056 for 2002::/16, which tunnels to any IPv4 address.
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "2002::/16", "3fff::/20")))


class FetchError(DownloadError):
    """An address could not be had.

    Attributes:
        kind: What is wrong in a word or two, for those who count: the status, such
            as "404", or "timeout", "too large", "private address" and so on.
        passing: Whether another attempt may fare better.
        wait_s: How long the server asks to wait before it; None where it does not.
        host: Name and port of the server that it failed at, to which redirects may
            have led; None if it came to none.
    """

    host: str | None = None

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        passing: bool = False,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.passing = passing
        self.wait_s = wait_s


class Server(NamedTuple):
    """Where a request goes: an address taken apart, in ASCII but for `url`.

    Attributes:
        url: The address as it was given.
        scheme: "http" or "https".
        host: Name or address, without brackets.
        port: As given, else the scheme's own.
        target: Path and query, percent-encoded.
    """

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Server:
        """Take an address apart.

        Raises:
            DownloadError: It is malformed, or holds a user name.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            host = (parts.hostname or "").encode("idna").decode("ascii")
            port = parts.port or PORTS[parts.scheme]
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            target = urllib.parse.quote(target, _SAFE, "utf-8", "surrogateescape")
        except (ValueError, KeyError):  # the reason may show a password
            host = ""
        if not re.fullmatch(r"[\w.:%-]+", host, re.ASCII):
            reason = "expected an address such as https://example.org/a.jpg"
            raise refusal(url, reason, NOT_AN_ADDRESS)
        if "@" in parts.netloc:
            reason = "an address with a user name or password is not taken"
            raise refusal(url, reason, NOT_AN_ADDRESS)
        return cls(url, parts.scheme, host, port, target)


class Stream(io.RawIOBase):
    """A connection that is cut at a deadline, however slowly bytes drip in.

    A socket's own timeout begins anew with every byte.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def ask(
        self,
        server: Server,
        accept: str,
        contact: str | None = None,
        authorization: str | None = None,
    ) -> http.client.HTTPResponse:
        """Send the request and return the answer, of which the headers are read.

        Args:
            server: Where to.
            accept: The types that are wanted, such as `image/*`.
            contact: An address of who asks, ASCII; some servers want one.
            authorization: What shows that we may ask, ASCII.
        """
        host = f"[{server.host}]" if ":" in server.host else server.host
        if server.port != PORTS[server.scheme]:
            host += f":{server.port}"
        agent = f"edgeclf/{edgeclf.__version__}"
        if contact:
            agent += f" ({contact})"
        lines = [
            f"GET {server.target} HTTP/1.1",
            f"Host: {host}",
            f"User-Agent: {agent}",
            f"Accept: {accept}",
            "Accept-Encoding: identity",
            "Connection: close",
        ]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        self._connection.settimeout(_left(self._deadline))
        self._connection.sendall("\r\n".join((*lines, "", "")).encode("ascii"))
        response = http.client.HTTPResponse(cast(socket.socket, self), method="GET")
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def makefile(self, _: str) -> io.BufferedReader:
        """Return what `http.client` reads from."""
        return io.BufferedReader(self, CHUNK_BYTES)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes, but not beyond the deadline."""
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
        super().close()


def connect(
    server: Server, until: float, deadline: float, *, allow_private: bool
) -> Stream:
    """Connect to one of the host's addresses, all of which were checked before.

    Args:
        server: Where to.
        until: When to give up, by `time.monotonic`.
        deadline: When to cut the connection, by the same clock.
        allow_private: Do not check.

    Raises:
        DownloadError: An address of the host is not public.
        OSError: It cannot be reached, or its certificate is not trusted.
    """
    addresses = _look_up(server, until)
    for _, address in addresses:
        if not allow_private and not is_public(address[0]):
            raise refusal(
                server.url,
                f"it leads to {address[0]}, which is not a public address; "
                "--allow_private (allow_private=True) allows it",
                PRIVATE,
            )
    failure: OSError = OSError("it has no address")
    for position, (family, address) in enumerate(addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            # A share of the time each: the first may lead nowhere.
            share = _left(until) / (len(addresses) - position)
            connection.settimeout(share)
            connection.connect(address)
            if server.scheme == "https":
                connection.settimeout(_left(until))
                connection = _context().wrap_socket(
                    connection, server_hostname=server.host
                )
            return Stream(connection, deadline)
        except OSError as error:
            connection.close()
            failure = error
    raise failure


def _context() -> ssl.SSLContext:
    """Return what checks certificates, by those that the system trusts."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # what OpenSSL looks at
    return _loaded_context(*(os.environ.get(name) for name in names))


@cache
def _loaded_context(*_: str | None) -> ssl.SSLContext:
    return ssl.create_default_context()  # takes 20 ms


def _look_up(server: Server, until: float) -> list[tuple[int, tuple[Any, ...]]]:
    """Return `(family, address)` of every address of the host.

    A thread of its own waits, since nothing interrupts a lookup, Ctrl-C included.
    """
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def work() -> None:
        try:
            kind = socket.SOCK_STREAM
            answers.put(socket.getaddrinfo(server.host, server.port, type=kind))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=work, name="edgeclf-lookup", daemon=True).start()
    try:
        found = answers.get(timeout=_left(until))
    except queue.Empty:
        raise TimeoutError("the name lookup took too long") from None
    if isinstance(found, OSError):
        raise found
    return [(family, address) for family, _, _, _, address in found]


def is_public(text: str) -> bool:
    """Return whether an IP address is one of the open internet."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _WRAPPING):
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.is_site_local:
            return False
    if address.is_multicast or address.is_reserved:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def printable(url: str) -> str:
    """Return an address without user name, password and control characters."""
    return _one_line(re.sub(r"^([a-zA-Z]+:/*)[^/?#]*@", r"\1", url))


def refusal(url: str, reason: str, kind: str) -> FetchError:
    """Return the error of an address that no further attempt can mend."""
    return FetchError(f"Cannot fetch {printable(url)}: {reason}.", kind=kind)


def plain(text: str) -> str:
    """Return what a server sent as one short line without control characters."""
    return _one_line(text[:200])


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _left(until: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: None is.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
