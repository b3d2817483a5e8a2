"""Write a file so that nobody ever sees half of it; read a secret one."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_PUBLIC = 0o004  # others may read it
_LONGEST_SECRET = 1000  # bytes

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
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            if error.filename is None:
                error.filename = str(target)  # write() does not say which file
            raise
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp gives 0600
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


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
