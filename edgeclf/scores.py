"""Scores of the classes: which output holds them, and how they become probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.model_info import ModelInfo
from edgeclf.tflite.operators import (
    ACTIVATIONS,
    CONCATENATION,
    CONV_2D,
    FULLY_CONNECTED,
    GATHER,
    SAME_VALUES,
    SLICE,
    STRIDED_SLICE,
    TRANSPOSE,
)

if TYPE_CHECKING:
    from edgeclf.tflite.graph import Graph, Tensor

# What only moves or chooses values, those of its first input.
_MOVES = SAME_VALUES | {GATHER, SLICE, STRIDED_SLICE, TRANSPOSE}
SUM_TOLERANCE = 1e-2  # of probabilities: 8-bit outputs are rounded
# What SOFTMAX and LOGISTIC of 16 bits write. Source: LiteRT 8-bit quantization
# specification, operators of fixed output range.
_FIXED_INT16_SCALE = 1 / 32768


def chosen_output(
    content: bytes, info: ModelInfo, labels: Sequence[str] | None
) -> list[int] | None:
    """Return the tensor to keep of several outputs; None: there are not several.

    Args:
        content: The model file.
        info: What it says about itself.
        labels: The caller's. None: the model's own.

    Raises:
        ModelError: It cannot be told which of the outputs it is.
    """
    if info.record:
        return None  # a file of our own has one output
    from edgeclf.tflite.graph import Graph  # only other makers' files need it

    graph = Graph(content)
    if len(graph.outputs) == 1:
        return None
    return [scores_output(graph, info, info.labels if labels is None else labels)]


def ends_in_probabilities(content: bytes, info: ModelInfo) -> bool | None:
    """Tell whether the first output holds probabilities, by the graph alone.

    Args:
        content: The model file.
        info: What it says about itself.

    Returns:
        Yes or no; None when the graph does not tell.
    """
    if "multi_label" in info.record:
        return True  # a file of our own ends in SOFTMAX or LOGISTIC
    from edgeclf.tflite.graph import Graph

    graph = Graph(content)
    return holds_probabilities(graph, graph.outputs[0])


def holds_probabilities(graph: Graph, output: int) -> bool | None:
    """Tell whether a tensor holds probabilities, by what computes it.

    Yes: it comes from SOFTMAX or LOGISTIC by operators that only move values, or its
    quantization has no room for anything else (a file for an EdgeTPU is one unknown
    operator). No: from a layer. None: from anything else.

    Args:
        graph: The model's.
        output: The tensor.
    """
    found: list[bool | None] = []
    seen, pending = set(), [output]
    while pending:
        tensor = pending.pop()
        if tensor in seen:  # a damaged graph may hold a cycle
            continue
        seen.add(tensor)
        operator = graph.producer(tensor)
        if _holds_zero_to_one(graph.tensor(tensor)):
            found.append(True)
        elif operator is None:
            found.append(None)
        elif operator.code == CONCATENATION:
            pending += operator.inputs
        elif operator.code in _MOVES:
            pending += operator.inputs[:1]
        elif operator.code in ACTIVATIONS:
            found.append(True)
        else:
            is_layer = operator.code in (CONV_2D, FULLY_CONNECTED)
            found.append(False if is_layer else None)
    if False in found:
        return False
    return True if found and None not in found else None


def are_probabilities(values: NDArray[np.float32]) -> bool:
    """Tell whether values lie in [0, 1] and sum to 1."""
    in_range = values.min() >= 0 and values.max() <= 1
    return bool(in_range and abs(values.sum() - 1) <= SUM_TOLERANCE)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of logits; of a single one the logistic function.

    Args:
        logits: Shape `(num_classes,)`.
    """
    if len(logits) == 1:
        logits = np.append(logits, np.float32(0))  # of what is not the class
        return probabilities(logits)[:1]
    powers: NDArray[np.float32] = np.exp(logits - logits.max())  # at most 1
    powers /= powers.sum()
    return powers


def scores_output(graph: Graph, info: ModelInfo, labels: Sequence[str] | None) -> int:
    """Return the tensor of the one output that can be the scores of a classifier.

    That is the output that the metadata name labels for; else the only one that is a
    vector of real numbers, fits the number of labels, and holds probabilities, as far
    as it takes to tell them apart.

    Args:
        graph: The model's.
        info: What the model says about itself.
        labels: Names of the classes. None: not known.

    Raises:
        ModelError: It cannot be told which of the outputs it is.
    """
    if len(graph.outputs) == 1:
        return graph.outputs[0]
    named = info.scores_output
    if named is not None and named < len(graph.outputs):
        return graph.outputs[named]
    candidates = [
        tensor for tensor in graph.outputs if _is_vector(graph.tensor(tensor))
    ]
    rules: tuple[Callable[[int], bool | None], ...] = (
        lambda tensor: _size(graph, tensor) > 1,
        lambda tensor: labels is None or _size(graph, tensor) == len(labels),
        lambda tensor: holds_probabilities(graph, tensor),
    )
    for fits in rules:
        if len(candidates) > 1:
            candidates = [tensor for tensor in candidates if fits(tensor)]
    if len(candidates) != 1:
        raise not_a_classifier([graph.tensor(tensor).shape for tensor in graph.outputs])
    return candidates[0]


def not_a_classifier(shapes: Sequence[tuple[int, ...]]) -> ModelError:
    """Return the error about a model's outputs, given their shapes."""
    return ModelError(
        "Expected an image classifier: one output of shape (1, num_classes). "
        f"Received: outputs of shape {', '.join(map(str, shapes))}"
    )


def _is_vector(tensor: Tensor) -> bool:
    """Tell whether a tensor holds real numbers along one axis at most."""
    is_real = tensor.dtype is not None and (
        np.issubdtype(tensor.dtype, np.floating) or len(tensor.scales) > 0
    )
    return is_real and sum(side != 1 for side in tensor.shape) <= 1


def _holds_zero_to_one(tensor: Tensor) -> bool:
    """Tell whether a quantized tensor can hold no values but those from 0 to 1."""
    if len(tensor.scales) != 1 or tensor.dtype is None or tensor.dtype.kind not in "iu":
        return False
    scale, zero_point = float(tensor.scales[0]), int(tensor.zero_points[0])
    if tensor.dtype == np.int16:
        return (scale, zero_point) == (_FIXED_INT16_SCALE, 0)
    limits = np.iinfo(tensor.dtype)
    # 1/256 is what SOFTMAX and LOGISTIC write; 1/255 may be rounded.
    return limits.min >= zero_point and (limits.max - zero_point) * scale < 1 + scale


def _size(graph: Graph, tensor: int) -> int:
    return math.prod(graph.tensor(tensor).shape)
