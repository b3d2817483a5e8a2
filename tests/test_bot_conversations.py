"""Order within chats, chats at a time, and albums that come in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

pytest.importorskip("telegram")

from telegram import Update

from edgeclf.bot import conversations
from edgeclf.bot.conversations import Conversations, Question
from edgeclf.bot.errors import StoppingError
from edgeclf.bot.inbox import Entry

Respond = Callable[[AsyncIterator[Question]], Awaitable[None]]


def question(number: int, chat: int = 1, album: str | None = None) -> Question:
    message = {
        "message_id": number,
        "date": 0,
        "chat": {"id": chat, "type": "private"},
        "media_group_id": album,
    }
    update = {"update_id": number, "message": message}
    return Question(Entry(number, update), Update.de_json(update, None))


def test_a_chat_is_answered_in_order_and_waits_for_no_other() -> None:
    async def run() -> list[int]:
        done: list[int] = []
        slow = asyncio.Event()

        async def respond(parts: AsyncIterator[Question]) -> None:
            async for part in parts:
                if part.entry.id == 1:
                    await slow.wait()
                done.append(part.entry.id)

        chats = Conversations(respond, asyncio.Event())
        chats.add([question(1), question(2, chat=2), question(3), question(4, chat=2)])
        await asyncio.sleep(0.01)
        assert done == [2, 4]
        slow.set()
        await chats.finish(5)
        return done

    assert asyncio.run(run()) == [2, 4, 1, 3]


def groups(
    *batches: list[Question],
    pause_s: float = 0.02,
    stop: bool = False,
    more: bool = True,
) -> list[list[int]]:
    """Return which updates were answered together."""

    async def run() -> list[list[int]]:
        done: list[list[int]] = []
        stopping = asyncio.Event()

        async def respond(parts: AsyncIterator[Question]) -> None:
            try:
                done.append([part.entry.id async for part in parts])
            except StoppingError:
                done.append([])

        chats = Conversations(respond, stopping)
        for batch in batches:
            chats.add(batch)
            await asyncio.sleep(pause_s)
        if stop:
            stopping.set()
            if more:
                chats.add([question(99)])
        await chats.finish(5)
        return done

    return asyncio.run(run())


def test_an_album_in_pieces_is_one_question() -> None:
    parts = [question(number, album="a") for number in (1, 2, 3)]
    assert groups(parts[:1], parts[1:], [question(4)]) == [[1, 2, 3], [4]]


def test_albums_do_not_mix() -> None:
    mixed = [question(1, album="a"), question(2, album="b"), question(3, album="a")]
    assert groups([*mixed, question(4, 2, "a")]) in (
        [[1, 3], [2], [4]],
        [[4], [1, 3], [2]],
        [[1, 3], [4], [2]],
    )


def test_what_comes_late_is_answered_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "QUIET_S", 0.02)
    late = [[question(1, album="a")], [question(2, album="a")]]
    assert groups(*late, pause_s=0.2) == [[1], [2]]


def test_at_the_end_no_quiet_makes_half_an_album_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversations, "QUIET_S", 0.1)
    assert groups([question(1, album="a")], stop=True, more=False) == [[]]


def test_after_a_restart_the_rest_of_an_album_has_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversations, "QUIET_S", 0.02)
    monkeypatch.setattr(conversations, "QUIET_AFTER_START_S", 0.5)
    entry, update = question(1, album="a")
    left = Question(entry._replace(is_old=True), update)
    assert groups([left], [question(2, album="a")], pause_s=0.1) == [[1, 2]]


def test_at_the_end_half_an_album_stays_for_the_next_run() -> None:
    assert groups([question(1, album="a")], stop=True) == [[]]


def test_many_updates_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MANY", 2)

    async def run() -> None:
        free = asyncio.Event()

        async def respond(parts: AsyncIterator[Question]) -> None:
            await free.wait()

        chats = Conversations(respond, asyncio.Event())
        chats.add([question(1), question(2), question(3)])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(chats.room(), 0.05)
        free.set()
        await asyncio.wait_for(chats.room(), 5)
        await chats.finish(5)

    asyncio.run(run())
