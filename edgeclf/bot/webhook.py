"""Take updates that Telegram delivers; 200 is said when they are stored."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import tornado.httpserver
import tornado.netutil
import tornado.web
from telegram import Bot
from telegram.error import BadRequest, EndPointNotFound, InvalidToken

from edgeclf import files
from edgeclf.bot.delivery import Delivery, describe
from edgeclf.bot.errors import BotError, StateError, StoppingError
from edgeclf.bot.polling import KINDS, Take, token_refused
from edgeclf.bot.settings import Webhook

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - its name
SECRET_FILE = "webhook_secret"  # noqa: S105 - likewise
MAX_BYTES = 1 << 20  # of an update; they have a few thousand

logger = logging.getLogger("edgeclf")


async def listen(
    bot: Bot,
    delivery: Delivery,
    stopping: asyncio.Event,
    take: Take,
    ready: Callable[[], None],
    webhook: Webhook,
    state_dir: Path,
) -> None:
    """Take updates until the bot is about to end. The webhook stays: Telegram waits.

    Args:
        bot: Tells Telegram where to deliver to.
        delivery: Repeats that.
        stopping: Ends it.
        take: Stores updates, when there is room for them.
        ready: Called when Telegram has the address.
        webhook: Where to listen.
        state_dir: Where a secret is kept that nobody gave.

    Raises:
        BotError: Telegram refuses the address, or the port cannot be listened on.
    """
    secret = webhook.secret or kept_secret(state_dir / SECRET_FILE)
    async with serving(webhook, secret, take) as port:
        logger.info("Listening on %s, port %d.", webhook.listen, port)
        try:
            await delivery.call(
                lambda: bot.set_webhook(
                    webhook.url, secret_token=secret, allowed_updates=list(KINDS)
                )
            )
        except (InvalidToken, EndPointNotFound) as error:
            raise BotError(token_refused()) from error
        except BadRequest as error:
            raise BotError(
                "Expected --webhook_url that Telegram accepts. Received: "
                f"{webhook.url} ({describe(error)})"
            ) from error
        except StoppingError:
            return
        ready()
        await stopping.wait()


@asynccontextmanager
async def serving(webhook: Webhook, secret: str, take: Take) -> AsyncIterator[int]:
    """Serve for the length of the block; yield the port.

    Raises:
        BotError: The port cannot be listened on.
    """
    try:
        sockets = tornado.netutil.bind_sockets(webhook.port, webhook.listen)
    except OSError as error:
        raise BotError(
            "Expected --webhook_port and --webhook_listen that can be listened on. "
            f"Received: port {webhook.port} of {webhook.listen} ({error.strerror})."
        ) from error
    application = tornado.web.Application(
        [(re.escape(webhook.path), _Receiver, {"secret": secret, "take": take})],
        log_function=lambda _: None,
    )
    server = tornado.httpserver.HTTPServer(application, max_body_size=MAX_BYTES)
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()


def kept_secret(path: Path) -> str:
    """Return the secret in a file, which is made if it is not there."""
    if not path.exists():
        with files.replacing(path) as temporary:
            temporary.write_text(secrets.token_urlsafe(32), encoding="ascii")
        path.chmod(0o600)
    return path.read_text(encoding="ascii")


class _Receiver(tornado.web.RequestHandler):
    """Stores what Telegram delivers; refuses what others send."""

    def initialize(self, secret: str, take: Take) -> None:
        self._secret = secret
        self._take = take

    async def post(self) -> None:
        given = self.request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            self.set_status(HTTPStatus.FORBIDDEN)
            return
        try:
            update = json.loads(self.request.body)
            int(update["update_id"])
        except (ValueError, TypeError, LookupError):
            self.set_status(HTTPStatus.BAD_REQUEST)
            return
        try:
            await self._take([update])
        except StateError as error:
            logger.error("%s", error)
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)  # Telegram tries again
