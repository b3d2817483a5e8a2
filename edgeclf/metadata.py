"""Read what a model file says about itself: labels, normalisation, thresholds.

A file of edgeclf's own carries its record, `edgeclf.json`, beside `labels.txt` in a
zip that is appended to the flatbuffer, where every reader of TFLite Metadata looks for
labels. Of other makers' files the TFLite Metadata flatbuffer is read.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeclf import flatbuffer
from edgeclf.errors import ModelError
from edgeclf.image import PREPROCESSING_VERSION

FORMAT_VERSION = 1
RECORD_NAME = "edgeclf.json"
LABELS_NAME = "labels.txt"
MAX_FILE_BYTES = 8 << 20  # of one attached file, unpacked: a zip is hostile input
MAX_FILES = 1000

_METADATA_NAME = "TFLITE_METADATA"
_TENSOR_AXIS_LABELS = 2  # AssociatedFileType of metadata_schema.fbs
_NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions of metadata_schema.fbs

# Zip: end of central directory and central directory header. Source: PKWARE
# APPNOTE.TXT 4.3.16 and 4.3.12. (Importing zipfile takes longer than labelling.)
_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END_SIGNATURE = b"PK\5\6"
_LOCAL_HEADER_BYTES = 30
_STORED = 0


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself.

    Attributes:
        labels: One name for each class, in the order of the output. None: not said.
        input_mean: The input is `(pixel - input_mean) / input_std` with pixels 0-255;
            one value, or one for each of R, G, B. None: not said.
        input_std: See `input_mean`.
        record: Content of `edgeclf.json`; empty for other makers' files.
    """

    labels: tuple[str, ...] | None = None
    input_mean: tuple[float, ...] | None = None
    input_std: tuple[float, ...] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def read_model_info(content: bytes) -> ModelInfo:
    """Read labels, normalisation and record of a `.tflite` file.

    Args:
        content: The whole file.

    Raises:
        ModelError: The file is no TFLite model, or its metadata is damaged or needs a
            newer edgeclf.
        MissingExtraError: Another maker's metadata cannot be read without the package
            flatbuffers.
    """
    if content[4:8] != flatbuffer.MODEL_IDENTIFIER:
        raise ModelError(
            "Expected a TFLite model (bytes 4-7 are TFL3). "
            f"Received: {len(content)} bytes that begin with {content[:8]!r}"
        )
    with flatbuffer.damage_reported():
        files = AttachedFiles(content)
        if RECORD_NAME in files:
            return _own_info(files)
        return _foreign_info(content, files)


def read_labels(text: bytes) -> tuple[str, ...]:
    r"""Split a labels file, UTF-8, one name a line.

    Lines end with `\n` or `\r\n`; empty lines at the end do not count. Everything
    else belongs to the name.

    Raises:
        UnicodeDecodeError: The text is not UTF-8.
    """
    lines = text.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


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
            self._read_directory(end)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

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


def _end_of_zip(content: bytes) -> int:
    """Return where the end record of a zip begins, -1 without a zip."""
    end = len(content)
    while (end := content.rfind(_END_SIGNATURE, max(0, len(content) - 65557), end)) > 0:
        if end + _END.size <= len(content):
            comment_size = _END.unpack_from(content, end)[-1]
            if end + _END.size + comment_size == len(content):
                return end
    return -1


def _own_info(files: AttachedFiles) -> ModelInfo:
    record = json.loads(files.read(RECORD_NAME))
    if not isinstance(record, dict):
        raise ModelError(f"Expected {RECORD_NAME} to be an object of JSON.")
    preprocessing = record.get("preprocessing")
    if not isinstance(preprocessing, dict):
        raise ModelError(f"Expected {RECORD_NAME} to have the entry preprocessing.")
    for version, known in (
        (record.get("format_version"), FORMAT_VERSION),
        (preprocessing.get("version"), PREPROCESSING_VERSION),
    ):
        if version != known:
            raise ModelError(
                f"Expected a record of version {known}. Received: {version}. "
                "Upgrade edgeclf: pip install --upgrade edgeclf"
            )
    labels = read_labels(files.read(LABELS_NAME)) if LABELS_NAME in files else None
    _check_record(record, labels)
    return ModelInfo(
        labels,
        _values(preprocessing.get("input_mean")),
        _values(preprocessing.get("input_std"), divisor=True),
        record,
    )


