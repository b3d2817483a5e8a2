"""Parquet tables of paths, or of the encoded pictures themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgeclf.errors import DatasetError
from edgeclf.scale.places import Store, answering, is_url

TABLE_ENDING = ".parquet"
PATH, IMAGE, BYTES = "path", "image", "bytes"  # Source: Hugging Face's `Image` feature
PATH_ROWS = 10_000  # of which only paths are in memory
BATCH_ROWS = 64  # that are in memory at a time: encoded pictures are large


class Cell(NamedTuple):
    """A picture in a table.

    Attributes:
        row: Its row in the file.
        path: What the table calls it, in bytes as they stand there; None if nothing.
        content: Encoded; None where there is only a path.
    """

    row: int
    path: bytes | None
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
        fields = _fields(file)
        if column is None:
            if IMAGE in fields and _holds_pictures(fields[IMAGE]):
                column = IMAGE
            elif PATH in fields:
                column = PATH
            elif len(fields) == 1:
                (column,) = fields
        if column is None:
            raise _without(f"{PATH} or {IMAGE}", name, fields)
        _check_columns(file, name, [column])
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
        first = 0
        for group in range(file.metadata.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            wanted = [row for row in rows if first <= row < end]
            if wanted:
                batches = read_table_columns(file, name, columns, [group])
                yield from self._in_batches(batches, first, wanted)
            first = end
        if rows and rows[-1] >= first:
            raise DatasetError(
                f"Expected row {rows[-1]} in {name}. Received: a table of {first} "
                "rows, so it has changed."
            )

    def _in_batches(
        self, batches: Iterator[Any], first: int, rows: Sequence[int]
    ) -> Iterator[Cell]:
        """Yield the pictures in these rows; read no further than the last of them."""
        waiting = deque(rows)
        for batch in batches:
            end = first + batch.num_rows
            contents, inner, outer = self._columns(batch)
            while waiting and waiting[0] < end:
                row = waiting.popleft()
                path = inner[row - first].as_py() or outer[row - first].as_py()
                yield Cell(row, path, contents[row - first].as_py())
            if not waiting:
                return
            first = end
        raise DatasetError(
            "Expected as many rows in a table as its end tells. Received: fewer."
        )

    def _columns(self, batch: Any) -> tuple[Any, Any, Any]:
        """Return contents, the names beside them in the same column, and in `path`."""
        import pyarrow as pa

        column = batch.column(self.column)
        inner = nothing = pa.nulls(batch.num_rows)
        if pa.types.is_struct(column.type):
            names = [field.name for field in column.type]
            parts = dict(zip(names, column.flatten(), strict=True))
            column = parts[BYTES]
            if PATH in parts and _is_text(parts[PATH].type):
                inner = as_bytes(parts[PATH])
        outer = as_bytes(batch.column(PATH)) if self.named else nothing
        return as_bytes(column), inner, outer


@contextmanager
def open_table(store: Store, url: str) -> Iterator[Any]:
    """Yield a Parquet file, opened with pyarrow.

    Raises:
        DatasetError: It is damaged, or no Parquet.
        OSError: It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with store.open(url) as stream, answering(url) if is_url(url) else nullcontext():
        try:
            file = pq.ParquetFile(stream)
        except (pa.ArrowException, OSError) as error:
            if is_of_disk(error, url):
                raise
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
        DatasetError: The file is damaged, or has no such column.
        OSError: It cannot be read.
    """
    import pyarrow as pa

    _check_columns(file, name, columns)
    batches = file.iter_batches(
        batch_rows, row_groups=groups, columns=list(columns), use_threads=False
    )
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        if is_of_disk(error, name):
            raise
        raise _damaged(name, error) from error


def is_of_disk(error: Exception, name: str) -> bool:
    """Return whether it is a disk or store that fails, rather than a table's bytes.

    Arrow raises an `OSError` without a number for some damage. Stores do so too.
    """
    return isinstance(error, OSError) and (error.errno is not None or is_url(name))


def as_bytes(array: Any) -> Any:
    """Return the texts or pictures of an array as they are: not all text is UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_binary())


def _check_columns(file: Any, name: str, columns: Sequence[str]) -> None:
    fields = _fields(file)
    for column in columns:
        if column not in fields:
            raise _without(column, name, fields)


def _fields(file: Any) -> dict[str, Any]:
    return {field.name: field.type for field in file.schema_arrow}


def _without(column: str, name: str, fields: Mapping[str, Any]) -> DatasetError:
    return DatasetError(
        f"Expected a column {column} in {name}: name another with --column. "
        f"Received: {', '.join(fields) or 'no columns'}"
    )


def _damaged(name: str, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())
    return DatasetError(f"Expected a Parquet file. Received: {name} ({reason})")


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    kind = _of_values(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _holds_pictures(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        kinds = {field.name: field.type for field in kind}
        return BYTES in kinds and _is_binary(kinds[BYTES])
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as types

    kind = _of_values(kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _of_values(kind: Any) -> Any:
    import pyarrow.types as types

    return kind.value_type if types.is_dictionary(kind) else kind
