"""The table of all collected pictures: where each comes from, and who may use it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgeclf.collecting.journal import Settled
from edgeclf.data.line_file import LineFile
from edgeclf.errors import DatasetError

FILE_NAME = "manifest.csv"
COLUMNS = (
    "file",
    "label",
    "url",
    "source",
    "identifier",
    "page",
    "title",
    "author",
    "license",
    "license_url",
    "sha256",
    "width",
    "height",
    "bytes",
)


class Manifest:
    """`manifest.csv`, one line for each picture; rows are only ever appended.

    Further columns and another order, of whoever edits it, stay.

    Attributes:
        files: The pictures it names, paths below the output folder.

    Args:
        folder: The output folder.

    Raises:
        OSError: It cannot be opened.
        DatasetError: Another process has it open, or its header lacks columns.
    """

    def __init__(self, folder: Path) -> None:
        self._file = LineFile(folder / FILE_NAME)
        try:
            self._columns, self.files = self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> tuple[list[str], set[str]]:
        if not self._file.content:
            self._file.append(_line(COLUMNS))
            return list(COLUMNS), set()
        text = self._file.content.decode("utf-8-sig", "surrogateescape")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        columns = list(rows.fieldnames or ())
        if missing := [name for name in COLUMNS if name not in columns]:
            raise DatasetError(
                f"Expected the columns {', '.join(COLUMNS)}, with commas between them, "
                f"in {self._file.path}. Received: no {', '.join(missing)}. Give it back "
                "its header, or move it away: then a new one is written."
            )
        return columns, {row["file"] for row in rows}

    def add(self, entry: Settled) -> None:
        """Append a row for each file of a stored picture.

        Raises:
            OSError: The disk does not take them.
        """
        rows = list(_rows(entry))
        lines = [_line([row.get(name, "") for name in self._columns]) for row in rows]
        self._file.append("".join(lines))
        self.files.update(entry.files)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def _rows(entry: Settled) -> Iterator[Mapping[str, str]]:
    found, picture = entry.found, entry.picture
    if found is None or picture is None:
        return
    for file in entry.files:
        yield {
            "file": file,
            "label": file.partition("/")[0],
            "url": found.url,
            "source": found.source,
            "identifier": found.identifier or "",
            "page": found.page or "",
            "title": found.title or "",
            "author": found.author or "",
            "license": found.license or "",
            "license_url": found.license_url or "",
            "sha256": picture.digest.hex(),
            "width": str(picture.width),
            "height": str(picture.height),
            "bytes": str(picture.size_bytes),
        }


def _line(cells: list[str] | tuple[str, ...]) -> str:
    r"""Return one line of CSV; line ends within cells become spaces."""
    text = io.StringIO(newline="")
    plain = [" ".join(cell.split()) for cell in cells]
    csv.writer(text, lineterminator="\n").writerow(plain)
    return text.getvalue()
