"""The SQLite file of a cache: its table, its checksums, and how it is mended."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

LOCK_TIMEOUT_S = 60.0
FORMAT = 1  # since the checksum is of the key too; SQLite's `user_version`

# What SQLite says of the world around the file; all else that it says is damage.
# Source: sqlite3ErrStr in SQLite's main.c.
_AROUND = ("locked", "full", "readonly", "unable to open", "disk I/O", "interrupted")
# What may lie beside the file and belongs to it: of a transaction that was cut off.
_ENDINGS = ("", "-journal", "-wal", "-shm")


def connect(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """Open a file, make the table where it is missing.

    Raises:
        sqlite3.Error: It cannot be opened, or is damaged: see `is_damage`.
    """
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, check_same_thread=False)
    connection.text_factory = bytes  # a damaged type must not fail to decode
    try:
        # A crash of the process loses nothing with synchronous=OFF; a crash of the
        # machine may, and then the file is mended.
        connection.execute("PRAGMA synchronous = OFF")
        if _format(connection) != FORMAT:
            _make(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _format(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def _make(connection: sqlite3.Connection) -> None:
    """Make the table; the checksums of one of format 0 were of the content alone."""
    connection.create_function("old_checksum", 1, zlib.crc32, deterministic=True)
    connection.create_function("checksum", 2, checksum, deterministic=True)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _format(connection) == FORMAT:  # another process was quicker
            return
        connection.execute(
            "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, "
            "checksum INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
        )
        connection.execute(
            "UPDATE entries SET checksum = checksum(key, content) "
            "WHERE checksum = old_checksum(content)"
        )
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def checksum(key: bytes, content: bytes) -> int:
    """Return what is kept beside an entry: it must not come under another's key."""
    return zlib.crc32(content, zlib.crc32(key))


def is_whole(key: object, stored: object, content: object) -> bool:
    """Return whether a row is what was written."""
    if not (isinstance(key, bytes) and isinstance(content, bytes)):
        return False
    return checksum(key, content) == stored


def is_damage(error: Exception) -> bool:
    """Return whether an error says that the file is damaged."""
    if not isinstance(error, sqlite3.DatabaseError | MemoryError):
        return False
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    return not any(text in str(error) for text in _AROUND)


def mend(path: Path, damaged: Path) -> int:
    """Put a new file in place of a damaged one, with its good entries; count them.

    Nobody else may have it open.

    Args:
        path: The file.
        damaged: Where it is moved, with what belongs to it.

    Raises:
        OSError: It cannot be moved.
        sqlite3.Error: The new one cannot be written.
    """
    new = path.with_name(f".{path.name}.part")
    _remove(new)  # of a run that was killed here
    try:
        with closing(connect(new)) as connection, connection:
            count = connection.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", good_entries(path)
            ).rowcount
        _remove(damaged)
        # A journal that stayed would be taken for the new file's.
        for ending in reversed(_ENDINGS):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{ending}", f"{damaged}{ending}")
        os.replace(new, path)
    finally:
        _remove(new)
    return max(0, count)


def _remove(path: Path) -> None:
    for ending in _ENDINGS:
        Path(f"{path}{ending}").unlink(missing_ok=True)


def good_entries(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the rows of a damaged file that can be read and are what was written.

    Keys are hashes. So they are asked for by their first byte, from below and from
    above: what is damaged hides no more than a part of those that begin alike.
    """
    try:
        connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S)
    except sqlite3.Error:
        return
    connection.text_factory = bytes
    with closing(connection):
        for first in range(256):
            seen: set[bytes] = set()
            for order in ("ASC", "DESC"):
                yield from _rows(connection, first, order, seen)


def _rows(
    connection: sqlite3.Connection, first: int, order: str, seen: set[bytes]
) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the good rows whose keys begin with a byte, until one cannot be read."""
    limits = bytes([first]), bytes([first + 1]) if first < 255 else bytes([255] * 65)
    query = "SELECT key, checksum, content FROM entries WHERE key >= ? AND key < ?"
    try:
        for row in connection.execute(f"{query} ORDER BY key {order}", limits):
            if row[0] in seen:
                return  # those that are left were met from the other side
            if is_whole(*row):
                seen.add(row[0])
                yield row
    except (sqlite3.Error, MemoryError, OverflowError):
        return
