"""Pictures that are on no disk: known by their hash, fetched again when needed."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgeclf.data.folders import Example
from edgeclf.errors import DatasetError, DownloadError
from edgeclf.inputs.connection import printable
from edgeclf.inputs.fetch import fetch_image

MANIFEST = "manifest.csv"  # what `edgeclf collect` writes: a row for each picture

_COLUMNS = ("file", "source", "identifier", "url", "sha256")


@dataclass(frozen=True)
class RemoteExample(Example):
    """A picture on the web.

    Attributes:
        url: Where it was fetched from.
        allow_private: Whether that may be a private address.
    """

    url: str = ""
    allow_private: bool = False

    def read(self) -> bytes:
        """Fetch the picture into memory.

        Raises:
            DownloadError: It cannot be had, or is not the same file any more.
        """
        content = fetch_image(self.url, allow_private=self.allow_private)
        if hashlib.sha256(content).digest() != self.digest:
            raise DownloadError(
                f"Expected the picture that was collected from {printable(self.url)}. "
                "Received: another file. Collect it again."
            )
        return content


class Collected(NamedTuple):
    """What a manifest has of one source.

    Attributes:
        files: Names of the files of each picture, relative to its folder, by
            identifier.
        remote: Pictures without a file, by identifier.
    """

    files: dict[str, list[str]]
    remote: dict[str, RemoteExample]


def read_manifest(
    folder: Path, source: str, *, allow_private: bool = False
) -> Collected:
    """Return the pictures of one source that a manifest names.

    Args:
        folder: Where the manifest lies; without one, or with a file of that name that
            `edgeclf collect` has not written, there are no such pictures.
        source: Whose identifiers these are, such as "unsplash".
        allow_private: Whether they may be fetched from private addresses.

    Raises:
        OSError: The manifest cannot be read.
        DatasetError: It is damaged.
    """
    path = folder / MANIFEST
    collected = Collected({}, {})
    if not path.is_file():
        return collected
    try:
        with path.open(
            encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            rows = csv.DictReader(file, restval="")
            if not set(_COLUMNS) <= _header(rows):
                return collected  # of another program
            for row in rows:
                name = row["identifier"]
                if row["source"] != source or not name:
                    continue
                if row["file"]:
                    collected.files.setdefault(name, []).append(row["file"])
                    continue
                collected.remote[name] = RemoteExample(
                    folder / name,
                    name,
                    "",
                    _digest(row["sha256"], path, rows.line_num),
                    row["url"],
                    allow_private,
                )
    except csv.Error as error:
        raise DatasetError(
            f"Expected a manifest of edgeclf collect in {path}. Received: {error}."
        ) from error
    return collected


def _header(rows: csv.DictReader[str]) -> set[str]:
    with contextlib.suppress(csv.Error):  # no CSV at all, so not ours
        return set(rows.fieldnames or ())
    return set()


def _digest(text: str, path: Path, line: int) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise DatasetError(
            f"Expected 64 hexadecimal digits of a SHA-256 in {path}, line {line}. "
            f"Received: {text!r}. If collecting was cut short, collect again: that "
            "mends it."
        )
    return digest
