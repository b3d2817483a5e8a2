"""Tables of pictures: CSV and TSV files with a header, read strictly.

```
file,decor,type            ← row 1, the header
01_02_1_001.png,Khokhloma,pattern    ← row 2
```
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from edgeclf.errors import DatasetError

DELIMITERS = (",", ";", "\t")
KINDS = ("product", "pattern", "all")
DEFAULT_TYPE_COLUMN = "type"
_SNIFFED_RECORDS = 100
_DECLARED = re.compile(rf'"?sep=([{"".join(DELIMITERS)}])"?\r?\n')  # for Excel
_SHOWN = 5  # examples a message names before it says how many more there are
_MAX_NAME_BYTES = 255  # of one folder name, on most file systems
# The decor table's file names are COUNTRY_DECOR_TYPE_NUMBER.
_KIND_IN_NAME = re.compile(r"\d+_\d+_(?P<type>[12])_\d+")
_KIND_OF_NUMBER = {"1": "pattern", "2": "product"}

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class Row:
    """One record of a table.

    Attributes:
        number: Its place in the file as a spreadsheet counts it; the header is 1.
        cells: One value per column, without the spaces around it.
    """

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table in memory: the names of its columns and its rows, blank ones left out."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def index(self, column: str) -> int:
        """Return the place of a column, by its exact name or else whatever its case.

        Raises:
            DatasetError: No column has that name, or more than one has.
        """
        exact = [i for i, name in enumerate(self.columns) if name == column]
        folded = [
            i
            for i, name in enumerate(self.columns)
            if name.casefold() == column.casefold()
        ]
        found = exact or folded
        if len(found) == 1:
            return found[0]
        problem = (
            f"{len(found)} columns of that name" if found else "no such column there"
        )
        raise DatasetError(
            f"Expected one column {column!r} in the header (first row) of {self.path}. "
            f"Received: {problem}; its columns are {', '.join(self.columns)}."
        )

    def has(self, column: str) -> bool:
        """Say whether a column of that name is there, whatever its case."""
        return any(name.casefold() == column.casefold() for name in self.columns)


def read_table(path: str | os.PathLike[str], delimiter: str | None = None) -> Table:
    """Read a CSV or TSV file.

    The file is UTF-8, with or without a byte order mark, and begins with a header.
    Cells may be quoted with `"`. Missing cells at the end of a row are empty, blank
    rows are passed over. A first line `sep=;` says what separates cells.

    Args:
        path: The file.
        delimiter: What separates cells; None for comma, semicolon or tab, as is found
            out.

    Raises:
        FileNotFoundError: `path` is not a file.
        DatasetError: It is not UTF-8, has no row below the header, holds a quote that
            does not end, or a row with more cells than the header.
    """
    path = Path(path)
    text = decoded(path)
    declared = _DECLARED.match(text)
    if declared:
        delimiter = declared[1]
    records = list(_records(path, text, delimiter or _delimiter(text)))
    if declared:
        del records[0]
    if not records:
        raise DatasetError(
            f"Expected a header and at least one row in {path}. Received: nothing. "
            "The first row must name the columns."
        )
    (_, columns), *rest = records
    if not rest:
        raise DatasetError(
            f"Expected at least one row below the header of {path}. "
            f"Received: only the header {', '.join(columns)}."
        )
    rows = tuple(_row(path, columns, number, cells) for number, cells in rest)
    return Table(path, columns, rows)


def class_labels(table: Table, rows: tuple[Row, ...], column: str) -> list[str]:
    """Return each row's label, refusing what cannot be the name of a class folder.

    Raises:
        DatasetError: The column is missing, or a label is empty, hidden (leading
            dot), too long, or holds a slash, a backslash or a control character.
    """
    index = table.index(column)
    labels = [row.cells[index] for row in rows]
    refused = [
        f"row {row.number}: {label!r} ({problem})"
        for row, label in zip(rows, labels, strict=True)
        if (problem := label_problem(label))
    ]
    if refused:
        raise DatasetError(
            f"Expected names of class folders in column {column!r} of {table.path}. "
            f"Received: {first_few(refused)}. Correct these rows or remove them."
        )
    return labels


def file_names(table: Table, column: str) -> dict[Row, str]:
    """Return each row's file name, `./a//b.png` as `a/b.png`; "" where it is empty.

    Raises:
        DatasetError: There is no such column.
    """
    index = table.index(column)
    return {
        row: PurePosixPath(row.cells[index]).as_posix() if row.cells[index] else ""
        for row in table.rows
    }


def rows_of_kind(
    table: Table, names: dict[Row, str], kind: str | None, column: str | None
) -> tuple[Row, ...]:
    """Return the rows whose picture is of one type.

    Args:
        table: The table.
        names: File name of each row.
        kind: "product", "pattern" or "all". Default: "product" where the table's
            types are these two, else "all".
        column: Column of the types. Default: "type", and in a table without it, file
            names like `01_02_2_001.png` tell the type (1 pattern, 2 product).

    Raises:
        DatasetError: There is no such column, or no such row.
    """
    kinds = _kinds(table, names, column)
    if kind is None:
        known = bool(kinds) and set(kinds.values()) <= set(_KIND_OF_NUMBER.values())
        kind = "product" if known else "all"
    if kind == "all":
        return table.rows
    if not kinds:
        table.index(DEFAULT_TYPE_COLUMN)  # raises, with the columns that are there
    chosen = tuple(row for row in table.rows if kinds[row] == kind)
    if not chosen:
        raise DatasetError(
            f"Expected rows of type {kind!r} in {table.path}. Received: only "
            f"{first_few(sorted(set(kinds.values())))}. Take all with type 'all'."
        )
    num_rows = len(table.rows)
    if len(chosen) < num_rows:
        logger.info("Taking %d rows of %d: type %s.", len(chosen), num_rows, kind)
    return chosen


def label_by_file(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the class of each picture; one with two classes is left out."""
    labels: dict[str, set[str]] = {}
    num_repeated = 0
    for file, label in pairs:
        known = labels.setdefault(file, set())
        num_repeated += label in known
        known.add(label)
    if num_repeated:
        logger.info("Rows that repeat an earlier one, counted once: %d.", num_repeated)
    contradictory = [file for file, known in labels.items() if len(known) > 1]
    if contradictory:
        logger.warning(
            "Pictures in rows with different labels, so in no class: %d (%s).",
            len(contradictory),
            first_few(contradictory),
        )
    return {file: known.pop() for file, known in labels.items() if len(known) == 1}


