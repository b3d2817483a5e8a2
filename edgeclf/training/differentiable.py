"""The graph of a float `.tflite` backbone as a function that TensorFlow can derive.

Batch norms are folded into the convolutions of such a file: their statistics stay what
they are, whatever is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.zoo import graph
from edgeclf.zoo.graph import schema

_OPERATOR = schema.BuiltinOperator
_ACTIVATION = schema.ActivationFunctionType

Array: TypeAlias = Any  # a tensor of TensorFlow, which is untyped
Step: TypeAlias = "Callable[[list[Array]], Array]"

LAYERS = {  # operators with weights to train: the axis of their output channels
    _OPERATOR.CONV_2D: 0,
    _OPERATOR.DEPTHWISE_CONV_2D: 3,
    _OPERATOR.FULLY_CONNECTED: 0,
}


class DifferentiableGraph:
    """A backbone's graph, called with weights of the caller's choice.

    Args:
        content: A float `.tflite` file with one input and one output whose first
            dimension is 1; the function takes any number of pictures.
        tensorflow: The package.

    Attributes:
        weights: Weights and biases of the layers, by tensor, in graph order, float32.
        channel_axes: The axis of output channels of each of them.
        sides: The longer side of the map that the layer of each makes; 1 for none.

    Raises:
        ModelError: The graph holds an operator that is not known here.
    """

    def __init__(self, content: bytes, tensorflow: Any) -> None:
        self._tf = tensorflow
        self._model = graph.read_model(content)
        subgraph = self._model.subgraphs[0]
        self._input, self._output = int(subgraph.inputs[0]), int(subgraph.outputs[0])
        self.weights: dict[int, NDArray[np.float32]] = {}
        self.channel_axes: dict[int, int] = {}
        self.sides: dict[int, int] = {}
        self._constants: dict[int, Array] = {}
        self._steps: list[tuple[Step, list[int], int]] = []
        for operator in subgraph.operators:
            inputs = [index for index in operator.inputs if index >= 0]
            step = _Operators(self._tf, self._model, operator).step()
            self._steps.append((step, inputs, int(operator.outputs[0])))
            self._collect(operator, inputs)

    def _collect(self, operator: Any, inputs: list[int]) -> None:
        """Sort the operator's constants into weights and what stays as it is."""
        builtin = graph.builtin_operator(self._model, operator.opcodeIndex)
        shape = graph.tensor_shape(self._model, int(operator.outputs[0]))
        for place, index in enumerate(inputs):
            value = graph.constant(self._model, index)
            if value is None:
                continue
            if builtin in LAYERS and place in (1, 2):
                self.weights[index] = value.astype(np.float32)
                self.channel_axes[index] = LAYERS[builtin] if place == 1 else 0
                self.sides[index] = max(shape[1:3]) if len(shape) == 4 else 1
            else:
                self._constants[index] = self._tf.constant(value)

    def __call__(self, inputs: Array, weights: Mapping[int, Array]) -> Array:
        """Return the output `(n, ...)` for normalised pictures, differentiable.

        Args:
            inputs: float32 `(n, height, width, 3)`.
            weights: As the attribute `weights`.
        """
        values = {**self._constants, **weights, self._input: inputs}
        for step, indices, output in self._steps:
            values[output] = step([values[index] for index in indices])
        return values[self._output]

    def with_weights(self, weights: Mapping[int, NDArray[np.float32]]) -> bytes:
        """Return the `.tflite` file with other weights."""
        model = self._model
        tensors = model.subgraphs[0].tensors
        for index, value in weights.items():
            data = np.ascontiguousarray(value, np.float32)
            buffer = schema.BufferT()  # a new one: layers may share an old one
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            if sum(t.buffer == tensors[index].buffer for t in tensors) == 1:
                model.buffers[tensors[index].buffer] = buffer
            else:
                model.buffers.append(buffer)
                tensors[index].buffer = len(model.buffers) - 1
        return graph.pack_model(model)


