"""TensorBoard's event files, held in memory until all are complete.

tensorboardX writes them from a thread, where a full disk would go unheard, and under
their final names.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

_SCHEME = "edgeclf-memory"  # of paths that tensorboardX hands to `_Memory`
_numbers = itertools.count()
_opened: dict[str, _File] = {}


class EventFiles:
    """Writers of event files, and what they have written."""

    def __init__(self) -> None:
        from tensorboardX import record_writer

        record_writer.register_writer_factory(_SCHEME, _Memory())
        self._root = f"{_SCHEME}:{next(_numbers)}:"

    def writer(self, folder: Path) -> Any:
        """Return what writes TensorBoard's event files.

        Args:
            folder: Where they are to lie.
        """
        # Imported here: few runs want them, and all would wait for it.
        from tensorboardX import SummaryWriter

        return SummaryWriter(f"{self._root}{folder}")

    def contents(self) -> dict[Path, bytes]:
        """Return what was written, of writers that are closed."""
        names = [name for name in _opened if name.startswith(self._root)]
        return {
            Path(name.removeprefix(self._root)): _opened.pop(name).getvalue()
            for name in names
        }


class _Memory:
    """What tensorboardX asks for files; see `register_writer_factory`."""

    def directory_check(self, path: str) -> None:
        """Find every folder good."""

    def open(self, path: str) -> _File:
        """Return a file to write."""
        _opened[path] = _File()
        return _opened[path]


class _File:
    """A file that can be read after it was closed, and has no descriptor to sync."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, content: bytes) -> None:
        """Append to it."""
        self._written += content

    def flush(self) -> None:
        """Do nothing: it is in memory."""

    def close(self) -> None:
        """Do nothing: it is read after that."""

    def getvalue(self) -> bytes:
        """Return what was written."""
        return bytes(self._written)
