from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edgeclf import ImageError
from edgeclf.decoder import ImageSource, source_name
from edgeclf.labelling.workers import LOOK_AHEAD, Outcome, in_order, outcomes

ROOT = Path(__file__).resolve().parents[1]


def square(number: int) -> int:
    time.sleep(0.002 if number % 7 == 0 else 0)  # some are overtaken
    return number * number


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    numbers = list(range(200))
    assert list(in_order(numbers, [square] * workers)) == [n * n for n in numbers]
    assert list(in_order([], [square] * workers)) == []


def test_each_function_is_called_by_one_thread() -> None:
    callers: list[set[int]] = [set(), set(), set()]

    def function(number: int) -> Callable[[int], None]:
        def call(_: int) -> None:
            callers[number].add(threading.get_ident())
            time.sleep(0.001)

        return call

    list(in_order(range(60), [function(number) for number in range(3)]))
    assert [len(threads) for threads in callers] == [1, 1, 1]
    assert len(set.union(*callers)) == 3
    list(in_order(range(3), [function(0)]))
    assert threading.get_ident() in callers[0]  # a single one needs no thread


@pytest.mark.parametrize("workers", [1, 3])
def test_items_are_not_asked_for_long_before_their_turn(workers: int) -> None:
    asked = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    results = in_order(numbers(), [square] * workers)
    for turn in range(100):
        assert next(results) == turn * turn
    time.sleep(0.05)
    assert len(asked) <= 100 + LOOK_AHEAD * workers
    results.close()
    assert len(asked) < 200


def test_a_result_does_not_wait_for_the_next_item() -> None:
    more = threading.Event()

    def items() -> Iterator[int]:
        yield 3
        more.wait(10)
        yield 4

    results = in_order(items(), [square, square])
    assert next(results) == 9
    more.set()
    assert list(results) == [16]


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_are_raised_in_their_turn(workers: int) -> None:
    def fail_at_5(number: int) -> int:
        if number == 5:
            raise KeyError(number)
        return number

    results = in_order(range(10), [fail_at_5] * workers)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError):
        next(results)

    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    results = in_order(items(), [square] * workers)
    assert next(results) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(results)


def test_threads_end_with_the_results() -> None:
    before = threading.active_count()
    results = in_order(iter(int, 1), [square] * 3)  # never at an end
    assert next(results) == 0
    assert threading.active_count() == before + 3
    results.close()
    assert threading.active_count() == before
    assert list(in_order(range(3), [square] * 8)) == [0, 1, 4]
    assert threading.active_count() == before


def test_a_thread_that_waits_does_not_keep_the_process() -> None:
    code = (
        "import sys, time\n"
        "from edgeclf.labelling.workers import in_order\n"
        "lines = open(0, 'rb', closefd=False)\n"
        "results = in_order(lines, [len, len])\n"
        "print(next(results)); results.close()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"line\n")
        process.stdin.flush()
        assert process.wait(timeout=20) == 0  # though stdin is still open
        assert (process.stdout.read(), process.stderr.read()) == (b"5\n", b"")


class Item(NamedTuple):
    name: str
    read: Callable[[], object]


def test_outcomes_name_the_pictures_that_failed() -> None:
    def missing() -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "b.jpg")

    def work(source: ImageSource) -> int:
        content = open_content(source)
        if content == b"bad":
            raise ImageError(f"{source_name(source)} is damaged.")
        if not content:
            raise ValueError("Expected region inside the picture.")
        return len(content)

    def open_content(source: ImageSource) -> bytes:
        assert isinstance(source, io.BytesIO)  # which can have a name
        return source.read()

    items = [
        Item("a.jpg", lambda: b"picture"),
        Item("b.jpg", missing),
        Item("c.jpg", lambda: b"bad"),
        Item("d.jpg", lambda: b""),
    ]
    expected = [
        Outcome("a.jpg", b"picture", 7, ""),
        Outcome("b.jpg", None, None, "b.jpg: No such file or directory."),
        Outcome("c.jpg", b"bad", None, "c.jpg is damaged."),
        Outcome("d.jpg", b"", None, "d.jpg: Expected region inside the picture."),
    ]
    assert list(outcomes(items, [work])) == expected
    assert list(outcomes(items, [work, work])) == expected
