"""The per-user folder where downloaded models are kept.

An entry is one file that carries its own proof: its name ends in the checksum of
its content, so a damaged entry is noticed and passed over, and an entry is either
there in full or not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from edgeclf import files
from edgeclf.errors import DownloadError
from edgeclf.zoo.hosted import HostedModel

DIGITS = 16  # of a checksum in a file name

_logger = logging.getLogger("edgeclf")


def home() -> Path:
    """Return the folder for everything that edgeclf keeps between runs.

    It is `EDGECLF_HOME`, else `edgeclf` in `XDG_CACHE_HOME`, else
    `~/.cache/edgeclf`; it need not exist yet. A variable that is empty counts as
    not set, and so does a relative `XDG_CACHE_HOME`.

    Source: XDG Base Directory Specification 0.8, "All paths must be absolute".

    Raises:
        DownloadError: No variable is set and the user has no home folder.
    """
    try:
        if chosen := os.environ.get("EDGECLF_HOME"):
            return Path(chosen).expanduser().absolute()
        caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not caches.is_absolute():
            caches = Path.home() / ".cache"
    except RuntimeError as error:
        raise DownloadError(
            f"Expected a home folder to keep models in ({error}). Set EDGECLF_HOME "
            "to a folder that can be written to."
        ) from error
    return caches / "edgeclf"


def default_folder() -> Path:
    """Return the folder of the downloaded models; it need not exist yet."""
    return home() / "backbones"


def read_model_file(
    model: HostedModel, folder: Path, *, quiet: bool = False
) -> bytes | None:
    """Return the kept `.tflite` file of `model`; None if absent or damaged.

    Args:
        model: Whose file.
        folder: Where it is kept.
        quiet: Say nothing about a damaged one.
    """
    return read_file(_stem(model), folder, quiet=quiet)


def read_file(stem: str, folder: Path, *, quiet: bool = False) -> bytes | None:
    """Return what `write_file` kept under a name; None if absent or damaged."""
    for path in sorted(folder.glob(f"{stem}-*.tflite")):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if path.stem.endswith("-" + _digits(content)):
            return content
        if not quiet:
            _logger.warning("The kept model %s is damaged; fetching it again.", path)
    return None


def write_model_file(model: HostedModel, folder: Path, content: bytes) -> None:
    """Keep the `.tflite` file of `model` in `folder`.

    Raises:
        DownloadError: The folder cannot be written to, or the disk is full.
    """
    write_file(_stem(model), folder, content)


def write_file(stem: str, folder: Path, content: bytes) -> None:
    """Keep a `.tflite` file in `folder` under a name.

    Raises:
        DownloadError: As `write_model_file`.
    """
    path = folder / f"{stem}-{_digits(content)}.tflite"
    try:
        files.write_bytes(path, content)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def partial_archive(model: HostedModel, folder: Path) -> Iterator[FileIO]:
    """Open the file in which the archive of `model` grows, for this process alone.

    Another process that wants it waits until this one is done; the system gives the
    lock back even when a process is killed. When the block ends well the file is
    removed; when it raises, what was received stays for the next attempt.

    Yields:
        The file, to read and append to, unbuffered.

    Raises:
        DownloadError: The folder cannot be written to, or does not support locks.
    """
    path = folder / f"{_stem(model)}.tgz.part"
    try:
        part = _locked(path, model.name)
    except OSError as error:
        raise unwritable(path, error) from error
    done = False
    try:
        yield part
        done = True
    finally:
        with part:
            if done or os.fstat(part.fileno()).st_size == 0:
                path.unlink(missing_ok=True)


def _locked(path: Path, name: str) -> FileIO:
    """Open and lock `path`; wait for another process, which may remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        part = path.open("a+b", buffering=0)
        try:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _logger.info("Waiting for another process that downloads %s.", name)
                fcntl.flock(part, fcntl.LOCK_EX)
            if _is_at(path, part):
                return part
        except BaseException:
            part.close()
            raise
        part.close()


def _is_at(path: Path, part: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(part.fileno()))
    except FileNotFoundError:
        return False


def unwritable(path: str | os.PathLike[str], error: OSError) -> DownloadError:
    """Return the sentence for a file in this folder that cannot be written."""
    return DownloadError(
        f"Cannot write {os.fspath(path)}: {error.strerror or error}. Free some space, "
        "or set EDGECLF_HOME to a folder that can be written to."
    )


def _stem(model: HostedModel) -> str:
    return f"{model.name}-{model.sha256[:DIGITS]}"


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
