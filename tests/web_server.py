"""`edgeclf serve` as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

for _package in ("fastapi", "uvicorn", "jinja2", "python_multipart"):
    pytest.importorskip(_package, reason=f"{_package} is not installed: edgeclf[web]")

ROOT = Path(__file__).resolve().parents[1]
START_S = 30  # on a machine that does much else
_ADDRESS = re.compile(r"^Serving .+ on (https?://\S+)$", re.MULTILINE)


class WebServer:
    """A server that was started with these arguments.

    Attributes:
        url: Its address, without a slash at the end; "" if it has not started.
        process: Of the server.
    """

    def __init__(self, *arguments: object, env: Mapping[str, str] | None = None):
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._has_said_all = False
        self.url = ""
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(env),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._said:
                    self._lines.append(line)
                    self._said.notify_all()
        with self._said:
            self._has_said_all = True
            self._said.notify_all()

    def wait_for_start(self) -> None:
        """Wait until it says its address, or has ended."""
        with self._said:
            self._said.wait_for(
                lambda: _ADDRESS.search(self.log()) or self._has_said_all, START_S
            )
        found = _ADDRESS.search(self.log())
        self.url = found[1] if found else ""

    def log(self) -> str:
        """Return all that it wrote so far."""
        return "".join(self._lines)

    def end(self, by: signal.Signals = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Send a signal, wait, and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        status = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return status


def command(*arguments: object) -> list[str]:
    """Return the command line of a server on a free port."""
    return [
        *(sys.executable, "-m", "edgeclf", "serve", "--port", "0"),
        *map(str, arguments),
    ]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's variables, this checkout first, and those given."""
    kept = {k: v for k, v in os.environ.items() if k != "EDGECLF_TOKEN"}
    return {**kept, "PYTHONPATH": str(ROOT), **(variables or {})}


@contextmanager
def serving(
    *arguments: object, env: Mapping[str, str] | None = None
) -> Iterator[WebServer]:
    """Run `edgeclf serve --port 0` with these arguments for the length of the block.

    Args:
        arguments: Of the command.
        env: Variables beside those of this process.
    """
    server = WebServer(*arguments, env=env)
    try:
        server.wait_for_start()
        assert server.url, f"It has not started:\n{server.log()}"
        yield server
    finally:
        try:
            server.end()
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
        print(server.log())  # noqa: T201 - pytest shows it when a test fails


def refused(
    *arguments: object, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a server that will not start, and return what it said."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            command(*arguments),
            cwd=folder,
            env=environment(env),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
