import warnings

import numpy as np
import pytest
import tiny
import zoo_graphs as graphs
from zoo_graphs import Activation, Builder

from edgeclf.errors import ModelError
from edgeclf.training.differentiable import DifferentiableGraph
from edgeclf.zoo import graph
from edgeclf.zoo.depths import with_depths
from edgeclf.zoo.graph import schema

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
MAP = (1, 4, 4, graphs.CHANNELS)  # what `body` makes
RNG = np.random.default_rng(5)

# TensorFlow and Keras warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "tensorflow", reason="needs TensorFlow (the extra tensorflow)"
        )


def body(activation=Activation.NONE):
    return Builder().image().body(activation)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def depthwise(builder, multiplier, side, padding, **more):
    depth = graphs.CHANNELS * multiplier
    return builder.apply(
        "DEPTHWISE_CONV_2D",
        (1, side, side, depth),
        builder.const(normal(1, 3, 3, depth)),
        builder.const(normal(depth)),
        options="DepthwiseConv2DOptions",
        depthMultiplier=multiplier,
        padding=padding,
        **{"strideW": 1, "strideH": 1, **more},
    )


def pool(builder, name, side, padding):
    return builder.apply(
        name,
        (1, side, side, graphs.CHANNELS),
        options="Pool2DOptions",
        padding=padding,
        strideW=2,
        strideH=2,
        filterWidth=3,
        filterHeight=3,
        fusedActivationFunction=Activation.RELU,
    )


def binary(builder, name, other, activation=Activation.NONE):
    return builder.apply(
        name,
        MAP,
        other,
        options=f"{name.title()}Options",
        fusedActivationFunction=activation,
    )


def join(builder):
    constant = builder.const(normal(1, 1, 4, graphs.CHANNELS))
    return builder.apply(
        "CONCATENATION",
        (1, 5, 4, graphs.CHANNELS),
        inputs=[constant, builder.last],
        options="ConcatenationOptions",
        axis=1,
    )


def margins(builder):
    return builder.integers(0, 0, 1, 2, 0, 1, 0, 0)


def padded(builder, *parameters):
    """PAD or PADV2; `integers` makes a flat tensor, margins are pairs."""
    tensor = builder.graph.tensors[parameters[0]]
    tensor.shape = [4, 2]
    name = "PADV2" if len(parameters) > 1 else "PAD"
    shape = (1, 7, 5, graphs.CHANNELS)
    return builder.apply(name, shape, *parameters, options=f"{name.title()[:3]}Options")


def dilated(builder):
    return builder.apply(
        "CONV_2D",
        (1, 4, 4, 4),
        builder.const(normal(4, 3, 3, graphs.CHANNELS)),
        builder.const(normal(4)),
        options="Conv2DOptions",
        padding=SAME,
        strideW=1,
        strideH=1,
        dilationWFactor=2,
        dilationHFactor=2,
    )


def leaky(builder):
    return builder.apply("LEAKY_RELU", MAP, options="LeakyReluOptions", alpha=0.2)


