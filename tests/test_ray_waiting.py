"""Waiting for results of a cluster that is busy, or gone; no Ray is needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from edgeclf.engines import waiting
from edgeclf.engines.ray_cluster import Cluster
from edgeclf.errors import EdgeclfError


class Ray:
    """What is asked of the module `ray`."""

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    def available_resources(self) -> dict[str, float]:
        return {}


class Head(Cluster):
    """A head that says no more after some answers."""

    answers = 1000

    def silence(self) -> str:
        Head.answers -= 1
        return "" if Head.answers >= 0 else "Connection refused"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    monkeypatch.setattr(Head, "answers", 1000)
    return Head(Ray(), "first:6379", 2, 0.5)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_awaited_results_come_in_order_to_the_end(cluster: Cluster) -> None:
    assert list(waiting.awaited(range(100), cluster)) == list(range(100))


def test_awaited_raises_what_the_results_raise_after_those_before(
    cluster: Cluster,
) -> None:
    def results() -> Iterator[int]:
        yield 1
        raise ValueError("the last one")

    found = waiting.awaited(results(), cluster)
    assert next(found) == 1
    with pytest.raises(ValueError, match="the last one"):
        next(found)


def test_awaited_says_that_a_cluster_is_busy_and_waits_on(
    cluster: Cluster, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def results() -> Iterator[int]:
        gate.wait()
        yield 1

    threading.Timer(0.4, gate.set).start()
    with caplog.at_level(logging.WARNING, "edgeclf"):
        assert list(waiting.awaited(results(), cluster)) == [1]
    assert "no processor of the Ray cluster is free (it has 4)" in caplog.text


def test_awaited_gives_up_on_a_head_that_is_gone(
    cluster: Cluster, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def results() -> Iterator[int]:
        yield 1
        gate.wait()  # as Ray does

    Head.answers = 0
    found = waiting.awaited(results(), cluster)
    assert next(found) == 1
    with pytest.raises(EdgeclfError, match=r"head .* at first:6379 .* refused, for"):
        next(found)
    assert caplog.text.count("does not answer") == waiting.MAX_SILENCES - 1


def test_awaited_asks_for_no_more_than_is_taken(cluster: Cluster) -> None:
    asked: list[int] = []

    def results() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    found = waiting.awaited(results(), cluster)
    assert next(found) == 0
    time.sleep(0.2)
    assert len(asked) <= waiting.AHEAD + 3
    found.close()  # type: ignore[attr-defined]
    time.sleep(0.3)
    assert len(asked) <= waiting.AHEAD + 3