def first_few(names: list[str]) -> str:
    """Return `a, b, c`, or the first five and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _kinds(table: Table, names: dict[Row, str], column: str | None) -> dict[Row, str]:
    """Return the type of each row, from its column or its file name, if they tell."""
    if column is not None or table.has(DEFAULT_TYPE_COLUMN):
        index = table.index(column or DEFAULT_TYPE_COLUMN)
        return {row: row.cells[index].lower() for row in table.rows}
    matches = {
        row: _KIND_IN_NAME.fullmatch(PurePosixPath(name).stem)
        for row, name in names.items()
    }
    kinds = {row: _KIND_OF_NUMBER[match[1]] for row, match in matches.items() if match}
    return kinds if len(kinds) == len(names) else {}


def decoded(path: Path, noun: str = "a CSV or TSV table") -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises:
        FileNotFoundError: `path` is not a file.
        DatasetError: It is not UTF-8.
    """
    if not path.is_file():
        received = "a folder" if path.is_dir() else "no such file"
        if path.exists() and not path.is_dir():
            received = "no regular file"
        raise FileNotFoundError(f"Expected {noun} at {path}. Received: {received}.")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"Expected {noun} in UTF-8. Received: {path}, where byte "
            f"0x{content[error.start]:02x} at offset {error.start} is something else. "
            'Save it again as UTF-8 (spreadsheet programs call it "CSV UTF-8").'
        ) from error


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts most rows like the header, and into most cells."""
    return max(DELIMITERS, key=lambda delimiter: _agreement(text, delimiter))


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """Return the share of rows as wide as the header, and that width.

    A delimiter that leaves the header in one piece agrees with nothing.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        widths = [len(cells) for cells in islice(reader, _SNIFFED_RECORDS) if cells]
    except csv.Error:  # said in a sentence when the table is read
        return 0.0, 0
    if not widths or widths[0] == 1:
        return 0.0, 1
    same = sum(width == widths[0] for width in widths)
    return same / len(widths), widths[0]


def _records(
    path: Path, text: str, delimiter: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number and the stripped cells of every record that is not blank."""
    # Without strict=True a quote that never ends would swallow the rest unseen.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, record in enumerate(reader, start=1):
            cells = tuple(cell.strip() for cell in record)
            if any(cells):
                yield number, cells
    except csv.Error as error:
        raise DatasetError(
            f'Expected cells separated by {delimiter!r}, quoted with " where needed. '
            f"Received: row {number + 1} of {path}, which cannot be read ({error}). "
            'Write a " inside a quoted cell twice.'
        ) from error


def _row(
    path: Path, columns: tuple[str, ...], number: int, cells: tuple[str, ...]
) -> Row:
    if any(cells[len(columns) :]):  # empty cells at the end are a spreadsheet's habit
        raise DatasetError(
            f"Expected at most {len(columns)} cells a row in {path}, as in its first "
            f"row. Received: {len(cells)} in row {number}. Quote cells that hold the "
            "delimiter."
        )
    missing = len(columns) - len(cells)
    return Row(number, cells[: len(columns)] + ("",) * missing)


def label_problem(label: str) -> str | None:
    """Return why `label` cannot be the name of a class folder."""
    if not label:
        return "empty"
    if label.startswith("."):
        return "leading dot"
    if "/" in label or "\\" in label:
        return "slash"
    if any(ord(character) < 32 or ord(character) == 127 for character in label):
        return "control character"
    try:
        size_bytes = len(label.encode())
    except UnicodeEncodeError:
        return "not UTF-8"
    if label.splitlines() != [label]:
        return "more than one line"
    if size_bytes > _MAX_NAME_BYTES:
        return f"longer than {_MAX_NAME_BYTES} bytes"
    return None
