"""Peers that stay loaded and are asked in turn; `peers/serving.py` is the other end."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import (
    BYTES_PER_MB,
    ERROR_LINES,
    ROOT,
    CommandError,
    Contender,
    environment,
)

CALLS_IN_A_TURN = 3  # as in a loop: the first finds the others' data in the caches
INVOKE = "invoke"


@dataclass(frozen=True)
class Answer:
    """What a peer said to one request.

    Attributes:
        ms: How long it took, in milliseconds.
        scores: Of each class, in the order of the model's output; empty of `invoke`.
    """

    ms: float
    scores: tuple[float, ...]


class Loaded:
    """A process that has loaded a model and answers requests; see `load`.

    Attributes:
        name: How the table calls it.
        ready_s: From starting the process until it could label, in seconds.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], errors: Any) -> None:
        self.name = name
        self._process = process
        self._errors = errors
        started = time.perf_counter()
        self._receive()
        self.ready_s = time.perf_counter() - started

    def ask(self, request: str) -> Answer:
        """Send `label PATH` or `invoke`, and return the answer.

        Raises:
            CommandError: The process ended instead.
        """
        print(request, file=self._process.stdin, flush=True)
        content = self._receive()
        return Answer(content["ms"], tuple(content["scores"]))

    def peak_mb(self) -> float:
        """Return the largest resident set until now, in MB of 10^6 bytes."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024 / BYTES_PER_MB

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            lines = str(self._errors.read(), "utf-8", "replace").splitlines()
            raise CommandError(
                f"{self.name}: expected an answer. Received: exit status {status}\n"
                + "\n".join(lines[-ERROR_LINES:])
            )
        content: dict[str, Any] = json.loads(line)
        return content


@contextmanager
def load(contender: Contender) -> Iterator[Loaded]:
    """Start a peer, wait until it can label, and end it with the block.

    Raises:
        CommandError: It ended instead.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            contender.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            cwd=ROOT,
            env=environment(),
        ) as process,
    ):
        yield Loaded(contender.name, process, errors)


@dataclass(frozen=True)
class Turns:
    """What a peer gave in all rounds.

    Attributes:
        ready_s: See `Loaded`.
        peak_mb: At the end of all rounds.
        ms: For each task a time for each round, the median of its calls.
        scores: For each task that labels, what came out the last time.
    """

    ready_s: float
    peak_mb: float
    ms: dict[str, list[float]]
    scores: dict[str, tuple[float, ...]]


def take_turns(
    contenders: Sequence[Contender], tasks: Mapping[str, str], runs: int
) -> dict[str, Turns]:
    """Load all contenders, then ask them in turn, round after round.

    Args:
        contenders: Commands that end in `serving.serve`.
        tasks: Requests by name; each is asked `CALLS_IN_A_TURN` times a turn.
        runs: Rounds to keep; one before them is not kept.

    Returns:
        What each gave, by its name.

    Raises:
        CommandError: One of them failed.
    """
    with ExitStack() as stack:
        peers = [stack.enter_context(load(contender)) for contender in contenders]
        ms: dict[str, dict[str, list[float]]] = {
            peer.name: {task: [] for task in tasks} for peer in peers
        }
        scores: dict[str, dict[str, tuple[float, ...]]] = {p.name: {} for p in peers}
        for number in range(-1, runs):
            for task, request in tasks.items():
                for peer in peers:
                    answers = [peer.ask(request) for _ in range(CALLS_IN_A_TURN)]
                    if answers[-1].scores:
                        scores[peer.name][task] = answers[-1].scores
                    if number >= 0:
                        took = median(answer.ms for answer in answers)
                        ms[peer.name][task].append(took)
        return {
            peer.name: Turns(
                peer.ready_s, peer.peak_mb(), ms[peer.name], scores[peer.name]
            )
            for peer in peers
        }
