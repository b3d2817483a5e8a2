"""Parquet tables of paths, or of the encoded pictures themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgeclf.errors import DatasetError
from edgeclf.scale.places import Store

TABLE_ENDING = ".parquet"
PATH, IMAGE, BYTES = "path", "image", "bytes"  # Source: Hugging Face's `Image` feature
PATH_ROWS = 10_000  # of which only paths are in memory
BATCH_ROWS = 64  # that are in memory at a time: encoded pictures are large


class Cell(NamedTuple):
    """A picture in a table.

    Attributes:
        row: Its row in the file.
        path: What the table calls it; None if nothing.
        content: Encoded; None where there is only a path.
    """

    row: int
    path: str | None
    content: bytes | None


@dataclass(frozen=True)
class Table:
    """Which column of a table is read.

    Attributes:
        column: Its name.
        holds_pictures: Whether it holds encoded pictures; paths or URLs otherwise.
        named: Whether another column, `path`, names the pictures.
    """

    column: str
    holds_pictures: bool
    named: bool

    @classmethod
    def of(cls, file: Any, name: str, column: str | None) -> Table:
        """Choose the column of an opened file.

        Args:
            file: What `open_table` yields.
            name: What errors call it.
            column: What the user named. Default: `image` if it holds pictures, else
                `path`, else the only one.

        Raises:
            DatasetError: There is no such column, or it holds something else.
        """
        fields = {field.name: field.type for field in file.schema_arrow}
        if column is None:
            if IMAGE in fields and _holds_pictures(fields[IMAGE]):
                column = IMAGE
            elif PATH in fields:
                column = PATH
            elif len(fields) == 1:
                (column,) = fields
        if column is None or column not in fields:
            wanted = "path or image" if column is None else column
            raise DatasetError(
                f"Expected a column {wanted} in {name}: name another with --column. "
                f"Received: {', '.join(fields) or 'no columns'}"
            )
        kind = fields[column]
        pictures = _holds_pictures(kind)
        if not pictures and not _is_text(kind):
            raise DatasetError(
                f"Expected paths or encoded pictures in the column {column} of {name}. "
                f"Received: {kind}"
            )
        named = column != PATH and PATH in fields and _is_text(fields[PATH])
        return cls(column, pictures, named)

    def cells(self, file: Any, name: str, rows: Sequence[int]) -> Iterator[Cell]:
        """Yield the pictures in these rows.

        Args:
            file: What `open_table` yields.
            name: What errors call it.
            rows: Rising.

        Raises:
            DatasetError: The file is damaged, or has fewer rows.
        """
        columns = [self.column, *([PATH] if self.named else [])]
        wanted = set(rows)
        first = 0
        for group in range(file.metadata.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            if any(first <= row < end for row in rows):
                yield from self._of_group(file, name, group, first, columns, wanted)
            first = end
        if rows and rows[-1] >= first:
            raise DatasetError(
                f"Expected row {rows[-1]} in {name}. Received: a table of {first} "
                "rows, so it has changed."
            )

    def _of_group(
        self,
        file: Any,
        name: str,
        group: int,
        first: int,
        columns: Sequence[str],
        wanted: set[int],
    ) -> Iterator[Cell]:
        row = first
        for batch in read_table_columns(file, name, columns, groups=[group]):
            for place in range(batch.num_rows):
                if row in wanted:
                    yield self._cell(batch, place, row)
                row += 1

    def _cell(self, batch: Any, place: int, row: int) -> Cell:
        value = batch.column(self.column)[place].as_py()
        path = batch.column(PATH)[place].as_py() if self.named else None
        if isinstance(value, dict):
            return Cell(row, value.get(PATH) or path, value[BYTES])
        return Cell(row, path, value)


@contextmanager
def open_table(store: Store, url: str) -> Iterator[Any]:
    """Yield a Parquet file, opened with pyarrow.

    Raises:
        DatasetError: It is damaged, or no Parquet.
        OSError: It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with store.open(url) as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            raise _damaged(url, error) from error
        with file:
            yield file


def read_table_columns(
    file: Any,
    name: str,
    columns: Sequence[str],
    groups: Sequence[int] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Any]:
    """Yield record batches of some columns, `batch_rows` rows at a time.

    Raises:
        DatasetError: The file is damaged.
        OSError: It cannot be read.
    """
    import pyarrow as pa

    batches = file.iter_batches(
        batch_rows, row_groups=groups, columns=list(columns), use_threads=False
    )
    try:
        yield from batches
    except pa.ArrowInvalid as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())
    return DatasetError(f"Expected a Parquet file. Received: {name} ({reason})")


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _holds_pictures(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        names = [kind.field(place).name for place in range(kind.num_fields)]
        return BYTES in names
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
