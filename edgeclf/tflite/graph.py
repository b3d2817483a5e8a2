"""Find out what the graph of a foreign `.tflite` file ends in, without a schema."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite import flatbuffer

if TYPE_CHECKING:
    from edgeclf.tflite.flatbuffer import Table

# BuiltinOperator of tensorflow/lite/schema/schema.fbs
CONV_2D, DEQUANTIZE, FULLY_CONNECTED = 3, 6, 9
LOGISTIC, RESHAPE, SOFTMAX, SQUEEZE, QUANTIZE = 14, 22, 25, 43, 114

_SAME_VALUES = frozenset({DEQUANTIZE, QUANTIZE, RESHAPE, SQUEEZE})
_ACTIVATIONS = frozenset({SOFTMAX, LOGISTIC})


# TensorType of the same schema
DTYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    7: np.int16,
    9: np.int8,
}


class Operator(NamedTuple):
    """One step of a graph.

    Attributes:
        code: Its `BuiltinOperator`.
        inputs: Indices of the tensors that it reads; -1 for one left out.
        outputs: Indices of the tensors that it writes.
        options: Its own options, a table of the schema; None without.
    """

    code: int
    inputs: list[int]
    outputs: list[int]
    options: Table | None


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
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: bytes

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

    Raises:
        ModelError: The file is no TFLite model, or damaged.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        with flatbuffer.damage_reported():
            model = flatbuffer.root(content, flatbuffer.MODEL_IDENTIFIER)
            graph = flatbuffer.subtables(model, 2)[0]
            codes = [_builtin(code) for code in flatbuffer.subtables(model, 1)]
            self._graph = graph
            self._buffers = flatbuffer.subtables(model, 4)
            self._tensors = flatbuffer.subtables(graph, 0)
            self.outputs: list[int] = flatbuffer.numbers(graph, 2, "<i4").tolist()
            self._operators = [
                Operator(
                    codes[flatbuffer.integer(operator, 0, "I")],
                    flatbuffer.numbers(operator, 1, "<i4").tolist(),
                    flatbuffer.numbers(operator, 2, "<i4").tolist(),
                    flatbuffer.subtable(operator, 4),
                )
                for operator in flatbuffer.subtables(graph, 3)
            ]
        self._producers: dict[int, tuple[int, list[int]]] = {
            tensor: (operator.code, operator.inputs)
            for operator in self._operators
            for tensor in operator.outputs
        }

    def output_is_probability(self, output: int | None = None) -> bool:
        """Tell whether SOFTMAX or LOGISTIC computes an output.

        Args:
            output: Its tensor. Default: the first output.
        """
        with flatbuffer.damage_reported():
            output = self.outputs[0] if output is None else output
            tensor = self._back_over(output, _SAME_VALUES)
            return self._producers.get(tensor, (-1, []))[0] in _ACTIVATIONS

    def bottleneck(self, output: int | None = None) -> int:
        """Return the tensor that the classifying layer reads.

        That layer is the FULLY_CONNECTED, or CONV_2D on one pixel, with constant
        weights from which the output comes by activation and change of shape or type.
        Without such a layer the model is a feature extractor, and the output itself
        is the bottleneck.

        Args:
            output: Its tensor. Default: the first output.
        """
        with flatbuffer.damage_reported():
            output = self.outputs[0] if output is None else output
            last = self._back_over(output, _SAME_VALUES | _ACTIVATIONS)
            code, inputs = self._producers.get(last, (-1, []))
            if code not in (FULLY_CONNECTED, CONV_2D):
                return output
            features, weights = inputs[0], inputs[1]
            if code == CONV_2D and np.prod(self._shape(features)[1:3]) != 1:
                return output
            return features if self._is_constant(weights) else output

    def tensor_named(self, name: str) -> int:
        """Return the index of the tensor of this name.

        Raises:
            ModelError: There is none.
        """
        with flatbuffer.damage_reported():
            for index, tensor in enumerate(self._tensors):
                if flatbuffer.text(tensor, 3) == name:
                    return index
        raise ModelError(f"Expected a tensor named {name} in the model. Found none.")

    def with_outputs(self, outputs: Collection[int]) -> bytes:
        """Return the model file with other outputs of its graph.

        The vector is written behind everything else, where the field then points, so
        that no other offset changes: neither those inside the flatbuffer nor the
        absolute ones of buffers that lie outside.
        """
        with flatbuffer.damage_reported():
            position = flatbuffer.field(self._graph, 2)
            content = memoryview(self._content)
            padding = bytes(-len(content) % 4)  # vectors of int32 are aligned
            offset = struct.pack("<I", len(content) + len(padding) - position)
            vector = struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)
            # One copy: models may be large.
            return b"".join(
                (content[:position], offset, content[position + 4 :], padding, vector)
            )

    def _back_over(self, tensor: int, codes: Collection[int]) -> int:
        """Follow the first inputs back while the operator is one of `codes`."""
        for _ in self._producers:  # bounded: a damaged graph may hold a cycle
            code, inputs = self._producers.get(tensor, (-1, []))
            if code not in codes:
                break
            tensor = inputs[0]
        return tensor

    def _shape(self, tensor: int) -> list[int]:
        shape: list[int] = flatbuffer.numbers(self._tensors[tensor], 0, "<i4").tolist()
        return shape

    def _is_constant(self, tensor: int) -> bool:
        tensor = self._back_over(tensor, {DEQUANTIZE})  # float16 weights
        buffer = flatbuffer.integer(self._tensors[tensor], 2, "I")
        return bool(flatbuffer.buffer_data(self._buffers[buffer]))

    @property
    def inputs(self) -> list[int]:
        """Indices of the tensors that the graph is given."""
        with flatbuffer.damage_reported():
            indices: list[int] = flatbuffer.numbers(self._graph, 1, "<i4").tolist()
            return indices

    def operators(self) -> list[Operator]:
        """Return the steps of the graph in the order they are taken."""
        return self._operators

    def tensor(self, index: int) -> Tensor:
        """Return what the graph says about one tensor."""
        with flatbuffer.damage_reported():
            table = self._tensors[index]
            buffer = self._buffers[flatbuffer.integer(table, 2, "I")]
            dtype = DTYPES.get(flatbuffer.integer(table, 1, "b"))
            quantization = flatbuffer.subtable(table, 4)
            scales = zero_points = np.empty(0)
            axis = 0
            if quantization is not None:
                scales = flatbuffer.numbers(quantization, 2, "<f4")
                zero_points = flatbuffer.numbers(quantization, 3, "<i8")
                axis = flatbuffer.integer(quantization, 6, "i")
            return Tensor(
                tuple(self._shape(index)),
                None if dtype is None else np.dtype(dtype),
                scales.astype(np.float32),
                zero_points.astype(np.int64) if len(zero_points) else np.zeros(1, int),
                axis,
                flatbuffer.buffer_data(buffer),
            )


def _builtin(code: Table) -> int:
    """Return the operator's number; old files keep it in an 8-bit field."""
    return max(flatbuffer.integer(code, 0, "b"), flatbuffer.integer(code, 3, "i"))
