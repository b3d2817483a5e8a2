"""What ends the bot, or one of its tasks."""

from __future__ import annotations

from edgeclf.errors import EdgeclfError


class BotError(EdgeclfError):
    """The bot cannot run; the sentence says why."""


class StateError(BotError):
    """The bot's own file cannot be read or written."""


class StoppingError(Exception):
    """The bot is about to end: what is not answered yet stays in the inbox."""


class PerhapsSentError(Exception):
    """A message was handed over whole, and whether it arrived was never said."""
