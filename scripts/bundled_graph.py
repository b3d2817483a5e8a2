"""The graph of torchvision's MobileNetV2 up to its features, as a `.tflite` file.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", table 2; layer names, padding and epsilon as in torchvision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeclf.zoo import graph

NAME = "mobilenet_v2_1.00_224_torchvision"
DESCRIPTION = (
    f"{NAME}: the 1280 ImageNet features of torchvision's MobileNetV2 "
    "(mobilenet_v2-b0353104.pth). Input: RGB, (pixel - 127.5) / 127.5. "
    "BSD-3-Clause, Copyright (c) Soumith Chintala 2016."
)

INPUT_SIZE = (224, 224)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])  # of pixel / 255, RGB
IMAGENET_STD = np.array([0.229, 0.224, 0.225])
BATCH_NORM_EPSILON = 1e-5
STAGES = (  # expansion, depth, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

Weights = Mapping[str, NDArray[Any]]
Convolution = tuple[NDArray[np.float64], NDArray[np.float64]]
NO_ACTIVATION = schema.ActivationFunctionType.NONE
RELU6 = schema.ActivationFunctionType.RELU6


def build_backbone(weights: Weights) -> bytes:
    """Return the feature extractor as a `.tflite` file.

    Args:
        weights: Arrays by torchvision's layer names; convolutions have the shape
            `(out, in, height, width)`.
    """
    network = _Network()
    image = network.tensor("input", (1, *INPUT_SIZE, 3))
    kernel, bias = fold_normalization(*fold(weights, "features.0.0", "features.0.1"))
    framed = network.frame(image, 2 * IMAGENET_MEAN - 1)
    hidden = network.convolution("stem", framed, (kernel, bias), stride=2)  # 112, 32
    index = 0
    for expansion, depth, blocks, first_stride in STAGES:
        for stride in (first_stride, *[1] * (blocks - 1)):
            index += 1
            hidden = _block(network, weights, index, hidden, expansion, stride, depth)
    last = fold(weights, "features.18.0", "features.18.1")
    hidden = network.convolution("last", hidden, last)  # 7, 7, 1280
    features = network.mean("features", hidden)
    return network.finish(image, features)


def _block(
    network: _Network,
    weights: Weights,
    index: int,
    source: int,
    expansion: int,
    stride: int,
    depth: int,
) -> int:
    """Append one inverted residual block and return its output tensor."""
    name, layer = f"block{index:02}", f"features.{index}.conv"
    hidden, position = source, 0
    if expansion != 1:
        expand = fold(weights, f"{layer}.0.0", f"{layer}.0.1")
        hidden, position = network.convolution(f"{name}/expand", hidden, expand), 1
    spatial = fold(weights, f"{layer}.{position}.0", f"{layer}.{position}.1")
    if stride == 2:
        hidden = network.pad(f"{name}/pad", hidden)
    hidden = network.depthwise(f"{name}/depthwise", hidden, spatial, stride)
    project = fold(weights, f"{layer}.{position + 1}", f"{layer}.{position + 2}")
    hidden = network.convolution(
        f"{name}/project", hidden, project, activation=NO_ACTIVATION
    )
    if stride == 1 and network.shape(source)[3] == depth:
        hidden = network.add(f"{name}/add", source, hidden)
    return hidden


def fold(weights: Weights, convolution: str, norm: str) -> Convolution:
    """Return kernel and bias of a convolution with its batch normalisation."""
    gain, shift, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = weights[f"{convolution}.weight"].astype(np.float64)
    return kernel * factor[:, None, None, None], shift - mean * factor


def fold_normalization(
    kernel: NDArray[np.float64], bias: NDArray[np.float64]
) -> Convolution:
    """Fold the ImageNet normalisation into the first convolution.

    The network wants z = (pixel / 255 - mean) / std and is given
    x = pixel / 127.5 - 1, so z = (x - (2 mean - 1)) / (2 std). The colour
    x = 2 mean - 1 is z = 0, the padding of the original.
    """
    kernel = kernel / (2 * IMAGENET_STD)[None, :, None, None]
    offsets = kernel * (2 * IMAGENET_MEAN - 1)[None, :, None, None]
    # fsum: the same on every machine, where np.sum may add in another order.
    return kernel, bias - np.array([math.fsum(offset.ravel()) for offset in offsets])


class _Network:
    """A `.tflite` graph under construction; tensors are known by their index."""

    def __init__(self) -> None:
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = DESCRIPTION
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]  # by convention the first is empty
        self.model.subgraphs = [subgraph]

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        data: Any = None,
        tensor_type: int = schema.TensorType.FLOAT32,
    ) -> int:
        """Append a tensor; constants are given with their `data`."""
        return graph.add_tensor(
            self.model, name, shape, data=data, tensor_type=tensor_type
        )

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(self.model.subgraphs[0].tensors[tensor].shape)

    def frame(self, source: int, colour: NDArray[np.float64]) -> int:
        """Put a row of one colour above the picture and a column to its left.

        A 3x3 convolution with stride 2 and padding (1, 1) on an even size never
        reads the padding below and to the right.
        """
        _, height, width, depth = self.shape(source)
        top, left = (1, 1, width, depth), (1, height + 1, 1, depth)
        row = self.tensor("top", top, np.broadcast_to(colour, top))
        column = self.tensor("left", left, np.broadcast_to(colour, left))
        tall = self.tensor("tall", (1, height + 1, width, depth))
        framed = self.tensor("framed", (1, height + 1, width + 1, depth))
        for inputs, output, axis in (
            ([row, source], tall, 1),
            ([column, tall], framed, 2),
        ):
            options = schema.ConcatenationOptionsT()
            options.axis = axis
            self._append("CONCATENATION", inputs, output, "Concatenation", options)
        return framed

    def pad(self, name: str, source: int) -> int:
        """Put a row of zeros above and a column to the left; see `frame`."""
        _, height, width, depth = self.shape(source)
        amounts = self.tensor(
            f"{name}/amounts",
            (4, 2),
            np.array([[0, 0], [1, 0], [1, 0], [0, 0]]),
            schema.TensorType.INT32,
        )
        output = self.tensor(name, (1, height + 1, width + 1, depth))
        self._append("PAD", [source, amounts], output, "Pad", schema.PadOptionsT())
        return output

    def convolution(
        self,
        name: str,
        source: int,
        folded: Convolution,
        *,
        stride: int = 1,
        activation: int = RELU6,
    ) -> int:
        """Append a convolution; one with stride 2 reads a picture already padded."""
        kernel = folded[0].transpose(0, 2, 3, 1)  # out, height, width, in
        options = schema.Conv2DOptionsT()
        inputs = self._filter(name, source, kernel, folded[1])
        output = self._spatial(name, source, len(folded[1]), stride, options)
        options.fusedActivationFunction = activation
        self._append("CONV_2D", inputs, output, "Conv2D", options)
        return output

    def depthwise(
        self, name: str, source: int, folded: Convolution, stride: int
    ) -> int:
        """Append a depthwise convolution with ReLU6; stride 2 as in `convolution`."""
        kernel = folded[0].transpose(1, 2, 3, 0)  # 1, height, width, channels
        options = schema.DepthwiseConv2DOptionsT()
        inputs = self._filter(name, source, kernel, folded[1])
        output = self._spatial(name, source, len(folded[1]), stride, options)
        options.fusedActivationFunction = RELU6
        options.depthMultiplier = 1
        self._append("DEPTHWISE_CONV_2D", inputs, output, "DepthwiseConv2D", options)
        return output

    def add(self, name: str, left: int, right: int) -> int:
        """Append a sum of two tensors of one shape."""
        output = self.tensor(name, self.shape(left))
        self._append("ADD", [left, right], output, "Add", schema.AddOptionsT())
        return output

    def mean(self, name: str, source: int) -> int:
        """Append the average over height and width."""
        axes = self.tensor(f"{name}/axes", (2,), [1, 2], schema.TensorType.INT32)
        output = self.tensor(name, (1, self.shape(source)[3]))
        options = schema.ReducerOptionsT()
        options.keepDims = False
        self._append("MEAN", [source, axes], output, "Reducer", options)
        return output

    def finish(self, image: int, features: int) -> bytes:
        """Declare input, output and signature; return the file."""
        subgraph = self.model.subgraphs[0]
        subgraph.inputs, subgraph.outputs = [image], [features]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs = [_named_tensor("input", image)]
        signature.outputs = [_named_tensor("features", features)]
        self.model.signatureDefs = [signature]
        return graph.pack_model(self.model)

    def _filter(
        self,
        name: str,
        source: int,
        kernel: NDArray[np.float64],
        bias: NDArray[np.float64],
    ) -> list[int]:
        """Append the constants of a convolution and return its three inputs."""
        return [
            source,
            self.tensor(f"{name}/kernel", kernel.shape, kernel),
            self.tensor(f"{name}/bias", bias.shape, bias),
        ]

    def _spatial(
        self, name: str, source: int, depth: int, stride: int, options: Any
    ) -> int:
        """Append a convolution's output tensor; set stride and padding."""
        _, height, width, _ = self.shape(source)
        padding = schema.Padding
        options.padding = padding.VALID if stride == 2 else padding.SAME
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        # A padded side is odd: (height - 3) // 2 + 1 is height // 2.
        return self.tensor(name, (1, height // stride, width // stride, depth))

    def _append(
        self, operator: str, inputs: list[int], output: int, kind: str, options: Any
    ) -> None:
        """Append an operator, all of version 1, with its options."""
        graph.add_operator(
            self.model,
            getattr(schema.BuiltinOperator, operator),
            inputs,
            [output],
            options_type=getattr(schema.BuiltinOptions, f"{kind}Options"),
            options=options,
        )


def _named_tensor(name: str, tensor: int) -> Any:
    """Return a signature's entry."""
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
