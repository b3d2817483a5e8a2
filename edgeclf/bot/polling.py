"""Ask Telegram for updates; what is stored here is confirmed by the next question."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from telegram import Bot
from telegram.error import (
    Conflict,
    EndPointNotFound,
    InvalidToken,
    TelegramError,
)

from edgeclf.bot.delivery import Delivery
from edgeclf.bot.errors import BotError, StateError, StoppingError
from edgeclf.bot.trouble import Trouble

POLL_S = 30  # that Telegram holds a question without an answer
MOST_CONFLICTS = 10
CONFLICTS_S = 300.0  # within this time
CONFLICT_PAUSE_S = 4.0
KINDS = ("message", "edited_message", "callback_query")

# `Bot.get_updates` gives all or nothing: one update that the library cannot read would
# keep all others back for good.
warnings.filterwarnings("ignore", message=r"Please use 'Bot\.get_updates'")

logger = logging.getLogger("edgeclf")

Take = Callable[[Sequence[dict[str, Any]]], Awaitable[None]]
"""Waits until there is room, stores updates, and sees to their answers."""


async def poll(
    bot: Bot,
    delivery: Delivery,
    stopping: asyncio.Event,
    take: Take,
    ready: Callable[[], None],
) -> None:
    """Take updates until the bot is about to end.

    Args:
        bot: Asks.
        delivery: Pauses.
        stopping: Ends it.
        take: Stores updates, when there is room for them.
        ready: Called before the first question.

    Raises:
        BotError: The token is not accepted any more, or updates go elsewhere.
    """
    trouble = Trouble("Telegram cannot be asked for updates")
    rivals = Rivals()
    offset: int | None = None
    ready()
    while not stopping.is_set():
        try:
            updates = await _ask(bot, stopping, offset)
            await take(updates)
        except StoppingError:
            return
        except (InvalidToken, EndPointNotFound) as error:
            raise BotError(token_refused()) from error
        except (TelegramError, StateError) as error:
            pause_s = CONFLICT_PAUSE_S
            if isinstance(error, Conflict):
                rivals.note(error)
            else:
                pause_s = trouble.pause_s(error)
            try:
                await delivery.pause(pause_s)
            except StoppingError:
                return
            continue
        trouble.end()
        logger.debug("%d updates have come.", len(updates))
        # After a quiet week numbers begin anew, anywhere. Once nothing comes, all below
        # the offset is confirmed; to keep it would hide, or confirm, lower numbers.
        # Source: https://core.telegram.org/bots/api#update
        offset = int(updates[-1]["update_id"]) + 1 if updates else None


async def _ask(
    bot: Bot, stopping: asyncio.Event, offset: int | None
) -> list[dict[str, Any]]:
    """Return updates as Telegram sends them: what this library does not know too.

    Raises:
        StoppingError: The bot is about to end.
        TelegramError: As Telegram says.
    """
    question: dict[str, Any] = {"timeout": POLL_S, "allowed_updates": list(KINDS)}
    if offset is not None:
        question["offset"] = offset
    answer = asyncio.ensure_future(
        bot.do_api_request("get_updates", api_kwargs=question, read_timeout=POLL_S + 15)
    )
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({answer, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise StoppingError
        updates: list[dict[str, Any]] = answer.result()
        return updates
    finally:
        answer.cancel()
        stop.cancel()


def token_refused() -> str:
    """Return what is said when Telegram does not know the token."""
    return (
        "Expected a token that the Bot API server accepts. Received: the answer that "
        "it does not. Ask @BotFather for the bot's token, and check --api_url."
    )


class Rivals:
    """Counts how often updates went elsewhere.

    A bot that has just been killed still asks for a while, which ends by itself.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[float] = deque(maxlen=MOST_CONFLICTS)

    def note(self, error: Conflict) -> None:
        """Count one; log the first in a while.

        Raises:
            BotError: A webhook is set, or another instance keeps asking too.
        """
        if "webhook" in error.message.lower():
            raise BotError(
                "Expected no webhook for this bot, as it asks for updates. Received: "
                "one is set. Start with --webhook_url, or with --delete_webhook, which "
                "removes it."
            )
        now = self._clock()
        if not self._seen or self._seen[-1] < now - CONFLICTS_S:
            logger.warning(
                "Another instance of this bot asks Telegram for updates with the same "
                "token. One must end."
            )
        self._seen.append(now)
        if len(self._seen) == MOST_CONFLICTS and self._seen[0] >= now - CONFLICTS_S:
            raise BotError(
                "Expected to be the only instance of this bot. Received: another one "
                "asks Telegram for updates with the same token. End it."
            )