def _check_record(record: Mapping[str, Any], labels: tuple[str, ...] | None) -> None:
    """Check the entries that decide about answers."""
    thresholds, reject = record.get("thresholds"), record.get("reject")
    bottleneck = record.get("bottleneck")
    if thresholds is not None and (len(_values(thresholds) or ()) != len(labels or ())):
        raise ModelError(f"Expected {RECORD_NAME} to have a threshold for each label.")
    if reject is not None and not isinstance(reject["min_score"], (int, float)):
        raise ModelError(f"Expected min_score in {RECORD_NAME} to be a number.")
    if not isinstance(bottleneck, (str, type(None))):
        raise ModelError(f"Expected bottleneck in {RECORD_NAME} to name a tensor.")


def _values(value: Any, *, divisor: bool = False) -> tuple[float, ...] | None:
    """Return one number or a list of them as a tuple; None stays None."""
    if value is None:
        return None
    numbers = value if isinstance(value, list) else [value]
    values = tuple(float(number) for number in numbers)
    if not all(map(math.isfinite, values)) or (divisor and 0 in values):
        raise ModelError(f"Expected finite numbers in the metadata. Received: {value}")
    return values


def _foreign_info(content: bytes, files: AttachedFiles) -> ModelInfo:
    model = flatbuffer.root(content, flatbuffer.MODEL_IDENTIFIER)
    metadata = _tflite_metadata(model)
    labels_name = LABELS_NAME
    mean = std = None
    if metadata is not None:
        graphs = flatbuffer.subtables(
            flatbuffer.root(metadata, flatbuffer.METADATA_IDENTIFIER), 3
        )
        inputs = flatbuffer.subtables(graphs[0], 2) if graphs else []
        outputs = flatbuffer.subtables(graphs[0], 3) if graphs else []
        if inputs:
            mean, std = _normalization(inputs[0])
        if outputs:
            labels_name = _labels_name(outputs[0]) or labels_name
    labels = read_labels(files.read(labels_name)) if labels_name in files else None
    return ModelInfo(labels, mean, std)


def _tflite_metadata(model: flatbuffer.Table) -> bytes | None:
    """Return the metadata flatbuffer that a model holds in one of its buffers."""
    for entry in flatbuffer.subtables(model, 6):
        if flatbuffer.text(entry, 0) == _METADATA_NAME:
            buffers = flatbuffer.subtables(model, 4)
            return flatbuffer.buffer_data(buffers[flatbuffer.integer(entry, 1, "I")])
    return None


def _normalization(
    tensor: flatbuffer.Table,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    for unit in flatbuffer.subtables(tensor, 4):
        options = flatbuffer.subtable(unit, 1)
        if flatbuffer.integer(unit, 0, "B") == _NORMALIZATION_OPTIONS and options:
            mean = _values(flatbuffer.numbers(options, 0, "<f4").tolist())
            std = _values(flatbuffer.numbers(options, 1, "<f4").tolist(), divisor=True)
            if mean and std:
                return mean, std
    return None, None


def _labels_name(tensor: flatbuffer.Table) -> str | None:
    """Return the output tensor's labels file, preferably one of no language."""
    names = [
        (bool(flatbuffer.text(file, 3)), flatbuffer.text(file, 0))
        for file in flatbuffer.subtables(tensor, 6)
        if flatbuffer.integer(file, 2, "b") == _TENSOR_AXIS_LABELS
    ]
    return min(names, key=lambda item: item[0])[1] if names else None
