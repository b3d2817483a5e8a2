"""The bot as a whole: from its settings to the moment that it is told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

from telegram import Bot, BotCommand, Update
from telegram.error import InvalidToken, TelegramError
from telegram.request import HTTPXRequest

from edgeclf.bot import texts
from edgeclf.bot.chats import Chats
from edgeclf.bot.commands import Commands
from edgeclf.bot.conversations import Conversations, Question
from edgeclf.bot.corrections import Corrections
from edgeclf.bot.delivery import Delivery, describe
from edgeclf.bot.errors import BotError, StateError, StoppingError
from edgeclf.bot.feedback import Feedback
from edgeclf.bot.fetcher import AT_A_TIME, Fetcher
from edgeclf.bot.inbox import Entry, Inbox
from edgeclf.bot.labeller import Labeller
from edgeclf.bot.outcomes import Answers
from edgeclf.bot.polling import poll, token_refused
from edgeclf.bot.replies import Replies
from edgeclf.bot.responder import Responder
from edgeclf.bot.settings import BotSettings
from edgeclf.bot.state import State
from edgeclf.bot.trouble import Trouble
from edgeclf.bot.webhook import listen

GRACE_S = 20.0  # for what is in work when the bot is told to end
PRUNE_S = 3600.0
# An answer that takes longer than this is taken for one that arrived: see `Delivery`.
READ_S = 30.0

logger = logging.getLogger("edgeclf")


async def run_bot(settings: BotSettings, labeller: Labeller) -> signal.Signals:
    """Answer updates until SIGTERM or SIGINT; return which of them came.

    What is in work then is answered; what waits is answered by the next run.

    Args:
        settings: Of the bot.
        labeller: Is not closed.

    Raises:
        BotError: The token is not accepted, or the bot runs elsewhere too.
        LabelError: The labels cannot be stored as training data.
        OSError: A folder or port cannot be used.
    """
    feedback = None
    if settings.feedback is not None:
        feedback = Feedback(
            settings.feedback, labeller.labels, multi_label=labeller.multi_label
        )
    stopping = asyncio.Event()
    with closing(State(settings.state_dir)) as state:
        async with _stopping_by_signal(stopping) as received:
            bot = _client(settings)
            try:
                delivery = Delivery(stopping)
                await _connect(bot, delivery)
                if settings.delete_webhook:
                    await delivery.call(bot.delete_webhook)
                await _serve(bot, delivery, settings, labeller, state, feedback)
            except StoppingError:
                pass
            finally:
                await bot.shutdown()
            return received[0]


def _client(settings: BotSettings) -> Bot:
    """Return the client of the Bot API, without a request made."""
    address = settings.api_url.rstrip("/")
    return Bot(
        settings.token,
        base_url=f"{address}/bot",
        base_file_url=f"{address}/file/bot",
        request=HTTPXRequest(
            connection_pool_size=2 * AT_A_TIME,
            read_timeout=READ_S,
            write_timeout=READ_S,
            connect_timeout=10,
            pool_timeout=READ_S,
        ),
        get_updates_request=HTTPXRequest(connection_pool_size=2, connect_timeout=10),
    )


@asynccontextmanager
async def _stopping_by_signal(
    stopping: asyncio.Event,
) -> AsyncIterator[list[signal.Signals]]:
    """Set `stopping` at the first signal; break off at the second. Yield those seen."""
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def receive(number: signal.Signals) -> None:
        received.append(number)
        if stopping.is_set() and task is not None:
            task.cancel()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)
    try:
        yield received
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _connect(bot: Bot, delivery: Delivery) -> None:
    """Learn the bot's name; wait for a network that is not there yet.

    Raises:
        BotError: The token is not accepted.
        StoppingError: The bot is about to end.
    """
    trouble = Trouble("The Bot API server cannot be reached")
    while True:
        try:
            await bot.initialize()
        except InvalidToken as error:
            raise BotError(token_refused()) from error
        except TelegramError as error:
            await delivery.pause(trouble.pause_s(error))
        else:
            trouble.end()
            return


async def _serve(
    bot: Bot,
    delivery: Delivery,
    settings: BotSettings,
    labeller: Labeller,
    state: State,
    feedback: Feedback | None,
) -> None:
    """Answer what an earlier run has left, then what comes."""
    stopping = delivery.stopping
    inbox, answers, chats = state.now(
        lambda: (
            Inbox(state.connection),
            Answers(state.connection),
            Chats(state.connection),
        )
    )
    fetcher = Fetcher(bot, delivery, settings.max_mb)
    responder = Responder(
        bot,
        settings,
        state,
        inbox,
        answers,
        Commands(settings, labeller, state, chats),
        Corrections(bot, delivery, fetcher, labeller, state, answers, feedback),
        Replies(
            bot,
            delivery,
            labeller,
            state,
            inbox,
            answers,
            feedback=feedback is not None,
        ),
        fetcher,
        labeller,
    )
    conversations = Conversations(responder.respond, stopping)

    async def begin(entries: Sequence[Entry]) -> None:
        readable, unreadable = _read(entries, bot)
        conversations.add(readable)
        if unreadable:
            await state.run(lambda: inbox.mark_answered(unreadable))

    async def take(updates: Sequence[dict[str, Any]]) -> None:
        if updates:
            await conversations.room()
            await begin(await state.run(lambda: inbox.add(updates)))

    left = await state.run(inbox.unanswered)
    if left:
        logger.info("Answering %d updates that an earlier run has left.", len(left))
    await begin(left)
    side_tasks = [
        asyncio.create_task(_keep_pruned(state, inbox, answers)),
        asyncio.create_task(_announce_commands(bot)),
    ]

    def ready() -> None:
        logger.info("@%s answers with %s.", bot.username, labeller.name)

    run: Callable[[], Awaitable[None]] = (
        partial(poll, bot, delivery, stopping, take, ready)
        if settings.webhook is None
        else partial(
            listen,
            bot,
            delivery,
            stopping,
            take,
            ready,
            settings.webhook,
            settings.state_dir,
        )
    )
    try:
        await run()
    finally:
        stopping.set()
        await conversations.finish(GRACE_S)
        for task in side_tasks:
            task.cancel()
        await asyncio.gather(*side_tasks, return_exceptions=True)


def _read(entries: Sequence[Entry], bot: Bot) -> tuple[list[Question], list[int]]:
    """Return updates as objects, and the numbers of those that are not readable."""
    readable, unreadable = [], []
    for entry in entries:
        try:
            update = Update.de_json(dict(entry.update), bot)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            logger.error(
                "Update %d is of a form that is not known here: %s",
                entry.id,
                type(error).__name__,
            )
            unreadable.append(entry.id)
        else:
            readable.append(Question(entry, update))
    return readable, unreadable


async def _keep_pruned(state: State, inbox: Inbox, answers: Answers) -> None:
    """Forget what is old, now and each hour."""

    def prune() -> None:
        inbox.prune()
        answers.prune()

    while True:
        try:
            await state.run(prune)
        except StateError as error:
            logger.error("%s", error)
        await asyncio.sleep(PRUNE_S)


async def _announce_commands(bot: Bot) -> None:
    """Have Telegram's apps list the commands; the bot does without if they do not."""
    commands = [BotCommand(name, text) for name, text in texts.COMMANDS]
    try:
        await bot.set_my_commands(commands)
    except TelegramError as error:
        logger.debug("The commands are not listed: %s", describe(error))
