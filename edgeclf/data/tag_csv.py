"""Read a table of pictures and their tags.

```
file,tags               ← also without a header
a.jpg,blue;human
b/c.png,                ← of no tag
a.jpg,sea               ← further tags of a picture that is already there
```
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from edgeclf.data.picture_names import PictureNames
from edgeclf.data.tables import Row, Table, first_few, read_table
from edgeclf.data.taggings import Taggings
from edgeclf.errors import DatasetError
from edgeclf.inputs.paths import IMAGE_ENDINGS

logger = logging.getLogger("edgeclf")

FILE_COLUMNS = ("file", "filename", "file_name", "image", "picture", "path")
TAG_COLUMNS = ("tags", "tag", "labels", "label", "keywords", "keyword")
_SEPARATORS = re.compile("[;,]")  # of tags
_QUOTED = re.compile('"[^"]*"')


def read_tag_csv(path: Path, names: PictureNames) -> tuple[list[str], Taggings]:
    """Return the pictures that the table names, sorted, and their tags.

    Rows without a picture and pictures without a row are passed over; the log says
    how many.

    Args:
        path: The table: cells separated by commas, semicolons or tabs, UTF-8.
        names: The pictures there are.

    Raises:
        FileNotFoundError: There is no such table.
        DatasetError: It cannot be read, has no column of files or tags, or names none
            of the pictures.
    """
    table = _with_header(read_table(path, _delimiter(path)))
    file, tags = _places(table)
    found: dict[str, list[str]] = {}
    absent: dict[str, None] = {}
    for row in table.rows:
        name = names.named(row.cells[file])
        if name is None:
            absent[row.cells[file] or f"row {row.number}"] = None
        else:
            found.setdefault(name, []).extend(_SEPARATORS.split(row.cells[tags]))
    if not found:
        raise DatasetError(
            f"Expected files below {names.root} in {path}, by their paths relative to "
            f"that folder. Received: {first_few(list(absent))}, which are not there."
        )
    if absent:
        logger.warning(
            "Rows without a picture: %d (%s).", len(absent), first_few(list(absent))
        )
    without = names.without(found)
    if without:
        logger.warning(
            "Pictures without a row, left out: %d (%s).",
            len(without),
            first_few(without),
        )
    taggings = Taggings()
    for position, name in enumerate(sorted(found)):
        for tag in found[name]:
            if tag.strip():
                taggings.add(position, tag)
    return sorted(found), taggings


def _delimiter(path: Path) -> str | None:
    """Return what separates the cells, by the first line; None if there is none.

    A semicolon does so only where nothing else can: it separates tags too.
    """
    if not path.is_file():
        return None  # said in a sentence when the table is read
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    bare = _QUOTED.sub("", first)
    return next((sign for sign in "\t,;" if sign in bare), None)


def _with_header(table: Table) -> Table:
    """Return the table itself, or what it is if its first row is no header."""
    file, *others = table.columns
    if PurePosixPath(file).suffix.lower() not in IMAGE_ENDINGS or len(others) != 1:
        return table
    columns = (FILE_COLUMNS[0], TAG_COLUMNS[0])
    return replace(table, columns=columns, rows=(Row(1, table.columns), *table.rows))


def _places(table: Table) -> tuple[int, int]:
    """Return where the files and their tags are; of two columns one tells the other.

    Raises:
        DatasetError: The header does not say it.
    """
    file, tags = _place(table, FILE_COLUMNS), _place(table, TAG_COLUMNS)
    if len(table.columns) == 2:
        if file is None and tags is not None:
            file = 1 - tags
        elif tags is None and file is not None:
            tags = 1 - file
    if file is not None and tags is not None:
        return file, tags
    missing = FILE_COLUMNS if file is None else TAG_COLUMNS
    raise DatasetError(
        f"Expected a column {' or '.join(map(repr, missing))} in the header (first "
        f"row) of {table.path}. Received: {', '.join(table.columns)[:200]}."
    )


def _place(table: Table, columns: tuple[str, ...]) -> int | None:
    """Return where the first of these columns is that the table has."""
    known = (column for column in columns if table.has(column))
    return next((table.index(column) for column in known), None)
