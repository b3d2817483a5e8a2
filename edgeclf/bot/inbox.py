"""Updates from Telegram, on the disk until each of them is answered.

An update is stored before Telegram is told that it arrived, and is marked in the
transaction that follows its answer. So a process that is killed has at most answered
what it was just sending: that is answered again after the restart. It is the window of
one request for a chat, and it errs towards twice, never towards lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# Telegram keeps what it could not deliver for 24 hours, and repeats nothing older.
# Source: https://core.telegram.org/bots/api#getting-updates
REMEMBERED_S = 48 * 3600


class Entry(NamedTuple):
    """An update that waits for its answer.

    Attributes:
        id: Telegram's `update_id`.
        update: As Telegram sent it.
        attempts: How often work on it has begun in earlier runs, after its first one.
        is_old: Whether an earlier run has left it.
    """

    id: int
    update: Mapping[str, Any]
    attempts: int = 0
    is_old: bool = False


class Inbox:
    """The table of updates. Methods are run within a transaction of `State`.

    Args:
        connection: Of the state.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], float] = time.time
    ) -> None:
        self._connection = connection
        self._clock = clock
        connection.execute(
            "CREATE TABLE IF NOT EXISTS updates ("
            "arrival INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL UNIQUE, "
            "received REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, content TEXT)"
        )

    def add(self, updates: Iterable[Mapping[str, Any]]) -> list[Entry]:
        """Store updates; return those that were not there, answered or not."""
        new = []
        for update in updates:
            entry = Entry(int(update["update_id"]), update)
            done = self._connection.execute(
                "INSERT OR IGNORE INTO updates (id, received, content) "
                "VALUES (?, ?, ?)",
                (entry.id, self._clock(), json.dumps(update)),
            )
            if done.rowcount:
                new.append(entry)
        return new

    def unanswered(self) -> list[Entry]:
        """Return what an earlier run has left, in the order it came."""
        rows = self._connection.execute(
            "SELECT id, content, attempts FROM updates WHERE content IS NOT NULL "
            "ORDER BY arrival"
        )
        return [
            Entry(number, json.loads(content), attempts, is_old=True)
            for number, content, attempts in rows
        ]

    def begin(self, number: int) -> None:
        """Count that work begins on an update which an earlier run has left."""
        self._connection.execute(
            "UPDATE updates SET attempts = attempts + 1 WHERE id = ?", (number,)
        )

    def leave(self, numbers: Iterable[int]) -> None:
        """Forget all attempts at updates that are left for the next run in peace."""
        self._connection.executemany(
            "UPDATE updates SET attempts = 0 WHERE id = ?",
            [(number,) for number in numbers],
        )

    def mark_answered(self, ids: Iterable[int]) -> None:
        """Forget the content of updates; their numbers stay, so that none repeats."""
        self._connection.executemany(
            "UPDATE updates SET content = NULL WHERE id = ?",
            [(number,) for number in ids],
        )

    def prune(self) -> None:
        """Forget the numbers that Telegram will not repeat.

        What came while the clock was ahead counts as come now, or it would stay.
        """
        self._connection.execute(
            "UPDATE updates SET received = ? WHERE received > ?",
            (self._clock(), self._clock()),
        )
        self._connection.execute(
            "DELETE FROM updates WHERE content IS NULL AND received < ?",
            (self._clock() - REMEMBERED_S,),
        )
