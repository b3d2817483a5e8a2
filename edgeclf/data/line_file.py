"""A file that lines are appended to, of which a crash leaves whole ones."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from edgeclf import files
from edgeclf.errors import DatasetError


class LineFile:
    r"""A file of lines that end in `\n`; only one process has it open.

    What a crash has cut short is cut off when it is opened next.

    Attributes:
        content: Its whole lines when it was opened.

    Args:
        path: Its folder must exist.

    Raises:
        OSError: It cannot be opened.
        DatasetError: Another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Without a buffer: what a full disk did not take would be written later.
        self._file = path.open("a+b", buffering=0)
        try:
            if not files.lock(self._file.fileno()):
                raise DatasetError(
                    f"Expected to be the only one that uses {path.parent}. Received: "
                    f"another process has {path.name} open. Wait for it."
                )
            self.content = self._read()
        except BaseException:
            self._file.close()
            raise

    def _read(self) -> bytes:
        self._file.seek(0)
        content = self._file.readall()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        return whole

    def append(self, lines: str, *, sync: bool = False) -> None:
        r"""Write lines, all of them or none.

        Args:
            lines: Each with its `\n`.
            sync: Return when they are on the disk, and not only with the system.

        Raises:
            OSError: The disk did not take them.
        """
        size = os.fstat(self._file.fileno()).st_size
        rest = memoryview(files.encoded(lines))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            error.filename = os.fspath(self.path)  # the system does not say which
            raise

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
