"""Ask servers for pictures and answers, politely: few at a time, again after a while.

```
Web ── attempts, back-off ──▶ fetch ── each host, redirects too ──▶ Hosts: few at a time
```
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeclf.collecting.hosts import Hosts
from edgeclf.inputs.connection import FetchError, Server, printable
from edgeclf.inputs.fetch import (
    LIMITS,
    UNREACHABLE,
    Asking,
    Limits,
    fetch,
    is_picture_type,
)

JSON_BYTES = 16 << 20  # of one answer; a page of 500 results has less than 1 MB
NOT_JSON = "not JSON"
OUT_OF_REACH = 8  # attempts in a row that did not reach a host: it is left alone then


@dataclass(frozen=True)
class Manners:
    """How servers are treated.

    Attributes:
        per_host: Connections to one host at a time.
        pause_s: Seconds between the beginnings of two connections to one host.
        attempts: How often to ask for one thing, 1 or more, if what fails may pass.
        backoff_s: Seconds before the second attempt, give or take a half; they double
            with each further one.
        longest_wait_s: The longest wait: a server that asks for more is not asked
            for anything any more.
    """

    per_host: int = 2
    pause_s: float = 0.0
    attempts: int = 4
    backoff_s: float = 0.5
    longest_wait_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("per_host", "attempts"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"Expected {name} of 1 or more. Received: {getattr(self, name)}."
                )
        for name in ("pause_s", "backoff_s", "longest_wait_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"Expected {name} of 0 or more seconds. "
                    f"Received: {getattr(self, name)}."
                )


class Web:
    """The way out to servers, for any number of threads.

    What may pass (time-outs, cut connections, 408, 429, 500, 502, 503, 504) is tried
    again, after a pause that doubles, or as long as the server says in `Retry-After`.
    All that `edgeclf.inputs.fetch` promises holds for each attempt: sizes, times, and
    public addresses only.

    Args:
        allow_private: Let addresses lead to this machine and the local network.
        manners: How servers are treated.
        limits: What one attempt may cost; time spent waiting for a turn not counted.
        contact: An address where you are reached, sent along in `User-Agent`; some
            services ask for one.

    Attributes:
        manners: See above.
        limits: See above.

    Raises:
        ValueError: `contact` is not one line of ASCII.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        manners: Manners = Manners(),
        limits: Limits = LIMITS,
        contact: str | None = None,
    ) -> None:
        if contact is not None and not re.fullmatch(r"[ -~]+", contact):
            raise ValueError(
                f"Expected a contact in one line of ASCII. Received: {contact!r}."
            )
        self.manners = manners
        self._allow_private = allow_private
        self.limits = limits
        self._closed = threading.Event()
        self._hosts = Hosts(manners.per_host, manners.pause_s, self._closed)
        # By name and port: attempts in a row, and what else it is left alone for.
        self._missed: dict[str, int] = {}
        self._refusing: dict[str, FetchError] = {}
        visiting = self._hosts.visiting
        self._picture = Asking("image/*", is_picture_type, "picture", contact, visiting)
        # Errors come with other types: what counts is whether it can be parsed.
        self._json = Asking(
            "application/json", lambda _: True, "JSON answer", contact, visiting
        )

    def get_picture(self, url: str) -> bytes:
        """Return the encoded picture at an address.

        Raises:
            FetchError: It cannot be had; a `DownloadError`.
        """
        return self._patiently(url, self._picture, self.limits)

    def get_json(
        self, url: str, parameters: Mapping[str, str], authorization: str | None = None
    ) -> Any:
        """Return what a service answers.

        Args:
            url: Address of the service.
            parameters: What to ask; it is not repeated in errors, as it may hold keys.
            authorization: The header of this name, one line of ASCII; it goes to this
                server alone, wherever that redirects to.

        Raises:
            FetchError: It cannot be had, or is not JSON; a `DownloadError`.
        """
        limits = replace(self.limits, size_bytes=JSON_BYTES)
        try:
            asking = replace(self._json, authorization=authorization)
            body = self._patiently(_with(url, parameters), asking, limits)
        except FetchError as error:
            said = re.sub(r"\?\S*", "?...", str(error))
            raise FetchError(said, kind=error.kind, passing=error.passing) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise FetchError(
                f"Expected JSON from {printable(url)}. "
                f"Received: {len(body)} bytes of something else.",
                kind=NOT_JSON,
            ) from None

    def close(self) -> None:
        """End all waiting, in every thread; nothing more is asked for."""
        self._closed.set()
        self._hosts.wake()

    def _patiently(self, url: str, asking: Asking, limits: Limits) -> bytes:
        """Fetch, and try again what may pass."""
        first = Server.of(url).name
        attempt = 0
        while True:
            attempt += 1
            self._check_in_reach(url, first)
            try:
                body = self._fetch(url, asking, limits)
            except FetchError as error:
                host = error.host or first
                self._count(host, error.kind == UNREACHABLE)
                if not error.passing:
                    raise
                wait_s = self._wait_s(attempt, error)
                # Others would be told the same.
                if wait_s > self.manners.longest_wait_s:
                    self._refusing[host] = error
                    raise
                if error.wait_s:
                    self._hosts.hold(host, time.monotonic() + wait_s)
                if attempt == self.manners.attempts:
                    raise
                self._closed.wait(wait_s)
            else:
                self._count(first, False)
                return body

    def _fetch(self, url: str, asking: Asking, limits: Limits) -> bytes:
        return fetch(
            url,
            asking,
            time.monotonic() + limits.total_s,
            allow_private=self._allow_private,
            limits=limits,
        )

    def _wait_s(self, attempt: int, error: FetchError) -> float:
        """Return how long to wait after an attempt."""
        backoff_s: float = self.manners.backoff_s * 2.0 ** (attempt - 1)
        backoff_s *= random.uniform(0.5, 1.5)  # noqa: S311 - so that not all come back at once
        return max(min(backoff_s, self.manners.longest_wait_s), error.wait_s or 0.0)

    def _count(self, host: str, missed: bool) -> None:
        self._missed[host] = self._missed.get(host, 0) + 1 if missed else 0

    def _check_in_reach(self, url: str, host: str) -> None:
        """Refuse to try a host that was not reached many times, or wants to be left.

        Raises:
            FetchError: It is such a host.
        """
        if (said := self._refusing.get(host)) is not None:
            raise FetchError(
                f"Cannot fetch {printable(url)}: its host answered {said.kind} before, "
                f"and asked to be left alone for {said.wait_s or 0.0:.0f} s.",
                kind=said.kind,
                passing=True,
            )
        if self._missed.get(host, 0) >= OUT_OF_REACH:
            raise FetchError(
                f"Cannot fetch {printable(url)}: its host was not reached "
                f"{OUT_OF_REACH} times in a row.",
                kind=UNREACHABLE,
            )


def _with(url: str, parameters: Mapping[str, str]) -> str:
    """Return an address with a query."""
    query = urllib.parse.urlencode(parameters)
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"
