"""Pictures from Telegram, many at a time; what fails is told in a sentence."""

from __future__ import annotations

import asyncio
import logging

from telegram import Bot
from telegram.error import BadRequest, TelegramError

from edgeclf.bot import texts
from edgeclf.bot.delivery import Delivery, describe
from edgeclf.bot.pictures import TooLargeError, download

# So that a few slow ones keep nobody waiting. Not more: with 64 connections the HTTP
# client looks through all of them at each request, and 100 chats wait twice as long.
AT_A_TIME = 16
PATIENCE_S = 60.0

logger = logging.getLogger("edgeclf")


class UnfetchedError(Exception):
    """A picture could not be had; the sentence is for who sent it."""


class Fetcher:
    """Downloads pictures.

    Args:
        bot: Whose files they are.
        delivery: Repeats what fails.
        max_mb: Largest file.
    """

    def __init__(self, bot: Bot, delivery: Delivery, max_mb: int) -> None:
        self._bot = bot
        self._delivery = delivery
        self._max_mb = max_mb
        self._max_bytes = max_mb * 1_000_000
        self._places = asyncio.Semaphore(AT_A_TIME)

    def check(self, size_bytes: int | None) -> None:
        """Check what Telegram says of a file's size.

        Raises:
            UnfetchedError: It is too large.
        """
        if size_bytes is not None and size_bytes > self._max_bytes:
            raise UnfetchedError(texts.too_large(size_bytes, self._max_mb))

    async def fetch(self, file_id: str) -> bytes:
        """Return a file's bytes.

        Raises:
            UnfetchedError: It is too large, or cannot be downloaded.
            StoppingError: The bot is about to end.
        """

        async def placed() -> bytes:
            async with self._places:
                return await download(self._bot, file_id, self._max_bytes)

        try:
            return await self._delivery.call(placed, PATIENCE_S)
        except TooLargeError as error:
            raise UnfetchedError(
                texts.too_large(error.size_bytes, self._max_mb)
            ) from error
        except (TelegramError, OSError, asyncio.TimeoutError) as error:
            # The Bot API's own limit. Source: the text of its answer.
            if isinstance(error, BadRequest) and "too big" in error.message:
                raise UnfetchedError(texts.too_large(0, self._max_mb)) from error
            logger.warning("A picture could not be fetched: %s", describe(error))
            raise UnfetchedError(texts.UNFETCHED) from error
