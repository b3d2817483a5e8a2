"""The text that answers pictures: hashtags, or labels with bars."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.bot import texts
from edgeclf.bot.outcomes import Outcome
from edgeclf.labelling.output import hashtags
from edgeclf.results import Category

MAX_LENGTH = 4000  # of 4096, counted in UTF-16, which Telegram takes; room for the hint
BAR = "▇"
BAR_LENGTH = 8


def answer_text(
    outcomes: Sequence[Outcome], *, multi_label: bool, feedback: bool
) -> str:
    """Return the message for one picture, or for all of an album, numbered.

    Args:
        outcomes: One or more.
        multi_label: Whether labels are tags.
        feedback: Whether what is wrong can be corrected.
    """
    parts = [_lines(outcome, multi_label) for outcome in outcomes]
    if len(parts) > 1:
        parts = [
            [f"{number}. {lines[0]}", *(f"    {line}" for line in lines[1:])]
            for number, lines in enumerate(parts, 1)
        ]
    text = shortened("\n".join(line for lines in parts for line in lines))
    if feedback and any(outcome.found is not None for outcome in outcomes):
        text += f"\n\n{texts.FEEDBACK_HINT}"
    return text


def _lines(outcome: Outcome, multi_label: bool) -> list[str]:
    if outcome.found is None:
        return [outcome.problem or texts.FAILED]
    if not outcome.found:
        return [texts.NO_TAG]
    if multi_label:
        return [" ".join(hashtags([Category(*one) for one in outcome.found]))]
    if outcome.found[0][0] is None:
        return [texts.UNKNOWN]
    return [
        f"{label} {bar(score)} {100 * score:.0f} %" for _, label, score in outcome.found
    ]


def bar(score: float) -> str:
    """Return one to eight blocks for a score in [0, 1]."""
    return BAR * min(BAR_LENGTH, max(1, round(BAR_LENGTH * score)))


def shortened(text: str) -> str:
    """Return the text, or what of it fits into one message."""
    encoded = text.encode("utf-16-le", "replace")
    if len(encoded) <= 2 * MAX_LENGTH:
        return text
    return encoded[: 2 * MAX_LENGTH - 4].decode("utf-16-le", "ignore") + " …"
