"""The pictures of a project as they are when a training begins."""

# ruff: noqa: PTH103, PTH114, PTH120, PTH211

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from edgeclf.data.listing import BACKGROUND
from edgeclf.web.teach.project import Project
from edgeclf.web.teach.refusals import unprocessable

SNAPSHOT = "pictures"  # in the folder of the training, with the project's name in it
_LEAST = 2  # pictures of a class: one to learn from, one to measure on


class Held(NamedTuple):
    """What a training is of.

    Attributes:
        fingerprint: Of all pictures that there were.
        labels: Of the classes that are trained.
        left_out: Those with too few pictures.
    """

    fingerprint: str
    labels: list[str]
    left_out: list[str]


def check_enough(project: Project) -> None:
    """Refuse to train on too little.

    Raises:
        ProblemError: There are fewer than two classes with `_LEAST` pictures.
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
    few = [label for label in filled if counts[label] < _LEAST]
    if len(filled) - len(few) < 2:
        raise unprocessable(
            f"Expected at least two classes with {_LEAST} pictures or more. Received: "
            f"1 in {', '.join(few[:3])}. Add more pictures."
        )


def snapshot(project: Project, run: Path) -> Held:
    """Hold the pictures as they are now: what changes meanwhile does not matter.

    They are further names of the same files, so that takes neither time nor room.

    Args:
        project: Whose pictures are held.
        run: Where: in the folder `SNAPSHOT`, and there in one of the project's name.

    Raises:
        OSError: They cannot be.
    """
    with project.lock:
        listing = project.listing()
        # As text: of 10,000 pictures it would be felt.
        made: set[str] = set()
        labels = [label for label in listing if label != BACKGROUND]
        left_out = [label for label in labels if 0 < len(listing[label]) < _LEAST]
        for label, pictures in listing.items():
            if label in left_out:
                continue
            below = str(run / SNAPSHOT / project.name / label)
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
        trained = [label for label in labels if label not in left_out]
        return Held(project.fingerprint(listing), trained, left_out)