NETWORKS = {
    "convolutions": tiny.deep_backbone_file,
    "depths": lambda: with_depths(tiny.deep_backbone()).content,
    "depthwise": lambda: depthwise(body(), 1, 2, SAME, strideW=2, strideH=2).content(),
    "depthwise, wider": lambda: depthwise(body(), 2, 2, VALID).content(),
    "dilated": lambda: dilated(body()).content(),
    "connected": lambda: body().mean().connect(Activation.RELU).content(),
    "add": lambda: binary(b := body(), "ADD", b.last, Activation.RELU6).content(),
    "sub": lambda: binary(b := body(), "SUB", b.const(normal(*MAP))).content(),
    "mul": lambda: binary(b := body(), "MUL", b.const(normal(6))).content(),
    "div": lambda: binary(b := body(), "DIV", b.const(normal(6) + 9)).content(),
    "average": lambda: pool(body(), "AVERAGE_POOL_2D", 2, SAME).content(),
    "maximum": lambda: pool(body(), "MAX_POOL_2D", 1, VALID).content(),
    "constant joined": lambda: join(body()).content(),
    "pad": lambda: padded(b := body(), margins(b)).content(),
    "padv2": lambda: padded(b := body(), margins(b), b.const(-1.5)).content(),
    "reshape": lambda: body().pool().reshape(1, graphs.CHANNELS).content(),
    "relu": lambda: body().apply("RELU", MAP).content(),
    "relu6": lambda: body().apply("RELU6", MAP).content(),
    "leaky": lambda: leaky(body()).content(),
    "prelu": lambda: (
        (b := body()).apply("PRELU", MAP, b.const(normal(1, 1, 6))).content()
    ),
    "logistic": lambda: body().apply("LOGISTIC", MAP).content(),
    "tanh": lambda: body().apply("TANH", MAP).content(),
    "hard swish": lambda: body().apply("HARD_SWISH", MAP).content(),
    "clipped": lambda: body(Activation.RELU_N1_TO_1).content(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_answers_what_the_interpreter_does(name, tf):
    content = NETWORKS[name]()
    side = graph.read_model(content).subgraphs[0].tensors[0].shape[1]
    images = RNG.uniform(-1, 1, (3, 1, side, side, 3)).astype(np.float32)
    function = DifferentiableGraph(content, tf)
    answer = function(np.concatenate(images), function.weights).numpy()
    for image, row in zip(images, answer, strict=True):
        expected = graphs.run(content, image)[0]
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


def test_weights_can_be_derived_and_written_back(tf):
    content = tiny.deep_backbone_file()
    function = DifferentiableGraph(content, tf)
    image = RNG.uniform(-1, 1, (1, tiny.SIDE, tiny.SIDE, 3)).astype(np.float32)
    weights = {key: tf.Variable(value) for key, value in function.weights.items()}
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(image, weights))
    gradients = tape.gradient(total, list(weights.values()))
    assert all(np.any(gradient.numpy()) for gradient in gradients)
    moved = {
        key: value.numpy() + 1e-3 * gradient.numpy()
        for (key, value), gradient in zip(weights.items(), gradients, strict=True)
    }
    written = function.with_weights(moved)
    assert graphs.run(written, image).sum() > graphs.run(content, image).sum()
    np.testing.assert_allclose(
        graphs.run(written, image), function(image, moved).numpy(), rtol=1e-4, atol=1e-5
    )


def test_a_buffer_of_two_tensors_stays_what_it_is_for_the_other(tf):
    builder = body()
    builder = binary(builder, "MUL", builder.const(normal(graphs.CHANNELS)))
    tensors = builder.graph.tensors
    bias, factor = tensors[2], tensors[-2]
    factor.buffer = bias.buffer  # as converters do with equal constants
    function = DifferentiableGraph(builder.content(), tf)
    moved = {key: 2 * value for key, value in function.weights.items()}
    written = graph.read_model(function.with_weights(moved))
    np.testing.assert_array_equal(graph.constant(written, 2), moved[2])
    unchanged = graph.constant(written, len(tensors) - 2)
    np.testing.assert_array_equal(unchanged, graphs.KERNEL_BIAS)


def refuse(content, tf):
    with pytest.raises(ModelError) as caught:
        DifferentiableGraph(content, tf)
    return str(caught.value)


def test_an_operator_that_is_not_known_is_named(tf):
    message = refuse(body().apply("EXP", MAP, options="ExpOptions").content(), tf)
    assert "Received: one with EXP. Leave out --fine_tune" in message


def test_convolutions_in_groups_are_refused(tf):
    builder = body()
    weights = builder.const(normal(4, 1, 1, graphs.CHANNELS // 2))
    bias = builder.const(normal(4))
    content = builder.convolve((1, 4, 4, 4), weights, bias).content()
    assert "Received: one in groups." in refuse(content, tf)


def test_filters_that_are_computed_are_refused(tf):
    builder = body()
    filters = builder.apply("TANH", (4, 1, 1, 6)).last
    builder.last = 0
    content = builder.convolve((1, 8, 8, 4), filters, -1).content()
    assert "Received: one that is computed." in refuse(content, tf)


def test_an_activation_that_is_not_known_is_refused(tf):
    content = body(Activation.SIGN_BIT).content()
    assert "number 5 of ActivationFunctionType" in refuse(content, tf)
