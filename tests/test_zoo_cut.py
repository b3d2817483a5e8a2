from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from zoo_graphs import (
    BIAS,
    CHANNELS,
    NUM_CLASSES,
    SIZE,
    WEIGHTS,
    Activation,
    Builder,
    Type,
    expected_features,
    expected_map,
    operator_names,
    random_image,
    run,
)

from edgeclf.errors import ModelError
from edgeclf.zoo.cut import cut_head, flatten_output
from edgeclf.zoo.graph import pack_model, read_model

TOLERANCE = 1e-5  # float32 sums of at most 16 numbers below 6
HALF = SIZE // 2


def cut(content: bytes) -> tuple[bytes, int | None, int]:
    model = read_model(content)
    num_outputs = cut_head(model)
    depth = flatten_output(model)
    return pack_model(model), num_outputs, depth


def google(builder: Builder) -> Builder:
    weights = builder.const(WEIGHTS.reshape(NUM_CLASSES, 1, 1, CHANNELS))
    builder.pool().convolve((1, 1, 1, NUM_CLASSES), weights, builder.const(BIAS))
    builder.apply(
        "SQUEEZE", (1, NUM_CLASSES), options="SqueezeOptions", squeezeDims=[1, 2]
    )
    return builder.softmax()


def pooled(builder: Builder) -> Builder:
    return builder.pool().reshape(1, CHANNELS).connect().softmax()


def keras(builder: Builder) -> Builder:
    return builder.mean().connect().softmax()


def logits(builder: Builder) -> Builder:
    return builder.mean().connect()


def tags(builder: Builder) -> Builder:
    return builder.mean().connect().apply("LOGISTIC", (1, NUM_CLASSES))


def separate_bias(builder: Builder) -> Builder:
    builder.mean().apply(
        "FULLY_CONNECTED",
        (1, NUM_CLASSES),
        builder.const(WEIGHTS),
        -1,
        options="FullyConnectedOptions",
        version=6,
    )
    builder.apply("ADD", (1, NUM_CLASSES), builder.const(BIAS), options="AddOptions")
    return builder.softmax()


def matmul(builder: Builder) -> Builder:
    builder.mean().apply(
        "BATCH_MATMUL",
        (1, NUM_CLASSES),
        builder.const(WEIGHTS.T),
        options="BatchMatMulOptions",
    )
    builder.apply("ADD", (1, NUM_CLASSES), builder.const(BIAS), options="AddOptions")
    return builder.softmax()


def sorted_classes(builder: Builder) -> Builder:
    builder.mean().connect()
    order = builder.integers(4, 3, 2, 1, 0)
    builder.apply("GATHER", (1, NUM_CLASSES), order, options="GatherOptions", axis=1)
    return builder.softmax()


def best_class(builder: Builder) -> Builder:
    builder.mean().connect()
    return builder.apply(
        "ARG_MAX",
        (1,),
        builder.integers(1),
        options="ArgMaxOptions",
        outputType=Type.INT64,
        kind={"tensor_type": Type.INT64},
    )


CLASSIFIERS = (
    google,
    pooled,
    keras,
    logits,
    tags,
    separate_bias,
    matmul,
    sorted_classes,
    best_class,
)


@pytest.mark.parametrize("ending", CLASSIFIERS, ids=lambda ending: ending.__name__)
def test_cut_classifier_gives_its_bottleneck(
    ending: Callable[[Builder], Builder],
) -> None:
    original = ending(Builder().image().body()).content()
    content, num_outputs, depth = cut(original)
    assert (num_outputs, depth) == (NUM_CLASSES, CHANNELS)
    assert len(content) < len(original)
    image = random_image()
    run(original, image)  # the classifier itself is a valid file
    features = run(content, image)
    assert features.shape == (1, CHANNELS)
    np.testing.assert_allclose(features[0], expected_features(image), atol=TOLERANCE)


@pytest.mark.parametrize("ending", [google, pooled, keras, matmul, separate_bias])
def test_head_on_the_bottleneck_gives_the_classifier(
    ending: Callable[[Builder], Builder],
) -> None:
    original = ending(Builder().image().body()).content()
    content, _, _ = cut(original)
    for seed in range(5):
        image = random_image(seed)
        values = WEIGHTS.astype(np.float64) @ run(content, image)[0] + BIAS
        scores = np.exp(values - values.max())
        np.testing.assert_allclose(
            run(original, image).ravel(), scores / scores.sum(), atol=TOLERANCE
        )


def map_of_features(builder: Builder) -> Builder:
    return builder


def mean(builder: Builder) -> Builder:
    return builder.mean()


def pool(builder: Builder) -> Builder:
    return builder.pool()


def pool_and_flatten(builder: Builder) -> Builder:
    return builder.pool().reshape(1, CHANNELS)


def rank_one(builder: Builder) -> Builder:
    return builder.mean().reshape(CHANNELS)


@pytest.mark.parametrize(
    "ending",
    [map_of_features, mean, pool, pool_and_flatten, rank_one],
    ids=lambda ending: ending.__name__,
)
def test_feature_extractor_is_kept(ending: Callable[[Builder], Builder]) -> None:
    original = ending(Builder().image().body()).content()
    content, num_outputs, depth = cut(original)
    assert (num_outputs, depth) == (None, CHANNELS)
    image = random_image()
    features = run(content, image)
    assert features.shape == (1, CHANNELS)
    np.testing.assert_allclose(features[0], expected_features(image), atol=TOLERANCE)
    kept = operator_names(original)
    assert operator_names(content)[: len(kept)] == kept


