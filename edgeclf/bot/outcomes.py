"""What came of the pictures that one message of the bot answers."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

REMEMBERED_S = 30 * 24 * 3600  # how long answers can be edited and corrected


@dataclass(frozen=True)
class Outcome:
    """What came of one picture.

    Attributes:
        message: Number of the message that it came in.
        unique_id: Telegram's name of the file; tells a new picture from a new caption.
        largest_id: Gets the file in its largest size.
        found: Labels and scores, the best first; None: see `problem`.
        problem: What to tell the sender instead.
        chosen: Labels that people have tapped, by index; None: they have not.
        stored: Whether the correction is stored.
    """

    message: int
    unique_id: str
    largest_id: str
    found: tuple[tuple[int | None, str, float], ...] | None = None
    problem: str | None = None
    chosen: tuple[int, ...] | None = None
    stored: bool = False


@dataclass(frozen=True)
class Answer:
    """A message of the bot.

    Attributes:
        token: Names it in the buttons below it.
        chat: Where it stands.
        message: Its number there.
        labels: Fingerprint of the labels of the model that gave it.
        outcomes: Of the pictures, in the order that they are shown in.
    """

    token: str
    chat: int
    message: int
    labels: str
    outcomes: tuple[Outcome, ...]

    def changed(self, position: int, outcome: Outcome) -> Answer:
        """Return the answer with another outcome of one of its pictures."""
        outcomes = list(self.outcomes)
        outcomes[position] = outcome
        return replace(self, outcomes=tuple(outcomes))


class Answers:
    """The table of answers. Methods are run within a transaction of `State`.

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
            "CREATE TABLE IF NOT EXISTS answers (token TEXT PRIMARY KEY, chat INTEGER "
            "NOT NULL, message INTEGER NOT NULL, labels TEXT NOT NULL, outcomes TEXT "
            "NOT NULL, sent REAL NOT NULL)"
        )
        connection.execute(
            "CREATE TABLE IF NOT EXISTS questions (chat INTEGER, message INTEGER, "
            "token TEXT NOT NULL, PRIMARY KEY (chat, message))"
        )

    def remember(self, answer: Answer) -> None:
        """Store an answer, or what has become of it."""
        outcomes = json.dumps([asdict(outcome) for outcome in answer.outcomes])
        self._connection.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
            (
                answer.token,
                answer.chat,
                answer.message,
                answer.labels,
                outcomes,
                self._clock(),
            ),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO questions VALUES (?, ?, ?)",
            [(answer.chat, one.message, answer.token) for one in answer.outcomes],
        )

    def by_token(self, token: str) -> Answer | None:
        """Return the answer that a button belongs to."""
        row = self._connection.execute(
            "SELECT token, chat, message, labels, outcomes FROM answers "
            "WHERE token = ?",
            (token,),
        ).fetchone()
        if row is None:
            return None
        outcomes = tuple(_outcome(fields) for fields in json.loads(row[4]))
        return Answer(row[0], row[1], row[2], row[3], outcomes)

    def to(self, chat: int, message: int) -> Answer | None:
        """Return the answer to a message of a chat."""
        row = self._connection.execute(
            "SELECT token FROM questions WHERE chat = ? AND message = ?",
            (chat, message),
        ).fetchone()
        return row and self.by_token(row[0])

    def prune(self) -> None:
        """Forget answers that are too old to be edited.

        Those that were sent while the clock was ahead count as sent now.
        """
        self._connection.execute(
            "UPDATE answers SET sent = ? WHERE sent > ?", (self._clock(), self._clock())
        )
        self._connection.execute(
            "DELETE FROM answers WHERE sent < ?", (self._clock() - REMEMBERED_S,)
        )
        self._connection.execute(
            "DELETE FROM questions WHERE token NOT IN (SELECT token FROM answers)"
        )


def _outcome(fields: dict[str, object]) -> Outcome:
    """Return what `asdict` and JSON have made lists of as tuples again."""
    outcome = Outcome(**fields)  # type: ignore[arg-type]
    found, chosen = outcome.found, outcome.chosen
    return replace(
        outcome,
        found=None if found is None else tuple((i, s, x) for i, s, x in found),
        chosen=None if chosen is None else tuple(chosen),
    )
