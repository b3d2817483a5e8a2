"""The table of all collected pictures: where each comes from, and who may use it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
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
        files: The pictures it names: paths below the output folder, and addresses of
            those that were not stored.

    Args:
        folder: The output folder.

    Raises:
        OSError: It cannot be opened.
        DatasetError: Another process has it open, its header lacks columns, or it is
            no CSV.
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
            self._file.append(csv_line(COLUMNS))
            return list(COLUMNS), set()
        text = self._file.content.decode("utf-8-sig", "surrogateescape")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        try:
            columns = list(reader.fieldnames or ())
            rows = list(reader)
        except csv.Error as error:
            raise DatasetError(
                f"Expected a table with commas in {self._file.path}. Received: after "
                f"line {reader.line_num} a row that cannot be read ({error}). Correct "
                "it, or move the file away: then a new one is written."
            ) from error
        if missing := [name for name in COLUMNS if name not in columns]:
            raise DatasetError(
                f"Expected the columns {', '.join(COLUMNS)} in {self._file.path}, with "
                f"commas between them. Received: no {', '.join(missing)}. Give it back "
                "its header, or move it away: then a new one is written."
            )
        return columns, {row["file"] or row["url"] for row in rows}

    def add(self, entry: Settled) -> None:
        """Append a row for each file of a picture, one if it was not stored.

        Raises:
            OSError: The disk does not take them.
        """
        rows = list(_rows(entry))
        lines = [
            csv_line([row.get(name, "") for name in self._columns]) for row in rows
        ]
        self._file.append("".join(lines))
        self.files.update(row["file"] or row["url"] for row in rows)

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def _rows(entry: Settled) -> Iterator[Mapping[str, str]]:
    found, picture = entry.found, entry.picture
    if found is None or picture is None:
        return
    for file in entry.files or ("",):
        yield {
            "file": file,
            "label": file.partition("/")[0] or ";".join(found.labels),
            "url": found.url,
            "source": found.source,
            "identifier": _no_formula(found.identifier),
            "page": _no_formula(found.page),
            "title": _no_formula(found.title),
            "author": _no_formula(found.author),
            "license": _no_formula(found.license),
            "license_url": _no_formula(found.license_url),
            "sha256": picture.digest.hex(),
            "width": str(picture.width),
            "height": str(picture.height),
            "bytes": str(picture.size_bytes),
        }


def _no_formula(text: str | None) -> str:
    """Return what others wrote so that no spreadsheet computes it.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = (text or "").lstrip()
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def csv_line(cells: Iterable[str]) -> str:
    """Return one line of CSV; line ends and zero bytes within cells become spaces."""
    text = io.StringIO(newline="")
    # Python 3.10 neither writes nor reads a zero byte.
    plain = (" ".join(cell.replace("\0", " ").splitlines()) for cell in cells)
    csv.writer(text, lineterminator="\n").writerow(plain)
    return text.getvalue().encode("utf-8", "replace").decode()  # half characters
