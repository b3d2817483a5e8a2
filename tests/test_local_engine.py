"""The engine of one machine."""

from __future__ import annotations

import functools
import os
import signal
import time

import pytest

from edgeclf.engines.local import LocalEngine
from edgeclf.errors import EdgeclfError


def square(number):
    return number * number


def start():
    return square


def start_telling_threads():
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return lambda _: (os.getpid(), *(os.environ.get(name) for name in names))


def fail(number):
    if number == 3:
        raise FileNotFoundError(2, "No such file", "three")
    return number


def start_failing():
    return fail


def start_dying():
    return lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 5 else 1


def touch(folder, number):
    (folder / f"{number}").touch()
    time.sleep(0.05)
    return number


def start_slowly(folder):
    return functools.partial(touch, folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_one_result(workers):
    results = LocalEngine(workers).map(start, range(50))
    assert sorted(results) == [number * number for number in range(50)]
    assert list(LocalEngine(workers).map(start, [])) == []


def test_workers_are_processes_with_one_thread_each():
    results = set(LocalEngine(2).map(start_telling_threads, range(40)))
    assert {result[1:] for result in results} == {("1", "1")}
    assert os.getpid() not in {result[0] for result in results}
    assert len(results) <= 2


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_is_raised(workers):
    with pytest.raises(FileNotFoundError) as raised:
        list(LocalEngine(workers).map(start_failing, range(9)))
    assert raised.value.filename == "three"


def start_nowhere():
    raise FileNotFoundError(2, "No such file", "model")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_start_raises_is_raised(capfd, workers):
    with pytest.raises(FileNotFoundError) as raised:
        list(LocalEngine(workers).map(start_nowhere, range(9)))
    assert raised.value.filename == "model"
    assert "Traceback" not in capfd.readouterr().err


def test_a_dead_worker_is_an_error():
    with pytest.raises(EdgeclfError, match=r"A worker died, .* Fewer workers need"):
        list(LocalEngine(2).map(start_dying, range(9)))


def test_who_stops_asking_stops_the_workers_at_once(tmp_path):
    results = LocalEngine(2).map(functools.partial(start_slowly, tmp_path), range(500))
    next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 2
    count = len(list(tmp_path.iterdir()))
    assert count < 20  # few are handed over before they are needed
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == count


def test_numbers_of_workers():
    assert LocalEngine().num_workers == len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match=r"Received: num_workers=0"):
        LocalEngine(0)
