"""The last layer of a classifier's file: read its rows, write others in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.zoo import graph
from edgeclf.zoo.graph import schema

_OPERATOR = schema.BuiltinOperator
_SAME_VALUES = (_OPERATOR.QUANTIZE, _OPERATOR.DEQUANTIZE, _OPERATOR.RESHAPE)
_REFUSAL = (
    "Expected a classifier that ends in FULLY_CONNECTED and SOFTMAX, as edgeclf "
    "retrain writes it. Received: {}. Train a model with edgeclf retrain."
)


class LastLayer:
    """FULLY_CONNECTED, and what follows it up to the output.

    Weights and bias may be float32, float16 behind a DEQUANTIZE, or integers with
    zero point 0 and one scale, or one for each class.

    Args:
        model: Of one subgraph and one output; `write` and `widen_logits` change it.

    Raises:
        ModelError: It ends in something else.
    """

    def __init__(self, model: graph.Model) -> None:
        self._model = model
        self._tensors = model.subgraphs[0].tensors
        self._producers = {
            index: operator
            for operator in model.subgraphs[0].operators
            for index in operator.outputs
        }
        if len(model.subgraphs) != 1 or len(model.subgraphs[0].outputs) != 1:
            raise ModelError(_REFUSAL.format("several graphs or outputs"))
        self._layer, self._behind = self._walk(model.subgraphs[0].outputs[0])
        self.logits = self._layer.outputs[0]
        self._weights = self._constant_of(self._layer.inputs[1])
        self._bias = self._constant_of(self._layer.inputs[2])
        for index in (self._layer.inputs[0], self._weights, self._bias, self.logits):
            self._check_scale(index)

    def _check_scale(self, index: int) -> None:
        quantization = self._tensors[index].quantization
        scale = None if quantization is None else quantization.scale
        zero = None if quantization is None else quantization.zeroPoint
        if not self._is_integer(index):
            return
        if scale is None or zero is None or not len(scale) == len(zero) >= 1:
            raise ModelError(_REFUSAL.format("integers without a scale"))
        if not (np.isfinite(scale).all() and np.min(scale) > 0):
            raise ModelError(_REFUSAL.format(f"scales {np.asarray(scale)[:3]}"))

    def _walk(self, output: int) -> tuple[graph.Operator, list[int]]:
        """Return the layer, and the tensors with a value for each class behind it."""
        behind, has_softmax = [output], False
        while (operator := self._producers.get(behind[-1])) is not None:
            code = graph.builtin_operator(self._model, operator.opcodeIndex)
            if code == _OPERATOR.FULLY_CONNECTED and has_softmax:
                if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
                    return operator, behind
                break
            if code == _OPERATOR.SOFTMAX:
                has_softmax = True
            elif code not in _SAME_VALUES or code == _OPERATOR.RESHAPE:
                break
            behind.append(operator.inputs[0])
        raise ModelError(_REFUSAL.format("another end"))

    def _constant_of(self, index: int) -> int:
        """Return the constant that a tensor is, or is the float32 form of."""
        source = self._producers.get(index)
        if source is not None:
            index = source.inputs[0]
        if not graph.is_constant(self._model, index):
            raise ModelError(_REFUSAL.format("weights that are computed"))
        return index

    @property
    def weights(self) -> NDArray[np.float64]:
        """Real weights, `(num_classes, depth)`."""
        return self._values(self._weights)

    @property
    def bias(self) -> NDArray[np.float64]:
        """Real biases, `(num_classes,)`."""
        return self._values(self._bias)

    @property
    def steps(self) -> NDArray[np.float64] | None:
        """Scales of integer weights, one or one for each class; None for floats."""
        quantization = self._tensors[self._weights].quantization
        if not self._is_integer(self._weights):
            return None
        return np.asarray(quantization.scale, np.float64)

    def write(
        self,
        weights: NDArray[np.float64],
        bias: NDArray[np.float64],
        steps: NDArray[np.float64] | None,
    ) -> None:
        """Put other weights in, for another number of classes perhaps.

        Args:
            weights: `(num_classes, depth)`; multiples of `steps` where these are given.
            bias: `(num_classes,)`.
            steps: Scales of integer weights, one or one for each class; None for
                floats.
        """
        bias_steps = None
        if steps is not None:
            inside = self._tensors[self._layer.inputs[0]].quantization
            bias_steps = steps * float(inside.scale[0])
        self._set(self._weights, weights, steps)
        self._set(self._bias, bias, bias_steps)
        for index in {self._layer.inputs[1], self._weights}:
            self._resize(index, weights.shape[0], axis=0)
        for index in {self._layer.inputs[2], self._bias}:
            self._resize(index, weights.shape[0], axis=0)
        for index in self._behind:
            self._resize(index, weights.shape[0], axis=-1)

    def widen_logits(self, low: float, high: float) -> None:
        """Make quantized logits reach from `low` to `high` at least.

        Only the tensor's scale changes: no weight is rounded again.
        """
        tensor = self._tensors[self.logits]
        if not self._is_integer(self.logits):
            return
        limits: Any = np.iinfo(np.dtype(graph.NUMPY_TYPES[tensor.type]))
        scale = float(tensor.quantization.scale[0])
        zero = int(tensor.quantization.zeroPoint[0])
        lowest, highest = (limits.min - zero) * scale, (limits.max - zero) * scale
        # A level more at either end is no reason to move all the others.
        if lowest - scale <= low and high <= highest + scale:
            return
        low, high = min(low, lowest), max(high, highest)
        if tensor.type == schema.TensorType.INT16:  # has to be symmetric
            scale, zero = max(-low, high) / limits.max, 0
        else:
            scale = (high - low) / (limits.max - limits.min)
            zero = int(np.clip(round(limits.min - low / scale), limits.min, limits.max))
        tensor.quantization.scale = [scale]
        tensor.quantization.zeroPoint = [zero]

    def _is_integer(self, index: int) -> bool:
        dtype = graph.NUMPY_TYPES.get(self._tensors[index].type, np.float32)
        return issubclass(dtype, np.integer)

    def _values(self, index: int) -> NDArray[np.float64]:
        stored = graph.constant(self._model, index)
        values = np.asarray(stored, np.float64)
        if self._is_integer(index):
            quantization = self._tensors[index].quantization
            if np.any(quantization.zeroPoint):
                raise ModelError(_REFUSAL.format("weights with a zero point"))
            scale = np.asarray(quantization.scale, np.float64)
            values = values * scale.reshape(-1, *[1] * (values.ndim - 1))
        return values

    def _set(
        self, index: int, values: NDArray[Any], steps: NDArray[np.float64] | None
    ) -> None:
        """Store real values in a constant, rounded to a step, halves to even."""
        tensor = self._tensors[index]
        dtype = graph.NUMPY_TYPES[tensor.type]
        if steps is not None:
            limits: Any = np.iinfo(np.dtype(dtype))
            values = values / steps.reshape(-1, *[1] * (values.ndim - 1))
            values = np.clip(np.rint(values), limits.min, limits.max)
            tensor.quantization.scale = steps.astype(np.float32).tolist()
            tensor.quantization.zeroPoint = [0] * len(steps)
            tensor.quantization.min = tensor.quantization.max = None
        data = np.frombuffer(values.astype(dtype).tobytes(), np.uint8)
        users = Counter(t.buffer for t in _all_tensors(self._model))
        if users[tensor.buffer] > 1:  # equal constants may share one
            self._model.buffers.append(schema.BufferT())
            tensor.buffer = len(self._model.buffers) - 1
        self._model.buffers[tensor.buffer].data = data

    def _resize(self, index: int, size: int, axis: int) -> None:
        tensor = self._tensors[index]
        tensor.shape = [int(side) for side in tensor.shape]
        tensor.shape[axis] = size
        if tensor.shapeSignature is not None and len(tensor.shapeSignature):
            tensor.shapeSignature = [int(side) for side in tensor.shapeSignature]
            tensor.shapeSignature[axis] = size


def _all_tensors(model: graph.Model) -> Iterator[Any]:
    for subgraph in model.subgraphs:
        yield from subgraph.tensors
