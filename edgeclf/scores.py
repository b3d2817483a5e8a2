"""Scores of the classes: which output holds them, and how they become probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeclf.model_info import ModelInfo

if TYPE_CHECKING:
    from edgeclf.tflite.graph import Graph, Tensor

SUM_TOLERANCE = 1e-2  # of scores that are probabilities: 8-bit outputs are rounded


def chosen_output(
    content: bytes, info: ModelInfo, labels: Sequence[str] | None
) -> list[int] | None:
    """Return the tensor to keep of several outputs; None: all that there are.

    Args:
        content: The model file.
        info: What it says about itself.
        labels: The caller's. None: the model's own count.
    """
    if info.record:
        return None  # a file of our own has one output
    from edgeclf.tflite.graph import Graph  # only other makers' files need it

    graph = Graph(content)
    if len(graph.outputs) == 1:
        return None
    tensor = scores_output(graph, info, info.labels if labels is None else labels)
    return None if tensor is None else [tensor]


def ends_in_probabilities(content: bytes, info: ModelInfo) -> bool:
    """Tell whether the graph itself ends in probabilities.

    Args:
        content: The model file; its first output counts.
        info: What it says about itself.
    """
    if "multi_label" in info.record:
        return True  # a file of our own ends in SOFTMAX or LOGISTIC
    from edgeclf.tflite.graph import Graph

    return Graph(content).output_is_probability()


def probabilities(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of logits; values that are probabilities stay as they are."""
    in_range = values.min() >= 0 and values.max() <= 1
    if in_range and abs(values.sum() - 1) <= SUM_TOLERANCE:
        return values
    powers: NDArray[np.float32] = np.exp(values - values.max())  # at most 1
    powers /= powers.sum()
    return powers


def scores_output(
    graph: Graph, info: ModelInfo, labels: Sequence[str] | None
) -> int | None:
    """Return the tensor of the one output that can be the scores of a classifier.

    That is the output that the metadata name labels for; else the only one that is a
    vector of real numbers, fits the number of labels, and comes from SOFTMAX or
    LOGISTIC, as far as it takes to tell them apart.

    Args:
        graph: The model's.
        info: What the model says about itself.
        labels: Names of the classes. None: not known.

    Returns:
        Index of the tensor; None when it cannot be told.
    """
    named = info.scores_output
    if named is not None and named < len(graph.outputs):
        return graph.outputs[named]
    candidates = [
        tensor for tensor in graph.outputs if _is_vector(graph.tensor(tensor))
    ]
    for fits in (
        lambda tensor: _size(graph, tensor) > 1,
        lambda tensor: labels is None or _size(graph, tensor) == len(labels),
        graph.output_is_probability,
    ):
        if len(candidates) > 1:
            candidates = [tensor for tensor in candidates if fits(tensor)]
    return candidates[0] if len(candidates) == 1 else None


def _is_vector(tensor: Tensor) -> bool:
    """Tell whether a tensor holds real numbers along one axis at most."""
    is_real = tensor.dtype is not None and (
        np.issubdtype(tensor.dtype, np.floating) or len(tensor.scales) > 0
    )
    return is_real and sum(side != 1 for side in tensor.shape) <= 1


def _size(graph: Graph, tensor: int) -> int:
    return math.prod(graph.tensor(tensor).shape)
