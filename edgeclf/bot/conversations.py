"""Updates on their way to the answer: in order in each chat, all chats at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from typing import NamedTuple

from telegram import Update

from edgeclf.bot.errors import StoppingError
from edgeclf.bot.inbox import Entry

# Parts of an album come as messages of their own, and nothing says which is the last.
QUIET_S = 0.4
# After a restart the rest of an album may still be with Telegram, which has to be
# connected to and asked first.
QUIET_AFTER_START_S = 3.0
ALBUM_SIZE = 10  # Source: https://core.telegram.org/bots/api#sendmediagroup
MANY = 1000  # updates in memory; beyond that they are left with Telegram for a while


class Question(NamedTuple):
    """An update to answer, as stored and as read."""

    entry: Entry
    update: Update

    @property
    def chat(self) -> int:
        """The chat it belongs to, or else the person, or 0."""
        chat, user = self.update.effective_chat, self.update.effective_user
        return chat.id if chat else user.id if user else 0

    @property
    def album(self) -> str | None:
        """The album that the message is a part of."""
        message = self.update.message
        return message.media_group_id if message else None


class _Conversation:
    def __init__(self) -> None:
        self.questions: deque[Question] = deque()
        self.arrived = asyncio.Event()

    def take(self, album: str) -> Question | None:
        """Take the next part of an album, if it is there."""
        for question in self.questions:
            if question.album == album:
                self.questions.remove(question)
                return question
        self.arrived.clear()
        return None


class Conversations:
    """The chats in which something is left to answer.

    Args:
        respond: Answers one update, or the parts of one album, which come one after
            the other; raises nothing.
        stopping: When it is set, what is not begun stays in the inbox.
    """

    def __init__(
        self,
        respond: Callable[[AsyncIterator[Question]], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        self._respond = respond
        self._stopping = stopping
        self._open: dict[int, _Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()

    def add(self, questions: Iterable[Question]) -> None:
        """Put updates behind those of their chats."""
        for question in questions:
            conversation = self._open.get(question.chat)
            if conversation is None:
                conversation = self._open[question.chat] = _Conversation()
                task = asyncio.create_task(self._converse(question.chat, conversation))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            conversation.questions.append(question)
            conversation.arrived.set()
            self._count(1)

    async def room(self) -> None:
        """Wait until there is room for more updates, or the bot is about to end."""
        stopping = asyncio.create_task(self._stopping.wait())
        room = asyncio.create_task(self._room.wait())
        try:
            await asyncio.wait({stopping, room}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            room.cancel()

    async def finish(self, grace_s: float) -> None:
        """Let what has begun come to its end; after `grace_s` seconds break it off."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _converse(self, chat: int, conversation: _Conversation) -> None:
        try:
            while conversation.questions and not self._stopping.is_set():
                first = conversation.questions.popleft()
                self._count(-1)
                async with aclosing(self._parts(conversation, first)) as parts:
                    await self._respond(parts)
        finally:
            del self._open[chat]

    async def _parts(
        self, conversation: _Conversation, first: Question
    ) -> AsyncGenerator[Question, None]:
        """Yield an update; if it is a part of an album, the others as they come.

        Raises:
            StoppingError: The bot is about to end, and parts may be missing.
        """
        yield first
        if first.album is None:
            return
        loop = asyncio.get_running_loop()
        quiet_s = QUIET_AFTER_START_S if first.entry.is_old else QUIET_S
        number, until = 1, loop.time() + quiet_s
        while number < ALBUM_SIZE:
            part = conversation.take(first.album)
            if part is not None:
                self._count(-1)
                yield part
                number, until = number + 1, loop.time() + quiet_s
                continue
            if self._stopping.is_set():
                raise StoppingError
            if loop.time() >= until:
                return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(conversation.arrived.wait(), until - loop.time())

    def _count(self, change: int) -> None:
        self._waiting += change
        if self._waiting < MANY:
            self._room.set()
        else:
            self._room.clear()
