"""List the inputs that a source stands for, one after the other, in no order.

An input has a name; of a table that holds the pictures themselves, the name is that of
the Parquet file, and the row tells the picture.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from edgeclf.console import sentence
from edgeclf.errors import DatasetError
from edgeclf.inputs.lines import first_bytes, is_picture, path_lines
from edgeclf.inputs.paths import has_image_ending, images_below, is_passed_over
from edgeclf.scale.places import Store, absolute, answering, is_url, joined
from edgeclf.scale.tables import (
    PATH_ROWS,
    TABLE_ENDING,
    Table,
    as_bytes,
    open_table,
    read_table_columns,
)

STDIN = "-"
LIST_ENDINGS = (".txt", ".lst", ".list", ".csv")
NO_ROW = -1  # of an input that is a file of its own

logger = logging.getLogger("edgeclf")


class Name(NamedTuple):
    """What tells an input from all others.

    Attributes:
        name: Path or URL, as the source spells it, in bytes as the system has them.
        row: Of a picture inside a Parquet file `name`; `NO_ROW` otherwise.
    """

    name: bytes
    row: int = NO_ROW


@dataclass
class Source:
    """What is to be labelled.

    Attributes:
        argument: What the user wrote; names of inputs begin with it, or are lines of
            it.
        folder: The absolute folder that it is relative to.
        store: How URLs are opened.
        column: Of a table; None: see `Table`.
        unreadable: How many folders could not be listed so far: each is logged.
    """

    argument: str
    folder: str
    store: Store
    column: str | None = None
    unreadable: int = 0

    @property
    def place(self) -> str:
        """The source by a name that does not depend on the working directory."""
        if is_url(self.argument) or self.argument == STDIN:
            return self.argument.rstrip("/")
        return absolute(self.folder, self.argument)

    @property
    def folders(self) -> tuple[str, ...]:
        """Where files with relative names lie: in the first of these that has one."""
        if not self._is_list:
            return (self.folder,)
        beside = os.path.split(self.place)[0]  # of URLs too
        return (beside,) if is_url(self.place) else (self.folder, beside)

    @property
    def root(self) -> str | None:
        """The local folder that all inputs lie in; None where there is none."""
        is_local = not is_url(self.argument) and self.argument != STDIN
        return self.place if is_local and os.path.isdir(self.place) else None  # noqa: PTH112

    def holds(self, folder: str) -> bool:
        """Return whether a folder lies in it, by whatever links."""
        if is_url(folder) or is_url(self.place):
            return f"{folder}/".startswith(f"{self.place}/")
        return Path(folder).resolve().is_relative_to(Path(self.place).resolve())

    @property
    def _is_list(self) -> bool:
        return self.argument.lower().endswith(LIST_ENDINGS)

    def table(self) -> Table | None:
        """Return how pictures are read of a table that holds them, else None.

        Raises:
            DatasetError: It has no such column, or another type of columns.
            OSError: It cannot be read.
        """
        if self._is_list or self.argument == STDIN:
            return None
        for path in self._tables():
            with open_table(self.store, self._place_of(path)) as file:
                return Table.of(file, path, self.column)
        return None

    def names(self) -> Iterator[Name]:
        """Yield all inputs; memory does not grow with them, but with a folder's files.

        Raises:
            DatasetError: A table or list is damaged, or has no such column.
            OSError: Part of the source cannot be read, so that the rest is not all.
        """
        if self.argument == STDIN:
            if sys.stdin is None:
                raise OSError("Expected paths on stdin. Received: it is closed.")
            # Its lines are relative to where it is written, now and not at first.
            here = os.fsencode("" if self.folder == str(Path.cwd()) else Path.cwd())
            for name, row in self._lines(sys.stdin.buffer):
                is_remote = b"://" in name[:32]
                yield Name(name if is_remote else os.path.join(here, name), row)  # noqa: PTH118
        elif self._is_list:
            with self.store.open(self.place) as file, answering(self.place):
                yield from self._lines(file)
        elif table := self.table():
            for path in self._tables():
                yield from self._rows(path, table)
        else:
            for path in self._pictures():
                yield Name(os.fsencode(path))

    def _lines(self, stream: IO[bytes]) -> Iterator[Name]:
        if self.argument.lower().endswith(".csv"):
            yield from self._cells(stream)
            return
        shown = "stdin (-)" if self.argument == STDIN else self.argument
        head = first_bytes(cast("Any", stream))
        if is_picture(head):
            raise DatasetError(
                f"Expected paths or addresses in {shown}, one a line. Received: bytes "
                "that are no text. Give a folder of pictures."
            )
        for line in path_lines(shown, head, cast("Any", stream)):
            yield Name(os.fsencode(line))

    def _cells(self, stream: IO[bytes]) -> Iterator[Name]:
        text = io.TextIOWrapper(
            cast("Any", stream), "utf-8-sig", "surrogateescape", newline=""
        )
        rows = csv.DictReader(text)
        column = self.column or "path"
        if column not in (rows.fieldnames or ()):
            raise DatasetError(
                f"Expected a column {column} in {self.argument}: name another with "
                f"--column. Received: {', '.join(rows.fieldnames or ()) or 'nothing'}"
            )
        for row in rows:
            if row[column]:
                yield Name(os.fsencode(row[column]))
        text.detach()

    def _rows(self, path: str, table: Table) -> Iterator[Name]:
        """Yield the rows of a table's file: the paths in it, or their places."""
        with open_table(self.store, self._place_of(path)) as file:
            if Table.of(file, path, table.column).holds_pictures is not (
                table.holds_pictures
            ):
                raise DatasetError(
                    f"Expected either paths or pictures in the column {table.column} "
                    f"of all tables. Received: {path}, which differs from the first."
                )
            if table.holds_pictures:
                name = os.fsencode(path)
                for row in range(file.metadata.num_rows):
                    yield Name(name, row)
                return
            batches = read_table_columns(
                file, path, [table.column], batch_rows=PATH_ROWS
            )
            for batch in batches:
                yield from map(
                    Name, filter(None, as_bytes(batch.column(0)).to_pylist())
                )

    def _tables(self) -> Iterator[str]:
        """Yield the Parquet files, in order; none for a folder of pictures.

        A folder is one of tables if some lie directly in it.
        """
        if self.argument.lower().endswith(TABLE_ENDING):
            if not self._is_folder():
                yield self.argument
                return
        elif not self._is_folder():
            return
        names = self.store.names(self.place)
        if any(name.lower().endswith(TABLE_ENDING) for name in names):
            found = self._files(_is_left_out)
            yield from sorted(
                path for path in found if path.lower().endswith(TABLE_ENDING)
            )

    def _pictures(self) -> Iterator[str]:
        if not self._is_folder():
            yield self.argument
        elif is_url(self.argument):
            yield from filter(has_image_ending, self._files(is_passed_over))
        else:
            for path in images_below(self.place, self._skip):
                yield self._spelled(path)

    def _files(self, is_left_out: Callable[[str], bool]) -> Iterator[str]:
        """Yield all files below the folder, as the source spells them.

        Args:
            is_left_out: Whether a file or folder of a name is.
        """
        if not is_url(self.argument):
            for folder, folders, files in os.walk(self.place, onerror=self._skip):
                folders[:] = [name for name in folders if not is_left_out(name)]
                for name in files:
                    if not is_left_out(name):
                        yield self._spelled(os.path.join(folder, name))  # noqa: PTH118
            return
        with answering(self.argument):
            system, path = self.store.system(self.argument)
            system.invalidate_cache()
            for folder, folders, files in system.walk(path, on_error="raise"):
                for name in [each for each in folders if is_left_out(each)]:
                    folders.remove(name)
                for name in files:
                    if name and not is_left_out(name):
                        yield system.unstrip_protocol(f"{folder}/{name}")
                system.invalidate_cache()

    def _spelled(self, path: str) -> str:
        below = os.path.relpath(path, self.place)
        return os.path.join(self.argument, below)  # noqa: PTH118

    def _is_folder(self) -> bool:
        if not is_url(self.argument):
            return os.path.isdir(self.place)  # noqa: PTH112
        if self.argument.lower().startswith(("http://", "https://")):
            return False
        with answering(self.argument):
            system, path = self.store.system(self.argument)
            system.invalidate_cache()
            return bool(system.isdir(path))

    def _place_of(self, path: str) -> str:
        return path if is_url(path) else joined(self.folder, path)

    def _skip(self, error: OSError) -> None:
        """Leave a folder out that may not be read; another error is the disk's."""
        if not isinstance(error, PermissionError):
            raise error
        self.unreadable += 1
        logger.error("%s", sentence(error))

    def check(self) -> None:
        """Refuse a source that is not there.

        Raises:
            FileNotFoundError: There is no such file or folder.
        """
        if self.argument == STDIN or is_url(self.argument):
            return
        if not os.path.lexists(self.place):
            raise FileNotFoundError(
                "Expected a folder of pictures, a Parquet file, or a list of paths. "
                f"Received: {self.argument}, which is not there."
            )


def _is_left_out(name: str) -> bool:
    """Whether a file or folder is hidden, litter, or metadata of a set of tables."""
    return is_passed_over(name) or name.startswith("_")
