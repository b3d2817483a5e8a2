"""A project: a folder of class folders, as `retrain` reads it.

```
DIR/
    Fruit/                 -> project "Fruit"
        apple/             -> class "apple"
            3f….jpg        -> picture that was added here: named by its content
            old/IMG 1.png  -> picture that was there before
        _background/       -> pictures of no class
        .edgeclf/          -> what is ours: models, reports, bottlenecks
```
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from edgeclf.data.listing import BACKGROUND
from edgeclf.inputs.paths import find_images
from edgeclf.web.problems import ProblemError
from edgeclf.web.teach.names import check_unlike, folder_names, new_class_name
from edgeclf.web.teach.refusals import conflict, missing, taken

OURS = ".edgeclf"
ID_LETTERS = 24  # hexadecimal, of SHA-256: 96 bits
_TRASH, _PART = ".deleted-", ".part"


class Listed(NamedTuple):
    """A picture of a class.

    Attributes:
        id: Of the picture within its class; it stays when the class is renamed.
        name: Its path relative to the class folder, with forward slashes.
        path: Where it is.
        size_bytes: Of the file; 0 of a broken link.
        modified_ns: When it was changed, since 1970; 0 likewise.
    """

    id: str
    name: str
    path: Path
    size_bytes: int
    modified_ns: int


class Project:
    """A folder of class folders; threads may share it.

    A name that comes from outside is compared with the names that are there, and only
    then becomes part of a path.

    Args:
        folder: There is one.

    Attributes:
        folder: See above.
        name: Of the folder.
        ours: Where all lies that is not a picture.
        lock: Held by who changes the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        self.ours = folder / OURS
        self.lock = threading.RLock()
        # By class and id, of pictures that were asked for: a page asks for many.
        self._known: dict[str, dict[str, Listed]] = {}

    def class_names(self) -> list[str]:
        """Return the classes, in code point order; `_background` is one of them."""
        return folder_names(self.folder)

    def class_folder(self, label: str) -> Path:
        """Return the folder of a class.

        Raises:
            ProblemError: There is no such class.
        """
        if label not in self.class_names():
            raise missing("class", label)
        return self.folder / label

    def own_class_folder(self, label: str) -> Path:
        """Return the folder of a class if it may be changed.

        Raises:
            ProblemError: There is no such class, or it lies outside of the project.
        """
        folder = self.class_folder(label)
        if not self.holds(folder):
            raise conflict(
                f"Expected a class folder inside of the project. Received: {label}, "
                "a link to another place, which is not changed from here."
            )
        return folder

    def holds(self, path: Path) -> bool:
        """Return whether a path, with its links followed, stays in the project."""
        return path.resolve().is_relative_to(self.folder.resolve())

    def pictures(self, label: str) -> list[Listed]:
        """Return the pictures of a class as `retrain` finds them, newest first.

        Raises:
            ProblemError: There is no such class.
        """
        folder = self.class_folder(label)
        try:
            paths = find_images(folder)
        except OSError:  # it was renamed or deleted this moment
            return []
        listed = [_listed(folder, path) for path in paths]
        listed.sort(key=lambda picture: (-picture.modified_ns, picture.name))
        return listed

    def picture(self, label: str, picture_id: str) -> Listed:
        """Return a picture by its id.

        Raises:
            ProblemError: There is none, or a link leads out of the project.
        """
        folder = self.class_folder(label)
        found = self._known.get(label, {}).get(picture_id)
        if found is None or not found.path.is_file():
            rows = {row.id: row for row in self.pictures(label)}
            self._known[label] = rows
            found = rows.get(picture_id)
        if found is None or not found.path.is_file() or not self.holds(found.path):
            raise missing("picture", picture_id)
        return _listed(folder, found.path)

    def add_class(self, name: str) -> str:
        """Make a class; return its name as it is written.

        Raises:
            ProblemError: The name cannot be one, or there is such a class.
            OSError: The folder cannot be made.
        """
        name = new_class_name(name)
        with self.lock:
            self._check_free(name)
            (self.folder / name).mkdir()
        return name

    def rename_class(self, label: str, name: str) -> str:
        """Give a class another name; return it as it is written.

        Raises:
            ProblemError: There is no such class, or the name is taken, or cannot be
                one.
            OSError: The folder cannot be renamed.
        """
        name = new_class_name(name)
        with self.lock:
            folder = self.class_folder(label)
            if name != label:
                self._check_free(name, folder)
                folder.rename(self.folder / name)
                self._known.pop(label, None)
        return name

    def delete_class(self, label: str) -> None:
        """Delete a class with its pictures; of a link only the link.

        Raises:
            ProblemError: There is no such class.
            OSError: It cannot be deleted.
        """
        with self.lock:
            remove(self.class_folder(label), self.ours)
            self._known.pop(label, None)

    def delete_picture(self, label: str, picture_id: str) -> None:
        """Delete a picture.

        Raises:
            ProblemError: There is no such picture.
            OSError: It cannot be deleted.
        """
        with self.lock:
            self.own_class_folder(label)
            self.picture(label, picture_id).path.unlink(missing_ok=True)

    def listing(self) -> dict[str, list[Listed]]:
        """Return all classes with their pictures, as they are at one moment."""
        found: dict[str, list[Listed]] = {}
        with self.lock:
            for label in self.class_names():
                # A file manager may delete one in the midst of it.
                with contextlib.suppress(ProblemError):
                    found[label] = self.pictures(label)
        return found

    def fingerprint(self, listing: Mapping[str, list[Listed]] | None = None) -> str:
        """Return a hash of which pictures there are, and of which class.

        Args:
            listing: What there is, if that is known already.
        """
        digest = hashlib.sha256()
        there = self.listing() if listing is None else listing
        for label, rows in there.items():
            for row in sorted(rows, key=lambda row: row.name):
                line = f"{label}/{row.name}\0{row.size_bytes}\0{row.modified_ns}\n"
                digest.update(os.fsencode(line))
        return digest.hexdigest()

    def clean(self) -> None:
        """Remove what a server that was killed has left half done."""
        for trash in self.ours.glob(f"{_TRASH}*"):
            shutil.rmtree(trash, ignore_errors=True)
        folders = [self.ours, *(self.folder / label for label in self.class_names())]
        for folder in folders:
            for part in folder.glob(f".*{_PART}"):
                if self.holds(part):
                    part.unlink(missing_ok=True)

    def _check_free(self, name: str, but: Path | None = None) -> None:
        others = [label for label in self.class_names() if not but or label != but.name]
        target = self.folder / name
        check_unlike(name, others)
        if os.path.lexists(target) and not (but and target.samefile(but)):
            raise taken(name)

    @property
    def background(self) -> str | None:
        """The class of pictures of no class; None if there is none."""
        return BACKGROUND if BACKGROUND in self.class_names() else None


def picture_id(name: str) -> str:
    """Return the id of a picture by its path relative to the class folder."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - it may be no path of ours
    if len(stem) == ID_LETTERS and ending and set(stem) <= set("0123456789abcdef"):
        return stem
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:ID_LETTERS]


def remove(folder: Path, trash: Path) -> None:
    """Delete a folder: at once for all who look, then file by file.

    Args:
        folder: Of a link the link alone is deleted.
        trash: A folder on the same disk, made if it is not there.

    Raises:
        OSError: It cannot be moved away.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    trash.mkdir(exist_ok=True)
    moved = trash / f"{_TRASH}{uuid.uuid4().hex}"
    folder.rename(moved)
    shutil.rmtree(moved, ignore_errors=True)


def _listed(folder: Path, path: Path) -> Listed:
    name = str(path)[len(str(folder)) + 1 :].replace(os.sep, "/")
    try:
        status = path.stat()
    except OSError:
        return Listed(picture_id(name), name, path, 0, 0)
    return Listed(picture_id(name), name, path, status.st_size, status.st_mtime_ns)
