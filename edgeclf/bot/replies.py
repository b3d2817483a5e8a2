"""Messages of the bot: sent or edited, and noted as sent."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

from telegram import (
    Bot,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
)
from telegram.error import BadRequest, ChatMigrated

from edgeclf.bot.answers import answer_text
from edgeclf.bot.conversations import Question
from edgeclf.bot.delivery import Delivery
from edgeclf.bot.errors import StateError
from edgeclf.bot.inbox import Inbox
from edgeclf.bot.keyboards import closed
from edgeclf.bot.labeller import Labeller
from edgeclf.bot.outcomes import Answer, Answers, Outcome
from edgeclf.bot.state import State
from edgeclf.bot.trouble import Trouble

logger = logging.getLogger("edgeclf")


class Replies:
    """Sends messages, and marks what they answer.

    Args:
        bot: Initialized.
        delivery: Repeats what fails.
        labeller: Whose labels are answered.
        state: Where answers and marks are kept.
        inbox: Likewise.
        answers: Likewise.
        feedback: Whether what is wrong can be corrected.
    """

    def __init__(
        self,
        bot: Bot,
        delivery: Delivery,
        labeller: Labeller,
        state: State,
        inbox: Inbox,
        answers: Answers,
        *,
        feedback: bool,
    ) -> None:
        self._bot = bot
        self._delivery = delivery
        self._labeller = labeller
        self._state = state
        self._inbox = inbox
        self._answers = answers
        self._feedback = feedback
        self._trouble = Trouble("What is answered cannot be noted")

    async def leave(self, taken: Sequence[Question]) -> None:
        """Leave updates to the next run."""
        numbers = [question.entry.id for question in taken]
        try:
            await self._state.run(lambda: self._inbox.leave(numbers))
        except StateError as error:
            logger.error("%s", error)

    async def note(self, taken: list[Question], answer: Answer | None) -> None:
        """Mark updates as answered; wait for a full disk: they would come twice.

        Args:
            taken: Is empty afterwards: nothing is left to mark.
            answer: To be remembered.

        Raises:
            StoppingError: The bot is about to end, and nothing is marked.
        """
        numbers = [question.entry.id for question in taken]

        def mark() -> None:
            self._inbox.mark_answered(numbers)
            if answer is not None:
                self._answers.remember(answer)

        while True:
            try:
                await self._state.run(mark)
            except StateError as error:
                await self._delivery.pause(self._trouble.pause_s(error))
            else:
                break
        self._trouble.end()
        taken.clear()
        logger.debug("Answered: %s", numbers)

    async def answer(
        self, message: Message, outcomes: Sequence[Outcome], taken: list[Question]
    ) -> None:
        """Answer pictures with a new message, and note it."""
        answer = Answer(
            secrets.token_urlsafe(9),
            message.chat_id,
            0,
            self._labeller.fingerprint,
            tuple(outcomes),
        )
        await self.send(message, self._text(answer), taken, answer)

    async def edit(self, answer: Answer) -> bool:
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
            feedback=self._feedback,
        )

    def _buttons(self, answer: Answer) -> InlineKeyboardMarkup | None:
        if not self._feedback:
            return None
        return closed(
            answer, self._labeller.labels, multi_label=self._labeller.multi_label
        )

    async def send(
        self,
        message: Message,
        text: str,
        taken: list[Question],
        answer: Answer | None = None,
    ) -> None:
        """Send a message, and note at once that the updates are answered.

        Args:
            message: To reply to.
            text: Of the reply.
            taken: See `note`.
            answer: That the text gives, without the number of its message.
        """
        keyboard = None if answer is None else self._buttons(answer)
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

        async def note(sent: Message) -> None:
            await self.note(
                taken,
                answer and replace(answer, chat=sent.chat_id, message=sent.message_id),
            )

        try:
            await self._delivery.message(send, note)
        except ChatMigrated as error:  # the group has become a supergroup
            chat = error.new_chat_id
            await self._delivery.message(send, note)
