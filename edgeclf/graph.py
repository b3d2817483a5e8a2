"""Find out what the graph of a foreign `.tflite` file ends in, without a schema."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from edgeclf import flatbuffer
from edgeclf.errors import ModelError

if TYPE_CHECKING:
    from edgeclf.flatbuffer import Table

# BuiltinOperator of tensorflow/lite/schema/schema.fbs
CONV_2D, DEQUANTIZE, FULLY_CONNECTED = 3, 6, 9
LOGISTIC, RESHAPE, SOFTMAX, SQUEEZE, QUANTIZE = 14, 22, 25, 43, 114

_SAME_VALUES = frozenset({DEQUANTIZE, QUANTIZE, RESHAPE, SQUEEZE})
_ACTIVATIONS = frozenset({SOFTMAX, LOGISTIC})


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
            self._producers: dict[int, tuple[int, list[int]]] = {}
            for operator in flatbuffer.subtables(graph, 3):
                code = codes[flatbuffer.integer(operator, 0, "I")]
                inputs = flatbuffer.numbers(operator, 1, "<i4").tolist()
                for tensor in flatbuffer.numbers(operator, 2, "<i4").tolist():
                    self._producers[tensor] = (code, inputs)

    def output_is_probability(self) -> bool:
        """Tell whether SOFTMAX or LOGISTIC computes the first output."""
        with flatbuffer.damage_reported():
            tensor = self._back_over(self.outputs[0], _SAME_VALUES)
            return self._producers.get(tensor, (-1, []))[0] in _ACTIVATIONS

    def bottleneck(self) -> int:
        """Return the tensor that the classifying layer reads.

        That layer is the FULLY_CONNECTED, or CONV_2D on one pixel, with constant
        weights from which the first output comes by activation and change of shape
        or type. Without such a layer the model is a feature extractor, and the first
        output itself is the bottleneck.
        """
        with flatbuffer.damage_reported():
            output = self.outputs[0]
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
            padding = -len(self._content) % 4  # vectors of int32 are aligned
            content = bytearray(self._content)
            content += bytes(padding)
            struct.pack_into("<I", content, position, len(content) - position)
            content += struct.pack(f"<I{len(outputs)}i", len(outputs), *outputs)
            return bytes(content)

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


def _builtin(code: Table) -> int:
    """Return the operator's number; old files keep it in an 8-bit field."""
    return max(flatbuffer.integer(code, 0, "b"), flatbuffer.integer(code, 3, "i"))
