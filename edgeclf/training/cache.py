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

from edgeclf.errors import DownloadError
from edgeclf.zoo import home

logger = logging.getLogger("edgeclf")

FILE_NAME = "bottlenecks.sqlite"
LOCK_TIMEOUT_S = 60.0


def bottleneck_dir(given: str | os.PathLike[str] | None) -> Path:
    """Return the folder where bottlenecks are cached: the given one, or the user's."""
    if given is not None:
        return Path(given)
    try:
        return home() / "bottlenecks"
    except DownloadError:  # no home folder: the cache says that it keeps nothing
        return Path(os.devnull) / "bottlenecks"


class BottleneckCache:
    """A map from 32-byte keys to bytes, kept on disk.

    A folder that cannot be written is no error: there is one warning, and nothing is
    kept. A damaged file is set aside with a warning. Several threads may share a cache
    if they take turns.

    Args:
        folder: Where the file lies; made when missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / FILE_NAME
        self._is_kept = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            self._connection = _connect(":memory:")
            self._give_up(error)

    def get(self, key: bytes) -> bytes | None:
        """Return what is stored under `key`; None if nothing is, or it is damaged."""
        try:
            row = self._connection.execute(
                "SELECT checksum, content FROM entries WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.OperationalError as error:  # locked: do not wait every time
            self._connection.close()
            self._connection = _connect(":memory:")
            self._give_up(error)
            return None
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
            return None
        if row is None or zlib.crc32(row[1]) != row[0]:
            return None
        return bytes(row[1])

    def put(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Store entries, all of them or none."""
        rows = [(key, zlib.crc32(content), content) for key, content in entries]
        if not rows or not self._is_kept:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows
                )
        except sqlite3.OperationalError as error:  # locked, or the disk is full
            self._give_up(error)
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside(error)

    @property
    def is_kept(self) -> bool:
        """Whether what is put here is there for the next run."""
        return self._is_kept

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

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.OperationalError:  # locked, or not to be opened
            raise
        except sqlite3.DatabaseError as error:
            self._move_away(error)
            return _connect(self.path)

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Go on with a new file in place of a damaged one."""
        self._connection.close()
        try:
            self._move_away(error)
            self._connection = _connect(self.path)
        except (OSError, sqlite3.Error) as reason:
            self._connection = _connect(":memory:")
            self._give_up(reason)

    def _move_away(self, error: sqlite3.Error) -> None:
        damaged = self.path.with_suffix(".damaged")
        logger.warning(
            "The bottleneck cache %s is damaged (%s): moved to %s, starting anew.",
            self.path,
            error,
            damaged.name,
        )
        os.replace(self.path, damaged)
        # A journal would be played back into the new file.
        Path(f"{self.path}-journal").unlink(missing_ok=True)

    def _give_up(self, error: Exception) -> None:
        if self._is_kept:
            logger.warning(
                "The bottleneck cache %s cannot be used (%s): nothing more is kept "
                "for the next run. Free some space, or choose another folder with "
                "--bottleneck_dir.",
                self.path,
                error,
            )
        self._is_kept = False


def _connect(path: str | os.PathLike[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, check_same_thread=False)
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
