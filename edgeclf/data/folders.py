"""Read a folder of class folders.

```
photos/
    Gzhel/            -> label "Gzhel", unchanged, spaces and "ł" included
        a.jpg
        nested/b.png  -> belongs to "Gzhel" too
    Iznik/
        c.webp
    _background/      -> pictures of no class; see `read_background`
        d.jpg
```
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from edgeclf.console import number_of
from edgeclf.data.listing import BACKGROUND
from edgeclf.errors import DatasetError, ImageError
from edgeclf.inputs.paths import IMAGE_ENDINGS, find_images, is_passed_over

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class Example:
    """One picture and its class.

    Attributes:
        path: Where the picture is.
        name: Its path relative to the dataset's folder, with forward slashes.
        label: Name of its class.
        digest: SHA-256 of its file, where that is known.
    """

    path: Path
    name: str
    label: str
    digest: bytes | None = None

    def read(self) -> bytes:
        """Return the picture's file.

        Raises:
            OSError: It cannot be read.
            ImageError: It is not the file any more that `digest` is of.
        """
        content = self.path.read_bytes()
        if self.digest is not None and hashlib.sha256(content).digest() != self.digest:
            raise ImageError(
                f"Expected {self.path} to stay as it was at the beginning. Received: "
                "other content. Run again to use it."
            )
        return content


def read_folder(image_dir: str | os.PathLike[str], at_least: int = 2) -> list[Example]:
    """List the pictures below `image_dir`, sorted by class and then by name.

    Classes are the first-level folders, in code point order, but for `_background`.
    Hidden files and folders and the litter of file managers are passed over; a folder
    without any picture is left out with a warning.

    Args:
        image_dir: The dataset's folder.
        at_least: How many classes there must be, 1 or 2.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        DatasetError: It holds fewer classes.
    """
    root = Path(image_dir)
    if not root.exists():
        raise FileNotFoundError(
            f"Expected a folder with one folder of pictures per class. "
            f"Received: {root}, which does not exist."
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"Expected a folder with one folder of pictures per class. "
            f"Received: {root}, which is a file."
        )
    examples = []
    labels = []
    folders = sorted(root.iterdir(), key=lambda path: path.name)
    for folder in tqdm(folders, desc="scanning", unit="folder", disable=None):
        if is_passed_over(folder.name) or not folder.is_dir():
            continue
        if folder.name == BACKGROUND:
            continue
        _check_label(folder)
        paths = find_images(folder)
        if not paths:
            logger.warning("No pictures in the class folder %s: left out.", folder)
            continue
        labels.append(folder.name)
        for path in paths:
            name = path.relative_to(root).as_posix()
            examples.append(Example(path, name, folder.name))
    outside = [
        path
        for path in folders
        if path.suffix.lower() in IMAGE_ENDINGS
        and not path.name.startswith(".")
        and path.is_file()
    ]
    if outside:
        logger.warning(
            "%s in %s itself, in no class folder: left out.",
            number_of(len(outside), "picture lies", "pictures lie"),
            root,
        )
    if len(labels) < at_least:
        found = f"one: {labels[0]}" if labels else "none"
        wanted = "two class folders" if at_least > 1 else "one class folder"
        raise DatasetError(
            f"Expected at least {wanted} with pictures in {root}. Received: {found}."
        )
    return examples


def read_background(image_dir: str | os.PathLike[str]) -> list[Example]:
    """List the pictures that are of no class, sorted by name.

    They lie in the folder `_background`, of exactly this name, beside the class
    folders, and have the label `_background`.

    Args:
        image_dir: The dataset's folder.
    """
    root = Path(image_dir)
    if not (root / BACKGROUND).is_dir():
        return []
    return [
        Example(path, path.relative_to(root).as_posix(), BACKGROUND)
        for path in find_images(root / BACKGROUND)
    ]


def _check_label(folder: Path) -> None:
    """Refuse a name that a file with one UTF-8 label a line cannot hold."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        is_label = False
    else:
        is_label = folder.name.splitlines() == [folder.name]
    if not is_label:
        raise DatasetError(
            "Expected a class folder's name to be one line of UTF-8, as it becomes a "
            f"label. Received: {os.fsencode(folder)!r}. Rename it."
        )
