"""A real backbone of one convolution, and folders of coloured pictures for it."""

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
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = [], []
    model.subgraphs = [subgraph]
    source = np.random.default_rng(3)
    filters = source.normal(0, 0.6, (DEPTH, 3, 3, 3)).astype(np.float32)
    image = graph.add_tensor(model, "image", (1, SIDE, SIDE, 3))
    weights = graph.add_tensor(model, "weights", filters.shape, data=filters)
    bias = graph.add_tensor(model, "bias", (DEPTH,), data=np.full(DEPTH, 0.5))
    maps = graph.add_tensor(model, "maps", (1, SIDE // 2, SIDE // 2, DEPTH))
    axes = graph.add_tensor(
        model, "axes", (2,), data=np.array([1, 2]), tensor_type=schema.TensorType.INT32
    )
    features = graph.add_tensor(model, "features", (1, DEPTH))
    convolution = schema.Conv2DOptionsT()
    convolution.strideH = convolution.strideW = 2
    convolution.padding = schema.Padding.SAME
    convolution.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    graph.add_operator(
        model,
        schema.BuiltinOperator.CONV_2D,
        [image, weights, bias],
        [maps],
        options_type=schema.BuiltinOptions.Conv2DOptions,
        options=convolution,
    )
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
    return Backbone(
        "tiny", backbone_file(), (SIDE, SIDE), 127.5, 127.5, DEPTH, "made by a test"
    )


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
