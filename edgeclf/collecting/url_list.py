"""Read a list of addresses: one a line, or a table with a column `url`.

```
# one address a line                 url,label,license,author
https://example.org/a.jpg            https://example.org/a.jpg,Gzhel,CC BY 4.0,A. Name
https://example.org/b.jpg            https://example.org/b.jpg,Iznik,CC0 1.0,
```
"""

from __future__ import annotations

import csv
import logging
import os
import re
from dataclasses import replace
from pathlib import Path

from edgeclf.collecting.found import Found
from edgeclf.console import number_of
from edgeclf.data.tables import DELIMITERS, class_labels, decoded, read_table
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")

URLS = "urls"  # what the source is called
_SCHEME = re.compile("(https?://|data:)", re.IGNORECASE)
_DETAILS = ("identifier", "page", "title", "author", "license", "license_url")


def read_urls(path: str | os.PathLike[str], label: str | None = None) -> list[Found]:
    """Return the pictures of a list, in its order.

    In a list of lines, empty ones and those that begin with # do not count. A table
    has a header; besides `url` it may have the columns `label`, `identifier`, `page`,
    `title`, `author`, `license` and `license_url`: so a `manifest.csv` is one too. An
    address in rows of several labels is one picture of all of them.

    Args:
        path: The file, UTF-8.
        label: Class of all pictures, whatever the table says. Default: as the table
            says, else the file's name without its ending.

    Raises:
        FileNotFoundError: `path` is not a file.
        DatasetError: It has no address, is not UTF-8, or is a table that cannot be
            read or has a label that cannot be the name of a folder.
    """
    path = Path(path)
    lines = [line.strip() for line in decoded(path, "a list of addresses").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and _is_header(lines[0]):
        found = _of_table(path, label)
    elif lines and not any(_SCHEME.match(line) for line in lines):
        raise DatasetError(
            f"Expected in {path} one address a line, such as https://a.example/b.jpg, "
            f"or a table with a column url. Received: {lines[0][:80]!r} and so on."
        )
    else:
        found = [Found(line, (label or path.stem,), URLS) for line in lines]
    if not found:
        raise DatasetError(f"Expected addresses in {path}. Received: none.")
    return found


def _is_header(line: str) -> bool:
    try:
        return any(
            "url" in {name.strip().casefold() for name in row}
            for delimiter in DELIMITERS
            for row in csv.reader([line], delimiter=delimiter)
        )
    except csv.Error:  # a picture as a data: address, for example
        return False


def _of_table(path: Path, label: str | None) -> list[Found]:
    # A header of one column has no delimiter that could be found out.
    table = read_table(path)
    url = table.index("url")
    places = {name: table.index(name) for name in _DETAILS if table.has(name)}
    rows = tuple(row for row in table.rows if row.cells[url])
    if len(rows) < len(table.rows):
        missing = number_of(len(table.rows) - len(rows), "row")
        logger.warning("Without an address, left out: %s of %s.", missing, path)
    labels = [label or path.stem] * len(rows)
    if label is None and table.has("label"):
        labels = class_labels(table, rows, "label")
    file = table.index("file") if table.has("file") else None
    found: dict[str, Found] = {}
    for row, name in zip(rows, labels, strict=True):
        # A manifest has one row for all labels of a picture that was not stored.
        is_stored = label is not None or file is None or bool(row.cells[file])
        names = [name] if is_stored else name.split(";")
        address = row.cells[url]
        if (known := found.get(address)) is None:
            details = {key: row.cells[place] or None for key, place in places.items()}
            found[address] = Found(address, tuple(names), URLS, **details)
        else:
            merged = tuple(dict.fromkeys((*known.labels, *names)))
            found[address] = replace(known, labels=merged)
    return list(found.values())
