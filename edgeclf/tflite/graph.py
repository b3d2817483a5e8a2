"""Find out what the graph of a foreign `.tflite` file ends in, without a schema."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import MODEL_IDENTIFIER, damage_reported, root
from edgeclf.tflite.model_file import Operator, parse
from edgeclf.tflite.operators import (
    ACTIVATIONS,
    CONV_2D,
    DEQUANTIZE,
    FULLY_CONNECTED,
    SAME_VALUES,
)

__all__ = ["Graph", "Operator", "Tensor"]

# TensorType of tensorflow/lite/schema/schema.fbs
DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    7: np.int16,
    9: np.int8,
}


class Tensor(NamedTuple):
    """What a graph says about a tensor.

    Attributes:
        shape: Sizes; 1 for one that is not known.
        dtype: Of its values; None for one that is not in `DTYPES`.
        scales: float32, one for all values or one for each along `axis`; none for a
            tensor that is not quantized.
        zero_points: int64, likewise.
        axis: Of several scales.
        data: The values of a constant as they are stored; empty without.
        signature: The shape with -1 for sizes that may vary; empty without any.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: bytes
    signature: tuple[int, ...]

    def values(self) -> NDArray[np.float32]:
        """Return the real values of a constant, in the tensor's shape.

        Raises:
            ValueError: Its data are missing, or do not fit the shape.
        """
        stored = np.frombuffer(self.data, self.dtype).reshape(self.shape)
        if not np.issubdtype(stored.dtype, np.integer) or not len(self.scales):
            return stored.astype(np.float32)
        along = [1] * len(self.shape)
        along[self.axis] = -1
        scales, zero_points = (
            values.reshape(along) if len(values) > 1 else values
            for values in (self.scales, self.zero_points)
        )
        # Widened first: 8-bit integers would wrap around.
        return ((stored.astype(np.int64) - zero_points) * scales).astype(np.float32)


class Graph:
    """The first subgraph of a model: who computes which tensor.

    Attributes:
        inputs: Indices of the tensors that the graph is given.
        outputs: Indices of those that it is run for.

    Raises:
        ModelError: The file is no TFLite model, or damaged.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        with damage_reported():
            model = parse(content)
            graph = model.subgraphs[0]
        self._buffers = model.buffers
        self._tensors = graph.tensors
        self._operators = graph.operators
        self.inputs: list[int] = list(graph.inputs)
        self.outputs: list[int] = list(graph.outputs)
        self._producers = {
            tensor: operator
            for operator in self._operators
            for tensor in operator.outputs
        }

    def operators(self) -> Sequence[Operator]:
        """Return the steps of the graph in the order they are taken."""
        return self._operators

    def bottleneck(self, output: int | None = None) -> int:
        """Return the tensor that the classifying layer reads.

        That layer is the FULLY_CONNECTED, or CONV_2D on one pixel, with constant
        weights from which the output comes by activation and change of shape or type.
        Without such a layer the model is a feature extractor, and the output itself
        is the bottleneck.

        Args:
            output: Its tensor. Default: the first output.
        """
        with damage_reported():
            output = self.outputs[0] if output is None else output
            layer = self.producer(output, SAME_VALUES | ACTIVATIONS)
            if layer is None or layer.code not in (FULLY_CONNECTED, CONV_2D):
                return output
            features, weights = layer.inputs[:2]
            is_wide = math.prod(self._tensors[features].shape[1:3]) != 1
            if not self._is_constant(weights) or (layer.code == CONV_2D and is_wide):
                return output
            return features

    def producer(
        self, tensor: int, passed: Collection[int] = frozenset()
    ) -> Operator | None:
        """Return the operator that computes a tensor; None: no operator does.

        Args:
            tensor: Its index.
            passed: Numbers of operators to go on from, back to their first input.
        """
        for _ in range(len(self._producers) + 1):  # a damaged graph may hold a cycle
            operator = self._producers.get(tensor)
            if operator is None or operator.code not in passed:
                return operator
            tensor = operator.inputs[0]
        return None

    def tensor_named(self, name: str) -> int:
        """Return the index of the tensor of this name.

        Raises:
            ModelError: There is none.
        """
        for index, tensor in enumerate(self._tensors):
            if tensor.name == name:
                return index
        raise ModelError(f"Expected a tensor named {name} in the model. Found none.")

    def tensor(self, index: int) -> Tensor:
        """Return what the graph says about one tensor."""
        with damage_reported():
            tensor = self._tensors[index]
            dtype = DTYPES.get(tensor.type)
            scales, zero_points, axis = (
                np.empty(0, np.float32),
                np.zeros(1, np.int64),
                0,
            )
            if tensor.quantization is not None:
                scales = tensor.quantization.scale
                if tensor.quantization.zero_point.size:
                    zero_points = tensor.quantization.zero_point
                axis = tensor.quantization.dimension
            return Tensor(
                tensor.shape,
                None if dtype is None else np.dtype(dtype),
                scales,
                zero_points,
                axis,
                self._content[self._data(tensor.buffer)],
                tensor.signature,
            )

    def with_outputs(self, outputs: Collection[int]) -> bytes:
        """Return the model file with other outputs of its graph.

        The vector is written behind everything else, where the field then points, so
        that no other offset changes: neither those inside the flatbuffer nor the
        absolute ones of buffers that lie outside.
        """
        with damage_reported():
            graph = root(self._content, MODEL_IDENTIFIER).tables(2)[0]
            position = graph.position(2)  # of the field
            content = memoryview(self._content)
            padding = bytes(-len(content) % 4)  # vectors of int32 are aligned
            offset = struct.pack("<I", len(content) + len(padding) - position)
            vector = struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)
            # One copy: models may be large.
            return b"".join(
                (content[:position], offset, content[position + 4 :], padding, vector)
            )

    def _is_constant(self, tensor: int) -> bool:
        producer = self.producer(tensor)
        if producer is not None and producer.code == DEQUANTIZE:  # float16 weights
            tensor = producer.inputs[0]
        data = self._data(self._tensors[tensor].buffer)
        return bool(data.stop > data.start)

    def _data(self, buffer: int) -> slice:
        """Return where the data of a buffer lie."""
        return self._buffers[buffer].place(len(self._content))
