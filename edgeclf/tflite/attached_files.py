"""The files in the zip that readers of TFLite Metadata look for behind a model."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import damage_reported

LABELS_NAME = "labels.txt"
MAX_FILE_BYTES = 8 << 20  # of one attached file, unpacked: a zip is hostile input
MAX_FILES = 1000

# Zip: end of central directory and central directory header. Source: PKWARE
# APPNOTE.TXT 4.3.16 and 4.3.12. (Importing zipfile takes longer than labelling.)
_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END_SIGNATURE = b"PK\5\6"
_LOCAL_HEADER_BYTES = 30
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes in every run
_STORED = 0


class AttachedFiles:
    """The files in the zip at the end of a model file; none without a zip.

    Raises:
        ModelError: The zip, or the file that is asked for, is damaged or too large.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._start = 0  # of the zip: offsets in it may count from there
        self._entries: dict[str, tuple[Any, ...]] = {}
        end = _end_of_zip(content)
        if end >= 0:
            with damage_reported():
                self._read_directory(end)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """Names of the files, in the order of the zip."""
        return list(self._entries)

    def flatbuffer_size(self) -> int:
        """Return how many bytes lie before the zip, which no interpreter reads."""
        starts = (self._start + entry[16] for entry in self._entries.values())
        return min(starts, default=len(self._content))

    def _read_directory(self, end: int) -> None:
        *_, count, size, offset, _ = _END.unpack_from(self._content, end)
        position = end - size
        self._start = position - offset
        if count > MAX_FILES or position < 0 or self._start < 0:
            raise ModelError("The zip attached to the model is damaged.")
        for _ in range(count):
            entry = _ENTRY.unpack_from(self._content, position)
            if entry[0] != b"PK\1\2":
                raise ModelError("The zip attached to the model is damaged.")
            name_size, extra_size, comment_size = entry[10:13]
            position += _ENTRY.size
            name = self._content[position : position + name_size].decode()
            position += name_size + extra_size + comment_size
            self._entries[name] = entry

    def read(self, name: str) -> bytes:
        """Unpack one file."""
        with damage_reported():
            return self._unpacked(name)

    def _unpacked(self, name: str) -> bytes:
        entry = self._entries[name]
        encrypted, method, checksum = entry[3] & 1, entry[4], entry[7]
        packed_size, size, header = entry[8], entry[9], self._start + entry[16]
        if size > MAX_FILE_BYTES:
            raise ModelError(
                f"The attached file {name} is too large: {size} bytes where at most "
                f"{MAX_FILE_BYTES} are read."
            )
        name_size, extra_size = struct.unpack_from("<2H", self._content, header + 26)
        begin = header + _LOCAL_HEADER_BYTES + name_size + extra_size
        data = self._content[begin : begin + packed_size]
        try:
            if method == zlib.DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
            elif method != _STORED:
                raise zlib.error(f"compression method {method}")
            if encrypted or len(data) != size or zlib.crc32(data) != checksum:
                raise zlib.error("wrong size or checksum")
        except zlib.error as error:
            raise ModelError(f"The attached file {name} is damaged: {error}.") from None
        return data


def packed_files(contents: Mapping[str, bytes]) -> bytes:
    """Return a zip of stored files, to append to a model."""
    from zipfile import ZIP_STORED, ZipFile, ZipInfo  # labelling does without

    archive = io.BytesIO()
    with ZipFile(archive, "w", ZIP_STORED) as files:
        for name, content in contents.items():
            files.writestr(ZipInfo(name, _ZIP_DATE), content)
    return archive.getvalue()


def _end_of_zip(content: bytes) -> int:
    """Return where the end record of a zip begins, -1 without a zip."""
    end = len(content)
    while (end := content.rfind(_END_SIGNATURE, max(0, len(content) - 65557), end)) > 0:
        if end + _END.size <= len(content):
            comment_size = _END.unpack_from(content, end)[-1]
            if end + _END.size + comment_size == len(content):
                return end
    return -1
