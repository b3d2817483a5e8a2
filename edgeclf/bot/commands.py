"""The commands that people write: /start, /help, /model, /top."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgeclf.bot import texts
from edgeclf.bot.chats import Chats
from edgeclf.bot.labeller import Labeller
from edgeclf.bot.settings import TOP_K, BotSettings
from edgeclf.bot.state import State

_COMMAND = re.compile(r"/(\w{1,32})(?:@(\w{1,64}))?(?:\s+(.*?))?\s*", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,6}")


class Command(NamedTuple):
    """A command as it is written: `/name@bot argument`; what is missing is empty."""

    name: str
    bot: str
    argument: str


def command_in(text: str) -> Command | None:
    """Return the command that a message is; None if it is none."""
    match = _COMMAND.fullmatch(text)
    if match is None:
        return None
    name, bot, argument = match.groups()
    return Command(name.lower(), (bot or "").lower(), argument or "")


class Commands:
    """Answers commands.

    Args:
        settings: Of the bot.
        labeller: Says what the model knows.
        state: Keeps what chats have chosen.
        chats: Likewise.
    """

    def __init__(
        self, settings: BotSettings, labeller: Labeller, state: State, chats: Chats
    ) -> None:
        self._settings = settings
        self._labeller = labeller
        self._state = state
        self._chats = chats

    async def top(self, chat: int) -> int | None:
        """Return how many labels a chat sees; None: all tags that fit."""
        chosen = await self._state.run(lambda: self._chats.top(chat))
        default = None if self._labeller.multi_label else TOP_K
        return chosen or self._settings.top_k or default

    async def answer(self, command: Command, chat: int) -> str | None:
        """Return the answer; None for a command that is not known."""
        labeller, settings = self._labeller, self._settings
        if command.name == "start":
            return texts.start(labeller.kind, feedback=settings.feedback is not None)
        if command.name == "help":
            return texts.help_text(
                rate=settings.rate,
                max_mb=settings.max_mb,
                top=await self.top(chat),
                kind=labeller.kind,
            )
        if command.name == "model":
            return texts.model(
                labeller.name,
                labeller.labels,
                labeller.kind,
                labeller.size_bytes,
                labeller.provenance,
            )
        if command.name == "top":
            return await self._set_top(command.argument, chat)
        return None

    async def _set_top(self, argument: str, chat: int) -> str:
        kind, most = self._labeller.kind, len(self._labeller.labels)
        if not argument:
            return texts.top_is(await self.top(chat), kind)
        number = int(argument) if _NUMBER.fullmatch(argument) else 0
        if not 1 <= number <= most:
            return texts.top_wrong(most)
        await self._state.run(lambda: self._chats.set_top(chat, number))
        return texts.top_set(number, kind)
