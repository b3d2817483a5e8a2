r"""Read the tables of the Unsplash dataset, row by row: they have millions.

```
photos.tsv000     photo_id ⇥ photo_url ⇥ photo_image_url ⇥ ...
photos.tsv001     the same header, further rows
keywords.tsv000   photo_id ⇥ keyword ⇥ ai_service_1_confidence ⇥ ...
```

Columns are found by the header, so their order and further ones are of no importance:
keywords have 5 columns in releases 1.0 to 1.2, 6 in 1.3 and 8 in 1.4. Parts of 1.3 and
1.4 end in `.csv000` although tabs separate their cells, so the header decides that too.
Source: https://github.com/unsplash/datasets, DOCS.md and CHANGELOG.md.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edgeclf.data.tables import first_few
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")

_ROWS_A_STEP = 50_000  # between two steps of the progress bar


def parts(folder: str | os.PathLike[str], name: str) -> list[Path]:
    """Return the files of a table in their order.

    Args:
        folder: Where they lie.
        name: "photos" or "keywords".

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        DatasetError: It holds no such table.
    """
    folder = Path(folder)
    found = [
        (int(match[2] or -1), match[1], path)
        for path in folder.iterdir()
        if (match := re.fullmatch(rf"{name}\.(tsv|csv)(\d*)", path.name))
        and path.is_file()
    ]
    if not found:
        raise DatasetError(
            f"Expected the Unsplash table {name}.tsv000 or {name}.csv000 in {folder}. "
            "Received: no file of such a name. Unpack the dataset there."
        )
    # Parts without a row may have no header either, if there are others.
    found = [part for part in found if part[2].stat().st_size] or found
    numbers = {number for number, _, _ in found}
    missing = [
        f"{number:03}" for number in range(max(numbers)) if number not in numbers
    ]
    if missing and max(numbers) >= 0:
        logger.warning(
            "Parts of the table %s are not in %s: %s.", name, folder, first_few(missing)
        )
    return [path for _, _, path in sorted(found)]


class Part:
    """The rows of one file, read as they are asked for.

    Args:
        path: The file, UTF-8, the first row of which is a header.

    Attributes:
        path: See above.

    Raises:
        OSError: It cannot be read.
        DatasetError: It is empty, or not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: Any = None
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                first = file.readline()
            except UnicodeDecodeError:
                raise self._not_utf8() from None
        self._delimiter = "\t" if "\t" in first else ","
        self._columns = [
            name.strip().casefold()
            for name in next(csv.reader([first], delimiter=self._delimiter), [])
        ]
        if not any(self._columns):
            raise DatasetError(
                f"Expected a header in {path}. Received: nothing. The first row must "
                "name the columns."
            )

    def places(self, columns: Sequence[str]) -> list[int]:
        """Return where in a row these columns are.

        Raises:
            DatasetError: One of them is missing, or there twice.
        """
        wrong = [name for name in columns if self._columns.count(name) != 1]
        if wrong:
            problem = "is there twice" if wrong[0] in self._columns else "is missing"
            raise DatasetError(
                f"Expected the columns {', '.join(columns)} in the header (first row) "
                f"of {self.path}. Received: {', '.join(self._columns)[:200]}; "
                f"{wrong[0]} {problem}."
            )
        return [self._columns.index(name) for name in columns]

    def place(self, column: str) -> int | None:
        """Return where in a row a column is; None where it is not."""
        return self._columns.index(column) if column in self._columns else None

    def rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row, blank rows left out.

        Raises:
            DatasetError: A row has not as many cells as the header, a quote does not
                end, or something is not UTF-8.
        """
        width = len(self._columns)
        size_bytes = self.path.stat().st_size
        bar = tqdm(
            total=size_bytes,
            desc=self.path.name,
            unit="B",
            unit_scale=True,
            disable=None,
        )
        with (
            bar,
            self.path.open("rb") as file,
            io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text,
        ):
            # strict: without it, a quote that never ends would swallow the rest unseen.
            reader = csv.reader(text, delimiter=self._delimiter, strict=True)
            self._reader = reader
            begun = 1  # the line where the record begins that is being read
            try:
                next(reader)
                begun = reader.line_num + 1
                for number, row in enumerate(reader):
                    if len(row) == width:
                        yield row
                    elif any(row):
                        raise self.problem(
                            f"{width} cells in each row, as in the header,",
                            f"{len(row)}",
                        )
                    if number % _ROWS_A_STEP == 0:
                        bar.update(file.tell() - bar.n)
                    begun = reader.line_num + 1
                bar.update(size_bytes - bar.n)
            except csv.Error as error:
                is_quote = reader.line_num > begun or '"' in f"{error}"
                raise self.problem(
                    'cells that are quoted with " where needed',
                    'a " that does not end with its cell' if is_quote else f"{error}",
                    begun,
                ) from error
            except UnicodeDecodeError:
                raise self._not_utf8() from None

    def problem(
        self, expected: str, received: str, line: int | None = None
    ) -> DatasetError:
        """Return the error about a line.

        Args:
            expected: What should be in this file.
            received: What is there instead.
            line: Its number, from 1. Default: that of the row that was read last.
        """
        if line is None:
            line = 1 if self._reader is None else self._reader.line_num
        return DatasetError(
            f"Expected {expected} in {self.path}. Received: {received} in line {line}. "
            "Was the file cut short or changed? Unpack it again."
        )

    def _not_utf8(self) -> DatasetError:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    byte = line[error.start]
                    return self.problem("UTF-8", f"byte 0x{byte:02x}", number)
        return self.problem("UTF-8", "something else")
