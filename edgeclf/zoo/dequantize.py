"""Turn a quantized graph into the float graph that it stands for.

Handled: uint8 and int8 graphs (a scale per tensor or per channel, int32 biases),
8-bit weights under float activations, float16 weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.zoo.graph import (
    builtin_operator,
    constant,
    is_constant,
    operator_code,
    schema,
    tensor_shape,
    type_name,
)
from edgeclf.zoo.prune import prune, replace_tensors

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model, Operator

BYTE_LIMITS = {schema.TensorType.UINT8: (0, 255), schema.TensorType.INT8: (-128, 127)}

_OPERATOR = schema.BuiltinOperator
_ACTIVATION = schema.ActivationFunctionType
_FLOAT32 = schema.TensorType.FLOAT32
_FLOAT16 = schema.TensorType.FLOAT16

# Operators that can leave the range of their inputs, so that the limits of a
# quantized output may stand for an activation function.
_CLAMPING = {
    _OPERATOR.ADD,
    _OPERATOR.CONV_2D,
    _OPERATOR.DEPTHWISE_CONV_2D,
    _OPERATOR.FULLY_CONNECTED,
    _OPERATOR.MUL,
    _OPERATOR.SUB,
}

# Operators whose version 1 computes in float32; quantized files state later ones,
# which older interpreters refuse.
# Source: tensorflow/lite/tools/versioning/op_version.cc.
_FLOAT_SINCE_VERSION_1 = _CLAMPING | {
    _OPERATOR.AVERAGE_POOL_2D,
    _OPERATOR.CONCATENATION,
    _OPERATOR.LOGISTIC,
    _OPERATOR.MAX_POOL_2D,
    _OPERATOR.MEAN,
    _OPERATOR.PAD,
    _OPERATOR.RELU,
    _OPERATOR.RELU6,
    _OPERATOR.RESHAPE,
    _OPERATOR.SOFTMAX,
}


@dataclass(frozen=True)
class Quantization:
    """How the integers of a tensor become numbers: `(q - zero_point) * scale`.

    Attributes:
        tensor_type: The `schema.TensorType` of the integers.
        scale: float64, one value or one per channel.
        zero_point: int64, one value or one per channel.
        dimension: The axis of the channels.
    """

    tensor_type: int
    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]
    dimension: int

    @property
    def lowest(self) -> float:
        """The smallest number that an 8-bit tensor can hold."""
        return float(self._value(BYTE_LIMITS[self.tensor_type][0]))

    @property
    def highest(self) -> float:
        """The largest number that an 8-bit tensor can hold."""
        return float(self._value(BYTE_LIMITS[self.tensor_type][1]))

    @property
    def is_raw(self) -> bool:
        """Whether each integer stands for itself."""
        return bool((self.scale == 1.0).all() and (self.zero_point == 0).all())

    def _value(self, integer: int) -> np.float64:
        value: np.float64 = (integer - self.zero_point[0]) * self.scale[0]
        return value


def quantization(model: Model, tensor_index: int) -> Quantization | None:
    """Return how a tensor of the first subgraph is quantized; None if it is not.

    Raises:
        ModelError: The parameters are not a scale and zero point, or a list of them
            that fits the tensor's shape.
    """
    tensor = model.subgraphs[0].tensors[tensor_index]
    parameters = tensor.quantization
    if parameters is None or parameters.scale is None or not len(parameters.scale):
        return None
    scale = np.asarray(parameters.scale, np.float64)
    zero_point = np.zeros(1, np.int64)
    if parameters.zeroPoint is not None and len(parameters.zeroPoint):
        zero_point = np.asarray(parameters.zeroPoint, np.int64)
    shape, dimension = tensor_shape(model, tensor_index), parameters.quantizedDimension
    channels = shape[dimension] if 0 <= dimension < len(shape) else 1
    sizes = {len(scale), len(zero_point)}
    if parameters.detailsType or not sizes <= {1, channels} or not scale.min() > 0:
        raise ModelError(
            "Expected one scale and zero point per tensor or per channel. Received: "
            f"{len(scale)} scales and {len(zero_point)} zero points for the tensor "
            f"{tensor.name!r} of shape {shape}."
        )
    return Quantization(int(tensor.type), scale, zero_point, int(dimension))


def dequantize(model: Model) -> str | None:
    """Turn all quantized and float16 tensors of the first subgraph into float32.

    QUANTIZE and DEQUANTIZE operators go. Fused activation functions stay; where
    only the limits of a quantized output stand for one (from 0 up: ReLU, or ReLU6
    if they end at 6), it is written out. Other limits are the range that was seen in
    calibration, not part of the network, and go.

    Returns:
        What was found, for a message: "uint8", "int8", "int8 weights" and so on;
        None for a float graph, which stays as it is but for stale parameters.

    Raises:
        ModelError: Quantized in a way that has no float equivalent here.
    """
    graph = model.subgraphs[0]
    kind = _kind(model)
    before = {index: quantization(model, index) for index in range(len(graph.tensors))}
    if kind is not None:
        _write_out_activations(model, before)
        for index in range(len(graph.tensors)):
            _widen(model, index, before[index])
        _drop_conversions(model, before)
        for operator in graph.operators:
            _lower_version(model, operator)
        prune(model)
    for tensor in graph.tensors:
        tensor.quantization = None
    return kind


def _kind(model: Model) -> str | None:
    """Name what is quantized: activations rather than weights, inner ones first."""
    graph = model.subgraphs[0]
    ends = {*graph.inputs, *graph.outputs}
    found: dict[int, str] = {}
    for index, tensor in enumerate(graph.tensors):
        name = type_name(tensor.type).lower()
        if tensor.type == _FLOAT16:
            found.setdefault(3, "float16 weights")
        elif tensor.type in BYTE_LIMITS and quantization(model, index) is not None:
            if is_constant(model, index):
                found.setdefault(2, f"{name} weights")
            else:
                found.setdefault(1 if index in ends else 0, name)
    return found[min(found)] if found else None


def _activation(limits: Quantization | None) -> int:
    """Return the activation function that the limits of a tensor stand for."""
    if limits is None or limits.tensor_type not in BYTE_LIMITS or limits.lowest != 0.0:
        return int(_ACTIVATION.NONE)
    if abs(limits.highest - 6.0) <= limits.scale[0]:
        return int(_ACTIVATION.RELU6)
    return int(_ACTIVATION.RELU)


def _write_out_activations(
    model: Model, before: dict[int, Quantization | None]
) -> None:
    graph = model.subgraphs[0]
    for operator in graph.operators:
        builtin = builtin_operator(model, operator.opcodeIndex)
        options = operator.builtinOptions
        if builtin in _CLAMPING and options is not None:
            limit = _activation(before[operator.outputs[0]])
            fused = options.fusedActivationFunction
            if fused == _ACTIVATION.NONE or limit == _ACTIVATION.RELU6 != fused:
                options.fusedActivationFunction = limit or fused
        elif builtin == _OPERATOR.QUANTIZE and operator.inputs[0] not in graph.inputs:
            limit = _activation(before[operator.outputs[0]])
            if limit not in (_ACTIVATION.NONE, _activation(before[operator.inputs[0]])):
                relu6 = limit == _ACTIVATION.RELU6
                new = _OPERATOR.RELU6 if relu6 else _OPERATOR.RELU
                operator.opcodeIndex = operator_code(model, new)
                operator.builtinOptionsType = schema.BuiltinOptions.NONE
                operator.builtinOptions = None


def _widen(model: Model, index: int, parameters: Quantization | None) -> None:
    """Turn one tensor into float32, its constant value included."""
    tensor = model.subgraphs[0].tensors[index]
    if tensor.type != _FLOAT16 and (
        parameters is None or tensor.type not in (*BYTE_LIMITS, schema.TensorType.INT32)
    ):
        return
    values = constant(model, index)
    if values is not None:
        buffer = schema.BufferT()  # the old one may serve another tensor, too
        floats = _dequantized(values, parameters)
        buffer.data = np.frombuffer(floats.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    tensor.type = _FLOAT32


def _dequantized(
    values: NDArray[Any], parameters: Quantization | None
) -> NDArray[np.float32]:
    if parameters is None:  # float16
        return values.astype(np.float32)
    shape = [1] * values.ndim
    if values.ndim:
        shape[parameters.dimension if len(parameters.scale) > 1 else 0] = -1
    zero_point = parameters.zero_point.reshape(shape)
    scaled = (values.astype(np.int64) - zero_point) * parameters.scale.reshape(shape)
    return scaled.astype(np.float32)


def _drop_conversions(model: Model, before: dict[int, Quantization | None]) -> None:
    """Take out the operators that only changed the type."""
    graph = model.subgraphs[0]
    replacements: dict[int, int] = {}
    for operator in graph.operators:
        builtin = builtin_operator(model, operator.opcodeIndex)
        if builtin == _OPERATOR.CAST:  # reads the integers as they are
            parameters = before[operator.inputs[0]]
            target = graph.tensors[operator.outputs[0]].type
            if parameters is None or target != _FLOAT32:
                continue
            if not parameters.is_raw:
                raise ModelError(
                    "Expected a quantized model without CAST of quantized numbers. "
                    f"Received: one of {graph.tensors[operator.inputs[0]].name!r}."
                )
        elif builtin not in (_OPERATOR.QUANTIZE, _OPERATOR.DEQUANTIZE):
            continue
        replacements[operator.outputs[0]] = operator.inputs[0]
    replace_tensors(graph, replacements)


def _lower_version(model: Model, operator: Operator) -> None:
    """State the operator version that float32 needs, and no integer options."""
    options = operator.builtinOptions
    for name in ("asymmetricQuantizeInputs", "quantizedBiasType"):
        if hasattr(options, name):
            setattr(options, name, type(getattr(options, name))(0))
    builtin = builtin_operator(model, operator.opcodeIndex)
    if builtin not in _FLOAT_SINCE_VERSION_1:
        return
    version = 1
    if builtin == _OPERATOR.FULLY_CONNECTED:
        no_bias = len(operator.inputs) < 3 or operator.inputs[2] < 0
        version = 6 if no_bias else 5 if options.keepNumDims else 1
    elif builtin == _OPERATOR.DEPTHWISE_CONV_2D:
        version = 2 if options.dilationWFactor * options.dilationHFactor > 1 else 1
    elif builtin == _OPERATOR.CONV_2D:
        depths = [tensor_shape(model, index)[-1] for index in operator.inputs[:2]]
        version = 6 if depths[0] != depths[1] else 1  # 6: groups
    operator.opcodeIndex = operator_code(model, builtin, version)
