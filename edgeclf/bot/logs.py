"""What the bot logs: one line each, never the token, never what people sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HIDDEN = "[token]"

# They log addresses, which have the token in them, and answers that are no JSON.
_TALKATIVE = {
    "telegram": logging.CRITICAL,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "tornado": logging.ERROR,
    "asyncio": logging.ERROR,
}


@contextmanager
def discreet(token: str, *, verbose: bool = False) -> Iterator[None]:
    """Keep the token out of every record of every logger, and other libraries quiet.

    Args:
        token: Of the bot.
        verbose: Log what edgeclf does, update by update, too.
    """
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    own = logging.getLogger("edgeclf")
    levels = [logger.level for logger in [own, *loggers]]
    make_record = logging.getLogRecordFactory()
    secrets = [token, token.replace(":", "%3A")]

    def make_discreet_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        message = record.getMessage()
        for secret in secrets:
            message = message.replace(secret, HIDDEN)
        record.msg, record.args = message, None
        record.exc_info = None  # an error's text and lines may hold anything
        return record

    logging.setLogRecordFactory(make_discreet_record)
    own.setLevel(logging.DEBUG if verbose else logging.INFO)
    for logger in loggers:
        logger.setLevel(_TALKATIVE[logger.name])
    try:
        yield
    finally:
        logging.setLogRecordFactory(make_record)
        for logger, level in zip([own, *loggers], levels, strict=True):
            logger.setLevel(level)
