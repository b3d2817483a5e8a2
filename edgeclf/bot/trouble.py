"""What does not work for a while: told once, and tried again."""

from __future__ import annotations

import logging

from telegram.error import RetryAfter

from edgeclf.bot.delivery import FIRST_PAUSE_S, LONGEST_PAUSE_S, describe, seconds
from edgeclf.bot.errors import BotError

logger = logging.getLogger("edgeclf")


class Trouble:
    """Says once that something does not work, and once that it does again.

    Args:
        what: The beginning of the line.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._next_s = FIRST_PAUSE_S
        self.waited_s = 0.0

    def pause_s(self, error: Exception) -> float:
        """Log the first error of several; return how long to wait now, in seconds."""
        text = str(error) if isinstance(error, BotError) else describe(error)
        level = logging.DEBUG if self.waited_s else logging.WARNING
        logger.log(level, "%s: %s. It is tried again.", self._what, text.rstrip("."))
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if isinstance(error, RetryAfter):
            pause_s = max(pause_s, seconds(error))
        self.waited_s += pause_s
        return pause_s

    def end(self) -> None:
        """Say that it works, if it did not."""
        if self.waited_s:
            logger.info("It works again.")
        self._next_s, self.waited_s = FIRST_PAUSE_S, 0.0
