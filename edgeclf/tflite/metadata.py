"""TFLite Metadata, as other makers attach them to a `.tflite` file.

Slots and numbers are those of metadata_schema.fbs (tflite-support, MediaPipe).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgeclf.labels import read_labels
from edgeclf.model_info import ModelInfo, finite_values
from edgeclf.tflite import flatbuffer
from edgeclf.tflite.attached_files import LABELS_NAME, AttachedFiles
from edgeclf.tflite.score_calibration import ScoreCalibration, read_score_calibration

if TYPE_CHECKING:
    from edgeclf.tflite.flatbuffer import Table

logger = logging.getLogger("edgeclf")

_METADATA_NAME = "TFLITE_METADATA"
# AssociatedFileType, ProcessUnitOptions, ContentProperties
_TENSOR_AXIS_LABELS, _TENSOR_AXIS_SCORE_CALIBRATION = 2, 4
_NORMALIZATION, _SCORE_CALIBRATION, _SCORE_THRESHOLDING = 1, 2, 3
_IMAGE_PROPERTIES = 2


def foreign_info(content: bytes, files: AttachedFiles) -> ModelInfo:
    """Read what a file says in TFLite Metadata, and its labels.

    Args:
        content: The whole file.
        files: What is attached to it.

    Raises:
        ModelError: The metadata are damaged.
        MissingExtraError: The package flatbuffers is not installed.
    """
    model = flatbuffer.root(content, flatbuffer.MODEL_IDENTIFIER)
    metadata = _tflite_metadata(model)
    if metadata is None:
        return ModelInfo(_labels(files, None, ()))
    graphs = flatbuffer.subtables(
        flatbuffer.root(metadata, flatbuffer.METADATA_IDENTIFIER), 3
    )
    inputs = flatbuffer.subtables(graphs[0], 2) if graphs else []
    outputs = flatbuffer.subtables(graphs[0], 3) if graphs else []
    labelled = [
        index
        for index, output in enumerate(outputs)
        if _file_named(output, _TENSOR_AXIS_LABELS) is not None
    ]
    scores_output = labelled[0] if len(labelled) == 1 else None
    output = outputs[scores_output or 0] if outputs else None
    others = [tensor for tensor in (*inputs, *outputs) if tensor is not output]
    mean, std = _normalization(inputs[0]) if inputs else (None, None)
    return ModelInfo(
        _labels(files, output, others),
        mean,
        std,
        input_size=_default_size(inputs[0]) if inputs else None,
        scores_output=scores_output,
        score_calibration=_score_calibration(files, output),
        score_threshold=_score_threshold(output),
    )


def _tflite_metadata(model: flatbuffer.Table) -> bytes | None:
    """Return the metadata flatbuffer that a model holds in one of its buffers."""
    for entry in flatbuffer.subtables(model, 6):
        if flatbuffer.text(entry, 0) == _METADATA_NAME:
            buffers = flatbuffer.subtables(model, 4)
            return flatbuffer.buffer_data(buffers[flatbuffer.integer(entry, 1, "I")])
    return None


def _labels(
    files: AttachedFiles, output: Table | None, others: Iterable[Table]
) -> tuple[str, ...] | None:
    """Return the labels that the output names, else those that nobody else names."""
    name = _file_named(output, _TENSOR_AXIS_LABELS)
    if name is None:
        names = {flatbuffer.text(file, 0) for other in others for file in _files(other)}
        if LABELS_NAME in names or LABELS_NAME not in files:
            return None
        return read_labels(files.read(LABELS_NAME))
    if name not in files:
        logger.info(
            "The model's metadata name the labels file %s, which is not attached to "
            "it: give one with labels=.",
            name,
        )
        return None
    return read_labels(files.read(name))


def _file_named(tensor: Table | None, kind: int) -> str | None:
    """Return the first of a tensor's files of a kind, preferably of no language."""
    files = [
        (bool(flatbuffer.text(file, 3)), flatbuffer.text(file, 0) or "")
        for file in _files(tensor)
        if flatbuffer.integer(file, 2, "b") == kind
    ]
    return min(files, key=lambda item: item[0])[1] if files else None


def _files(tensor: Table | None) -> list[Table]:
    return flatbuffer.subtables(tensor, 6) if tensor is not None else []


def _options(tensor: Table | None, kind: int) -> Table | None:
    """Return the options of a tensor's first process unit of a kind."""
    for unit in flatbuffer.subtables(tensor, 4) if tensor is not None else ():
        if flatbuffer.integer(unit, 0, "B") == kind:
            return flatbuffer.subtable(unit, 1)
    return None


def _normalization(
    tensor: Table,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    options = _options(tensor, _NORMALIZATION)
    if options is None:
        return None, None
    mean = finite_values(flatbuffer.numbers(options, 0, "<f4").tolist())
    std = finite_values(flatbuffer.numbers(options, 1, "<f4").tolist(), divisor=True)
    return (mean, std) if mean and std else (None, None)


def _default_size(tensor: Table) -> tuple[int, int] | None:
    """Return `(height, width)` of the tensor's ImageProperties."""
    content = flatbuffer.subtable(tensor, 3)
    if content is None or flatbuffer.integer(content, 0, "B") != _IMAGE_PROPERTIES:
        return None
    properties = flatbuffer.subtable(content, 1)
    size = None if properties is None else flatbuffer.subtable(properties, 1)
    if size is None:
        return None
    width, height = flatbuffer.integer(size, 0, "I"), flatbuffer.integer(size, 1, "I")
    return (height, width) if height and width else None


def _score_calibration(
    files: AttachedFiles, output: Table | None
) -> ScoreCalibration | None:
    options = _options(output, _SCORE_CALIBRATION)
    if options is None:
        return None
    name = _file_named(output, _TENSOR_AXIS_SCORE_CALIBRATION)
    if name not in files:
        logger.warning(
            "The model's metadata speak of a score calibration, but its file is not "
            "attached to it: scores are not calibrated."
        )
        return None
    (default_score,) = _finite(options, 1)
    return read_score_calibration(
        files.read(str(name)), flatbuffer.integer(options, 0, "b"), default_score
    )


def _score_threshold(output: Table | None) -> float | None:
    options = _options(output, _SCORE_THRESHOLDING)
    return None if options is None else _finite(options, 0)[0]


def _finite(options: Table, slot: int) -> tuple[float, ...]:
    return finite_values(flatbuffer.real(options, slot)) or ()
