"""Write labels, preprocessing and the record into a model file.

Two readers are served: whoever knows TFLite Metadata (MediaPipe Tasks, ML Kit) finds
a flatbuffer with the identifier `M001` in the model's metadata entry
`TFLITE_METADATA` and `labels.txt` in a zip behind the flatbuffer; edgeclf itself
reads `edgeclf.json` from the same zip.

Source of the field numbers: metadata_schema.fbs of tflite-support, version 1.5.0.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeclf.metadata import RECORD_NAME
from edgeclf.statistics import STATISTICS_NAME, Statistics, pack
from edgeclf.tflite.attached_files import LABELS_NAME, AttachedFiles, packed_files
from edgeclf.tflite.flatbuffer import METADATA_IDENTIFIER
from edgeclf.zoo import graph

METADATA_NAME = "TFLITE_METADATA"

_TENSOR_AXIS_LABELS = 2  # AssociatedFileType
_IMAGE_PROPERTIES = 2  # ContentProperties
_RGB = 1  # ColorSpaceType
_NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions


def attach(
    content: bytes,
    labels: Sequence[str],
    input_mean: float,
    input_std: float,
    record: Mapping[str, Any],
) -> bytes:
    """Return the model with metadata and attached files.

    Args:
        content: A `.tflite` file without attached files.
        labels: One name for each class, in the order of the output.
        input_mean: The input is `(pixel - input_mean) / input_std`, pixels 0-255.
        input_std: See `input_mean`.
        record: What `edgeclf.json` holds, see `edgeclf.metadata`; here `crc32` is
            added, the checksum of the model before the zip.

    A tag's threshold stands in the record alone: TFLite Metadata know one for all, and
    what scores such a reader leaves out is for its user to say.
    """
    multi_label = bool(record.get("multi_label", False))
    packed_model = _with_metadata(content, input_mean, input_std, multi_label)
    # Of every byte before the zip; the files in the zip have checksums of their own.
    record = {**record, "crc32": zlib.crc32(packed_model)}
    contents = {
        LABELS_NAME: "".join(f"{label}\n" for label in labels),
        RECORD_NAME: json.dumps(record, ensure_ascii=False, sort_keys=True),
    }
    # A path in the record need not be UTF-8.
    return packed_model + packed_files(
        {
            name: text.encode(errors="backslashreplace")
            for name, text in contents.items()
        }
    )


def with_statistics(content: bytes, statistics: Statistics) -> bytes:
    """Return a model file that carries statistics, in place of any it had.

    Args:
        content: A file that `attach` returned: the zip behind it gets one more file.
        statistics: What to carry.
    """
    before = AttachedFiles(content)
    contents = {name: before.read(name) for name in before.names}
    contents[STATISTICS_NAME] = pack(statistics)
    return content[: before.flatbuffer_size()] + packed_files(contents)


@functools.lru_cache(maxsize=1)  # a run attaches two records: before it measures, after
def _with_metadata(
    content: bytes, input_mean: float, input_std: float, multi_label: bool
) -> bytes:
    """Return the model with its metadata flatbuffer, before any zip."""
    model = graph.read_model(content)
    entries = [e for e in model.metadata or [] if e.name != METADATA_NAME.encode()]
    buffer = schema.BufferT()
    packed = model_metadata(input_mean, input_std, multi_label=multi_label)
    buffer.data = np.frombuffer(packed, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name = METADATA_NAME.encode()
    entry.buffer = len(model.buffers) - 1
    model.metadata = [*entries, entry]

    return graph.pack_model(model)


def model_metadata(
    input_mean: float, input_std: float, *, multi_label: bool = False
) -> bytes:
    """Return the metadata flatbuffer of an image classifier with `labels.txt`."""
    builder = flatbuffers.Builder(1024)
    noun = "tag" if multi_label else "class"

    options = _table(
        builder,
        {0: _floats(builder, [input_mean]), 1: _floats(builder, [input_std])},
    )
    unit = _table(builder, {1: options}, {0: _NORMALIZATION_OPTIONS})
    image = _table(builder, {}, {0: _RGB})
    content = _table(builder, {1: image}, {0: _IMAGE_PROPERTIES})
    input_tensor = _table(
        builder,
        {
            0: builder.CreateString("image"),
            1: builder.CreateString("The picture, RGB, stretched to the input size."),
            3: content,
            4: _offsets(builder, [unit]),
        },
    )
    labels = _table(
        builder,
        {
            0: builder.CreateString(LABELS_NAME),
            1: builder.CreateString(f"One {noun} a line, in the order of the output."),
        },
        {2: _TENSOR_AXIS_LABELS},
    )
    output_tensor = _table(
        builder,
        {
            0: builder.CreateString("score"),
            1: builder.CreateString(f"Probability of each {noun}."),
            6: _offsets(builder, [labels]),
        },
    )
    subgraph = _table(
        builder,
        {2: _offsets(builder, [input_tensor]), 3: _offsets(builder, [output_tensor])},
    )
    root = _table(
        builder,
        {
            0: builder.CreateString("edgeclf image classifier"),
            3: _offsets(builder, [subgraph]),
            7: builder.CreateString("1.0.0"),  # of the parser: nothing newer is used
        },
    )
    builder.Finish(root, METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _table(
    builder: Any, offsets: Mapping[int, int], enums: Mapping[int, int] | None = None
) -> int:
    """Write a table of references and 8-bit enumerations; return its offset."""
    enums = enums or {}
    builder.StartObject(max([*offsets, *enums], default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in enums.items():
        builder.PrependInt8Slot(slot, value, 0)
    return int(builder.EndObject())


def _floats(builder: Any, values: Sequence[float]) -> int:
    return _vector(builder, values, builder.PrependFloat32)


def _offsets(builder: Any, values: Sequence[int]) -> int:
    return _vector(builder, values, builder.PrependUOffsetTRelative)


def _vector(builder: Any, values: Sequence[Any], prepend: Callable[[Any], None]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())
