"""Move files into a quarantine folder so that they can be put back.

Nothing is lost wherever the process is killed: the journal is on the disk before the
first file moves, a file has its new name before it loses the old one, and nothing is
ever overwritten. The next run goes on where this one ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edgeclf.audit.journal import FILE_NAME, Journal, Move
from edgeclf.audit.moving import is_same, move
from edgeclf.console import sentence
from edgeclf.data.findings import Finding
from edgeclf.errors import DatasetError
from edgeclf.files import sync_folder
from edgeclf.inputs.paths import is_passed_over

logger = logging.getLogger("edgeclf")


class Outcome(NamedTuple):
    """What became of some files.

    Attributes:
        moved: Paths of those that were moved, relative to the dataset's folder.
        failed: Of those that were not; why was logged.
    """

    moved: list[str]
    failed: list[str]


def check_folder(root: Path, folder: Path) -> None:
    """Check that a folder can be a quarantine for the pictures in `root`.

    Raises:
        DatasetError: It is `root`, in a class folder of it, or above it, or it holds
            other files and no journal.
        NotADirectoryError: It is a file.
    """
    place, pictures = folder.resolve(), root.resolve()
    inside = place.is_relative_to(pictures)
    # A hidden folder is passed over by whoever reads the pictures.
    below = place.relative_to(pictures).parts if inside else ()
    hidden = bool(below) and is_passed_over(below[0])
    if (inside and not hidden) or pictures.is_relative_to(place):
        raise DatasetError(
            f"Expected a quarantine folder apart from the pictures in {root}. "
            f"Received: {folder}. Choose one beside it."
        )
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"Expected a folder for the quarantine. Received: {folder}, a file."
        )
    if folder.is_dir() and not (folder / FILE_NAME).exists() and any(folder.iterdir()):
        raise DatasetError(
            f"Expected an empty folder, or one with {FILE_NAME}, for the quarantine. "
            f"Received: {folder}, which holds other files."
        )


def quarantine(root: Path, folder: Path, findings: Iterable[Finding]) -> Outcome:
    """Move files from `root` to `folder`, each to the same relative path.

    Where there is a file of that name already, a number is put before the ending.
    Moves that an earlier run planned and did not make are made first. Links are
    moved, never what they lead to.

    Args:
        root: The dataset's folder.
        folder: See `check_folder`; made if missing.
        findings: What is wrong with which files; folders are passed over.

    Raises:
        DatasetError: See `check_folder` and `Journal`.
        OSError: The journal cannot be written.
    """
    check_folder(root, folder)
    files = [finding for finding in findings if not finding.file.endswith("/")]
    if not files and not folder.exists():
        return Outcome([], [])
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder) as journal:
        _check_root(journal, root)
        sync_folder(folder)
        planned = [move for move in journal.pending if _is_left(root, folder, move)]
        known = {_place(root / move.file) for move in planned}
        taken = {move.to for move in journal.moves}
        fresh = []
        for finding in files:
            place = _place(root / finding.file)
            if place in known:  # two things are wrong with it, or two links lead there
                continue
            known.add(place)
            to = _free_name(folder, finding.file, taken)
            taken.add(to)
            fresh.append(Move(finding.file, to, finding.kind, finding.detail))
        journal.add(os.fspath(root.resolve()), fresh)
        outcome = _move_all(
            (move.file, root / move.file, folder / move.to) for move in planned + fresh
        )
        _mark(journal, "done")
    return outcome


def undo(root: Path, folder: Path) -> Outcome:
    """Put everything back that `quarantine` moved; again does nothing.

    A file whose old place has been taken stays in quarantine, and a warning says so.

    Args:
        root: The dataset's folder.
        folder: The quarantine folder.

    Raises:
        DatasetError: There is no journal in it, or of another dataset.
        OSError: The journal cannot be opened.
    """
    if not (folder / FILE_NAME).is_file():
        raise DatasetError(
            f"Expected the folder of a quarantine, with {FILE_NAME}. Received: "
            f"{folder}."
        )
    with Journal(folder) as journal:
        _check_root(journal, root)
        is_marked = _mark(journal, "undo")
        moves = {move.to: move for move in journal.moves}
        pairs = [
            (move.file, folder / move.to, root / move.file)
            for move in reversed(moves.values())
            if os.path.lexists(folder / move.to)
        ]
        outcome = _move_all(pairs)
        if not is_marked:  # by now there may be room
            _mark(journal, "undo")
        _remove_empty_folders(folder, moves.values())
    return outcome


def _mark(journal: Journal, what: str) -> bool:
    """Mark the journal; a disk that is full must not keep files from going back."""
    try:
        journal.mark(what)
    except OSError as error:
        logger.warning("The journal lacks its last line: %s", sentence(error))
        return False
    return True


def _check_root(journal: Journal, root: Path) -> None:
    """Refuse a journal of other pictures; they may have been moved as a whole."""
    if journal.root is None or not Path(journal.root).exists():
        return
    if root.resolve() != Path(journal.root).resolve():
        raise DatasetError(
            f"Expected the folder that {journal.path} is about, {journal.root}. "
            f"Received: {root}."
        )


def _place(path: Path) -> str:
    """Return where a file or a link lies, whatever links lead to its folder."""
    return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118


def _is_left(root: Path, folder: Path, move: Move) -> bool:
    """Return whether a planned move has not been made, or not to its end."""
    source, target = root / move.file, folder / move.to
    if not os.path.lexists(source):
        return False
    return not os.path.lexists(target) or is_same(source, target)


def _free_name(folder: Path, file: str, taken: set[str]) -> str:
    """Return `file`, with a number before its ending if that name is taken."""
    name, number = file, 1
    while name in taken or os.path.lexists(folder / name) or name == FILE_NAME:
        number += 1
        path = Path(file)
        name = path.with_name(f"{path.stem}.{number}{path.suffix}").as_posix()
    return name


def _move_all(pairs: Iterable[tuple[str, Path, Path]]) -> Outcome:
    moved, failed = [], []
    for name, source, target in pairs:
        try:
            move(source, target)
            moved.append(name)
        except FileExistsError:
            logger.warning("Not moved: %s, as there is a file at %s.", source, target)
            failed.append(name)
        except OSError as error:
            logger.warning("Not moved: %s: %s.", source, error.strerror or error)
            failed.append(name)
    return Outcome(moved, failed)


def _remove_empty_folders(folder: Path, moves: Iterable[Move]) -> None:
    places = {parent for move in moves for parent in Path(move.to).parents}
    for place in sorted(places, key=lambda place: -len(place.parts)):
        if place.parts:
            with contextlib.suppress(OSError):  # not empty, or gone
                (folder / place).rmdir()
