"""The queue before the worker threads: order, bounds, errors, cancelling, the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: edgeclf[web]")

from starlette.requests import ClientDisconnect, Request

from edgeclf.web.engine import BusyError, Engine

WAIT_S = 10


@contextmanager
def held(engine: Engine) -> Iterator[Callable[[], str]]:
    """Yield a call that keeps its thread until the block ends."""
    released = threading.Event()

    def call() -> str:
        assert released.wait(WAIT_S)
        return "held"

    try:
        yield call
    finally:
        released.set()


async def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.001)


async def begun(engine: Engine, call: Callable[[], str]) -> asyncio.Task[list[str]]:
    """Give a free thread something to do; return when it does that."""
    task = asyncio.ensure_future(engine.run([call]))
    await asyncio.sleep(0)
    await until(lambda: engine.waiting == 0)
    return task


def test_engine_returns_results_in_order():
    async def scenario() -> list[int]:
        def late(number: int) -> Callable[[], int]:
            return lambda: (time.sleep(0.001 * (5 - number)), number)[1]

        return await engine.run([late(number) for number in range(6)])

    with closing(Engine(3, 10)) as engine:
        assert asyncio.run(scenario()) == [0, 1, 2, 3, 4, 5]
        assert engine.waiting == 0


def test_engine_without_calls_returns_nothing_even_when_it_is_full():
    async def scenario() -> None:
        with held(engine) as call:
            first = await begun(engine, call)
            second = asyncio.ensure_future(engine.run([call]))
            await asyncio.sleep(0)
            assert await engine.run([]) == []
        assert await asyncio.gather(first, second) == [["held"], ["held"]]

    with closing(Engine(1, 1)) as engine:
        asyncio.run(scenario())


def test_engine_works_on_as_many_at_a_time_as_there_are_workers():
    together = threading.Barrier(3)

    with closing(Engine(3, 10)) as engine:
        calls = [lambda: together.wait(WAIT_S)] * 3
        assert sorted(asyncio.run(engine.run(calls))) == [0, 1, 2]


def test_engine_leaves_the_event_loop_free():
    async def scenario() -> None:
        with held(engine) as call:
            task = await begun(engine, call)
            for _ in range(50):
                await asyncio.sleep(0)
            assert not task.done()
        assert await task == ["held"]

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())


def test_engine_refuses_what_the_queue_has_no_room_for():
    async def scenario() -> None:
        ran = []
        with held(engine) as call:
            first = await begun(engine, call)
            second = asyncio.ensure_future(engine.run([call, call]))
            await asyncio.sleep(0)
            assert engine.waiting == 2
            with pytest.raises(BusyError, match="a full queue") as caught:
                await engine.run([lambda: ran.append(1)] * 2)
            assert 1 <= caught.value.retry_after_s <= 60
            third = asyncio.ensure_future(engine.run([call]))  # this one fits
            await asyncio.sleep(0)
        await asyncio.gather(first, second, third)
        assert ran == []

    with closing(Engine(1, 3)) as engine:
        asyncio.run(scenario())


def test_engine_takes_more_than_the_queue_holds_when_nothing_waits():
    async def scenario() -> None:
        with held(engine) as call:
            first = await begun(engine, call)
            many = asyncio.ensure_future(engine.run([call] * 10))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await engine.run([call])
        assert await first == ["held"]
        assert await many == ["held"] * 10
        assert await engine.run([lambda: "again"]) == ["again"]

    with closing(Engine(1, 3)) as engine:
        asyncio.run(scenario())


def test_engine_says_to_come_later_the_more_waits_and_the_longer_a_call_takes():
    async def scenario() -> tuple[int, int]:
        await engine.run([lambda: time.sleep(0.1)] * 10)
        with held(engine) as call:
            waiting = [await begun(engine, call)]
            before = engine.retry_after_s
            waiting.append(asyncio.ensure_future(engine.run([call] * 50)))
            await asyncio.sleep(0)
            after = engine.retry_after_s
        await asyncio.gather(*waiting)
        return before, after

    with closing(Engine(1, 100)) as engine:
        before, after = asyncio.run(scenario())
    assert before == 1
    assert 3 <= after <= 6  # 50 calls of 0.08 s or so


def test_engine_lets_requests_take_turns():
    order: list[str] = []

    async def scenario() -> None:
        with held(engine) as call:
            first = await begun(engine, call)
            large = asyncio.ensure_future(
                engine.run([lambda: order.append("large")] * 4)
            )
            await asyncio.sleep(0)
            small = asyncio.ensure_future(engine.run([lambda: order.append("small")]))
            await asyncio.sleep(0)
        await asyncio.gather(first, large, small)

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())
    assert order == ["large", "small", "large", "large", "large"]


def test_engine_raises_what_a_call_raises_and_drops_the_rest():
    ran: list[int] = []

    def fail() -> None:
        raise LookupError("gone")

    async def scenario() -> None:
        with pytest.raises(LookupError, match="gone"):
            await engine.run([fail, *[lambda: ran.append(1)] * 5])
        assert engine.waiting == 0
        assert await engine.run([lambda: 7]) == [7]  # the thread lives

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())
    assert ran == []


def test_engine_drops_what_waits_when_the_request_is_cancelled():
    ran: list[int] = []

    async def scenario() -> None:
        with held(engine) as call:
            first = await begun(engine, call)
            task = asyncio.ensure_future(engine.run([lambda: ran.append(1)] * 5))
            await asyncio.sleep(0)
            assert engine.waiting == 5
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engine.waiting == 0
        await first

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())
    assert ran == []


def test_engine_drops_what_waits_when_the_client_is_gone():
    ran: list[int] = []

    async def scenario() -> None:
        hangs_up = asyncio.Event()

        async def receive() -> dict[str, str]:
            await hangs_up.wait()
            return {"type": "http.disconnect"}

        request = Request({"type": "http"}, receive)
        with held(engine) as call:
            first = await begun(engine, call)
            task = asyncio.ensure_future(
                engine.run([lambda: ran.append(1)] * 5, request)
            )
            await asyncio.sleep(0)
            hangs_up.set()
            with pytest.raises(ClientDisconnect):
                await task
            assert engine.waiting == 0
        await first
        hangs_up.clear()
        assert await engine.run([lambda: 3], request) == [3]
        await until(lambda: len(asyncio.all_tasks()) == 1)  # nobody listens any more

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())
    assert ran == []


def test_engine_ends_after_what_runs_and_cancels_what_waits():
    async def scenario() -> None:
        ended = threading.Event()

        def slow() -> str:
            time.sleep(0.1)
            ended.set()
            return "done"

        first = await begun(engine, slow)
        second = asyncio.ensure_future(engine.run([slow, slow]))
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.close)
        assert ended.is_set()
        assert await first == ["done"]
        with pytest.raises(BusyError):
            await second
        with pytest.raises(BusyError):
            await engine.run([slow])
        engine.close()  # does nothing

    with closing(Engine(1, 10)) as engine:
        asyncio.run(scenario())
    assert not [each for each in threading.enumerate() if each.name == "worker 0"]


def test_engine_serves_many_requests_at_once():
    async def scenario() -> list[list[int]]:
        def call(number: int) -> Callable[[], int]:
            return lambda: number

        requests = [[call(10 * i + j) for j in range(i % 4)] for i in range(300)]
        return await asyncio.gather(*map(engine.run, requests))

    with closing(Engine(4, 1000)) as engine:
        answers = asyncio.run(scenario())
        assert engine.waiting == 0
    assert answers == [[10 * i + j for j in range(i % 4)] for i in range(300)]
