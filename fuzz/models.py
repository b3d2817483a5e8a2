"""The check of a model: what passes must run in an interpreter, or be refused by it.

Reading and checking are measured here, so that the fuzzer sees what is new. What
passes is labelled, embedded and exported in a process of its own, whose end by a
signal, time and memory are seen.
"""

from __future__ import annotations

import model_files as models
import test_hostile_models
import test_model_memory
import tiny

from edgeclf import EdgeclfError
from edgeclf.metadata import read_model_info
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.verify import check_model

MAX_BYTES = 8192

# Loaded before the first fork; the child would do it again and again.
test_hostile_models.result(models.build())


def seeds() -> dict[str, bytes]:
    """Return tiny models: floats, integers, of any size, with control flow."""
    return {
        "float": models.own(),
        "int8": models.build(input_type="int8", output_type="int8"),
        "convolution": models.build(
            input_type="uint8", output_type="uint8", convolution=True
        ),
        "outside": models.build(outside=True),
        "calls": test_model_memory.calls(3),
        "logits": models.build(activation=None),
        "joined": models.with_concatenation(models.build()),
        "of any size": models.own(
            input_shape=(1, 1, 1, 3), input_signature=(1, -1, -1, 3)
        ),
        "backbone": tiny.backbone_file(),
    }


def try_input(content: bytes) -> None:
    """Check a model; use one that passes in a forked process."""
    try:
        read_model_info(content)
        check_model(content)
        Graph(content)
    except EdgeclfError:
        return
    ended = test_hostile_models.outcome(content)
    if ended is not None:
        raise AssertionError(ended)
