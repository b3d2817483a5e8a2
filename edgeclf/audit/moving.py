"""Move a file so that it is whole under one of its names whenever the power fails."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from pathlib import Path

from edgeclf.files import sync_folder

_PART = ".edgeclf-part"  # ends the name of a copy that is not complete


def move(source: Path, target: Path) -> None:
    """Move a file or a link, to another file system too; never replace anything.

    What an earlier call left half done is done to its end.

    Raises:
        FileExistsError: Something else is at `target`.
        OSError: It cannot be moved; it is where it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _part(target).unlink(missing_ok=True)
    is_new = not os.path.lexists(target)
    if not is_new and not is_same(source, target):
        raise FileExistsError(errno.EEXIST, "there is a file", os.fspath(target))
    if is_new:
        try:
            _name_again(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, target)
    sync_folder(target.parent)
    try:
        source.unlink(missing_ok=True)
    except OSError:
        if is_new:  # it stays where it was
            target.unlink()
        raise
    sync_folder(source.parent)


def _name_again(source: Path, target: Path) -> None:
    """Give a file a second name or, without hard links, another one.

    Raises:
        FileExistsError: There is a file of that name.
        OSError: `EXDEV`: the new name is in another file system.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EEXIST, errno.ENOENT):
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is a file") from None
        os.rename(source, target)  # noqa: PTH104 - beside os.link


def _copy(source: Path, target: Path) -> None:
    """Copy with times and permissions; the name appears when all is on the disk."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    part = _part(target)
    try:
        shutil.copy2(source, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _name_again(part, target)
    finally:
        part.unlink(missing_ok=True)


def _part(target: Path) -> Path:
    return target.with_name(target.name + _PART)


def is_same(source: Path, target: Path) -> bool:
    """Return whether two names are of one file, or of a link or file and its copy."""
    if source.is_symlink() or target.is_symlink():
        both = source.is_symlink() and target.is_symlink()
        return both and source.readlink() == target.readlink()
    return source.samefile(target) or filecmp.cmp(source, target, shallow=False)
