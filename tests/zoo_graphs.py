"""Tiny image networks as `.tflite` bytes, and a way to run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeclf.zoo.graph import add_operator, add_tensor, pack_model, schema

NUM_CLASSES, CHANNELS, SIZE = 5, 6, 8

Operator = schema.BuiltinOperator
Type = schema.TensorType
Activation = schema.ActivationFunctionType

RNG = np.random.default_rng(7)
KERNEL = RNG.normal(size=(CHANNELS, 2, 2, 3)).astype(np.float32)
KERNEL_BIAS = RNG.normal(size=CHANNELS).astype(np.float32)
WEIGHTS = RNG.normal(size=(NUM_CLASSES, CHANNELS)).astype(np.float32)
BIAS = RNG.normal(size=NUM_CLASSES).astype(np.float32)


def empty_model() -> Any:
    model = schema.ModelT()
    model.version = 3
    model.description = b"made for a test"
    model.operatorCodes, model.buffers = [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    model.subgraphs = [graph]
    return model


@dataclass
class Builder:
    """Chains operators; `last` is the tensor that the next one reads."""

    model: Any = field(default_factory=empty_model)
    last: int = -1

    @property
    def graph(self) -> Any:
        return self.model.subgraphs[0]

    def image(self, shape: Sequence[int] = (1, SIZE, SIZE, 3), **kind: Any) -> Builder:
        self.last = self.tensor("input", shape, **kind)
        self.graph.inputs.append(self.last)
        return self

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        *,
        tensor_type: int = Type.FLOAT32,
        data: Any = None,
        scale: Any = None,
        zero_point: Any = 0,
        dimension: int = 0,
    ) -> int:
        index = add_tensor(
            self.model, name, tuple(shape), data=data, tensor_type=tensor_type
        )
        if scale is not None:
            parameters = schema.QuantizationParametersT()
            parameters.scale = np.atleast_1d(np.float32(scale))
            zero_points = np.broadcast_to(zero_point, parameters.scale.shape)
            parameters.zeroPoint = zero_points.astype(np.int64)
            parameters.quantizedDimension = dimension
            self.graph.tensors[index].quantization = parameters
        return index

    def const(self, values: Any, tensor_type: int = Type.FLOAT32, **kind: Any) -> int:
        values = np.asarray(values)
        return self.tensor(
            "const", values.shape, data=values, tensor_type=tensor_type, **kind
        )

    def integers(self, *values: int) -> int:
        return self.const(np.array(values, np.int32), Type.INT32)

    def apply(
        self,
        name: str,
        shape: Sequence[int],
        *parameters: int,
        version: int = 1,
        inputs: list[int] | None = None,
        kind: dict[str, Any] | None = None,
        options: str = "",
        **values: Any,
    ) -> Builder:
        """Append an operator; further keywords are fields of its options table."""
        table = getattr(schema, f"{options}T")() if options else None
        for key, value in values.items():
            assert hasattr(table, key), key
            setattr(table, key, value)
        output = self.tensor(name.lower(), shape, **(kind or {}))
        add_operator(
            self.model,
            getattr(Operator, name),
            [self.last, *parameters] if inputs is None else inputs,
            [output],
            options_type=getattr(schema.BuiltinOptions, options or "NONE"),
            options=table,
            version=version,
        )
        self.last = output
        return self

    def body(self, activation: int = Activation.RELU6) -> Builder:
        """(1, 8, 8, 3) → a 2x2 convolution of stride 2 → (1, 4, 4, CHANNELS)."""
        weights, bias = self.const(KERNEL), self.const(KERNEL_BIAS)
        half = SIZE // 2
        return self.convolve((1, half, half, CHANNELS), weights, bias, 2, activation)

    def convolve(
        self,
        shape: Sequence[int],
        weights: int,
        bias: int,
        stride: int = 1,
        activation: int = Activation.NONE,
        **more: Any,
    ) -> Builder:
        return self.apply(
            "CONV_2D",
            shape,
            weights,
            bias,
            options="Conv2DOptions",
            padding=schema.Padding.VALID,
            strideW=stride,
            strideH=stride,
            fusedActivationFunction=activation,
            **more,
        )

    def mean(self, depth: int = CHANNELS, **more: Any) -> Builder:
        axes = self.integers(1, 2)
        return self.apply("MEAN", (1, depth), axes, options="ReducerOptions", **more)

    def pool(self, depth: int = CHANNELS) -> Builder:
        return self.apply(
            "AVERAGE_POOL_2D",
            (1, 1, 1, depth),
            options="Pool2DOptions",
            padding=schema.Padding.VALID,
            strideW=2,
            strideH=2,
            filterWidth=SIZE // 2,
            filterHeight=SIZE // 2,
        )

    def reshape(self, *shape: int, **more: Any) -> Builder:
        return self.apply("RESHAPE", shape, self.integers(*shape), **more)

    def connect(self, activation: int = Activation.NONE) -> Builder:
        return self.apply(
            "FULLY_CONNECTED",
            (1, NUM_CLASSES),
            self.const(WEIGHTS),
            self.const(BIAS),
            options="FullyConnectedOptions",
            fusedActivationFunction=activation,
        )

    def softmax(self, **more: Any) -> Builder:
        options = "SoftmaxOptions"
        shape = (1, NUM_CLASSES)
        return self.apply("SOFTMAX", shape, options=options, beta=1.0, **more)

    def output(self) -> Builder:
        self.graph.outputs.append(self.last)
        return self

    def content(self) -> bytes:
        if not self.graph.outputs:
            self.output()
        return pack_model(self.model)


def random_image(seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).uniform(-1, 1, (1, SIZE, SIZE, 3))
    return values.astype(np.float32)


def run(content: bytes, image: NDArray[Any]) -> NDArray[Any]:
    """Return the first output for one input, in the file's own dtypes."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def expected_map(
    image: NDArray[np.float32],
    kernel: NDArray[Any] = KERNEL,
    bias: NDArray[Any] = KERNEL_BIAS,
    limits: tuple[float, float] = (0.0, 6.0),
) -> NDArray[np.float64]:
    """What `Builder.body` computes, in NumPy: shape (4, 4, CHANNELS)."""
    half = SIZE // 2
    patches = image[0].reshape(half, 2, half, 2, 3).transpose(0, 2, 1, 3, 4)
    columns = patches.reshape(half, half, 12).astype(np.float64)
    return np.clip(columns @ kernel.reshape(len(kernel), 12).T + bias, *limits)


def expected_features(image: NDArray[np.float32]) -> NDArray[np.float64]:
    return expected_map(image).mean(axis=(0, 1))


def operator_names(content: bytes) -> list[str]:
    from edgeclf.zoo.graph import operator_name, read_model

    model = read_model(content)
    return [operator_name(model, one) for one in model.subgraphs[0].operators]


def changed(content: bytes, change: Callable[[Any], object]) -> bytes:
    """Return the file after `change` was made to its `ModelT`."""
    from edgeclf.zoo.graph import read_model

    model = read_model(content)
    change(model)
    return pack_model(model)