def test_scores_without_a_layer_are_stripped() -> None:
    builder = Builder().image().body().mean()
    builder.apply("SOFTMAX", (1, CHANNELS), options="SoftmaxOptions", beta=1.0)
    content, num_outputs, _ = cut(builder.content())
    assert num_outputs is None
    assert operator_names(content) == ["CONV_2D", "MEAN"]


def test_dense_layer_with_activation_is_a_feature() -> None:
    builder = Builder().image().body().mean().connect(Activation.RELU)
    content, num_outputs, depth = cut(builder.content())
    assert (num_outputs, depth) == (None, NUM_CLASSES)
    image = random_image()
    expected = np.maximum(WEIGHTS @ expected_features(image) + BIAS, 0)
    np.testing.assert_allclose(run(content, image)[0], expected, atol=TOLERANCE)


def test_pooled_class_maps_are_cut_before_their_convolution() -> None:
    builder = Builder().image().body()
    weights = builder.const(WEIGHTS.reshape(NUM_CLASSES, 1, 1, CHANNELS))
    builder.convolve(
        (1, HALF, HALF, NUM_CLASSES),
        weights,
        builder.const(BIAS),
        activation=Activation.RELU,
    )
    content, num_outputs, depth = cut(builder.pool(NUM_CLASSES).softmax().content())
    assert (num_outputs, depth) == (NUM_CLASSES, CHANNELS)
    image = random_image()
    np.testing.assert_allclose(
        run(content, image)[0], expected_features(image), atol=TOLERANCE
    )


def test_flattened_map_is_cut_at_the_flattening() -> None:
    flat = HALF * HALF * CHANNELS
    builder = Builder().image().body().reshape(1, flat)
    builder.apply(
        "FULLY_CONNECTED",
        (1, 2),
        builder.const(np.ones((2, flat))),
        builder.const(np.zeros(2)),
        options="FullyConnectedOptions",
    )
    content, num_outputs, depth = cut(builder.content())
    assert (num_outputs, depth) == (2, flat)
    image = random_image()
    np.testing.assert_allclose(
        run(content, image)[0], expected_map(image).ravel(), atol=TOLERANCE
    )


def test_auxiliary_classifier_is_passed_over() -> None:
    builder = Builder().image().body()
    trunk = builder.last
    builder.mean().connect().softmax().output()  # the auxiliary output comes first
    builder.last = trunk
    builder.apply("RELU", (1, HALF, HALF, CHANNELS))
    builder.mean().connect().softmax().output()
    content, num_outputs, _ = cut(builder.content())
    assert num_outputs == NUM_CLASSES
    assert operator_names(content) == ["CONV_2D", "RELU", "MEAN"]


def test_cut_leaves_nothing_dead() -> None:
    model = read_model(keras(Builder().image().body()).content())
    cut_head(model)
    graph = model.subgraphs[0]
    used = {index for one in graph.operators for index in [*one.inputs, *one.outputs]}
    assert used == set(range(len(graph.tensors)))
    assert {tensor.buffer for tensor in graph.tensors} == set(range(len(model.buffers)))
    assert len(model.operatorCodes) == len(graph.operators) == 2
    assert not model.buffers[0].data
    assert model.metadata is None


def test_split_keeps_its_unread_output() -> None:
    builder = Builder().image().body()
    first = builder.tensor("first", (1, HALF, HALF, CHANNELS // 2))
    builder.apply(
        "SPLIT",
        (1, HALF, HALF, CHANNELS // 2),
        inputs=[builder.integers(3), builder.last],
        options="SplitOptions",
        numSplits=2,
    )
    builder.graph.operators[-1].outputs.insert(0, first)
    content, _, depth = cut(builder.content())
    assert depth == CHANNELS // 2
    image = random_image()
    expected = expected_features(image)[CHANNELS // 2 :]
    np.testing.assert_allclose(run(content, image)[0], expected, atol=TOLERANCE)


def test_model_of_one_layer_is_refused() -> None:
    builder = Builder().image((1, 1, 1, 3))
    builder.convolve(
        (1, 1, 1, 2), builder.const(np.ones((2, 1, 1, 3))), builder.const(np.ones(2))
    )
    with pytest.raises(ModelError, match="whose last layer reads its input"):
        cut(builder.content())


def test_model_without_output_is_refused() -> None:
    model = read_model(keras(Builder().image().body()).content())
    model.subgraphs[0].outputs = []
    with pytest.raises(ModelError, match="Expected a model with an output"):
        cut_head(model)


def test_output_of_no_features_is_refused() -> None:
    builder = Builder().image().body().reshape(1, HALF * HALF, CHANNELS)
    with pytest.raises(ModelError, match=r"Received: shape \(1, 16, 6\) from RESHAPE"):
        cut(builder.content())


def test_deterministic_bytes() -> None:
    original = google(Builder().image().body()).content()
    assert cut(original)[0] == cut(original)[0]
