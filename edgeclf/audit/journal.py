"""What was moved where, one line of JSON each, written before it happens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from edgeclf.data.line_file import LineFile
from edgeclf.errors import DatasetError

FILE_NAME = "quarantine.jsonl"


class Move(NamedTuple):
    """A file that is to be moved.

    Attributes:
        file: Its path relative to the dataset's folder.
        to: Its path relative to the quarantine folder.
        kind: What is wrong with it.
        detail: The same for people.
    """

    file: str
    to: str
    kind: str
    detail: str


class Journal:
    """The journal of a quarantine folder; only one process has it open.

    Moves are planned together, below a line that names the dataset's folder. A line
    `{"mark": "done"}` says that all above were tried, `{"mark": "undo"}` that they are
    to be put back: neither is to be gone on with after a crash.

    Args:
        folder: The quarantine folder.

    Raises:
        OSError: The journal cannot be opened.
        DatasetError: Another process has it open, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._file = LineFile(self.path)
        try:
            self._entries = self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> list[dict[str, Any]]:
        # A line that was cut short was not followed by a move.
        lines = self._file.content.splitlines()
        try:
            entries = [_checked(json.loads(line)) for line in lines]
        except ValueError as error:
            raise DatasetError(
                f"Expected one JSON object a line in {self.path}. Received: {error}. "
                "Mend it by hand: it says what was moved where."
            ) from error
        return entries

    @property
    def root(self) -> str | None:
        """The dataset's folder, absolute; None in a new journal."""
        roots = [entry["root"] for entry in self._entries if "root" in entry]
        return str(roots[-1]) if roots else None

    @property
    def moves(self) -> list[Move]:
        """Every move that was ever planned, in order."""
        return [_move(entry) for entry in self._entries if "file" in entry]

    @property
    def pending(self) -> list[Move]:
        """Those that a crash may have left undone."""
        marks = [row for row, entry in enumerate(self._entries) if "mark" in entry]
        after = self._entries[marks[-1] + 1 :] if marks else self._entries
        return [_move(entry) for entry in after if "file" in entry]

    def add(self, root: str, moves: Iterable[Move]) -> None:
        """Write moves that are about to be made; they are on the disk on return."""
        entries = [move._asdict() for move in moves]
        if entries:
            self._append([{"root": root}, *entries])

    def mark(self, what: str) -> None:
        """Write that the moves so far are "done", or that "undo" begins."""
        if self.moves and self._entries[-1] != {"mark": what}:
            self._append([{"mark": what}])

    def _append(self, entries: list[dict[str, Any]]) -> None:
        # ASCII: names that are not UTF-8 come back as they were.
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        self._file.append(lines, sync=True)
        self._entries += entries

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _checked(entry: Any) -> dict[str, Any]:
    """Refuse what `Journal` does not write.

    Raises:
        ValueError: It is something else.
    """
    is_known = isinstance(entry, dict) and (
        {"root"} == entry.keys()
        or {"mark"} == entry.keys()
        or set(Move._fields) == entry.keys()
    )
    if not is_known:
        raise ValueError(f"another line: {json.dumps(entry)}")
    return dict(entry)


def _move(entry: dict[str, Any]) -> Move:
    return Move(*(str(entry[field]) for field in Move._fields))
