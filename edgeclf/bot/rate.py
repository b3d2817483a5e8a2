"""How many pictures a chat may send in a minute."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_S = 60.0
_MANY_CHATS = 10_000  # then those that have been quiet are forgotten


class Refusal(NamedTuple):
    """A picture too many.

    Attributes:
        wait_s: After so many seconds there is room for one.
        is_first: Whether the one before it was not refused.
    """

    wait_s: float
    is_first: bool


class Rate:
    """A sliding window for each chat.

    It counts by the dates that Telegram has put on the messages: what waited while the
    bot was away does not look as if it had been sent all at once.

    Args:
        per_minute: Pictures of one chat in any minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._sent: dict[int, deque[float]] = {}
        self._refused: set[int] = set()

    def admit(self, chat: int, at: float) -> Refusal | None:
        """Count one picture; say if it is one too many, which then does not count.

        Args:
            chat: Whose.
            at: When it was sent, seconds since 1970.
        """
        if len(self._sent) > _MANY_CHATS:
            self._forget_before(at - WINDOW_S)
        sent = self._sent.setdefault(chat, deque())
        while sent and sent[0] <= at - WINDOW_S:
            sent.popleft()
        if len(sent) < self._per_minute:
            sent.append(at)
            self._refused.discard(chat)
            return None
        is_first = chat not in self._refused
        self._refused.add(chat)
        return Refusal(sent[0] + WINDOW_S - at, is_first)

    def _forget_before(self, then: float) -> None:
        for chat in [chat for chat, sent in self._sent.items() if sent[-1] <= then]:
            del self._sent[chat]
            self._refused.discard(chat)
