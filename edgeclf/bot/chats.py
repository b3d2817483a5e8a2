"""What each chat has chosen: how many labels it wants to see."""

from __future__ import annotations

import sqlite3


class Chats:
    """The table of chats. Methods are run within a transaction of `State`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE IF NOT EXISTS chats (id INTEGER PRIMARY KEY, top INTEGER)"
        )

    def top(self, chat: int) -> int | None:
        """Return how many labels a chat wants; None: it has not said."""
        row = self._connection.execute(
            "SELECT top FROM chats WHERE id = ?", (chat,)
        ).fetchone()
        return row and int(row[0])

    def set_top(self, chat: int, top: int) -> None:
        """Remember how many labels a chat wants."""
        self._connection.execute(
            "INSERT OR REPLACE INTO chats VALUES (?, ?)", (chat, top)
        )
