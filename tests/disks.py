"""Small disks of their own: such as are full, and such as cannot be written to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A mounted disk in memory.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, but_bytes: int = 0) -> None:
        """Take all room but so many bytes; in full pages, as the disk counts."""
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            with pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(bytes(4096))
            filler.truncate(max(0, filler.tell() - but_bytes))

    def make_room(self) -> None:
        """Give back what `fill` has taken."""
        (self.folder / "filler").unlink()

    def be_read_only(self) -> None:
        """Refuse every write from now on, those of root too."""
        _mount("-o", "remount,ro", str(self.folder))

    def be_writable(self) -> None:
        """Take writes again."""
        _mount("-o", "remount,rw", str(self.folder))


@contextmanager
def mounted(folder: Path, size_bytes: int = 1 << 20) -> Iterator[Disk]:
    """Mount a disk in a new folder for the length of the block.

    The test is left out where that is not allowed.
    """
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
