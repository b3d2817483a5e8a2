"""The training process as the server sees it: started when needed, one at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

_MODULE = "edgeclf.web.teach.training_process"
_KILL_AFTER_S = 3.0  # that it has to end by itself


class Child:
    """The training process.

    Args:
        on_event: Called in a thread with each event that it tells, and with
            `{"event": "ended", "status": …, "message": …}` when it is gone.
    """

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._on_event = on_event
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def send(self, command: Mapping[str, Any]) -> int:
        """Send a command; the process is started if it is not there.

        Returns:
            The process's id.

        Raises:
            OSError: It cannot be started.
        """
        line = json.dumps(command) + "\n"
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                try:
                    self._write(self._process, line)
                    return self._process.pid
                except (OSError, ValueError):  # it has ended this moment
                    pass
            self._process = self._started()
            self._write(self._process, line)
            return self._process.pid

    def end(self) -> None:
        """End it; safe to call at any time."""
        with self._lock:
            process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int | None:
        """Of the process; None if there is none."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def _write(self, process: subprocess.Popen[str], line: str) -> None:
        if process.stdin is not None:
            process.stdin.write(line)
            process.stdin.flush()

    def _started(self) -> subprocess.Popen[str]:
        # The thread that watches the process closes it.
        errors = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is the server's; it ends this one
        )
        threading.Thread(
            target=self._watch, args=(process, errors), name="training", daemon=True
        ).start()
        return process

    def _watch(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        with errors:
            for line in process.stdout or ():
                if not line.endswith("\n"):  # it was killed in the midst of it
                    break
                self._on_event({**json.loads(line), "pid": process.pid})
            status = process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what it did not read
                    pipe.close()  # type: ignore[union-attr]
            errors.seek(0)
            said = [line for line in errors.read()[-4000:].splitlines() if line.strip()]
        reason = said[-1].strip() if said and status > 0 else f"status {status}"
        message = f"The training process ended unexpectedly ({reason})."
        if status == -9:
            message = (
                "The system has ended the training, most likely for want of memory. "
                "Train with fewer pictures, or on a machine with more memory."
            )
        self._on_event(
            {
                "event": "ended",
                "status": status,
                "message": message,
                "pid": process.pid,
            }
        )
