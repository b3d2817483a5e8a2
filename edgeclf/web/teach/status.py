"""How a training goes, for people and programs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, TypeAlias

from edgeclf.console import number_of

Status: TypeAlias = "dict[str, Any]"
FINAL = frozenset({"done", "failed", "cancelled"})
MESSAGES = {
    "pictures": "Looking at the pictures.",
    "bottlenecks": "Looking at each picture with the network.",
    "views": "Looking at parts of each picture, in other light.",
    "head": "Learning to tell the classes apart.",
    "quantize": "Making the model small.",
    "evaluate": "Measuring it on pictures that it has not seen.",
    "report": "Writing the report.",
}
_NAMED_AT_MOST = 3  # warnings in the message of a training


def new_status(
    state: str, message: str, began_s: float | None = None, stage: str | None = None
) -> Status:
    """Return how a training goes.

    Args:
        state: "queued", "running", "done", "failed" or "cancelled".
        message: Sentences.
        began_s: When it has begun, by `time.monotonic`; None if it has not.
        stage: One of `MESSAGES`.
    """
    seconds = 0.0 if began_s is None else time.monotonic() - began_s
    return {
        "state": state,
        "stage": stage,
        "done": 0,
        "total": None,
        "seconds": round(seconds, 2),
        "message": message,
        "result": None,
    }


def summary(result: dict[str, Any], warnings: list[str]) -> str:
    """Return what a training has come to, in sentences.

    Args:
        result: As the training process tells it.
        warnings: What it has said on the way.
    """
    if result["accuracy"] is None:
        said = "Trained; with so few pictures there is none left to measure it on."
    else:
        said = (
            f"Trained: {result['accuracy']:.0%} right of "
            f"{number_of(result['num_test'], 'picture')} that it has not seen."
        )
    return with_warnings(said, warnings)


def with_warnings(said: str, warnings: Iterable[str]) -> str:
    """Return sentences with the first few warnings behind them."""
    told = [*dict.fromkeys(warnings)]
    more = len(told) - _NAMED_AT_MOST
    told = [*told[:_NAMED_AT_MOST], *([f"And {more} more."] if more > 0 else [])]
    return " ".join([said, *(line.rstrip(".") + "." for line in told)])
