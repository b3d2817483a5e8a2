"""List a folder of class folders, with what `retrain` would pass over or refuse."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgeclf.console import number_of
from edgeclf.data.findings import Finding
from edgeclf.decoder import open_image, pillow_settings
from edgeclf.errors import ImageError
from edgeclf.inputs.paths import IMAGE_ENDINGS, find_images, is_passed_over

FEW = 10  # with less, a tenth that is held out for testing is less than a picture
IMBALANCE = 10  # times as many pictures in the largest class
BACKGROUND = "_background"  # pictures of no class
_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


class Picture(NamedTuple):
    """A picture that `retrain` would read.

    Attributes:
        path: Where it is.
        name: Its path relative to the dataset's folder, with forward slashes.
        label: Its class: the first-level folder's name.
    """

    path: Path
    name: str
    label: str


class Listing(NamedTuple):
    """What lies in a folder of class folders.

    Attributes:
        pictures: Sorted by class and then by name.
        findings: What is odd about names, places and counts.
    """

    pictures: list[Picture]
    findings: list[Finding]

    @property
    def counts(self) -> dict[str, int]:
        """Number of pictures by class, in code point order."""
        return dict(Counter(picture.label for picture in self.pictures))


def list_folder(root: Path) -> Listing:
    """List the pictures as `retrain` finds them, and everything else.

    Args:
        root: The dataset's folder.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
    """
    if not root.is_dir():
        expected = "Expected a folder with one folder of pictures per class. Received:"
        if root.exists():
            raise NotADirectoryError(f"{expected} {root}, which is a file.")
        raise FileNotFoundError(f"{expected} {root}, which does not exist.")
    pictures: list[Picture] = []
    findings: list[Finding] = []
    labels = []
    for path in sorted(root.iterdir(), key=lambda path: path.name):
        if not path.is_dir():
            findings += _beside_the_classes(path)
        elif is_passed_over(path.name):
            findings.append(Finding("hidden", f"{path.name}/", "a hidden folder"))
        else:
            labels.append(path.name)
            try:
                found = find_images(path)
            except OSError as error:
                reason = error.strerror or str(error)
                findings.append(Finding("unreadable", f"{path.name}/", reason))
                continue
            names = [image.relative_to(root).as_posix() for image in found]
            pictures += map(Picture, found, names, [path.name] * len(found))
            findings += _passed_over(root, path, set(found))
    listing = Listing(pictures, findings)
    findings += _about_classes(labels, listing.counts)
    return listing


def _beside_the_classes(path: Path) -> Iterator[Finding]:
    if _is_litter(path.name):
        yield Finding("hidden", path.name, "a hidden file")
    elif path.suffix.lower() in IMAGE_ENDINGS:
        yield Finding("outside", path.name, "lies beside the class folders")


def _passed_over(root: Path, folder: Path, pictures: set[Path]) -> Iterator[Finding]:
    """Yield what lies in a class folder and is no picture by its name."""
    entered = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:  # two links may lead to one folder
            folders.clear()
            continue
        entered.add(real)
        for name in sorted(filter(is_passed_over, folders)):
            hidden = (Path(place) / name).relative_to(root).as_posix()
            yield Finding("hidden", f"{hidden}/", "a hidden folder")
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        for name in sorted(files):
            path = Path(place) / name
            if path not in pictures:
                yield _odd_file(path, path.relative_to(root).as_posix())


def _odd_file(path: Path, name: str) -> Finding:
    if _is_litter(path.name):
        return Finding("hidden", name, "a hidden file")
    if path.is_file() and path.suffix.lower() not in IMAGE_ENDINGS:
        try:
            with pillow_settings(), open_image(path, name) as image:
                return Finding("unnamed", name, f"a {image.format} picture")
        except (ImageError, OSError):
            pass
    return Finding("stray", name, "not a picture")


def _is_litter(name: str) -> bool:
    return is_passed_over(name) or name.lower() in _LITTER


def _about_classes(labels: list[str], counts: dict[str, int]) -> Iterator[Finding]:
    """Yield what is odd about the class folders' names and numbers of pictures."""
    for label in labels:
        if os.fsencode(label).decode(errors="replace").splitlines() != [label]:
            yield Finding("class_name", f"{label}/", "not one line of UTF-8")
    for alike in _similar(labels):
        yield Finding("similar_names", f"{alike[0]}/", "", tuple(alike[1:]))
    sizes = {label: counts.get(label, 0) for label in labels if label != BACKGROUND}
    filled = [label for label, count in sizes.items() if count]
    if len(filled) < 2:
        yield Finding("too_few_classes", "./", f"found: {filled[0] if filled else 0}")
    largest = max(sizes.values(), default=0)
    for label, count in sizes.items():
        if not count:
            yield Finding("empty_class", f"{label}/", "no picture")
        elif count < FEW:
            yield Finding("few", f"{label}/", number_of(count, "picture"))
        if 0 < count * IMBALANCE < largest:
            detail = f"{number_of(count, 'picture')}, the largest class {largest}"
            yield Finding("imbalance", f"{label}/", detail)


def _similar(labels: Iterable[str]) -> list[list[str]]:
    """Group names that look alike: case, blanks, and how letters are composed."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        plain = unicodedata.normalize("NFKC", label.replace("_", " ")).casefold()
        groups.setdefault(" ".join(plain.split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
