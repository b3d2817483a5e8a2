"""How often somebody may be wrong about the token."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque
from typing import TypeVar

WINDOW_S = 60.0
OF_ADDRESS = 10  # wrong tokens in a window
OF_ALL = 100
_REMEMBERED = 1000  # addresses

Noted = TypeVar("Noted")


class Guesses:
    """Counts wrong tokens, of an address and of all.

    Who was right before is not held up by what others guess, so that guessing keeps
    nobody out but the guesser.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=OF_ALL)
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> int:
        """Return when an address may try again, whole seconds; 0: now."""
        group = _group(address)
        wait_s = _wait_s(self._wrong.get(group), now_s)
        if group not in self._known:
            wait_s = max(wait_s, _wait_s(self._all, now_s))
        return wait_s

    def was_right(self, address: str) -> None:
        """Note that an address has the token."""
        _remember(self._known, _group(address), None)

    def was_wrong(self, address: str, now_s: float) -> None:
        """Note a wrong token."""
        group = _group(address)
        times = self._wrong.get(group, deque(maxlen=OF_ADDRESS))
        times.append(now_s)
        _remember(self._wrong, group, times)
        self._all.append(now_s)


def _wait_s(times: deque[float] | None, now_s: float) -> int:
    """Return when the oldest of as many as may be leaves the window."""
    if times is None or len(times) < (times.maxlen or 0):
        return 0
    return max(0, math.ceil(times[0] + WINDOW_S - now_s))


def _remember(noted: OrderedDict[str, Noted], key: str, value: Noted) -> None:
    noted[key] = value
    noted.move_to_end(key)
    if len(noted) > _REMEMBERED:
        noted.popitem(last=False)


def _group(address: str) -> str:
    """Return who has an address: of IPv6 a home or a machine has a whole /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
