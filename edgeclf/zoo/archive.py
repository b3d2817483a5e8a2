"""Take one `.tflite` file out of a `.tgz` that nobody vouches for.

Nothing is unpacked to the disk and no path of the archive is ever used: members are
looked at in the order in which they come, and one of them is read into memory. The
archive is read as a stream that cannot go back, with bounds on its unpacked length,
on every header and on the number of members; all but plain files is passed over.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from edgeclf.errors import DownloadError

MAX_MODEL_BYTES = 256 << 20  # the largest hosted one, inception_v3, has 95 MB
MAX_UNPACKED_BYTES = 2 << 30  # beside the model: frozen graph, checkpoint, info
MAX_HEADER_BYTES = 64 << 10  # a long name or an extended header
MAX_MEMBERS = 1000
MAX_EMPTY_READS = 3  # an archive without an end mark is ended by one

_LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DAMAGE = (  # all that tarfile and gzip were seen to raise on mutated archives
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    RecursionError,
)


def read_tflite(archive: IO[bytes], label: str) -> bytes:
    """Return the `.tflite` file in a `.tgz` archive.

    If there are several, the one is taken that is called like the archive.

    Args:
        archive: The archive, read from its current position.
        label: Name or address of the archive; its last part is the archive's name.

    Raises:
        DownloadError: The archive is damaged or too large, or has no `.tflite` file,
            or several of which none is called like the archive.
    """
    names: list[str] = []
    first = b""
    try:
        for name, read in _model_files(archive):
            if PurePosixPath(name).stem == PurePosixPath(label).stem:
                return read()
            first = first if names else read()
            names.append(name)
    except _DAMAGE as error:
        raise DownloadError(
            f"Expected a .tgz archive with one .tflite file. Received: {label}, which "
            f"is damaged or not safe to read ({error})."
        ) from error
    if len(names) != 1:
        raise DownloadError(
            "Expected one .tflite file in the archive. Received: "
            f"{', '.join(map(repr, names)) or 'none'} in {label}."
        )
    return first


def _model_files(
    archive: IO[bytes],
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield name and reader of every plain `.tflite` file, to be read at once."""
    with (
        _BoundedGzip(fileobj=archive, mode="rb") as unzipped,
        tarfile.open(fileobj=unzipped, mode="r|", tarinfo=_BoundedHeader) as members,
    ):
        for number, member in enumerate(members):
            if number == MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
            name = PurePosixPath(member.name).name
            # a name that starts with a dot is what macOS packs beside a file
            if not name.endswith(".tflite") or name.startswith("."):
                continue
            if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.sparse:
                yield name, partial(_content, members, member)


def _content(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not 0 < member.size <= MAX_MODEL_BYTES:
        raise tarfile.ReadError(
            f"a model of {member.size} bytes; expected 1 to {MAX_MODEL_BYTES}"
        )
    body = members.extractfile(member)
    content = body.read(member.size) if body else b""
    if len(content) != member.size:
        raise tarfile.ReadError(f"{len(content)} of {member.size} bytes")
    return content


class _BoundedHeader(tarfile.TarInfo):
    """A member's header; `tarfile` itself would read any length of name."""

    @classmethod
    def frombuf(
        cls, buf: bytes | bytearray, encoding: str, errors: str
    ) -> _BoundedHeader:
        """Parse 512 bytes; refuse a length that no honest archive has."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (
            header.type in _LONG_HEADERS and header.size > MAX_HEADER_BYTES
        ):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


class _BoundedGzip(gzip.GzipFile):
    """Unpacks a stream, and lets nobody read on for ever.

    `tarfile` skips a member by reading it, also past the end of the archive: a size
    of 2**90 would keep it busy for years.
    """

    _unpacked_bytes = 0
    _empty_reads = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes."""
        content = super().read(size)
        self._unpacked_bytes += len(content)
        self._empty_reads += not content
        if self._unpacked_bytes > MAX_UNPACKED_BYTES:
            raise tarfile.ReadError(f"more than {MAX_UNPACKED_BYTES} bytes unpacked")
        if self._empty_reads > MAX_EMPTY_READS:
            raise EOFError("a member is cut short")
        return content
