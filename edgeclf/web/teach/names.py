"""Names that people give to projects and classes, which become names of folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from edgeclf.data.listing import BACKGROUND
from edgeclf.inputs.paths import is_passed_over
from edgeclf.labels import UNKNOWN
from edgeclf.web.teach.refusals import taken, unprocessable

MOST_LETTERS = 100
MOST_BYTES = 200  # a folder's name may have 255; some is left for endings


def new_class_name(name: str) -> str:
    """Return the name of a class to be made, in NFC.

    Raises:
        ProblemError: It cannot be one.
    """
    if name == BACKGROUND:
        return name
    name = _new_name(name, "class")
    if name == UNKNOWN:
        raise unprocessable(
            f"Expected another name than {UNKNOWN}, which is what pictures of no class "
            f"are called. For pictures of no class make the class {BACKGROUND}."
        )
    return name


def new_project_name(name: str) -> str:
    """Return the name of a project to be made, in NFC.

    Raises:
        ProblemError: It cannot be one.
    """
    return _new_name(name, "project")


def check_unlike(name: str, others: Iterable[str]) -> None:
    """Refuse a name that other disks, and people, take for one that is there.

    That are names which differ in case alone, or in how letters are composed.

    Raises:
        ProblemError: It is so.
    """
    for other in others:
        if _plain(other) == _plain(name):
            raise taken(other)


def folder_names(folder: Path) -> list[str]:
    """Return the folders in a folder that may be projects or classes, sorted.

    In code point order; none where it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(filter(is_usable, found))


def is_usable(name: str) -> bool:
    """Return whether a folder that is there can be shown: its name is a line of UTF-8.

    Hidden folders and the litter of file managers are passed over.
    """
    if is_passed_over(name):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.splitlines() == [name]


def shown_name(name: str) -> str:
    """Return a file's name as text, whatever its bytes are."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _new_name(name: str, noun: str) -> str:
    fault = _fault(name)
    if fault is None:
        name = unicodedata.normalize("NFC", name)
        fault = _fault(name)
    if fault is not None:
        shown = name[:40].encode(errors="backslashreplace").decode()
        raise unprocessable(
            f"Expected a name for the {noun} {fault}. Received: {shown!r}. Choose "
            "another one."
        )
    return name


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _fault(name: str) -> str | None:
    """Return what a name should be and is not."""
    if not name.strip():
        return "that is not empty"
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        return "of whole letters"
    if len(name) > MOST_LETTERS or len(name.encode()) > MOST_BYTES:
        return f"of at most {MOST_LETTERS} letters and {MOST_BYTES} bytes"
    if any(letter in "/\\" for letter in name):
        return "without slashes"
    # Control characters, and what separates lines and paragraphs.
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        return "of one line, without control characters"
    if name.startswith((".", "_", " ")) or is_passed_over(name):
        return "that begins with no dot, underscore or blank"
    if name.endswith((".", " ")):
        return "that ends in no dot and no blank"
    return None
