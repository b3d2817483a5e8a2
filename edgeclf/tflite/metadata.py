"""TFLite Metadata, as other makers attach them to a `.tflite` file.

Slots and numbers are those of metadata_schema.fbs (tflite-support, MediaPipe).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from edgeclf.labels import read_labels
from edgeclf.model_info import ModelInfo, finite_values
from edgeclf.tflite.attached_files import LABELS_NAME, AttachedFiles
from edgeclf.tflite.flatbuffer import METADATA_IDENTIFIER, Table, root
from edgeclf.tflite.model_file import parse
from edgeclf.tflite.score_calibration import ScoreCalibration, read_score_calibration

logger = logging.getLogger("edgeclf")

_METADATA_NAME = b"TFLITE_METADATA"
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
    """
    metadata = _tflite_metadata(content)
    if metadata is None:
        return ModelInfo(_labels(files, None, ()))
    graphs = root(metadata, METADATA_IDENTIFIER).tables(3)
    inputs = graphs[0].tables(2) if graphs else []
    outputs = graphs[0].tables(3) if graphs else []
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


def _tflite_metadata(content: bytes) -> bytes | None:
    """Return the metadata flatbuffer that a model holds in one of its buffers."""
    model = parse(content)
    for entry in model.metadata:
        if content[entry.name] == _METADATA_NAME:
            return content[model.buffers[entry.buffer].place(len(content))]
    return None


def _labels(
    files: AttachedFiles, output: Table | None, others: Iterable[Table]
) -> tuple[str, ...] | None:
    """Return the labels that the output names, else those that nobody else names."""
    name = _file_named(output, _TENSOR_AXIS_LABELS)
    if name is None:
        names = {file.text(0) for other in others for file in _files(other)}
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
        (bool(file.text(3)), file.text(0) or "")
        for file in _files(tensor)
        if file.number(2, "b") == kind
    ]
    return min(files, key=lambda item: item[0])[1] if files else None


def _files(tensor: Table | None) -> list[Table]:
    return tensor.tables(6) if tensor is not None else []


def _options(tensor: Table | None, kind: int) -> Table | None:
    """Return the options of a tensor's first process unit of a kind."""
    for unit in tensor.tables(4) if tensor is not None else ():
        if unit.number(0, "B") == kind:
            return unit.table(1)
    return None


def _normalization(
    tensor: Table,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    options = _options(tensor, _NORMALIZATION)
    if options is None:
        return None, None
    mean = finite_values(options.array(0, "<f4").tolist())
    std = finite_values(options.array(1, "<f4").tolist(), divisor=True)
    return (mean, std) if mean and std else (None, None)


def _default_size(tensor: Table) -> tuple[int, int] | None:
    """Return `(height, width)` of the tensor's ImageProperties."""
    content = tensor.table(3)
    if content is None or content.number(0, "B") != _IMAGE_PROPERTIES:
        return None
    properties = content.table(1)
    size = None if properties is None else properties.table(1)
    if size is None:
        return None
    width, height = size.number(0, "I"), size.number(1, "I")
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
        files.read(str(name)), options.number(0, "b"), default_score
    )


def _score_threshold(output: Table | None) -> float | None:
    options = _options(output, _SCORE_THRESHOLDING)
    return None if options is None else _finite(options, 0)[0]


def _finite(options: Table, slot: int) -> tuple[float, ...]:
    return finite_values(options.number(slot, "f")) or ()
