"""The pictures of a project as they are when a training begins."""

# ruff: noqa: PTH103, PTH114, PTH120, PTH211

from __future__ import annotations

import os
from pathlib import Path

from edgeclf.data.listing import BACKGROUND
from edgeclf.web.teach.project import Project
from edgeclf.web.teach.refusals import unprocessable

SNAPSHOT = "pictures"  # the folder's name in that of the training


def check_enough(project: Project) -> None:
    """Refuse to train on too little.

    Raises:
        ProblemError: There are fewer than two classes with two pictures in all but
            one.
    """
    counts = {
        label: len(pictures)
        for label, pictures in project.listing().items()
        if label != BACKGROUND
    }
    filled = [label for label, count in counts.items() if count]
    if len(filled) < 2:
        found = f"one: {filled[0]}" if filled else "none"
        raise unprocessable(
            "Expected at least two classes with pictures, so that there is something "
            f"to tell apart. Received: {found}. Add pictures to another class."
        )
    for label in filled:
        if counts[label] < 2:
            raise unprocessable(
                f"Expected at least 2 pictures in each class. Received: 1 in {label}. "
                "Add more pictures to it, or delete it."
            )


def snapshot(project: Project, run: Path) -> str:
    """Hold the pictures as they are now: what changes meanwhile does not matter.

    They are further names of the same files, so that takes neither time nor room.

    Args:
        project: Whose pictures are held.
        run: Where, in the folder `SNAPSHOT`.

    Returns:
        The fingerprint of what is held.

    Raises:
        OSError: They cannot be.
    """
    with project.lock:
        listing = project.listing()
        # As text: of 10,000 pictures it would be felt.
        made: set[str] = set()
        for label, pictures in listing.items():
            below = str(run / SNAPSHOT / label)
            for picture in pictures:
                target = f"{below}/{picture.name}"
                folder, source = os.path.dirname(target), str(picture.path)
                if folder not in made:
                    os.makedirs(folder, exist_ok=True)
                    made.add(folder)
                if os.path.islink(source):
                    source = os.path.realpath(source)
                try:
                    os.link(source, target)
                except OSError:  # on another disk, or on one without such names
                    os.symlink(os.path.realpath(source), target)
        return project.fingerprint(listing)
