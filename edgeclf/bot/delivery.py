"""Calls of the Bot API that are repeated until they get through, or hope is gone."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from edgeclf.bot.errors import PerhapsSentError, StoppingError

# Spans of time as `timedelta`, what python-telegram-bot will do by default later: it
# warns at every error 429 until then.
os.environ.setdefault("PTB_TIMEDELTA", "true")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 600.0  # of one call
LONGEST_WAIT_S = 3600.0  # that a 429 may ask for
# Answers are short. Of a bot that is killed no more than these can be repeated, as each
# keeps its place until it is noted, and Telegram takes 30 messages a second at most.
# Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
MESSAGES_AT_A_TIME = 8

_FINAL = (BadRequest, Forbidden, InvalidToken, ChatMigrated, Conflict, EndPointNotFound)
# What httpx raises before a request has left: nothing has arrived.
_UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout"}

Result = TypeVar("Result")

logger = logging.getLogger("edgeclf")


class Delivery:
    """Repeats what failed, with pauses that grow; honours what a 429 asks for.

    Args:
        stopping: Is set when the bot is about to end: pauses end then.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping
        self._places = asyncio.Semaphore(MESSAGES_AT_A_TIME)

    async def call(
        self,
        request: Callable[[], Awaitable[Result]],
        patience_s: float = PATIENCE_S,
    ) -> Result:
        """Return what a call returns that may be repeated at will.

        Args:
            request: Makes the call.
            patience_s: How long to go on; what a 429 asks for comes on top.

        Raises:
            TelegramError: It was refused for good, or the patience has ended.
            StoppingError: The bot is about to end.
        """
        return await self._call(request, patience_s, once=False)

    async def message(
        self,
        request: Callable[[], Awaitable[Result]],
        note: Callable[[Result], Awaitable[None]],
    ) -> None:
        """Make a call that must not take effect twice: send a new message.

        Where Telegram has the whole request and does not answer in time, it most
        likely has sent the message: that is not repeated. Where the connection breaks,
        nobody knows: then a message may come twice rather than never.

        Args:
            request: Makes the call.
            note: Gets what it returned, and stores that it is done.

        Raises:
            PerhapsSentError: There was no answer in time.
            TelegramError, StoppingError: As `call`.
        """

        async def placed() -> None:
            async with self._places:
                await note(await request())

        await self._call(placed, PATIENCE_S, once=True)

    async def _call(
        self,
        request: Callable[[], Awaitable[Result]],
        patience_s: float,
        *,
        once: bool,
    ) -> Result:
        pause_s, waited_s = FIRST_PAUSE_S, 0.0
        while True:
            try:
                return await request()
            except _FINAL:
                raise
            except RetryAfter as error:
                wait_s = seconds(error)
                if wait_s > LONGEST_WAIT_S:
                    raise
                logger.debug("Telegram asks to wait %.0f s.", wait_s)
                await self.pause(wait_s)
                continue
            except TimedOut as error:
                if once and type(error.__cause__).__name__ not in _UNSENT:
                    raise PerhapsSentError from error
                failure: TelegramError = error
            except (NetworkError, TelegramError) as error:
                failure = error
            if waited_s >= patience_s:
                raise failure
            logger.debug("%s; again in %.1f s.", describe(failure), pause_s)
            await self.pause(pause_s)
            waited_s += pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def pause(self, wait_s: float) -> None:
        """Wait.

        Raises:
            StoppingError: The bot is about to end.
        """
        try:
            await asyncio.wait_for(self.stopping.wait(), wait_s)
        except asyncio.TimeoutError:  # not the builtin one in Python 3.10
            return
        raise StoppingError


def seconds(error: RetryAfter) -> float:
    """Return how long a 429 asks to wait."""
    after = error.retry_after
    return after.total_seconds() if isinstance(after, timedelta) else float(after)


def describe(error: Exception) -> str:
    """Return what to log of an error: its kind, and what Telegram says of a refusal.

    Other texts may hold what a server sent, which may be anything.
    """
    kind = type(error).__name__
    if isinstance(error, (BadRequest, Forbidden, Conflict)):
        return f"{kind}: {error.message[:200]}"
    cause = type(error.__cause__).__name__ if error.__cause__ else ""
    return f"{kind} ({cause})" if cause else kind
