"""Names of a model's classes: the file that holds them, and how many there must be."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import TypeAlias

from edgeclf.errors import LabelError, visible

logger = logging.getLogger("edgeclf")

Labels: TypeAlias = "str | os.PathLike[str] | Sequence[str]"

BACKGROUND = "background"
UNKNOWN = "unknown"  # what a picture is called that the model rejects
_NUMBERED = r"\s*(\d{1,9})(?:\s*:\s*|\s+)(\S.*)"


def read_labels(text: bytes) -> tuple[str, ...]:
    r"""Split a labels file, UTF-8, one name a line.

    Lines end with `\n` or `\r\n`; empty lines at the end do not count. Everything
    else belongs to the name. Control characters are spelled out, `\x1b`: a name is
    shown on terminals, pages and in chats, and may be a stranger's.

    Raises:
        UnicodeDecodeError: The text is not UTF-8.
    """
    lines = text.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return tuple(map(visible, lines))


def warn_of_unknown(label: str) -> None:
    """Warn of a class whose name is what a rejected picture is called."""
    if label == UNKNOWN:
        logger.warning(
            "A class named %s cannot be told from a rejection in text: give it "
            "another name.",
            UNKNOWN,
        )


def given_labels(labels: Labels) -> tuple[tuple[str, ...], str]:
    """Return a caller's labels, and what errors call their source.

    Of a file in which every line begins with its own number, `0 cat` or `0: cat`, as
    Coral and Teachable Machine write them, the numbers are left out.

    Args:
        labels: A path or the names themselves.

    Raises:
        FileNotFoundError: There is no such file.
        LabelError: The file is not UTF-8.
        TypeError: A name is not a string.
    """
    if not isinstance(labels, (str, os.PathLike)):
        names = tuple(labels)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(
                "Expected labels to be a path or a list of names. "
                f"Received: labels={labels!r}"
            )
        return names, "the list of labels"
    path = os.fsdecode(labels)
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
        text = file.read()
    try:
        return _without_numbers(read_labels(text)), path
    except UnicodeDecodeError as error:
        raise LabelError(
            f"Expected {path} to be UTF-8 text with one label a line. Received: {error}"
        ) from error


def _without_numbers(lines: tuple[str, ...]) -> tuple[str, ...]:
    matches = [re.fullmatch(_NUMBERED, line) for line in lines]
    names = [
        match.group(2)
        for index, match in enumerate(matches)
        if match and int(match.group(1)) == index
    ]
    return tuple(names) if len(names) == len(lines) else lines


def check_number(
    labels: Sequence[str], num_classes: int, model: str, source: str
) -> None:
    """Check that there is a label for each class.

    Args:
        labels: The names.
        num_classes: How many there must be.
        model: What errors call the model, with the shape of its output.
        source: What errors call the place that the labels came from.

    Raises:
        LabelError: There are more or less.
    """
    if len(labels) == num_classes:
        return
    hint = ""
    if len(labels) == num_classes + 1 and BACKGROUND in (labels[0], labels[-1]):
        hint = f" Leave out {BACKGROUND}, which this model does not have."
    elif len(labels) == num_classes - 1 and BACKGROUND not in labels:
        hint = (
            f" One is missing: models of ImageNet often have {BACKGROUND} as their "
            "first class. If so, put it before the others."
        )
    raise LabelError(
        f"Expected {num_classes} labels for {model}. Received: {len(labels)} in "
        f"{source}.{hint}"
    )
