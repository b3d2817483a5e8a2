"""Every sentence that the bot says to people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.console import number_of

MAX_NAMED = 60  # labels that /model lists

COMMANDS = (
    ("start", "what this bot does"),
    ("help", "what it takes, and what it understands"),
    ("model", "what it knows, and how well"),
    ("top", "how many labels it shows: /top 3"),
)
NO_TAG = "I see none of my tags in this picture."
UNKNOWN = "This is like nothing that I know."
UNFETCHED = "I could not fetch this picture from Telegram. Please send it again."
FAILED = "I could not work on this picture. Please try another one."
FEEDBACK_HINT = (
    "Wrong? Tap below: the picture is then kept, with the right label, for training."
)
ONLY_PICTURES = "I only look at pictures: send me a photo or an image file."
OTHER_CONTENT = {
    "animation": "This moves, and I only look at still pictures. Send me a photo.",
    "sticker": "Nice sticker! I only look at photos and image files, though.",
    "video": "I do not watch videos. Send me a photo, or a screenshot of it.",
    "video_note": "I do not watch videos. Send me a photo instead.",
    "voice": "I cannot listen. Send me a photo instead.",
    "audio": "I cannot listen. Send me a photo instead.",
    "document": "I only open image files, such as JPEG and PNG. Send me one of these.",
}
UNKNOWN_COMMAND = "I do not know this command. /help lists those I know."

WRONG_BUTTON = "Wrong? Tap the right label"
WRONG_TAGS_BUTTON = "Wrong? Tap the right tags"
WHICH_BUTTON = "Wrong? {number}"
DONE_BUTTON = "Done"
BACK_BUTTON = "Back"
STORED_BUTTON = "Stored: {label}. Change"
STORED = "Thank you! Stored as {label}."
STORED_NONE = "no tag"
OLD_BUTTON = "This answer is too old to be corrected. Send the picture again."
OTHER_MODEL = "I have a new model since then. Send the picture again."
NO_FEEDBACK = "I take no corrections at the moment."
NOT_YOURS = "Only who sent the picture can correct this."
UNSTORED = "I could not store this. Please try again later."
GONE = "I cannot fetch this picture any more. Send it again."


def start(kind: str, *, feedback: bool) -> str:
    """Return the answer to /start.

    Args:
        kind: "tags" or "labels".
        feedback: Whether corrections are stored.
    """
    answer = "hashtags" if kind == "tags" else "what it most likely is"
    lines = [f"Send me a photo, an image file or an album: I answer with {answer}."]
    if feedback:
        lines.append(
            "If an answer is wrong, tap the button below it and choose what is right. "
            "Only then the picture is kept, with your choice, to train the next model. "
            "Your name is not, nor what the file says of place, time and camera."
        )
    else:
        lines.append("I keep no pictures.")
    lines.append("/help tells more.")
    return "\n\n".join(lines)


def help_text(*, rate: int, max_mb: int, top: int | None, kind: str) -> str:
    """Return the answer to /help."""
    shown = _count(top, kind) if top else f"all {kind} that fit"
    return "\n".join(
        [
            f"Photos and image files up to {max_mb} MB; an album gets one answer. "
            f"{_count(rate, 'pictures')} a minute in one chat.",
            "",
            *(f"/{name}: {text}" for name, text in COMMANDS),
            "",
            f"At the moment I show {shown}. In groups I answer to pictures and to "
            "commands alone.",
        ]
    )


def model(
    name: str,
    labels: Sequence[str],
    kind: str,
    size_bytes: int,
    provenance: Mapping[str, Any],
) -> str:
    """Return the answer to /model.

    Args:
        name: Of the file.
        labels: That it knows.
        kind: "tags" or "labels".
        size_bytes: Of the file.
        provenance: What its record says of its training.
    """
    lines = [f"{name}, {size_bytes / 1e6:.1f} MB"]
    if architecture := provenance.get("architecture"):
        lines.append(f"Network: {architecture}")
    lines += _measured(provenance)
    named = ", ".join(labels[:MAX_NAMED])
    more = len(labels) - MAX_NAMED
    lines.append(
        f"{_count(len(labels), kind)}: {named}"
        + (f" and {more} more" if more > 0 else "")
    )
    return "\n".join(lines)


def _count(number: int, nouns: str) -> str:
    return number_of(number, nouns.removesuffix("s"))


def _measured(provenance: Mapping[str, Any]) -> list[str]:
    """Return what was measured on pictures that the model had not seen."""
    figures = []
    for key, name in (
        ("mean_average_precision", "mean average precision"),
        ("micro_f1", "micro F1"),
    ):
        if isinstance(value := provenance.get(key), float):
            figures.append(f"{name} {value:.2f}")
    accuracy = provenance.get("accuracy_int8")
    if not figures and isinstance(accuracy, float):
        figures.append(f"{accuracy:.1%} right".replace("%", " %"))
    if not figures:
        return []
    number = provenance.get("num_test")
    pictures = _count(number, "pictures") if isinstance(number, int) else "pictures"
    return [f"Measured on {pictures} it had not seen: {', '.join(figures)}"]


def top_is(top: int | None, kind: str) -> str:
    """Return the answer to /top without a number."""
    shown = f"{_count(top, kind)} at most" if top else f"all {kind} that fit"
    return f"I show {shown}. /top 3 makes it 3."


def top_set(top: int, kind: str) -> str:
    """Return the answer to /top with a number."""
    return f"From now on I show {_count(top, kind)} at most in this chat."


def top_wrong(most: int) -> str:
    """Return the answer to /top with something else."""
    return f"Expected a number from 1 to {most}, as in /top 3."


def too_many(per_minute: int, wait_s: float) -> str:
    """Return what is said once of pictures that come too fast."""
    return (
        f"I label {_count(per_minute, 'pictures')} a minute in one chat. "
        "This one is left out, "
        f"and so are those that follow it in the next {max(1, math.ceil(wait_s))} s: "
        "please send them again then."
    )


def too_large(size_bytes: int, max_mb: int) -> str:
    """Return what is said of a file with too many bytes; 0: nobody knows how many."""
    size = f" of {size_bytes / 1e6:.0f} MB" if size_bytes else ""
    return (
        f"This file{size} is too large for me: I take up to {max_mb} MB. Send it as "
        "a photo, which Telegram makes smaller."
    )


def unreadable(reason: str) -> str:
    """Return what is said of a file that cannot be decoded.

    Args:
        reason: Of the decoder, which calls the picture "image".
    """
    return f"I could not read this picture: the {reason}"
