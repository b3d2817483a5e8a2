"""Calls that fail, and what is done about each kind of failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("telegram")

from telegram.error import (
    BadRequest,
    Forbidden,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from edgeclf.bot.delivery import (
    LONGEST_WAIT_S,
    MESSAGES_AT_A_TIME,
    Delivery,
    describe,
)
from edgeclf.bot.errors import PerhapsSentError, StoppingError


class ConnectTimeout(Exception):  # noqa: N818
    """Named like httpx's."""


class ReadTimeout(Exception):  # noqa: N818
    """Likewise."""


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def calls(*failures: Exception) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """Return a call that fails in these ways first, and when it was made."""
    left, times = list(failures), []

    async def call() -> str:
        times.append(time.monotonic())
        if left:
            raise left.pop(0)
        return "done"

    return call, times


def deliver(request: Callable[[], Awaitable[str]], *, once: bool = False) -> str:
    async def run() -> str:
        delivery = Delivery(asyncio.Event())
        if not once:
            return await delivery.call(request)
        noted: list[str] = []

        async def note(result: str) -> None:
            noted.append(result)

        await delivery.message(request, note)
        (result,) = noted
        return result

    return asyncio.run(run())


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        NetworkError("Bad Gateway"),
        NetworkError("httpx.ReadError: "),
        TelegramError("Invalid server response"),
        caused(TimedOut(), ConnectTimeout()),
    ],
    ids=["502", "cut", "no JSON", "not connected"],
)
def test_what_did_not_get_through_is_repeated(failure: Exception, once: bool) -> None:
    call, times = calls(failure)
    assert deliver(call, once=once) == "done"
    assert len(times) == 2


def test_a_message_without_an_answer_in_time_is_not_sent_again() -> None:
    call, times = calls(caused(TimedOut(), ReadTimeout()))
    with pytest.raises(PerhapsSentError):
        deliver(call, once=True)
    assert len(times) == 1
    call, times = calls(caused(TimedOut(), ReadTimeout()))
    assert deliver(call) == "done"


@pytest.mark.parametrize("failure", [BadRequest("no"), Forbidden("blocked")])
def test_a_refusal_is_final(failure: Exception) -> None:
    call, times = calls(failure)
    with pytest.raises(type(failure)):
        deliver(call, once=True)
    assert len(times) == 1


def test_a_429_is_honoured() -> None:
    call, times = calls(RetryAfter(1))
    assert deliver(call, once=True) == "done"
    assert 1 <= times[1] - times[0] < 3
    call, _ = calls(RetryAfter(int(LONGEST_WAIT_S) + 1))
    with pytest.raises(RetryAfter):
        deliver(call)


def test_patience_ends() -> None:
    async def run() -> str:
        return await Delivery(asyncio.Event()).call(call, patience_s=0.5)

    call, times = calls(*[NetworkError("Bad Gateway")] * 9)
    with pytest.raises(NetworkError):
        asyncio.run(run())
    assert len(times) == 2


def test_a_pause_ends_when_the_bot_does() -> None:
    async def run() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, stopping.set)
        with pytest.raises(StoppingError):
            await Delivery(stopping).call(calls(RetryAfter(60))[0])

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 5


def test_no_more_is_sent_than_is_noted_soon() -> None:
    async def run() -> None:
        delivery, disk = Delivery(asyncio.Event()), asyncio.Event()
        call, sent = calls()
        messages = [
            asyncio.create_task(delivery.message(call, lambda _: disk.wait()))
            for _ in range(MESSAGES_AT_A_TIME + 1)
        ]
        await asyncio.sleep(0.05)
        assert len(sent) == MESSAGES_AT_A_TIME
        disk.set()
        await asyncio.gather(*messages)
        assert len(sent) == MESSAGES_AT_A_TIME + 1

    asyncio.run(run())


def test_descriptions_hold_no_payload() -> None:
    secret = NetworkError("Parsing the server response b'a caption' failed")
    assert describe(secret) == "NetworkError"
    assert describe(BadRequest("Chat not found")) == "BadRequest: Chat not found"
    assert describe(caused(TimedOut(), ReadTimeout())) == "TimedOut (ReadTimeout)"
