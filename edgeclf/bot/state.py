"""What the bot keeps between runs: one SQLite file, and the lock on its folder."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edgeclf import files
from edgeclf.bot.errors import BotError, StateError

FILE_NAME = "state.sqlite3"

Result = TypeVar("Result")


class State:
    """The file, open for one process.

    It holds chat ids, and messages until they are answered: folder and file are made
    for their owner alone, and what is deleted is overwritten.

    Args:
        folder: Is made where it is missing.

    Raises:
        BotError: Another process uses it.
        StateError: The file is no SQLite file, or cannot be written.
        OSError: The folder or the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE_NAME
        self._lock = os.open(folder, os.O_RDONLY)
        try:
            if not files.lock(self._lock):
                raise BotError(
                    f"Expected to be the only bot that uses {folder}. Received: "
                    "another one has it open. End it, or give another --state_dir."
                )
            self.connection = self._opened()
        except BaseException:
            os.close(self._lock)
            raise
        # One thread: whoever waits for the disk does not keep the others waiting.
        self._thread = ThreadPoolExecutor(1, "state")

    def _opened(self) -> sqlite3.Connection:
        # SQLite gives the files that it makes beside this one the same mode.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            connection = sqlite3.connect(self.path, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # Stored is stored, also when the power fails.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = ON")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return connection

    def now(self, action: Callable[[], Result]) -> Result:
        """Run `action` in this thread, as one transaction.

        Raises:
            StateError: The file cannot be read or written; nothing has changed.
        """
        try:
            with self.connection:
                return action()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    async def run(self, action: Callable[[], Result]) -> Result:
        """Run `action` in the state's own thread, as one transaction.

        Raises:
            StateError: As `now`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.now, action)

    def close(self) -> None:
        """Close the file when what runs is done, and let others have it."""
        self._thread.shutdown()
        self.connection.close()
        os.close(self._lock)

    def _failed(self, error: sqlite3.Error) -> StateError:
        return StateError(
            f"{self.path}: {error}. Make room, or move the file away: what it "
            "remembers is then forgotten."
        )
