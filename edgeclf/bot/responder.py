"""What the bot does with an update: look at it, answer it, mark it as answered."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from telegram import Bot, Message
from telegram.error import TelegramError

from edgeclf.bot import texts
from edgeclf.bot.answers import shortened
from edgeclf.bot.commands import Commands, command_in
from edgeclf.bot.conversations import Question
from edgeclf.bot.corrections import Corrections
from edgeclf.bot.delivery import describe
from edgeclf.bot.errors import PerhapsSentError, StateError, StoppingError
from edgeclf.bot.fetcher import Fetcher, UnfetchedError
from edgeclf.bot.inbox import Inbox
from edgeclf.bot.labeller import Labeller, UnlabelledError
from edgeclf.bot.outcomes import REMEMBERED_S, Answer, Answers, Outcome
from edgeclf.bot.pictures import Picture, picture_of
from edgeclf.bot.rate import Rate, Refusal
from edgeclf.bot.replies import Replies
from edgeclf.bot.settings import BotSettings
from edgeclf.bot.state import State

MOST_ATTEMPTS = 5  # at an update on which the process has died again and again

logger = logging.getLogger("edgeclf")


class Responder:
    """Answers updates, each of them once.

    Args:
        bot: Initialized.
        settings: Of the bot.
        state: Where answers and marks are kept.
        inbox: Likewise.
        answers: Likewise.
        commands: Answers commands.
        corrections: Answers buttons.
        replies: Sends what is answered, and notes it.
        fetcher: Gets pictures.
        labeller: Labels them.
    """

    def __init__(
        self,
        bot: Bot,
        settings: BotSettings,
        state: State,
        inbox: Inbox,
        answers: Answers,
        commands: Commands,
        corrections: Corrections,
        replies: Replies,
        fetcher: Fetcher,
        labeller: Labeller,
    ) -> None:
        self._bot = bot
        self._settings = settings
        self._state = state
        self._inbox = inbox
        self._answers = answers
        self._commands = commands
        self._corrections = corrections
        self._replies = replies
        self._fetcher = fetcher
        self._labeller = labeller
        self._rate = Rate(settings.rate)

    async def respond(self, parts: AsyncIterator[Question]) -> None:
        """Answer an update, or an album, and mark it. Errors end in the log.

        Args:
            parts: The update; the parts of an album, as they come.
        """
        taken: list[Question] = []
        answer = None
        try:
            answer = await self._answer(parts, taken)
        except StoppingError:
            await self._replies.leave(taken)
            return
        except StateError as error:
            logger.error("%s", error)
            return
        except PerhapsSentError:
            logger.warning(
                "Update %d: Telegram did not say in time whether the answer arrived. "
                "It is not sent again.",
                taken[0].entry.id,
            )
        except TelegramError as error:
            logger.warning(
                "Update %d is not answered: %s", taken[0].entry.id, describe(error)
            )
        except Exception as error:  # noqa: BLE001 - one update must not end the bot
            frame = traceback.extract_tb(error.__traceback__)[-1]
            logger.error(
                "Update %d is not answered: %s in %s, line %d. Please report this.",
                taken[0].entry.id if taken else 0,
                type(error).__name__,
                Path(frame.filename).name,
                frame.lineno or 0,
            )
        if taken:
            with suppress(StoppingError):
                await self._replies.note(taken, answer)

    async def _answer(
        self, parts: AsyncIterator[Question], taken: list[Question]
    ) -> Answer | None:
        """Answer; return what to remember of it that is not noted yet.

        Args:
            parts: See `respond`.
            taken: Gets what has come out of `parts`, until it is marked.
        """
        first = await anext(parts)
        taken.append(first)
        update = first.update
        if update.callback_query is not None:
            return await self._corrections.answer(update.callback_query)
        message = update.message or update.edited_message
        if message is None or _is_bot(message):
            return None
        if update.message is None:
            return await self._edited(message, taken)
        await self._message(parts, taken)
        return None

    async def _message(
        self, parts: AsyncIterator[Question], taken: list[Question]
    ) -> None:
        jobs: list[asyncio.Task[Outcome] | None] = [await self._begin(taken[0])]
        try:
            async for question in parts:
                taken.append(question)
                jobs.append(await self._begin(question))
            begun = [job for job in jobs if job is not None]
            message = taken[0].update.message
            if message is None:
                return
            if not begun:
                await self._say(message, taken)
                return
            outcomes = sorted(
                await asyncio.gather(*begun), key=lambda outcome: outcome.message
            )
        finally:
            for job in jobs:
                if job is not None:
                    job.cancel()
        outcomes = [one for one in outcomes if one.found is not None or one.problem]
        if outcomes:
            await self._replies.answer(message, outcomes, taken)

    async def _begin(self, question: Question) -> asyncio.Task[Outcome] | None:
        """Begin to look at the picture in a message; None if there is none."""
        message = question.update.message
        if message is None:
            return None
        picture = picture_of(message, self._labeller.input_size)
        if picture is None:
            return None
        entry = question.entry
        if entry.is_old:  # perhaps it is what the process has died of
            await self._state.run(lambda: self._inbox.begin(entry.id))
        refusal = self._rate.admit(message.chat_id, message.date.timestamp())
        if entry.attempts < MOST_ATTEMPTS:
            return asyncio.create_task(self._look(message, picture, refusal))
        logger.error(
            "Update %d: the bot has ended %d times while it worked on this picture; "
            "it is left out.",
            entry.id,
            entry.attempts,
        )
        return asyncio.create_task(_failed(message, picture))

    async def _look(
        self, message: Message, picture: Picture, refusal: Refusal | None
    ) -> Outcome:
        """Return what comes of a picture; without a word for one too many."""
        outcome = Outcome(message.message_id, picture.unique_id, picture.largest_id)
        if refusal is not None:
            text = texts.too_many(self._settings.rate, refusal.wait_s)
            return replace(outcome, problem=text if refusal.is_first else None)
        try:
            self._fetcher.check(picture.size_bytes)
            content = await self._fetcher.fetch(picture.file_id)
            top = await self._commands.top(message.chat_id)
            return replace(outcome, found=await self._labeller.label(content, top))
        except (UnfetchedError, UnlabelledError) as error:
            return replace(outcome, problem=str(error))

    async def _edited(self, message: Message, taken: list[Question]) -> Answer | None:
        """Answer a message that has another picture now; a new caption is nothing."""
        picture = picture_of(message, self._labeller.input_size)
        if picture is None:
            return None
        chat, number = message.chat_id, message.message_id
        earlier = await self._state.run(lambda: self._answers.to(chat, number))
        edited = message.edit_date or message.date
        if earlier is None:
            if (edited - message.date).total_seconds() > REMEMBERED_S:
                return None  # most likely a caption: what was answered is forgotten
        elif any(one.unique_id == picture.unique_id for one in earlier.outcomes):
            return None
        refusal = self._rate.admit(chat, edited.timestamp())
        outcome = await self._look(message, picture, refusal)
        if outcome.found is None and not outcome.problem:
            return None
        if earlier is None:
            await self._replies.answer(message, [outcome], taken)
            return None
        answer = replace(
            earlier,
            labels=self._labeller.fingerprint,
            outcomes=tuple(
                outcome
                if one.message == number
                # What was chosen are numbers of labels, of another model perhaps.
                else replace(one, chosen=None, stored=False)
                for one in earlier.outcomes
            ),
        )
        if await self._replies.edit(answer):
            return answer
        await self._replies.answer(message, answer.outcomes, taken)
        return None

    async def _say(self, message: Message, taken: list[Question]) -> None:
        """Answer a message that has no picture, where that is wanted."""
        command = command_in(message.text or "")
        is_private = message.chat.type == message.chat.PRIVATE
        text = None
        if command is not None:
            if command.bot in ("", self._bot.username.lower()):
                text = await self._commands.answer(command, message.chat_id)
                if text is None and (is_private or command.bot):
                    text = texts.UNKNOWN_COMMAND
        elif is_private:
            text = _kindly(message)
        if text is not None:
            await self._replies.send(message, shortened(text), taken)


async def _failed(message: Message, picture: Picture) -> Outcome:
    return Outcome(
        message.message_id,
        picture.unique_id,
        picture.largest_id,
        problem=texts.FAILED,
    )


def _is_bot(message: Message) -> bool:
    """Tell whether another bot has written this.

    Who writes in the name of a group or channel looks like one, and has a sender.
    """
    sender = message.from_user
    return sender is not None and sender.is_bot and message.sender_chat is None


def _kindly(message: Message) -> str | None:
    """Return what is said to a message without a picture; None: it says nothing."""
    for kind, text in texts.OTHER_CONTENT.items():
        if getattr(message, kind) is not None:
            return text
    with suppress(AttributeError):
        if message.effective_attachment or message.text:
            return texts.ONLY_PICTURES
    return None  # somebody has joined, or pinned something
