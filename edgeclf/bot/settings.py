"""What a bot is told when it starts."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.bot.errors import BotError
from edgeclf.files import read_secret

TOKEN_VARIABLE = "EDGECLF_TELEGRAM_TOKEN"  # noqa: S105 - its name
API_URL = "https://api.telegram.org"
TOP_K = 3
RATE = 30
# What Telegram's own server hands out.
# Source: https://core.telegram.org/bots/api#getfile
MAX_MB = 20
MAX_WORKERS = 4  # pictures that are decoded at a time, by default
LISTEN = "127.0.0.1"
PORT = 8080

_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
# Source: https://core.telegram.org/bots/api#setwebhook
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass(frozen=True)
class Webhook:
    """Where Telegram delivers updates to.

    Attributes:
        url: Its address for Telegram; https.
        port: That is listened on.
        listen: Address that is listened on; a proxy in front of it has the
            certificate.
        secret: That Telegram sends in a header; None: one is made and kept.
    """

    url: str
    port: int = PORT
    listen: str = LISTEN
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        address = urllib.parse.urlsplit(self.url)
        if address.scheme != "https" or not address.hostname:
            raise ValueError(
                f"Expected --webhook_url https://HOST/PATH. Received: {self.url}"
            )
        if not 0 <= self.port <= 65535:
            raise ValueError(
                f"Expected --webhook_port from 0 to 65535. Received: {self.port}"
            )

    @property
    def path(self) -> str:
        """The path of the address."""
        return urllib.parse.urlsplit(self.url).path or "/"


@dataclass(frozen=True)
class BotSettings:
    """How a bot runs.

    Attributes:
        token: Of the bot.
        api_url: Of the Bot API server.
        top_k: Labels it shows; None: 3, of a model of tags all above their thresholds.
        feedback: Folder of corrected pictures; None: nothing is kept.
        state_dir: Folder of its state.
        rate: Pictures of one chat in a minute.
        max_mb: Largest file.
        workers: Pictures that are decoded at a time.
        reject: Say so when a picture is like none of the classes.
        webhook: None: it asks for updates.
        delete_webhook: Remove a webhook that an earlier run has set.
    """

    token: str = field(repr=False)
    state_dir: Path
    api_url: str = API_URL
    top_k: int | None = None
    feedback: Path | None = None
    rate: int = RATE
    max_mb: int = MAX_MB
    workers: int = 1
    reject: bool = False
    webhook: Webhook | None = None
    delete_webhook: bool = False

    def __post_init__(self) -> None:
        address = urllib.parse.urlsplit(self.api_url)
        if (
            address.scheme not in ("http", "https")
            or not address.hostname
            or address.query
            or address.fragment
        ):
            raise ValueError(
                f"Expected --api_url http(s)://HOST[:PORT]. Received: {self.api_url}"
            )


def default_state_dir(token: str, environment: Mapping[str, str]) -> Path:
    """Return the folder of a bot's state, in that of everything edgeclf keeps.

    It is in `EDGECLF_HOME`, else in the folder for what is no cache and must outlast a
    restart. Source: XDG Base Directory Specification 0.8, `XDG_STATE_HOME`.

    Args:
        token: Begins with the bot's own number, which names the folder.
        environment: Of the process.

    Raises:
        BotError: The user has no home folder.
    """
    try:
        home = Path(environment.get("EDGECLF_HOME", "")).expanduser()
        if home == Path():
            states = Path(environment.get("XDG_STATE_HOME", ""))
            if not states.is_absolute():
                states = Path.home() / ".local" / "state"
            home = states / "edgeclf"
    except RuntimeError as error:
        raise BotError(
            f"Expected a home folder to keep the bot's state in ({error}). Say where "
            "with --state_dir."
        ) from error
    return home.absolute() / "bots" / token.partition(":")[0]


def is_token(text: str) -> bool:
    """Tell whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the token from a file, else from the environment; None if it has none.

    A file that everybody on the machine can read gets a warning and no more: where
    containers mount secrets that is how they look.

    Raises:
        BotError: It has not the form of a token, which the message does not repeat.
        OSError: The file cannot be read.
    """
    if file is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
        source = TOKEN_VARIABLE
        if not token:
            return None
    else:
        token, source = read_secret(file), str(file)
    if not is_token(token):
        raise BotError(
            "Expected a token as @BotFather gives it, digits, a colon and letters, in "
            f"{source}. Received: {len(token)} characters that are none."
        )
    return token


def read_webhook_secret(file: Path) -> str:
    """Return what Telegram is to send with each update.

    Raises:
        BotError: It has characters that a header may not have.
        OSError: The file cannot be read.
    """
    secret = read_secret(file)
    if not _SECRET.fullmatch(secret):
        raise BotError(
            "Expected 1 to 256 letters, digits, _ and - as the webhook's secret in "
            f"{file}. Received: {len(secret)} characters that are not all of these."
        )
    return secret
