"""What training says, in the words of who teaches."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgeclf.web.teach.names import shown_name
from edgeclf.web.teach.project import ID_LETTERS


def for_visitors(message: str, project: str, labels: Iterable[str]) -> str:
    """Return a message that names no file that was named by its content.

    Args:
        message: Of the training; it may name files.
        project: Its name.
        labels: Of the classes that are trained.
    """
    either = "|".join(map(re.escape, labels))
    hashed = rf"(?:{re.escape(project)}/)?({either})/[0-9a-f]{{{ID_LETTERS}}}\.\w+"
    return re.sub(hashed, r"a picture in \1", shown_name(message))
