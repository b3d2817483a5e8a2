"""Open the pictures of a partition; tell a bad picture from a disk that is away."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple

from edgeclf.console import sentence
from edgeclf.errors import EdgeclfError, ImageError, MissingExtraError
from edgeclf.labelling.workers import in_order
from edgeclf.scale.listing import NO_ROW, Name
from edgeclf.scale.places import (
    OF_ONE_FILE,
    READERS,
    Store,
    UnreachableError,
    is_url,
    joined,
)
from edgeclf.scale.rows import readable
from edgeclf.scale.tables import Table, open_table
from edgeclf.sources import is_url as is_on_the_web

MAX_BYTES = 1 << 28  # of a picture that is in memory while it is encoded

# What the system says of one file; anything else is the disk's.
_OF_ONE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
    }
)
_CHUNK_BYTES = 1 << 20


class Picture(NamedTuple):
    """A picture, or why there is none.

    Attributes:
        path: What the results call it.
        source: A path of this machine or encoded bytes; None with an error.
        error: A sentence; "" when there is a picture.
    """

    path: str
    source: str | bytes | None
    error: str = ""


@dataclass(frozen=True)
class Opener:
    """Finds the pictures that inputs stand for.

    Attributes:
        store: How URLs are opened.
        folders: Where relative names lie: the first one that has the file.
        root: A local folder without which nothing is there: a disk that is away.
        table: How rows are read; None where there are none.
        allow_private: Whether web addresses may lead to private networks.
    """

    store: Store
    folders: tuple[str, ...]
    root: str | None
    table: Table | None
    allow_private: bool

    def pictures(self, names: Sequence[Name]) -> Iterator[Picture]:
        """Yield the pictures of inputs, in their order.

        Raises:
            MissingExtraError: What reads a store is not installed.
            UnreachableError: A store or a disk does not answer.
        """
        for (name, is_row), group in groupby(
            names, lambda each: (each.row != NO_ROW and each.name, each.row != NO_ROW)
        ):
            if is_row:
                yield from self._in_table(os.fsdecode(name or b""), list(group))
            else:
                yield from self._of_names(each.name for each in group)

    def _of_names(self, names: Iterable[bytes]) -> Iterator[Picture]:
        """Yield pictures by their names; those of stores are read ahead."""
        for remote, group in groupby(names, lambda name: b"://" in name[:32]):
            readers = [self._opened] * (READERS if remote else 1)
            yield from in_order(group, readers)

    def _opened(self, name: bytes) -> Picture:
        path, shown = self._located(os.fsdecode(name)), readable(name)
        try:
            if is_on_the_web(path):
                return Picture(shown, self._fetched(path))
            if is_url(path):
                return Picture(shown, self.store.read(path, MAX_BYTES))
            return Picture(shown, _local(path, shown))
        except (UnreachableError, MissingExtraError):
            raise
        except (EdgeclfError, OSError) as error:
            self.check_disk(error, shown)
            return Picture(shown, None, begun(shown, sentence(error, shown)))

    def _located(self, name: str) -> str:
        if is_url(name) or os.path.isabs(name):  # noqa: PTH117
            return name
        places = [joined(folder, name) for folder in self.folders]
        return next(filter(os.path.lexists, places), places[0])

    def _fetched(self, url: str) -> bytes:
        """Return a picture of the web, where every server has its own troubles."""
        from edgeclf.inputs.fetch import fetch_image  # imports ssl

        return fetch_image(url, allow_private=self.allow_private)

    def _in_table(self, path: str, names: Sequence[Name]) -> Iterator[Picture]:
        """Yield the pictures in one Parquet file."""
        rows = iter(names)
        try:
            yield from self._cells(path, names, rows)
        except UnreachableError:
            raise
        except (EdgeclfError, OSError) as error:
            self.check_disk(error, path)
            for name in rows:  # of which nothing came
                shown = f"{readable(name.name)}#{name.row}"
                yield Picture(shown, None, begun(shown, sentence(error, path)))

    def _cells(
        self, path: str, names: Sequence[Name], rows: Iterator[Name]
    ) -> Iterator[Picture]:
        if self.table is None:  # pragma: no cover - names with rows come of a table
            raise UnreachableError(f"Expected a table at {path}.")
        wanted = [name.row for name in names]
        with open_table(self.store, self._located(path)) as file:
            for cell in self.table.cells(file, path, wanted):
                next(rows)
                shown = f"{readable(os.fsencode(path))}#{cell.row}"
                if cell.path:
                    shown = readable(cell.path)
                if cell.content is None and cell.path:
                    yield self._opened(cell.path)
                elif not cell.content:
                    reason = f"{shown}: Expected a picture. Received: nothing."
                    yield Picture(shown, None, reason)
                else:
                    yield Picture(shown, cell.content)

    def check_disk(self, error: Exception, name: str) -> None:
        """Raise what is the trouble of a disk and not of one picture.

        Raises:
            UnreachableError: The disk does not answer, or is away.
        """
        if isinstance(error, EdgeclfError) or not isinstance(error, OSError):
            return
        if isinstance(error, OF_ONE_FILE) or error.errno in _OF_ONE_FILE:
            if self.root is not None and not os.path.isdir(self.root):  # noqa: PTH112
                raise UnreachableError(f"{self.root} is not there any more.") from error
            return
        raise UnreachableError(sentence(error, name)) from error

    def check_readable(self, path: str) -> None:
        """Raise if it is the disk that makes a picture look damaged.

        Raises:
            UnreachableError: The file cannot be read to its end.
        """
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                for _ in iter(partial(file.read, _CHUNK_BYTES), b""):
                    pass
        except OSError as error:
            self.check_disk(error, path)


def _local(path: str, shown: str) -> str:
    """Return the path of a file that is there; a pipe may never end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except ValueError as error:  # a zero byte
        raise ImageError(f"Expected a path. Received: {shown} ({error}).") from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), shown)
    if not stat.S_ISREG(mode):
        raise ImageError("Expected a file. Received: a pipe or a device.")
    return path


def begun(name: str, text: str) -> str:
    """Return a sentence that begins with a picture's name."""
    return text if text.startswith(name) else f"{name}: {text}"
