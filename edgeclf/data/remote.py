"""Pictures that are on no disk: known by their hash, fetched again when needed."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

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


def read_remote(
    folder: Path, source: str, *, allow_private: bool = False
) -> dict[str, RemoteExample]:
    """Return the pictures that a manifest names without a file, by identifier.

    Args:
        folder: Where the manifest lies; without one there are no such pictures.
        source: Whose identifiers these are, such as "unsplash".
        allow_private: Whether they may be fetched from private addresses.

    Raises:
        OSError: The manifest cannot be read.
        DatasetError: It is no such table.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    found: dict[str, RemoteExample] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, restval="")
            missing = set(_COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise DatasetError(
                    f"Expected the columns {', '.join(_COLUMNS)} in {path}. "
                    f"Received: none called {', '.join(sorted(missing))}."
                )
            for row in rows:
                name = row["identifier"]
                if row["source"] != source or row["file"] or not name:
                    continue
                found[name] = RemoteExample(
                    folder / name,
                    name,
                    "",
                    _digest(row["sha256"], path, rows.line_num),
                    row["url"],
                    allow_private,
                )
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(
            f"Expected a manifest of edgeclf collect in {path}. Received: {error}."
        ) from error
    return found


def _digest(text: str, path: Path, line: int) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise DatasetError(
            f"Expected 64 hexadecimal digits of a SHA-256 in {path}, line {line}. "
            f"Received: {text!r}."
        )
    return digest
