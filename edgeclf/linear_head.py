"""The linear layer on pooled feature maps that many image classifiers end in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import damage_reported
from edgeclf.tflite.graph import Graph, Operator
from edgeclf.tflite.operators import (
    ACTIVATIONS,
    AVERAGE_POOL_2D,
    CONCATENATION,
    CONV_2D,
    DEQUANTIZE,
    FULLY_CONNECTED,
    MEAN,
    SAME_VALUES,
)

# Where each operator that can have an activation built in keeps it among its options.
_ACTIVATION_SLOTS = {
    AVERAGE_POOL_2D: 5,
    CONCATENATION: 1,
    CONV_2D: 3,
    FULLY_CONNECTED: 0,
}
_FILTER_WIDTH_SLOT, _FILTER_HEIGHT_SLOT = 3, 4  # of Pool2DOptions

_HEIGHT_AND_WIDTH = {1, 2}


@dataclass(frozen=True)
class LinearHead:
    """A linear layer: `logits = mean(feature map) @ weights.T + bias`.

    Attributes:
        feature_maps: Indices of the tensors that are pooled, each
            `(1, rows, columns, depth)`; the means of several are concatenated.
        weights: float32, shape `(num_classes, sum of the depths)`.
        bias: float32, shape `(num_classes,)`.
    """

    feature_maps: tuple[int, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


def find_linear_head(graph: Graph, output: int | None = None) -> LinearHead:
    """Return the head that an output of a classifier comes from.

    Between mean and layer only shape and type may change, and means of several maps be
    concatenated; behind the layer SOFTMAX or LOGISTIC may follow too.

    Args:
        graph: The model's.
        output: The output's tensor. Default: the first output.

    Raises:
        ModelError: The classifier ends otherwise, or is damaged.
    """
    with damage_reported():
        output = graph.outputs[0] if output is None else output
        layer = graph.producer(output, SAME_VALUES | ACTIVATIONS)
        if layer is None or layer.code not in (FULLY_CONNECTED, CONV_2D):
            raise _refusal("its output does not come from such a layer")
        pools = _pools(graph, layer.inputs[0])
        if not pools or not all(_pools_all(graph, pool) for pool in pools):
            shape = graph.tensor(layer.inputs[0]).shape
            raise _refusal(
                f"what the last layer reads, of shape {shape}, is no such mean"
            )
        if any(map(_has_activation, [layer, *pools])):
            raise _refusal("an activation is built into the layer or the mean")
        weights = _constant(graph, layer.inputs[1])
        depth = sum(graph.tensor(pool.inputs[0]).shape[-1] for pool in pools)
        if weights.shape[1:] not in ((depth,), (1, 1, depth)):
            raise _refusal(
                f"weights of shape {weights.shape} on a feature map of depth {depth}"
            )
        bias = np.zeros(len(weights), np.float32)
        if len(layer.inputs) > 2 and layer.inputs[2] >= 0:
            bias = bias + _constant(graph, layer.inputs[2])
        maps = tuple(pool.inputs[0] for pool in pools)
        return LinearHead(maps, weights.reshape(-1, depth), bias)


def _pools(graph: Graph, tensor: int) -> list[Operator]:
    """Return the means that a vector is, or is concatenated from; none if it is not."""
    source = graph.producer(tensor, SAME_VALUES)
    if source is None or source.code != CONCATENATION:
        return [] if source is None else [source]
    found = [graph.producer(index, SAME_VALUES) for index in source.inputs]
    return [] if None in found or _has_activation(source) else list(filter(None, found))


def _pools_all(graph: Graph, pool: Operator) -> bool:
    """Tell whether an operator is the mean over all rows and columns of a map."""
    shape = graph.tensor(pool.inputs[0]).shape
    if len(shape) != 4:
        return False
    if pool.code == MEAN:
        axes = np.frombuffer(graph.tensor(pool.inputs[1]).data, "<i4")
        return {int(axis) % 4 for axis in axes} == _HEIGHT_AND_WIDTH
    if pool.code != AVERAGE_POOL_2D or pool.options is None:
        return False
    window = tuple(
        pool.options.number(slot) for slot in (_FILTER_HEIGHT_SLOT, _FILTER_WIDTH_SLOT)
    )
    after = graph.tensor(pool.outputs[0]).shape
    return window == shape[1:3] and after[1:3] == (1, 1)


def _has_activation(operator: Operator) -> bool:
    slot = _ACTIVATION_SLOTS.get(operator.code)
    if slot is None or operator.options is None:
        return False
    return bool(operator.options.number(slot, "b"))


def _constant(graph: Graph, index: int) -> NDArray[np.float32]:
    """Return real values; of float16 weights those behind their DEQUANTIZE."""
    source = graph.producer(index)
    if source is not None and source.code == DEQUANTIZE:
        index = source.inputs[0]
    tensor = graph.tensor(index)
    if not tensor.data or tensor.dtype is None:
        raise _refusal("the weights of its last layer are computed, or of another type")
    return tensor.values()


def _refusal(reason: str) -> ModelError:
    return ModelError(
        "Expected a classifier that ends in a linear layer (FULLY_CONNECTED or 1 x 1 "
        "CONV_2D) on the mean over all of a feature map (MEAN or AVERAGE_POOL_2D), or "
        "on the means of several: "
        f"only of these is it known where the evidence lies. Received: {reason}."
    )
