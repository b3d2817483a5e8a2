"""The pictures below a folder, by their names relative to it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgeclf.inputs.paths import image_arguments


class PictureNames:
    """The names of all pictures below a folder, found in one walk.

    Args:
        root: The folder.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        OSError: A folder in it cannot be read.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            expected = f"Expected a folder of pictures. Received: {self.root}, which"
            if self.root.exists():
                raise NotADirectoryError(f"{expected} is a file.")
            raise FileNotFoundError(f"{expected} does not exist.")
        ways = (os.path.abspath(self.root), os.path.realpath(self.root))  # noqa: PTH100
        self._prefixes = [f"{way.rstrip('/')}/" for way in dict.fromkeys(ways)]
        start = len(os.path.join(self.root, ""))  # noqa: PTH118 - ends in a slash
        self._names = dict.fromkeys(
            path[start:].replace(os.sep, "/")
            for path in image_arguments(str(self.root), _fail)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def named(self, path: str) -> str | None:
        """Return the name of the picture at a path; None if there is none.

        The path is relative to the folder, or absolute and below it. Backslashes are
        slashes where no file has that very name. What leads out of the folder is
        nothing there.
        """
        for spelling in dict.fromkeys((path, path.replace("\\", "/"))):
            name = posixpath.normpath(spelling)
            for prefix in self._prefixes:
                name = name.removeprefix(prefix)
            if name in self._names:
                return name
            if not path or posixpath.isabs(name) or name.split("/")[0] == "..":
                continue
            # A file whose name does not look like a picture's. (A path of pathlib
            # raises where a name is too long for the disk.)
            if os.path.isfile(self.root / name):  # noqa: PTH113
                return name
        return None

    def stems(self) -> dict[str, str]:
        """Return the first of the names by what they are without folder and ending."""
        stems: dict[str, str] = {}
        for name in self._names:
            stem, _ = posixpath.splitext(posixpath.basename(name))
            stems.setdefault(stem, name)
        return stems

    def without(self, names: Iterable[str]) -> list[str]:
        """Return the names that are not among these."""
        known = set(names)
        return [name for name in self._names if name not in known]


def _fail(error: OSError) -> None:
    raise error
