"""What goes wrong between a bot and the Bot API, on request."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Where = Literal["before", "after"]


@dataclass(frozen=True)
class Fault:
    """What happens to one call instead of the plain answer.

    Attributes:
        error_code: Of the answer that refuses the call, which then has no effect.
        retry_after: Whole seconds, given with a 429.
        drop: The connection is cut before the call took effect, or after.
        delay_s: How long the answer waits; the effect is there at once.
        kept: Share of a file's bytes that arrive before the connection is cut.
    """

    error_code: int | None = None
    retry_after: int | None = None
    drop: Where | None = None
    delay_s: float = 0.0
    kept: float | None = None


def too_many(retry_after: int = 1) -> Fault:
    return Fault(429, retry_after)


def status(code: int) -> Fault:
    return Fault(code)


def dropped(where: Where) -> Fault:
    return Fault(drop=where)


def slow(seconds: float) -> Fault:
    return Fault(delay_s=seconds)


def cut(kept: float = 0.5) -> Fault:
    return Fault(kept=kept)


@dataclass
class Rule:
    """A fault for some of the calls of a method."""

    method: str
    fault: Fault
    share: float
    times: int | None
    chat: int | None


class Faults:
    """The rules in force; the first that fits a call decides."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._rules: list[Rule] = []
        self.happened: list[tuple[str, Fault]] = []

    def add(
        self,
        method: str,
        fault: Fault,
        *,
        share: float = 1.0,
        times: int | None = None,
        chat: int | None = None,
    ) -> Callable[[], None]:
        """Let calls fail, and return what ends it.

        Args:
            method: The Bot API's name in lower case, or "download".
            fault: What happens.
            share: Of the calls, chosen by chance.
            times: At most so many calls.
            chat: Only calls for this chat.
        """
        rule = Rule(method.lower(), fault, share, times, chat)
        self._rules.append(rule)
        return lambda: self._rules.remove(rule)

    def choose(self, method: str, chat: int | None) -> Fault | None:
        """Return the fault of this call, None for none."""
        for rule in self._rules:
            if rule.method != method.lower() or rule.times == 0:
                continue
            if rule.chat not in (None, chat) or self._random.random() >= rule.share:
                continue
            if rule.times is not None:
                rule.times -= 1
            self.happened.append((method, rule.fault))
            return rule.fault
        return None
