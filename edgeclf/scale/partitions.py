"""Cut the inputs into partitions, and keep which input belongs to which.

A partition is a file of names, `_edgeclf/inputs/inputs-0000000.parquet`, that is
written in one step and never changed. So a run that is killed while it lists its inputs
leaves whole partitions, and the next run adds what is in none of them.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice

from edgeclf.labelling.workers import in_order
from edgeclf.scale.listing import Name
from edgeclf.scale.places import READERS, Store, is_url, joined
from edgeclf.scale.tables import open_table

FOLDER = "_edgeclf/inputs"
MAX_SIZE = 1000
MIN_SIZE = 16
SHARES = 256  # partitions that a smaller source is cut into, for all of 64 cores
COMPRESSION = "zstd"

_CACHE_KIB = 4 << 10  # of memory, beyond which SQLite sorts on disk
# Source: section 5, "Temporary File Storage Locations", https://www.sqlite.org/tempfiles.html
_TEMPORARY = ("/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108


def default_size(num_inputs: int) -> int:
    """Return how many inputs a partition has: `MAX_SIZE`, of a small source fewer."""
    return min(MAX_SIZE, max(MIN_SIZE, -(-num_inputs // SHARES)))


class Partitions:
    """The partitions in a folder of results.

    Args:
        store: How URLs are opened.
        output: The folder of results.
    """

    def __init__(self, store: Store, output: str) -> None:
        self._store = store
        self._folder = joined(output, FOLDER)

    def numbers(self) -> list[int]:
        """Return the numbers of all partitions, rising.

        Raises:
            OSError: The folder cannot be read.
        """
        return sorted(numbered("inputs", self._store.names(self._folder)))

    def inputs(self, number: int) -> list[Name]:
        """Return the inputs of a partition, in order.

        Raises:
            DatasetError: Its file is damaged.
            OSError: It cannot be read.
        """
        path = joined(self._folder, _file_name(number))
        with open_table(self._store, path) as file:
            table = file.read(use_threads=False)
        names = table["name"].to_pylist()
        return list(map(Name, names, table["row"].to_pylist()))

    def all(self) -> Iterator[tuple[int, list[Name]]]:
        """Yield every partition's number and inputs, by rising number.

        Raises:
            DatasetError, OSError: As `inputs`.
        """

        def read(number: int) -> tuple[int, list[Name]]:
            return number, self.inputs(number)

        readers = READERS if is_url(self._folder) else 1
        with closing(in_order(self.numbers(), [read] * readers)) as partitions:
            yield from partitions

    def add(self, number: int, names: Sequence[Name]) -> None:
        """Write a partition.

        Raises:
            OSError: Its file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(
            {
                "name": pa.array([name.name for name in names], pa.binary()),
                "row": pa.array([name.row for name in names], pa.int64()),
            }
        )
        content = io.BytesIO()
        pq.write_table(table, content, compression=COMPRESSION)
        path = joined(self._folder, _file_name(number))
        self._store.write(path, content.getvalue())


class Inventory:
    """Tells new inputs from known ones, sorted and each once, in little memory.

    SQLite keeps them in a file that vanishes with the process, and sorts on disk.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for line in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA temp_store = FILE",
            "CREATE TABLE inputs (name BLOB, row INTEGER, is_new INTEGER)",
            "CREATE TABLE new (name BLOB, row INTEGER)",
            "BEGIN",
        ):
            self._database.execute(line)

    def add(self, names: Iterator[Name], *, is_new: bool) -> int:
        """Add inputs and return how many.

        Args:
            names: In any order; an input may come twice.
            is_new: Whether they are so, unless they are added as known ones too.

        Raises:
            OSError: The disk of temporary files is full.
        """
        rows = ((name, row, is_new) for name, row in names)
        with _disk_errors():
            return self._database.executemany(
                "INSERT INTO inputs VALUES (?, ?, ?)", rows
            ).rowcount

    def sort(self) -> int:
        """Sort what was added; return how many inputs are new.

        Raises:
            OSError: The disk of temporary files is full.
        """
        with _disk_errors():
            self._database.execute(
                "INSERT INTO new SELECT name, row FROM inputs GROUP BY name, row "
                "HAVING min(is_new) ORDER BY name, row"
            )
            (count,) = self._database.execute("SELECT count(*) FROM new").fetchone()
        return int(count)

    def new(self) -> Iterator[Name]:
        """Yield the new inputs by rising bytes of their names, and by row.

        Raises:
            OSError: The disk of temporary files fails.
        """
        with _disk_errors(), closing(self._database.cursor()) as cursor:
            cursor.execute("SELECT name, row FROM new ORDER BY rowid")
            for name, row in cursor:
                yield Name(name, row)

    def close(self) -> None:
        """Let the file go."""
        self._database.close()


def cut(names: Iterator[Name], size: int) -> Iterator[list[Name]]:
    """Yield the names `size` at a time; of the last ones fewer."""
    while chunk := list(islice(names, size)):
        yield chunk


def numbered(stem: str, names: Sequence[str]) -> Iterator[int]:
    """Yield the numbers of the files called `stem-NUMBER.parquet`."""
    for name in names:
        number = name.removeprefix(f"{stem}-").removesuffix(".parquet")
        if number.isdecimal() and name == f"{stem}-{int(number):07}.parquet":
            yield int(number)


def _file_name(number: int) -> str:
    return f"inputs-{number:07}.parquet"


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        chosen = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
        folders = filter(None, (*chosen, *_TEMPORARY))
        folder = next(filter(os.path.isdir, folders), os.curdir)
        raise OSError(
            f"Cannot sort the inputs in {folder}, the folder of temporary files: "
            f"{error}. Make room, or name another one with SQLITE_TMPDIR."
        ) from error