class _Operators:
    """Translates one operator; each method of an operator's name returns its step.

    Source: the kernels of tensorflow/lite/kernels, whose functions are TensorFlow's
    own but for the layout of filters.
    """

    def __init__(self, tensorflow: Any, model: Any, operator: Any) -> None:
        self._tf, self._model, self._operator = tensorflow, model, operator
        self._options = operator.builtinOptions
        self._shape = graph.tensor_shape(model, int(operator.outputs[0]))

    def step(self) -> Step:
        """Return the function from the inputs to the output.

        Raises:
            ModelError: The operator is not known here.
        """
        name = graph.operator_name(self._model, self._operator)
        translate = getattr(self, f"_{name.lower()}", None)
        if translate is None:
            raise ModelError(
                "Expected a backbone of operators that can be trained. Received: one "
                f"with {name}. Leave out --fine_tune, or use another --architecture."
            )
        step: Step = translate()
        return step

    def _constant(self, place: int) -> NDArray[Any]:
        value = graph.constant(self._model, int(self._operator.inputs[place]))
        if value is None:
            name = graph.operator_name(self._model, self._operator)
            raise ModelError(
                f"Expected a constant as input {place} of each {name}, to train the "
                "backbone. Received: one that is computed."
            )
        return value

    def _activated(self, step: Step) -> Step:
        """Return the step followed by the activation that is fused into it."""
        tf = self._tf
        number = self._options.fusedActivationFunction if self._options else 0
        functions = {
            _ACTIVATION.NONE: None,
            _ACTIVATION.RELU: tf.nn.relu,
            _ACTIVATION.RELU6: tf.nn.relu6,
            _ACTIVATION.RELU_N1_TO_1: lambda x: tf.clip_by_value(x, -1.0, 1.0),
            _ACTIVATION.TANH: tf.tanh,
        }
        if number not in functions:
            raise ModelError(
                "Expected activations that can be trained in the backbone. Received: "
                f"number {number} of ActivationFunctionType."
            )
        function = functions[number]
        return step if function is None else lambda values: function(step(values))

    @property
    def _padding(self) -> str:
        return "SAME" if self._options.padding == schema.Padding.SAME else "VALID"

    def _conv_2d(self) -> Step:
        tf, options, padding = self._tf, self._options, self._padding
        depth = graph.tensor_shape(self._model, int(self._operator.inputs[0]))[3]
        if self._constant(1).shape[3] != depth:
            raise ModelError(
                "Expected convolutions over all channels, to train the backbone. "
                "Received: one in groups."
            )

        def step(values: list[Array]) -> Array:
            filters = tf.transpose(values[1], (1, 2, 3, 0))  # in TFLite outputs first
            maps = tf.nn.conv2d(
                values[0],
                filters,
                (options.strideH, options.strideW),
                padding,
                dilations=(options.dilationHFactor, options.dilationWFactor),
            )
            return maps + values[2] if len(values) > 2 else maps

        return self._activated(step)

    def _depthwise_conv_2d(self) -> Step:
        tf, options, padding = self._tf, self._options, self._padding
        _, height, width, channels = self._constant(1).shape
        depth = graph.tensor_shape(self._model, int(self._operator.inputs[0]))[3]

        def step(values: list[Array]) -> Array:
            maps = tf.nn.depthwise_conv2d(
                values[0],
                tf.reshape(values[1], (height, width, depth, channels // depth)),
                (1, options.strideH, options.strideW, 1),
                padding,
                dilations=(options.dilationHFactor, options.dilationWFactor),
            )
            return maps + values[2] if len(values) > 2 else maps

        return self._activated(step)

    def _fully_connected(self) -> Step:
        tf, shape = self._tf, (-1, *self._shape[1:])
        depth = self._constant(1).shape[1]

        def step(values: list[Array]) -> Array:
            rows = tf.reshape(values[0], (-1, depth))
            result = tf.matmul(rows, values[1], transpose_b=True)
            return tf.reshape(result + values[2] if len(values) > 2 else result, shape)

        return self._activated(step)

    def _add(self) -> Step:
        return self._activated(lambda values: values[0] + values[1])

    def _sub(self) -> Step:
        return self._activated(lambda values: values[0] - values[1])

    def _mul(self) -> Step:
        return self._activated(lambda values: values[0] * values[1])

    def _div(self) -> Step:
        return self._activated(lambda values: values[0] / values[1])

    def _concatenation(self) -> Step:
        tf, axis = self._tf, self._options.axis
        fixed = [graph.is_constant(self._model, i) for i in self._operator.inputs]

        def step(values: list[Array]) -> Array:
            count = tf.shape(values[fixed.index(False)])[0]
            parts = [  # a constant stands there for one picture
                tf.repeat(value, count, axis=0) if constant else value
                for value, constant in zip(values, fixed, strict=True)
            ]
            return tf.concat(parts, axis)

        return self._activated(step)

    def _pool(self, function: Callable[..., Array]) -> Step:
        options, padding = self._options, self._padding
        window = (options.filterHeight, options.filterWidth)
        strides = (options.strideH, options.strideW)
        return self._activated(
            lambda values: function(values[0], window, strides, padding)
        )

    def _average_pool_2d(self) -> Step:
        return self._pool(self._tf.nn.avg_pool2d)

    def _max_pool_2d(self) -> Step:
        return self._pool(self._tf.nn.max_pool2d)

    def _mean(self) -> Step:
        axes = [int(axis) for axis in np.atleast_1d(self._constant(1))]
        keep = bool(self._options.keepDims)
        return lambda values: self._tf.reduce_mean(values[0], axes, keep)

    def _pad(self) -> Step:
        margins = self._constant(1)
        return lambda values: self._tf.pad(values[0], margins)

    def _padv2(self) -> Step:
        margins, filler = self._constant(1), float(self._constant(2))
        return lambda values: self._tf.pad(values[0], margins, constant_values=filler)

    def _reshape(self) -> Step:
        shape = (-1, *self._shape[1:])
        return lambda values: self._tf.reshape(values[0], shape)

    _squeeze = _expand_dims = _reshape

    def _relu(self) -> Step:
        return lambda values: self._tf.nn.relu(values[0])

    def _relu6(self) -> Step:
        return lambda values: self._tf.nn.relu6(values[0])

    def _leaky_relu(self) -> Step:
        slope = float(self._options.alpha)
        return lambda values: self._tf.nn.leaky_relu(values[0], slope)

    def _prelu(self) -> Step:
        zero = 0.0
        return lambda values: (
            self._tf.maximum(values[0], zero)
            + values[1] * self._tf.minimum(values[0], zero)
        )

    def _logistic(self) -> Step:
        return lambda values: self._tf.sigmoid(values[0])

    def _tanh(self) -> Step:
        return lambda values: self._tf.tanh(values[0])

    def _hard_swish(self) -> Step:
        relu6 = self._tf.nn.relu6
        return lambda values: values[0] * relu6(values[0] + 3.0) / 6.0
