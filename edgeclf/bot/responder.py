"""What the bot does with an update: look at it, answer it, mark it as answered."""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from telegram import (
    Bot,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
)
from telegram.error import BadRequest, ChatMigrated, TelegramError

from edgeclf.bot import texts
from edgeclf.bot.answers import answer_text, shortened
from edgeclf.bot.commands import Commands, command_in
from edgeclf.bot.conversations import Question
from edgeclf.bot.corrections import Corrections
from edgeclf.bot.delivery import Delivery, describe
from edgeclf.bot.errors import PerhapsSentError, StateError, StoppingError
from edgeclf.bot.fetcher import Fetcher, UnfetchedError
from edgeclf.bot.inbox import Inbox
from edgeclf.bot.keyboards import closed
from edgeclf.bot.labeller import Labeller, UnlabelledError
from edgeclf.bot.outcomes import REMEMBERED_S, Answer, Answers, Outcome
from edgeclf.bot.pictures import Picture, picture_of
from edgeclf.bot.rate import Rate, Refusal
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
        delivery: Sends what is answered.
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
        delivery: Delivery,
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
        self._delivery = delivery
        self._fetcher = fetcher
        self._labeller = labeller
        self._rate = Rate(settings.rate)

    async def respond(self, parts: AsyncIterator[Question]) -> None:
        """Answer an update, or an album, and mark it. Errors end in the log.

        Args:
            parts: The update; the parts of an album, as they come.
        """
        taken: list[Question] = []
        mark = partial(self._mark, taken, None)
        try:
            mark = partial(self._mark, taken, await self._answer(parts, taken))
        except StoppingError:
            mark = partial(self._leave, taken)
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
        try:
            await self._state.run(mark)
        except StateError as error:
            logger.error("%s", error)

    def _leave(self, taken: Sequence[Question]) -> None:
        """Leave updates to the next run."""
        self._inbox.leave(question.entry.id for question in taken)

    def _mark(self, taken: Sequence[Question], answer: Answer | None) -> None:
        numbers = [question.entry.id for question in taken]
        self._inbox.mark_answered(numbers)
        logger.debug("Answered: %s", numbers)
        if answer is not None:
            self._answers.remember(answer)

    async def _answer(
        self, parts: AsyncIterator[Question], taken: list[Question]
    ) -> Answer | None:
        """Answer; return what to remember of it.

        Args:
            parts: See `respond`.
            taken: Gets what has come out of `parts`.
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
            return await self._edited(message)
        return await self._message(parts, taken)

    async def _message(
        self, parts: AsyncIterator[Question], taken: list[Question]
    ) -> Answer | None:
        jobs: list[asyncio.Task[Outcome] | None] = [await self._begin(taken[0])]
        try:
            async for question in parts:
                taken.append(question)
                jobs.append(await self._begin(question))
            begun = [job for job in jobs if job is not None]
            message = taken[0].update.message
            if message is None:
                return None
            if not begun:
                await self._say(message)
                return None
            outcomes = sorted(
                await asyncio.gather(*begun), key=lambda outcome: outcome.message
            )
        finally:
            for job in jobs:
                if job is not None:
                    job.cancel()
        outcomes = [one for one in outcomes if one.found is not None or one.problem]
        return await self._reply(message, outcomes) if outcomes else None

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

    async def _edited(self, message: Message) -> Answer | None:
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
            return await self._reply(message, [outcome])
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
        if await self._edit(answer):
            return answer
        return await self._reply(message, answer.outcomes)

    async def _reply(self, message: Message, outcomes: Sequence[Outcome]) -> Answer:
        """Answer pictures with a new message; return what to remember of it."""
        answer = Answer(
            secrets.token_urlsafe(9),
            message.chat_id,
            0,
            self._labeller.fingerprint,
            tuple(outcomes),
        )
        sent = await self._send(message, self._text(answer), self._buttons(answer))
        return replace(answer, chat=sent.chat_id, message=sent.message_id)

    async def _edit(self, answer: Answer) -> bool:
        """Edit the message that gave an answer; say whether it was still there."""
        try:
            await self._delivery.call(
                lambda: self._bot.edit_message_text(
                    self._text(answer),
                    answer.chat,
                    answer.message,
                    reply_markup=self._buttons(answer),
                    link_preview_options=LinkPreviewOptions(is_disabled=True),
                )
            )
        except BadRequest as error:
            return "not modified" in error.message
        return True

    def _text(self, answer: Answer) -> str:
        return answer_text(
            answer.outcomes,
            multi_label=self._labeller.multi_label,
            feedback=self._settings.feedback is not None,
        )

    def _buttons(self, answer: Answer) -> InlineKeyboardMarkup | None:
        if self._settings.feedback is None:
            return None
        return closed(
            answer, self._labeller.labels, multi_label=self._labeller.multi_label
        )

    async def _send(
        self,
        message: Message,
        text: str,
        keyboard: InlineKeyboardMarkup | None = None,
    ) -> Message:
        chat = message.chat_id
        thread = message.message_thread_id if message.is_topic_message else None

        async def send() -> Message:
            return await self._bot.send_message(
                chat,
                text,
                reply_parameters=ReplyParameters(
                    message.message_id, allow_sending_without_reply=True
                ),
                message_thread_id=thread,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                reply_markup=keyboard,
            )

        try:
            return await self._delivery.message(send)
        except ChatMigrated as error:  # the group has become a supergroup
            chat = error.new_chat_id
            return await self._delivery.message(send)

    async def _say(self, message: Message) -> None:
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
            await self._send(message, shortened(text))


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
