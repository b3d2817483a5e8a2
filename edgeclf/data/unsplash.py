"""Pictures at hand with the keywords that the Unsplash tables have for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeclf.data.picture_names import PictureNames
from edgeclf.data.tables import first_few
from edgeclf.data.taggings import Taggings
from edgeclf.data.unsplash_tables import Part, parts
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")

UNSPLASH = "unsplash"  # what manifests call the source

_KEYWORD_COLUMNS = (
    "photo_id",
    "keyword",
    "suggested_by_user",
    "ai_service_1_confidence",
    "ai_service_2_confidence",
)
_TRUE = frozenset({"t", "true", "True", "TRUE"})
_FALSE = frozenset({"", "f", "false", "False", "FALSE"})
_NAMED = 5  # photos in one message


def read_addresses(folder: Path) -> dict[str, str]:
    """Return the `photo_image_url` of every photo, by `photo_id`.

    Of rows with the same id, the first counts.

    Raises:
        OSError: A file cannot be read.
        DatasetError: The table is missing or cannot be read.
    """
    addresses: dict[str, str] = {}
    for path in parts(folder, "photos"):
        part = Part(path)
        photo, address = part.places(("photo_id", "photo_image_url"))
        for row in part.rows():
            if not row[photo]:
                raise part.problem("a photo_id in each row", "none")
            addresses.setdefault(row[photo], row[address].strip())
    if not addresses:
        raise DatasetError(f"Expected photos in the table in {folder}. Received: none.")
    return addresses


def find_photos(
    addresses: Mapping[str, str],
    names: PictureNames,
    collected: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Return the name of the picture of each photo that has one.

    That is where `photo_image_url` is a path below the folder, else where it was
    collected to, else the file anywhere below the folder that is called like the photo.

    Args:
        addresses: As `read_addresses` returns them.
        names: The pictures there are.
        collected: Names of files by `photo_id`, whether they are there or not.
    """
    stems = names.stems()
    found = {}
    for photo, address in addresses.items():
        name = None
        if address and "://" not in address:
            name = names.named(address)
        known = (names.named(file) for file in collected.get(photo, ()))
        name = name or next(filter(None, known), None) or stems.get(photo)
        if name is not None:
            found[photo] = name
    return found


def read_keywords(
    folder: Path,
    pictures: Mapping[str, int],
    photos: Mapping[str, object],
    min_confidence: float,
) -> Taggings:
    """Return the keywords that count.

    One counts if a user has suggested it, or either AI service is as sure of it as
    `min_confidence`. Keyword rows of photos that the table of photos does not have are
    passed over, and the log says how many.

    Args:
        folder: Where the tables lie.
        pictures: Position of the picture of each photo at hand, by `photo_id`.
        photos: All photos, by `photo_id`.
        min_confidence: Percent.

    Raises:
        OSError: A file cannot be read.
        DatasetError: The table is missing or cannot be read, or a row has other values
            than it should.
    """
    taggings = Taggings()
    has_row = bytearray(1 + max(pictures.values(), default=0))
    strangers: dict[str, None] = {}
    num_strange = 0
    for path in parts(folder, "keywords"):
        part = Part(path)
        places = part.places(_KEYWORD_COLUMNS)
        photo, keyword, user, *services = places
        first, second = services
        for row in part.rows():
            picture = pictures.get(row[photo])
            if picture is None:
                if row[photo] not in photos:
                    num_strange += 1
                    if len(strangers) < _NAMED:
                        strangers[row[photo]] = None
                continue
            has_row[picture] = True
            # Written out: this runs millions of times.
            if row[user] not in _TRUE:
                if row[user] not in _FALSE:
                    raise part.problem("t or f in suggested_by_user", repr(row[user]))
                one, other = row[first], row[second]
                try:
                    if not (one and float(one) >= min_confidence) and not (
                        other and float(other) >= min_confidence
                    ):
                        continue
                except ValueError:
                    raise part.problem(
                        "numbers, or nothing, in ai_service_1_confidence and "
                        "ai_service_2_confidence",
                        f"{one!r} and {other!r}",
                    ) from None
            taggings.add(picture, row[keyword])
    if num_strange:
        logger.warning(
            "Keyword rows of photos that are not in the table of photos, passed over: "
            "%d (%s).",
            num_strange,
            first_few(list(strangers)),
        )
    _report_silent(pictures, has_row)
    return taggings


def _report_silent(pictures: Mapping[str, int], has_row: bytearray) -> None:
    silent = [photo for photo, picture in pictures.items() if not has_row[picture]]
    if silent:
        logger.warning(
            "Pictures without any keyword row: %d (%s).", len(silent), first_few(silent)
        )
