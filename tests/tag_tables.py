"""Small tables in the shape of Unsplash's, and pictures for them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edgeclf.data.tagged import TaggedPictures

KEYWORDS = (
    "photo_id",
    "keyword",
    "ai_service_1_confidence",
    "ai_service_2_confidence",
    "suggested_by_user",
)


def write_table(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    delimiter: str = "\t",
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_unsplash(
    folder: Path,
    photos: Mapping[str, str] | Iterable[str],
    keywords: Iterable[Sequence[str]],
) -> Path:
    """Write both tables; rows of keywords may leave out cells at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    addresses = photos if isinstance(photos, Mapping) else dict.fromkeys(photos, "")
    write_table(
        folder / "photos.tsv000", ("photo_id", "photo_image_url"), addresses.items()
    )
    rows = [[*row, *[""] * (len(KEYWORDS) - len(row))] for row in keywords]
    write_table(folder / "keywords.tsv000", KEYWORDS, rows)
    return folder


def draw(folder: Path, *names: str) -> None:
    """Write a picture of its own for each name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (37 * number % 256, 101 * number % 256, len(name))
        Image.new("RGB", (12, 8), color).save(path, "PNG")


def tags_of(pictures: TaggedPictures) -> dict[str, set[str]]:
    return {
        example.name: {pictures.labels[place] for place in np.flatnonzero(row)}
        for example, row in zip(pictures.examples, pictures.targets, strict=True)
    }
