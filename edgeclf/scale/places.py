"""Folders and files of this machine and of object stores, by one name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from edgeclf.errors import DownloadError, EdgeclfError, ImageError, MissingExtraError
from edgeclf.files import replacing
from edgeclf.inputs.connection import printable

READERS = 8  # requests at a time: stores answer late, and many at once

# What a store says of one file, and not of itself.
_CODES = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
}
OF_ONE_FILE = tuple(_CODES)


class UnreachableError(DownloadError):
    """A store or a disk does not answer: nobody knows what is in the file."""


def is_url(name: str) -> bool:
    """Return whether a name is that of a file in a store or on the web."""
    return "://" in name[:32]


def joined(folder: str, name: str) -> str:
    """Return the name of a file below a folder."""
    if is_url(folder):
        return f"{folder.rstrip('/')}/{name}"
    return str(Path(folder, name))


def absolute(folder: str, name: str) -> str:
    """Return a path of this machine by one spelling of its absolute name.

    Args:
        folder: Absolute: what the name is relative to.
        name: With `.`, `..`, and slashes as somebody wrote them.
    """
    path = joined(folder, name)
    plain = os.path.normpath(path)
    # Behind a link, `..` is the folder above what it leads to.
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


@dataclass(frozen=True)
class Store:
    """What is needed to open the files of object stores.

    Attributes:
        options: For the store's file system in fsspec, such as `{"anon": true}`.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self, url: str) -> IO[bytes]:
        """Open a file to read parts of it.

        Raises:
            OSError, UnreachableError: It cannot be read.
        """
        if not is_url(url):
            return Path(url).open("rb")
        with answering(url):
            system, path = self.system(url)
            return cast("IO[bytes]", system.open(path, "rb"))

    def read(self, url: str, at_most: int | None = None) -> bytes:
        """Return the content of a file.

        Args:
            url: Its name.
            at_most: The bytes that a picture in a store may have, which is asked for
                first. Default: any number.

        Raises:
            ImageError: It is larger.
            OSError, UnreachableError: It cannot be read.
        """
        if not is_url(url):
            return Path(url).read_bytes()
        with answering(url):
            system, path = self.system(url)
            if at_most is not None and system.info(path)["size"] > at_most:
                raise ImageError(
                    f"Expected a picture of at most {at_most} bytes. Received: more."
                )
            return bytes(system.cat_file(path))

    def write(self, url: str, content: bytes) -> None:
        """Write a file in one step, so that nobody ever sees half of it.

        Not after a power cut either.

        Raises:
            OSError, UnreachableError: It cannot be written.
        """
        if not is_url(url):
            with replacing(url) as temporary, temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # an empty file would count as done
            return
        with answering(url):
            system, path = self.system(url)
            system.pipe_file(path, content)

    def names(self, folder: str) -> list[str]:
        """Return the names of what is in a folder; of none that is not there.

        Raises:
            OSError, UnreachableError: It cannot be read.
        """
        if not is_url(folder):
            try:
                return os.listdir(folder)  # noqa: PTH208
            except FileNotFoundError:
                return []
        with answering(folder):
            system, path = self.system(folder)
            system.invalidate_cache(path)
            try:
                found = system.ls(path, detail=False)
            except FileNotFoundError:
                return []
            return [name.rstrip("/").rpartition("/")[2] for name in found]

    def system(self, url: str) -> tuple[Any, str]:
        """Return the file system of fsspec that a URL means, and its path in it.

        Raises:
            EdgeclfError: fsspec knows no such store.
            MissingExtraError: What reads such a store is not installed.
        """
        import fsspec

        protocol = url.partition("://")[0]
        if protocol not in fsspec.available_protocols():
            raise EdgeclfError(
                "Expected a store that fsspec knows, such as s3:// or gs://. "
                f"Received: {printable(url)}"
            )
        try:
            return cast("tuple[Any, str]", fsspec.url_to_fs(url, **self.options))
        except ImportError as error:
            raise MissingExtraError(
                f"Expected what reads {protocol}:// to be installed ({error}). For S3: "
                "pip install s3fs; for Google's store: pip install gcsfs."
            ) from error


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Turn what stores raise into an `UnreachableError`, but for `OF_ONE_FILE`."""
    try:
        yield
    except EdgeclfError:
        raise
    except OF_ONE_FILE as error:
        if error.strerror:
            raise
        # Stores say the name alone. The code decides which error it is.
        code = next(_CODES[kind] for kind in OF_ONE_FILE if isinstance(error, kind))
        raise OSError(code, os.strerror(code), printable(url)) from error
    except Exception as error:  # each store has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreachableError(f"{printable(url)}: {reason.rstrip('.')}.") from error
