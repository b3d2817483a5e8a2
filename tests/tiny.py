"""Real backbones of one and of five convolutions, and folders of coloured pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from edgeclf.zoo import graph
from edgeclf.zoo.backbone import Backbone

SIDE, DEPTH = 32, 8
COLORS = {"blue": (40, 60, 200), "green": (60, 180, 50), "red": (210, 50, 40)}


def backbone_file() -> bytes:
    """CONV_2D 3 x 3, stride 2, ReLU6; MEAN: input (1, 32, 32, 3), output (1, 8)."""
    return _file([(2, DEPTH)])


def deep_backbone_file() -> bytes:
    """The same with five convolutions: maps of 16, 8, 4, 4 and 2 places a side."""
    return _file([(2, 6), (2, 8), (2, 10), (1, 12), (2, 16)])


def _file(layers: list[tuple[int, int]]) -> bytes:
    """Convolutions of these strides and depths, and the mean over the last map."""
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = [], []
    model.subgraphs = [subgraph]
    source = np.random.default_rng(3)
    image = maps = graph.add_tensor(model, "image", (1, SIDE, SIDE, 3))
    side, depth = SIDE, 3
    for number, (stride, width) in enumerate(layers):
        end = str(number or "")
        shape = (width, 3, 3, depth)
        filters = source.normal(0, 0.6 * (3 / depth) ** 0.5, shape).astype(np.float32)
        weights = graph.add_tensor(model, f"weights{end}", shape, data=filters)
        bias = graph.add_tensor(model, f"bias{end}", (width,), data=np.full(width, 0.5))
        side, depth = side // stride, width
        before = maps
        maps = graph.add_tensor(model, f"maps{end}", (1, side, side, depth))
        convolution = schema.Conv2DOptionsT()
        convolution.strideH = convolution.strideW = stride
        convolution.padding = schema.Padding.SAME
        convolution.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        graph.add_operator(
            model,
            schema.BuiltinOperator.CONV_2D,
            [before, weights, bias],
            [maps],
            options_type=schema.BuiltinOptions.Conv2DOptions,
            options=convolution,
        )
    axes = graph.add_tensor(
        model, "axes", (2,), data=np.array([1, 2]), tensor_type=schema.TensorType.INT32
    )
    features = graph.add_tensor(model, "features", (1, depth))
    graph.add_operator(
        model,
        schema.BuiltinOperator.MEAN,
        [maps, axes],
        [features],
        options_type=schema.BuiltinOptions.ReducerOptions,
        options=schema.ReducerOptionsT(),
    )
    subgraph.inputs, subgraph.outputs = [image], [features]
    return graph.pack_model(model)


def backbone() -> Backbone:
    return _backbone("tiny", backbone_file(), DEPTH)


def deep_backbone() -> Backbone:
    return _backbone("deep", deep_backbone_file(), 16)


def _backbone(name: str, content: bytes, depth: int) -> Backbone:
    return Backbone(name, content, (SIDE, SIDE), 127.5, 127.5, depth, "made by a test")


def pixels(color: str, seed: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    """A noisy picture of one colour, uint8 (height, width, 3)."""
    source = np.random.default_rng([seed, sum(COLORS[color])])
    coarse = source.normal(0, 55, (6, 6, 3))  # patches, so that pictures differ
    patches = np.kron(coarse, np.ones((-(-size[1] // 6), -(-size[0] // 6), 1)))
    values = np.array(COLORS[color]) + patches[: size[1], : size[0]]
    return np.clip(values, 0, 255).astype(np.uint8)


def write_folder(folder: Path, counts: Mapping[str, int] | int = 12) -> Path:
    """Write class folders of noisy pictures, PNG and JPEG in turn."""
    if isinstance(counts, int):
        counts = dict.fromkeys(COLORS, counts)
    for color, count in counts.items():
        (folder / color).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            ending = "jpg" if number % 2 else "png"
            path = folder / color / f"{number:03}.{ending}"
            Image.fromarray(pixels(color, number)).save(path)
    return folder
