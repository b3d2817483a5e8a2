"""What a model costs: its multiplications, and the numbers that it has learned."""

from __future__ import annotations

import math
from typing import NamedTuple

from edgeclf.tflite.flatbuffer import damage_reported
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.operators import (
    CONV_2D,
    DEPTHWISE_CONV_2D,
    DEQUANTIZE,
    FULLY_CONNECTED,
)

_WEIGHTED = {CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED}


class Cost(NamedTuple):
    """What a model costs on any machine.

    Attributes:
        macs: Multiply-accumulate operations for one picture.
        parameters: Weights and biases.
    """

    macs: int
    parameters: int


def read_cost(content: bytes) -> Cost:
    """Count the multiplications and the parameters of a model, of any type of numbers.

    As the papers count: convolutions and linear layers, and nothing else.

    Source: A. Howard et al., "MobileNets" (2017), 3.1, equations 2 and 5.

    Args:
        content: The `.tflite` file; its first subgraph is what counts. A size that it
            leaves open counts as 1.

    Raises:
        ModelError: The file is no TFLite model, or damaged.
    """
    graph = Graph(content)
    macs = 0
    constants: set[int] = set()
    with damage_reported():
        for operator in graph.operators():
            if operator.code not in _WEIGHTED:
                continue
            # Filters (out, height, width, in), depthwise ones (1, height, width, out),
            # or a layer (out, in): the sizes that one number of the output takes.
            shape = graph.tensor(operator.inputs[1]).shape
            depthwise = operator.code == DEPTHWISE_CONV_2D
            each = math.prod(shape[1:3] if depthwise else shape[1:])
            macs += each * math.prod(graph.tensor(operator.outputs[0]).shape)
            constants.update(_stored(graph, i) for i in operator.inputs[1:] if i >= 0)
        tensors = [graph.tensor(index) for index in constants]
    return Cost(macs, sum(math.prod(tensor.shape) for tensor in tensors if tensor.data))


def _stored(graph: Graph, tensor: int) -> int:
    """Return the constant that a tensor is widened from, as in float16 models."""
    producer = graph.producer(tensor)
    if producer is not None and producer.code == DEQUANTIZE:
        return producer.inputs[0]
    return tensor
