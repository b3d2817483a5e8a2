"""Write a file so that nobody ever sees half of it; read a secret one."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_PUBLIC = 0o004  # others may read it
_LONGEST_SECRET = 1000  # bytes
_MARK = ".edgeclf-"  # of temporary files: none of others is taken away
_HAS_LOCKS = os.name == "posix"

logger = logging.getLogger("edgeclf")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there when the block ends well.

    Missing folders are made. When the block raises, the temporary file is removed
    and whatever stood at `path` stays as it was. A link stays a link: what it leads
    to is replaced. Into a device or a pipe the content is written.

    Args:
        path: The file to write.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    if target.exists() and not (target.is_file() or target.is_dir()):
        with _writing_into(target) as temporary:
            yield temporary
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _temporary(target) as temporary:
            yield temporary
            os.replace(temporary, target)
    except OSError as error:
        if error.filename is None or _MARK in str(error.filename):
            # write() does not say which file, and nobody asked for the temporary one
            error.filename = str(target)
        raise


@contextmanager
def adding(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path as `replacing` does, but never replace anything.

    Raises:
        FileExistsError: There is a file at `path` by now.
        OSError: The folder cannot be made or written to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _temporary(target) as temporary:
            yield temporary
            try:
                os.link(temporary, target)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(target):
                    raise FileExistsError(errno.EEXIST, "there is a file") from None
                os.replace(temporary, target)
    except OSError as error:
        if error.filename is None or _MARK in str(error.filename):
            error.filename = str(target)
        raise


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Make an empty file beside another; remove it at the end if it is still there.

    Meanwhile it is locked: that tells it from what a killed run has left.
    """
    path, descriptor = _made(target)
    if not _HAS_LOCKS:  # on Windows an open file cannot be moved
        os.close(descriptor)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if _HAS_LOCKS:
            os.close(descriptor)


def _made(target: Path) -> tuple[Path, int]:
    while True:
        name = f".{target.name[:40]}{_MARK}{os.urandom(4).hex()}.part"
        path = target.with_name(name)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        try:
            if lock(descriptor) and os.path.lexists(path):
                return path, descriptor
        except OSError:  # a file system without locks: nobody sweeps there
            return path, descriptor
        os.close(descriptor)  # somebody who sweeps was quicker


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed runs have left in a folder.

    Those that a process is writing are locked, and stay. Without locks all do.
    """
    if not _HAS_LOCKS:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _MARK in entry.name and entry.name.endswith(".part"):
                _remove_dead(Path(entry.path))


def _remove_dead(temporary: Path) -> None:
    with suppress(OSError):  # it is gone, or there are no locks
        # A pipe of that name must not wait for who writes into it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(temporary, flags)
        try:
            if lock(descriptor):
                temporary.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def _writing_into(target: Path) -> Iterator[Path]:
    """Yield a temporary path; copy it into a device or a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, target.name)
        yield temporary
        with target.open("wb") as file:
            file.write(temporary.read_bytes())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path` in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files: all are written before the first is moved into place."""
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(replacing(path)).write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write UTF-8 text with `\n` line ends to `path` in one step."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    """Return UTF-8; of file names that are not UTF-8 the bytes that they are."""
    return text.encode(errors="surrogateescape")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Fail now rather than after the work when `path` could not be written.

    What killed runs have left in its folder is removed.

    Raises:
        IsADirectoryError: There is a folder of that name.
        OSError: Its folder cannot be made or written to.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    if target.is_dir():
        raise IsADirectoryError(f"Expected a file to write. Received a folder: {path}.")
    if target.exists() and not target.is_file():
        return  # a device or a pipe
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        error.filename = str(target)
        raise
    sweep(target.parent)


def lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed; say whether that worked.

    It does not while another process has it locked. Where there are no such locks, on
    Windows, it always does.

    Args:
        descriptor: Of the file or folder.
        shared: Whether others may have such a lock of it too.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_secret(file: Path) -> str:
    """Return the text of a small file that only its owner should be able to read.

    One that everybody on the machine can read gets a warning and no more: where
    containers mount secrets that is how they look.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_mode & _PUBLIC:
            logger.warning(
                "%s can be read by everybody on this machine: chmod 600 %s", file, file
            )
        return opened.read(_LONGEST_SECRET).decode("utf-8", "replace").strip()
