"""What the bot makes of errors while it asks for updates."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("telegram")

from telegram.error import Conflict, NetworkError, RetryAfter

from edgeclf.bot.delivery import LONGEST_PAUSE_S
from edgeclf.bot.errors import BotError
from edgeclf.bot.polling import CONFLICTS_S, MOST_CONFLICTS, Rivals
from edgeclf.bot.trouble import Trouble

RIVAL = Conflict("terminated by other getUpdates request")


def test_a_rival_that_stays_ends_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    rivals = Rivals(lambda: now[0])
    for _ in range(MOST_CONFLICTS - 1):
        rivals.note(RIVAL)
        now[0] += 4
    assert caplog.text.count("Another instance") == 1
    with pytest.raises(BotError, match="to be the only instance of this bot"):
        rivals.note(RIVAL)


def test_a_rival_now_and_then_does_not() -> None:
    now = [0.0]
    rivals = Rivals(lambda: now[0])
    for _ in range(3 * MOST_CONFLICTS):
        rivals.note(RIVAL)
        now[0] += CONFLICTS_S / 5


def test_a_webhook_ends_the_bot_at_once() -> None:
    error = Conflict("can't use getUpdates method while webhook is active")
    with pytest.raises(BotError, match="--webhook_url, or with --delete_webhook"):
        Rivals().note(error)


def test_trouble_is_told_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    trouble = Trouble("Telegram is away")
    pauses = [trouble.pause_s(NetworkError("Bad Gateway")) for _ in range(9)]
    assert pauses[:3] == [0.5, 1, 2]
    assert pauses[-1] == LONGEST_PAUSE_S
    trouble.end()
    trouble.end()
    assert [record.getMessage() for record in caplog.records] == [
        "Telegram is away: NetworkError. It is tried again.",
        "It works again.",
    ]
    assert trouble.pause_s(RetryAfter(7)) == 7
