"""Read what a model file says about itself: labels, normalisation, thresholds.

A file of edgeclf's own carries its record, `edgeclf.json`, beside `labels.txt` in a
zip that is appended to the flatbuffer, where every reader of TFLite Metadata looks for
labels. Of other makers' files the TFLite Metadata flatbuffer is read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.image import PREPROCESSING_VERSION
from edgeclf.labels import read_labels
from edgeclf.model_info import ModelInfo, finite_values
from edgeclf.tflite.attached_files import LABELS_NAME, AttachedFiles
from edgeclf.tflite.flatbuffer import MODEL_IDENTIFIER, damage_reported

FORMAT_VERSION = 1
RECORD_NAME = "edgeclf.json"
_MOST = 1e30  # of a number in the rule: what is computed with it stays finite
_POSITIVE = ("mean_surprise", "distance_spread", "lean_spread")  # divisors
# Of a rule that knows distances, see edgeclf.familiarity (not imported: it is rare).
_RULE = {
    *("min_score", "coverage", "mean_distance", "score_weight", "max_unfamiliarity"),
    *("mean_surprise", "distance_spread"),
}
_LEANING = {*_RULE, "mean_lean", "lean_spread"}
_RULES = ({"min_score"}, _RULE, _LEANING, {*_RULE, "scales"}, {*_LEANING, "scales"})


def read_model_info(content: bytes) -> ModelInfo:
    """Read labels, normalisation and record of a `.tflite` file.

    Args:
        content: The whole file.

    Raises:
        ModelError: The file is no TFLite model, or its metadata is damaged or needs a
            newer edgeclf.
    """
    if content[4:8] != MODEL_IDENTIFIER:
        raise ModelError(
            "Expected a TFLite model (bytes 4-7 are TFL3). "
            f"Received: {len(content)} bytes that begin with {content[:8]!r}"
        )
    with damage_reported():
        files = AttachedFiles(content)
        if RECORD_NAME in files:
            return _own_info(content, files)
        from edgeclf.tflite.metadata import foreign_info  # of no use for our own

        return foreign_info(content, files)


def _own_info(content: bytes, files: AttachedFiles) -> ModelInfo:
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
    if "crc32" in record:
        flatbuffer = memoryview(content)[: files.flatbuffer_size()]
        if record["crc32"] != zlib.crc32(flatbuffer):
            raise ModelError(
                "The model is damaged: its checksum is not the one in its record. "
                "Copy the file again."
            )
    labels = read_labels(files.read(LABELS_NAME)) if LABELS_NAME in files else None
    _check_record(record, labels)
    return ModelInfo(
        labels,
        finite_values(preprocessing.get("input_mean")),
        finite_values(preprocessing.get("input_std"), divisor=True),
        record,
    )


def _check_record(record: Mapping[str, Any], labels: tuple[str, ...] | None) -> None:
    """Check the entries that decide about answers."""
    thresholds, reject = record.get("thresholds"), record.get("reject")
    bottleneck = record.get("bottleneck")
    if thresholds is not None and (
        len(finite_values(thresholds) or ()) != len(labels or ())
    ):
        raise ModelError(f"Expected {RECORD_NAME} to have a threshold for each label.")
    if reject is not None:
        _check_rule(reject, labels)
    if not isinstance(bottleneck, (str, type(None))):
        raise ModelError(f"Expected bottleneck in {RECORD_NAME} to name a tensor.")


def _check_rule(rule: Any, labels: tuple[str, ...] | None) -> None:
    """Check the reject rule: a least score, or that and all about distances."""
    if not isinstance(rule, dict) or set(rule) not in _RULES:
        raise ModelError(
            f"Expected reject in {RECORD_NAME} to hold min_score, alone or with "
            f"{', '.join(sorted(_RULE - {'min_score'}))}. Received: {rule}. A newer "
            "edgeclf may read it: pip install --upgrade edgeclf"
        )
    for name, value in rule.items():
        if name == "scales":
            scales = finite_values(value) or ()
            if len(scales) != len(labels or ()) or not min(scales, default=0) >= 1:
                raise ModelError(
                    f"Expected scales in {RECORD_NAME} to be a number of at least 1 "
                    f"for each label. Received: {value!r}."
                )
        elif (
            type(value) not in (int, float)
            or not abs(value) < _MOST
            or (name in _POSITIVE and value < 1 / _MOST)
        ):
            raise ModelError(
                f"Expected {name} in {RECORD_NAME} to be a number"
                f"{' above 0' if name in _POSITIVE else ''}. Received: {value!r}."
            )
