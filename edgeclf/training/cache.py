"""Keep what was computed from a picture, by what the picture is.

One SQLite file per folder. SQLite gives what a cache needs and is hard to write by
hand: several processes at once, and a killed run that loses only what it had not
committed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from edgeclf import files
from edgeclf.console import number_of
from edgeclf.errors import DownloadError
from edgeclf.training import cache_file
from edgeclf.zoo import home

logger = logging.getLogger("edgeclf")

FILE_NAME = "bottlenecks.sqlite"


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
    kept. An entry that is not what was written counts as none. A damaged file is set
    aside with a warning, and its good entries are kept. Several threads may share a
    cache if they take turns.

    Args:
        folder: Where the file lies; made when missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder) / FILE_NAME
        self._is_kept = True
        self._has_told = self._has_mended = False
        self._lock: int | None = None  # descriptor of the folder: who mends is alone
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            self._connection = cache_file.connect(":memory:")
            self._give_up(error)

    def get(self, key: bytes) -> bytes | None:
        """Return what is stored under `key`; None if nothing is, or it is damaged."""
        try:
            row = self._connection.execute(
                "SELECT checksum, content FROM entries WHERE key = ?", (key,)
            ).fetchone()
        except (sqlite3.DatabaseError, MemoryError) as error:
            if isinstance(error, sqlite3.ProgrammingError):
                raise
            if cache_file.is_damage(error):
                self._mend(error)
                return self.get(key) if self._is_kept else None
            # Locked: do not wait every time.
            self._connection.close()
            self._connection = cache_file.connect(":memory:")
            self._give_up(error)
            return None
        if row is None:
            return None
        if not cache_file.is_whole(key, *row):
            self._tell_of_entries()
            return None
        return bytes(row[1])

    def put(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Store entries, all of them or none; nothing after the end."""
        rows = [
            (key, cache_file.checksum(key, content), content)
            for key, content in entries
        ]
        if not rows or not self._is_kept:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows
                )
        except (sqlite3.DatabaseError, MemoryError) as error:
            if isinstance(error, sqlite3.ProgrammingError):
                raise
            if not cache_file.is_damage(error):  # locked, or the disk is full
                self._give_up(error)
                return
            self._mend(error)
            self.put([(key, content) for key, _, content in rows])

    def close(self) -> None:
        """Close the file."""
        self._is_kept = False
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> BottleneckCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take_lock(self) -> None:
        """Let nobody mend the file while it is open here; wait for who does.

        Raises:
            OSError: That took too long.
        """
        if os.name != "posix":  # there an open file cannot be moved away
            return
        self._lock = os.open(self.path.parent, os.O_RDONLY)
        ends_at = time.monotonic() + cache_file.LOCK_TIMEOUT_S
        while not files.lock(self._lock, shared=True):
            if time.monotonic() > ends_at:
                raise OSError("another process mends it")
            time.sleep(0.05)

    def _open(self) -> sqlite3.Connection:
        try:
            return cache_file.connect(self.path)
        except (sqlite3.DatabaseError, MemoryError) as error:
            if not cache_file.is_damage(error):  # locked, or not to be opened
                raise
            self._set_aside(error)
            return cache_file.connect(self.path)

    def _mend(self, error: Exception) -> None:
        """Go on with a new file in place of a damaged one."""
        self._connection.close()
        try:
            self._set_aside(error)
            self._connection = cache_file.connect(self.path)
        except (OSError, sqlite3.Error) as reason:
            self._connection = cache_file.connect(":memory:")
            self._give_up(reason)

    def _set_aside(self, error: Exception) -> None:
        if self._has_mended:
            raise OSError(f"it is damaged again: {error}")
        if self._lock is not None and not files.lock(self._lock):
            raise OSError(f"it is damaged, {error}, and in use by another process")
        self._has_mended = True
        damaged = self.path.with_suffix(".damaged")
        count = cache_file.mend(self.path, damaged)
        if self._lock is not None:
            files.lock(self._lock, shared=True)
        logger.warning(
            "The bottleneck cache %s was damaged (%s): mended, with %s; the damaged "
            "file is %s.",
            self.path,
            error,
            number_of(count, "good entry", "good entries"),
            damaged.name,
        )

    def _tell_of_entries(self) -> None:
        if not self._has_told:
            logger.warning(
                "The bottleneck cache %s holds damaged entries: they are computed "
                "again.",
                self.path,
            )
        self._has_told = True

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
