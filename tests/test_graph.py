from __future__ import annotations

import model_files as models
import numpy as np
import pytest

from edgeclf import ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.operators import SAME_VALUES, SOFTMAX


@pytest.mark.parametrize("output_type", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("output_shape", [None, (1, 1, 1, 3)])
def test_producer_is_found_behind_what_changes_no_value(
    output_type: str, output_shape: tuple[int, ...] | None
) -> None:
    content = models.build(output_type=output_type, output_shape=output_shape)
    graph = Graph(content)
    found = graph.producer(graph.outputs[0], SAME_VALUES)
    assert found is not None
    assert found.code == SOFTMAX
    assert graph.producer(graph.inputs[0]) is None


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("convolution", [False, True])
def test_bottleneck_becomes_a_second_output(outside: bool, convolution: bool) -> None:
    content = models.build(outside=outside, convolution=convolution)
    content += b"odd"  # what lies behind the flatbuffer need not be aligned
    graph = Graph(content)
    bottleneck = graph.bottleneck()
    assert bottleneck == graph.tensor_named(models.BOTTLENECK)
    changed = graph.with_outputs([*graph.outputs, bottleneck])
    assert changed.startswith(content[:8])
    interpreter = create_interpreter(changed)
    (source,) = interpreter.get_input_details()
    scores, vector = interpreter.get_output_details()
    pixels = np.full((1, 8, 6, 3), 0.5, np.float32)
    pixels[..., 2] = -0.25
    interpreter.set_tensor(source["index"], pixels)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(vector["index"]).reshape(-1), [0.5, 0.5, -0.25]
    )
    powers = np.exp(4 * np.array([0.5, 0.5, -0.25]))
    np.testing.assert_allclose(
        interpreter.get_tensor(scores["index"])[0], powers / powers.sum(), atol=1e-6
    )


def test_feature_extractor_is_its_own_bottleneck() -> None:
    graph = Graph(models.build(head=False, activation=None))
    assert [graph.bottleneck()] == graph.outputs


def test_missing_tensor_is_named() -> None:
    with pytest.raises(ModelError, match=r"Expected a tensor named pool in the model"):
        Graph(models.build()).tensor_named("pool")


def test_other_content_is_refused() -> None:
    with pytest.raises(ModelError, match=r"identifier TFL3. Received: b'', 4 bytes"):
        Graph(b"text")


def test_mutated_graphs_are_read_or_refused() -> None:
    random = np.random.default_rng(11)
    content = models.build(convolution=True, outside=True)
    for _ in range(300):
        damaged = bytearray(content)
        for position in random.integers(8, len(content), 6):
            damaged[position] = random.integers(256)
        try:
            graph = Graph(bytes(damaged[: random.integers(600, len(content) + 1)]))
            graph.tensor(graph.outputs[0])
            graph.with_outputs([graph.bottleneck()])
        except ModelError as error:
            assert "TFLite model" in str(error)
