from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeclf import ModelError, image
from edgeclf.input_tensor import InputTensor
from edgeclf.model_info import ModelInfo
from edgeclf.network import open_network
from edgeclf.tflite.graph import Graph

PICTURE = np.random.default_rng(8).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def real_image(content: bytes, **options: Any) -> np.ndarray:
    """What the graph sees of `PICTURE`: its input, dequantized."""
    _, _, _, network = open_network(
        content, outputs=lambda content, _: [_image(content)], **options
    )
    (values,) = network.run(PICTURE)
    assert values.shape == (1, 8, 6, 3)
    return values[0]


def _image(content: bytes) -> int:
    graph = Graph(content)
    return graph.tensor_named("real_image" if b"real_image" in content else "image")


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ([127.5], [127.5]),
        ([0.0], [255.0]),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    ],
)
def test_float_input_gets_the_normalised_pixels(
    mean: list[float], std: list[float]
) -> None:
    expected = (PICTURE - np.float32(mean)) / np.float32(std)
    for content, options in (
        (models.build(), {"input_mean": mean, "input_std": std}),
        (models.with_metadata(models.build(), mean=mean, std=std), {}),
    ):
        np.testing.assert_array_equal(real_image(content, **options), expected)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_integers_get_raw_pixels_where_nothing_is_said(input_type: str) -> None:
    low = np.iinfo(input_type).min
    content = models.build(input_type=input_type, input_quantization=(0.5, low + 10))
    expected = 0.5 * (PICTURE.astype(np.float32) - 10)
    np.testing.assert_array_equal(real_image(content), expected)


@pytest.mark.parametrize("input_type", ["uint8", "int8", "int16"])
@pytest.mark.parametrize(
    ("mean", "std"), [([127.5], [127.5]), ([124.0, 116.0, 104.0], [58.0, 57.0, 59.0])]
)
def test_integers_get_what_scale_and_zero_point_say(
    input_type: str, mean: list[float], std: list[float]
) -> None:
    limits = np.iinfo(input_type)
    # The range of these inputs is not that of the pixels: raw ones would be wrong.
    scale = 6 / (limits.max - limits.min)
    zero_point = 0 if input_type == "int16" else limits.min + 120
    content = models.build(
        input_type=input_type, input_quantization=(scale, zero_point)
    )
    content = models.with_metadata(content, mean=mean, std=std)
    real = (PICTURE - np.array(mean)) / np.array(std)
    low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
    np.testing.assert_allclose(
        real_image(content), real.clip(low, high), atol=0.51 * scale
    )


def test_steps_alone_do_what_run_does() -> None:
    _, _, _, network = open_network(models.own())
    expected = network.run(PICTURE)
    network.feed(image.load(PICTURE, (8, 6)))
    network.invoke()
    np.testing.assert_array_equal(network.outputs(), expected)
    assert network.output_shapes == [(1, 3)]


def test_pixels_of_another_size_are_refused() -> None:
    _, _, _, network = open_network(models.own())
    with pytest.raises(ValueError, match=r"of the size \(8, 6\). Received: shape=\(5"):
        network.feed(np.zeros((5, 6, 3), np.uint8))


def test_outputs_keep_their_shapes_and_order() -> None:
    content = models.own(convolution=True, outputs=("bottleneck", "scores", "image"))
    name, _, info, network = open_network(content)
    assert name == "the model"
    assert info.labels == models.COLORS
    shapes = [values.shape for values in network.run(PICTURE)]
    assert shapes == network.output_shapes == [(1, 1, 1, 3), (1, 3), (1, 8, 6, 3)]


def test_model_that_is_not_as_dynamic_as_it_says_is_refused() -> None:
    content = models.own(input_shape=(1, 1, 3), input_signature=(-1, -1, 3))
    sentence = (
        r"refuses the model: .* picture of the size \(224, 224\): give input_size="
    )
    with pytest.raises(ModelError, match=f"(?s){sentence}"):
        open_network(content)  # its RESHAPE knows one size only
    _, _, _, network = open_network(content, input_size=(1, 1))
    (scores,) = network.run(PICTURE)
    assert scores.shape == (1, 3)


@pytest.mark.parametrize("shape", [(1, 0, 6, 3), (1, 8, 0, 3), (0, 6, 3)])
def test_input_without_pixels_is_refused(shape: tuple[int, ...]) -> None:
    content = models.build(input_type="uint8", input_shape=shape)
    with pytest.raises(ModelError):
        open_network(content)
    details = {"index": 0, "shape": np.array(shape), "shape_signature": np.array(shape)}
    with pytest.raises(ModelError, match=r"Expected an input of shape .* Received: "):
        InputTensor([details], ModelInfo())


def test_checksum_is_no_proof_that_a_model_is_sound() -> None:
    """Whoever writes a hostile file can compute its checksum too."""
    model = schema.ModelT.InitFromPackedBuf(models.build(), 0)
    layer = model.subgraphs[0].operators[1]
    layer.inputs = [layer.inputs[0], -1, -1]  # no weights
    damaged = models.pack(model)
    damaged += bytes(-len(damaged) % 4)
    files = {
        "labels.txt": "r\ng\nb\n",
        "edgeclf.json": json.dumps(models.record(crc32=zlib.crc32(damaged))),
    }
    with pytest.raises(ModelError):
        open_network(models.with_files(damaged, files))


def test_missing_path_stays_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.tflite"):
        open_network(tmp_path / "missing.tflite")


def test_results_are_the_callers_own() -> None:
    """A view into the interpreter would change with the next picture, or stop it."""
    _, _, _, network = open_network(models.own())
    first = network.run(PICTURE)
    kept = [values.copy() for values in first]
    network.run(255 - PICTURE)
    np.testing.assert_array_equal(first, kept)


def test_names_that_are_not_utf8_are_the_models_error() -> None:
    content = models.build().replace(b"image", b"\xb6mage")
    with pytest.raises(ModelError, match="A tensor's name is not UTF-8"):
        open_network(content)
