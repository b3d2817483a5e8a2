"""Let a peer, loaded once, answer requests on stdin.

`label PATH` labels a picture, `invoke` runs the model again on what it was last given.
The answer is one line of JSON: how long it took, and the scores in the order of the
model's output.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Peer(Protocol):
    """A loaded model."""

    def label(self, path: str) -> Sequence[float]:
        """Return the scores of a picture."""
        ...

    def invoke(self) -> object:
        """Run the model alone."""
        ...


def serve(load: Callable[[str], Peer]) -> None:
    """Load the model that the first argument names, then answer until stdin ends."""
    peer = load(sys.argv[1])
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    _answer(answers, ready=True)
    for line in sys.stdin:
        request, _, path = line.rstrip("\n").partition(" ")
        call, arguments = (peer.label, [path]) if path else (peer.invoke, [])
        started = time.perf_counter()
        result = call(*arguments)
        took_ms = (time.perf_counter() - started) * 1e3
        scores = [float(score) for score in result] if request == "label" else []
        _answer(answers, ms=took_ms, scores=scores)


def _answer(file: Any, **content: object) -> None:
    print(json.dumps(content), file=file, flush=True)
