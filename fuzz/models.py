"""The check of a model: what passes must run in an interpreter, or be refused by it.

Reading and checking are measured here, so that the fuzzer sees what is new. What
passes is labelled, embedded and exported in a process of its own, whose end by a
signal, time and memory are seen.
"""

from __future__ import annotations

import model_files as models
import numpy as np
import test_hostile_models
import test_model_memory
import tiny
from test_model_memory import Op

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
        "int8": models.build(
            input_type="int8", output_type="int8", input_quantization=(1 / 127.5, -1)
        ),
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
        "sizes": _computed_sizes(),
    }


def _computed_sizes() -> bytes:
    """A classifier beside which stands what `edgeclf.tflite.sizes` knows."""
    model = test_model_memory.Growing()
    image = model.model.subgraphs[0].inputs[0]
    zero = model.constant(0, "float32")
    rows = model.constant(np.zeros((2, 3)), "float32")
    shape = model.operator(Op.SHAPE, [image], (4,), "int32")
    larger = model.operator(
        Op.MUL, [shape, model.constant([1, 2, 1, 1])], (4,), "int32"
    )
    model.operator(Op.FILL, [larger, zero], (1, 16, 6, 3))
    model.operator(Op.BROADCAST_TO, [zero, model.constant([2, 3])], (2, 3))
    model.operator(Op.TILE, [rows, model.constant([2, 2])], (4, 6))
    model.operator(Op.RANGE, [*map(model.constant, (0, 6, 2))], (3,), "int32")
    model.operator(Op.GATHER, [rows, model.constant([0, 1])], (2, 3))
    model.operator(Op.GATHER_ND, [rows, model.constant([[0], [1]])], (2, 3))
    model.operator(Op.MIRROR_PAD, [rows, model.constant([[1, 1], [0, 1]])], (4, 4))
    model.operator(Op.TRANSPOSE, [rows, model.constant([1, 0])], (3, 2))
    model.operator(Op.SUM, [rows, model.constant([0])], (3,))
    model.operator(Op.EXPAND_DIMS, [rows, model.constant(0)], (1, 2, 3))
    model.operator(
        Op.SLICE, [rows, model.constant([0, 1]), model.constant([2, -1])], (2, 2)
    )
    model.operator(
        Op.BATCH_MATMUL, [rows, model.constant(np.zeros((3, 2)), "float32")], (2, 2)
    )
    return model.content()


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
