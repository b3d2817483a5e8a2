"""Pictures that are on the disk, but whose turn has not come: a kill loses none."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from edgeclf import files

_PART = ".part"


class Spool:
    """A folder of downloaded pictures by address, for several threads.

    Args:
        folder: Made when it is needed; nothing else may lie there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for path in folder.glob(f"*{_PART}"):  # of a run that was killed
            path.unlink(missing_ok=True)

    def read(self, url: str) -> bytes | None:
        """Return the picture of an address, None if it is not here."""
        with suppress(FileNotFoundError):
            return self._path(url).read_bytes()
        return None

    def has(self, url: str) -> bool:
        """Say whether the picture of an address is here."""
        return self._path(url).exists()

    def write(self, url: str, content: bytes) -> None:
        """Keep the picture of an address.

        Raises:
            OSError: The disk does not take it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(url)
        part = path.with_suffix(_PART)
        try:
            part.write_bytes(content)
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            error.filename = os.fspath(path)
            raise

    def move(self, url: str, targets: list[Path]) -> None:
        """Move a picture to where it belongs; with several targets, copy it.

        When that is cut short, the picture is still here.

        Raises:
            OSError: A folder cannot be made or written to.
        """
        path = self._path(url)
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        for target in targets[1:]:
            part = path.with_suffix(_PART)
            shutil.copyfile(path, part)
            _replace(part, target)
        _replace(path, targets[0])

    def drop(self, url: str) -> None:
        """Forget the picture of an address."""
        self._path(url).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, url: str) -> Path:
        name = hashlib.sha256(files.encoded(url)).hexdigest()[:32]
        return self._folder / name


def _replace(path: Path, target: Path) -> None:
    """Move a file, to another disk too (a class folder may be a link)."""
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        files.write_bytes(target, path.read_bytes())
        path.unlink()
