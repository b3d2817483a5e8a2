"""Where pictures with tags come from."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgeclf.console import number_of
from edgeclf.data.folders import Example
from edgeclf.data.picture_names import PictureNames
from edgeclf.data.remote import read_manifest
from edgeclf.data.synonyms import Synonyms, folded, read_synonyms
from edgeclf.data.tables import first_few
from edgeclf.data.tag_csv import read_tag_csv
from edgeclf.data.tag_folders import read_tag_folders
from edgeclf.data.tagged import TaggedPictures
from edgeclf.data.taggings import TagChoice, Taggings
from edgeclf.data.unsplash import UNSPLASH, find_photos, read_addresses, read_keywords
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")

DEFAULT_TOP_KEYWORDS = 10  # of the Unsplash tables; of others, all
DEFAULT_MIN_CONFIDENCE = 99.0

# Settings that say where the tags are; exactly one is given.
TAG_SOURCES = ("unsplash", "tags_csv", "tag_folders")

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class TagSource:
    """Pictures with tags, of exactly one of three kinds, and which tags to take.

    Attributes:
        unsplash: Folder with the Unsplash tables.
        tags_csv: Table of files and their tags.
        tag_folders: Folder of folders that are called like tags.
        image_dir: Where the pictures lie: with `tags_csv` necessary; with `unsplash`
            the folder of the tables if None; with `tag_folders` of no use.
        top_keywords: Take the most frequent tags, this many. None for 10 of the
            Unsplash tables, and for all of the others.
        min_confidence: Of the Unsplash tables, percent that either AI service must be
            sure of a keyword which no user has suggested, 0-100.
        keywords: Take these tags, whatever `top_keywords` says; None for that.
        synonyms: File that says which tags mean the same; None for none.
        allow_private: Whether photos that were collected without being stored may be
            fetched again from private addresses.

    Raises:
        ValueError: Not exactly one kind is given, or a value is out of its range.
    """

    unsplash: _Path | None = None
    tags_csv: _Path | None = None
    tag_folders: _Path | None = None
    image_dir: _Path | None = None
    top_keywords: int | None = None
    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    keywords: tuple[str, ...] | None = None
    synonyms: _Path | None = None
    allow_private: bool = False

    def __post_init__(self) -> None:
        given = [name for name in TAG_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"Expected one of {', '.join(TAG_SOURCES)}. "
                f"Received: {' and '.join(given) or 'none'}."
            )
        if self.tags_csv is not None and self.image_dir is None:
            raise ValueError(
                "Expected image_dir, the folder of the pictures, with tags_csv. "
                "Received: none."
            )
        if self.tag_folders is not None and self.image_dir is not None:
            raise ValueError(
                "Expected no image_dir with tag_folders, where the pictures are. "
                f"Received: {os.fspath(self.image_dir)!r}."
            )
        if self.top_keywords is not None and self.top_keywords < 1:
            raise ValueError(
                f"Expected top_keywords of 1 or more. Received: {self.top_keywords}."
            )
        if not 0 <= self.min_confidence <= 100:
            raise ValueError(
                f"Expected min_confidence in 0-100. Received: {self.min_confidence}."
            )
        if self.keywords is not None:
            names = [folded(name) for name in self.keywords]
            if not names or not all(names) or len(set(names)) < len(names):
                raise ValueError(
                    "Expected different names in keywords, at least one. "
                    f"Received: {', '.join(map(repr, self.keywords)) or 'none'}."
                )

    @property
    def root(self) -> Path:
        """The folder that the pictures' names are relative to."""
        return Path(self.image_dir or self.tag_folders or self.unsplash or "")

    def read(self) -> TaggedPictures:
        """Read the tables or folders, and say what is missing.

        Pictures that have none of the tags stay, as pictures of none.

        Raises:
            OSError: A file or folder is missing, or cannot be read.
            DatasetError: A table cannot be read, or no picture or no tag is left.
        """
        choice = self.choice()  # a mistake in its file is said before the work
        if self.unsplash is not None:
            examples, taggings = self._read_unsplash(Path(self.unsplash))
        elif self.tags_csv is not None:
            names, taggings = read_tag_csv(Path(self.tags_csv), PictureNames(self.root))
            examples = [Example(self.root / name, name, "") for name in names]
        else:
            names, taggings = read_tag_folders(self.root)
            examples = [Example(self.root / name, name, "") for name in names]
        source = f"{self.unsplash or self.tags_csv or self.tag_folders}"
        if self.unsplash is not None:
            source += f" with min_confidence {self.min_confidence:g}"
        labels, targets = choice.of(taggings, len(examples), source)
        return TaggedPictures(examples, labels, targets)

    def choice(self) -> TagChoice:
        """Return which tags to take.

        Raises:
            OSError: The file of synonyms cannot be read.
            DatasetError: It says something that cannot be.
        """
        top = self.top_keywords
        if top is None and self.unsplash is not None:
            top = DEFAULT_TOP_KEYWORDS
        synonyms = Synonyms() if self.synonyms is None else read_synonyms(self.synonyms)
        return TagChoice(top, self.keywords, synonyms)

    def _read_unsplash(self, folder: Path) -> tuple[list[Example], Taggings]:
        """Return the pictures of the photos, sorted by name, and their keywords."""
        logger.info("Reading the Unsplash tables in %s", folder)
        addresses = read_addresses(folder)
        names = PictureNames(self.root)
        collected = read_manifest(self.root, UNSPLASH, allow_private=self.allow_private)
        found = find_photos(addresses, names, collected.files)
        remote = {
            photo: example
            for photo, example in collected.remote.items()
            if photo in addresses and photo not in found
        }
        if not found and not remote:
            raise DatasetError(
                f"Expected pictures of the photos below {self.root}, called like their "
                f"photo_id. Received: {number_of(len(names), 'picture')}, none of them "
                f"of the {number_of(len(addresses), 'photo')} in the table."
            )
        # A photo may lie in the folders of several tags.
        copies = (file for photo in found for file in collected.files.get(photo, ()))
        strangers = [
            name
            for name in names.without([*found.values(), *copies])
            if PurePosixPath(name).stem not in found
        ]
        _report_missing(addresses, {*found, *remote}, strangers)
        examples = {
            name: Example(self.root / name, name, "") for name in found.values()
        }
        examples |= {example.name: example for example in remote.values()}
        ordered = sorted(examples)
        positions = {name: position for position, name in enumerate(ordered)}
        pictures = {photo: positions[name] for photo, name in found.items()}
        pictures |= {photo: positions[one.name] for photo, one in remote.items()}
        taggings = read_keywords(folder, pictures, addresses, self.min_confidence)
        return [examples[name] for name in ordered], taggings


def _report_missing(
    photos: Iterable[str], at_hand: Set[str], strangers: list[str]
) -> None:
    """Say which photos have no picture, and which pictures are of no photo."""
    absent = [photo for photo in photos if photo not in at_hand]
    if absent:
        logger.warning(
            "Photos without a picture: %d (%s).", len(absent), first_few(absent)
        )
    if strangers:
        logger.warning(
            "Pictures of no photo in the table, left out: %d (%s).",
            len(strangers),
            first_few(strangers),
        )
