"""Metadata of model files: information or a `ModelError`, never another error."""

from __future__ import annotations

import math

import model_files as models

from edgeclf import ModelError
from edgeclf.metadata import read_model_info
from edgeclf.tflite.attached_files import MAX_FILE_BYTES, AttachedFiles

MAX_BYTES = 8192


def seeds() -> dict[str, bytes]:
    """Return tiny models with metadata of edgeclf and of other makers."""
    labels = [("labels.txt", 2, None)]
    foreign = models.with_metadata(
        models.build(input_type="uint8"),
        mean=[127.5],
        std=[127.5],
        outputs=[models.OutputMetadata(labels, (1, 0.5), 0.25)],
        default_size=(8, 6),
    )
    return {
        "own": models.own(),
        "none": models.build(),
        "labels": models.with_labels(models.build()),
        "foreign": models.with_labels(foreign),
        "packed": models.with_files(foreign, {"labels.txt": "a\nb\nc\n" * 20}, 8),
        "tags": models.own(
            entry=models.record(multi_label=True, thresholds=[0.1, 0.5, 0.9])
        ),
    }


def try_input(content: bytes) -> None:
    """Read what a model file says of itself, and the files in its zip."""
    try:
        info = read_model_info(content)
        files = AttachedFiles(content)
        sizes = [len(files.read(name)) for name in files.names]
    except ModelError:
        return
    if max(sizes, default=0) > MAX_FILE_BYTES:
        raise AssertionError(f"an attached file of {max(sizes)} bytes")
    if not all(map(math.isfinite, [*(info.input_mean or ()), *(info.input_std or ())])):
        raise AssertionError(f"{info.input_mean} {info.input_std}")
