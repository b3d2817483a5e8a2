"""What tapped buttons do: a picture and its right label become training data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from telegram import Bot, CallbackQuery, InlineKeyboardMarkup, Message
from telegram.error import TelegramError

from edgeclf.bot import texts
from edgeclf.bot.delivery import Delivery, describe
from edgeclf.bot.feedback import Feedback
from edgeclf.bot.fetcher import Fetcher, UnfetchedError
from edgeclf.bot.keyboards import Press, chosen_text, closed, opened, pressed
from edgeclf.bot.labeller import Labeller
from edgeclf.bot.outcomes import Answer, Answers, Outcome
from edgeclf.bot.state import State
from edgeclf.console import sentence
from edgeclf.errors import DatasetError, ImageError

PATIENCE_S = 20.0  # a tapped button shows that it is busy for no longer
MOST_SHOWN = 190  # characters of 200 that Telegram shows for a tapped button

logger = logging.getLogger("edgeclf")


class Corrections:
    """Answers tapped buttons.

    Args:
        bot: Whose messages have the buttons.
        delivery: Repeats what fails.
        fetcher: Gets the picture again: nothing was kept of it.
        labeller: Knows the labels.
        state: Knows which pictures an answer was for.
        answers: Likewise.
        feedback: Where corrections go; None: they are not wanted.
    """

    def __init__(
        self,
        bot: Bot,
        delivery: Delivery,
        fetcher: Fetcher,
        labeller: Labeller,
        state: State,
        answers: Answers,
        feedback: Feedback | None,
    ) -> None:
        self._bot = bot
        self._delivery = delivery
        self._fetcher = fetcher
        self._labeller = labeller
        self._state = state
        self._answers = answers
        self._feedback = feedback

    async def answer(self, query: CallbackQuery) -> Answer | None:
        """Do what a tapped button says, and answer it in any case.

        Returns:
            What has become of the answer above the button, to be remembered.
        """
        press = pressed(query.data)
        if press is None:
            await self._tell(query, texts.OLD_BUTTON)
            return None
        token = press.token
        answer = await self._state.run(lambda: self._answers.by_token(token))
        refusal = self._refusal(query, press, answer)
        if refusal is not None or answer is None or self._feedback is None:
            await self._tell(query, refusal)
            if refusal != texts.NOT_YOURS:
                await self._show(query, None)
            return None
        if press.action in ("label", "done"):
            return await self._store(query, press, answer, self._feedback)
        await self._tell(query, None)
        if press.action == "back":
            await self._show(query, self._closed(answer))
            return None
        outcome = answer.outcomes[press.position]
        if press.action == "tag" or self._labeller.multi_label:
            answer = answer.changed(press.position, _switched(outcome, press))
        await self._show(
            query,
            opened(
                answer,
                press.position,
                self._labeller.labels,
                press.page,
                multi_label=self._labeller.multi_label,
            ),
        )
        return answer

    def _refusal(
        self, query: CallbackQuery, press: Press, answer: Answer | None
    ) -> str | None:
        """Return why a button does nothing; None if it does something."""
        if self._feedback is None:
            return texts.NO_FEEDBACK
        if answer is None or press.position >= len(answer.outcomes):
            return texts.OLD_BUTTON
        if answer.labels != self._labeller.fingerprint:
            return texts.OTHER_MODEL
        if press.label >= len(self._labeller.labels):
            return texts.OLD_BUTTON
        return None if _may_correct(query) else texts.NOT_YOURS

    async def _store(
        self, query: CallbackQuery, press: Press, answer: Answer, feedback: Feedback
    ) -> Answer | None:
        outcome = answer.outcomes[press.position]
        if press.action == "label":
            outcome = replace(outcome, chosen=(press.label,))
        labels = [self._labeller.labels[index] for index in outcome.chosen or ()]
        try:
            content = await self._fetcher.fetch(outcome.largest_id)
            await asyncio.to_thread(feedback.store, content, labels)
        except UnfetchedError:
            await self._tell(query, texts.GONE)
            return None
        except (OSError, DatasetError, ImageError) as error:
            logger.error("A correction is not stored: %s", sentence(error))
            await self._tell(query, texts.UNSTORED)
            return None
        answer = answer.changed(press.position, replace(outcome, stored=True))
        await self._show(query, self._closed(answer))
        said = texts.STORED.format(label=chosen_text(outcome, self._labeller.labels))
        await self._tell(query, said)
        return answer

    def _closed(self, answer: Answer) -> InlineKeyboardMarkup | None:
        return closed(
            answer, self._labeller.labels, multi_label=self._labeller.multi_label
        )

    async def _show(
        self, query: CallbackQuery, keyboard: InlineKeyboardMarkup | None
    ) -> None:
        """Put other buttons below the message."""
        message = query.message
        if message is not None:
            await self._attempt(
                lambda: self._bot.edit_message_reply_markup(
                    message.chat.id, message.message_id, reply_markup=keyboard
                )
            )

    async def _tell(self, query: CallbackQuery, text: str | None) -> None:
        """Answer the button, which shows that it is busy until then."""
        await self._attempt(lambda: query.answer(text and text[:MOST_SHOWN]))

    async def _attempt(self, request: Callable[[], Awaitable[object]]) -> None:
        """Make a call that may come too late: the message is gone, the tap too old.

        What it would show is not worth forgetting what was stored.
        """
        try:
            await self._delivery.call(request, PATIENCE_S)
        except TelegramError as error:
            logger.debug("%s", describe(error))


def _switched(outcome: Outcome, press: Press) -> Outcome:
    """Return the outcome with a tag switched; at first it has those that were found."""
    chosen = outcome.chosen
    if chosen is None:
        found = outcome.found or ()
        chosen = tuple(index for index, _, _ in found if index is not None)
    if press.action == "tag":
        others = [index for index in chosen if index != press.label]
        chosen = tuple(sorted([*others, press.label] if press.on else others))
        outcome = replace(outcome, stored=False)  # not in this way
    return replace(outcome, chosen=chosen)


def _may_correct(query: CallbackQuery) -> bool:
    """Tell whether who taps has sent the picture, as far as that can be told."""
    message = query.message
    if not isinstance(message, Message) or message.reply_to_message is None:
        return True
    asked = message.reply_to_message
    sender = asked.from_user
    return (
        sender is None
        or asked.sender_chat is not None
        or sender.id == query.from_user.id
    )
