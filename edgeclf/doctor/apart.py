"""Do something in a process of its own, so that a crash is an answer too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from edgeclf.console import sentence

TIME_LIMIT_S = 180  # importing TensorFlow from an SD card takes long


def run_apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` returns, done in a forked process; else its `error`.

    What it prints is dropped. A fork, not a new Python: that takes seconds on a small
    board, and cannot be started by an emulator.
    """
    if not hasattr(os, "fork"):  # Windows
        return _caught(work)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(writer, work)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"error": _signal_name(os.WTERMSIG(status))}
    answer: dict[str, Any] = json.loads(content or b'{"error": "no answer"}')
    return answer


def _answer(writer: int, work: Callable[[], dict[str, Any]]) -> None:
    """Write what `work` returns and end this process."""
    import signal

    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    signal.alarm(TIME_LIMIT_S)
    try:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(_caught(work)).encode())
    finally:
        os._exit(0)  # not the parent's cleaning up


def _caught(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the diagnosis
        return {"error": sentence(error) or type(error).__name__}


def _signal_name(number: int) -> str:
    import signal

    name = signal.Signals(number).name
    meaning = {
        "SIGILL": "an instruction that this processor does not have",
        "SIGALRM": f"not done after {TIME_LIMIT_S} s",
        "SIGKILL": "out of memory, perhaps",
    }.get(name, "it crashes")
    return f"{name}: {meaning}"
