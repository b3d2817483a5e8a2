"""Keep what was computed from a picture, by what the picture is.

One SQLite file per folder. SQLite gives what a cache needs and is hard to write by
hand: several processes at once, and a killed run that loses only what it had not
committed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

logger = logging.getLogger("edgeclf")

FILE_NAME = "bottlenecks.sqlite"
LOCK_TIMEOUT_S = 60.0


class BottleneckCache:
    """A map from 32-byte keys to bytes, kept on disk.

    A folder that cannot be written is no error: one warning, and the entries live
    as long as the process. A damaged file is set aside with a warning. Several threads
    may share a cache if they take turns.

    Args:
        folder: Where the file lies; made when missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / FILE_NAME
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open_or_set_aside()
        except (OSError, sqlite3.Error) as error:
            logger.warning(
                "The bottleneck cache %s cannot be used (%s): nothing is kept for the "
                "next run. Choose another folder with --bottleneck_dir.",
                self.path,
                error,
            )
            self._connection = _connect(":memory:")

    def get(self, key: bytes) -> bytes | None:
        """Return what is stored under `key`; None if nothing is, or it is damaged."""
        try:
            row = self._connection.execute(
                "SELECT checksum, content FROM entries WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.ProgrammingError):
                raise
            return None
        if row is None or zlib.crc32(row[1]) != row[0]:
            return None
        return bytes(row[1])

    def put(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Store entries, all of them or none."""
        rows = [(key, zlib.crc32(content), content) for key, content in entries]
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows
                )
        except sqlite3.Error as error:
            logger.warning("Bottlenecks could not be kept in %s: %s", self.path, error)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> BottleneckCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open_or_set_aside(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.OperationalError:  # locked, or not to be opened
            raise
        except sqlite3.DatabaseError as error:
            damaged = self.path.with_suffix(".damaged")
            logger.warning(
                "The bottleneck cache %s is damaged (%s): moved to %s, starting anew.",
                self.path,
                error,
                damaged.name,
            )
            os.replace(self.path, damaged)
            return _connect(self.path)


def _connect(path: str | os.PathLike[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, LOCK_TIMEOUT_S, check_same_thread=False)
    try:
        # A crash of the process loses nothing with synchronous=OFF; a crash of the
        # machine may, and then the file is set aside.
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, "
                "checksum INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
            )
    except sqlite3.Error:
        connection.close()
        raise
    return connection
