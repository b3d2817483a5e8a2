from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from zoo_graphs import (
    BIAS,
    CHANNELS,
    KERNEL,
    KERNEL_BIAS,
    NUM_CLASSES,
    SIZE,
    WEIGHTS,
    Activation,
    Builder,
    Type,
    changed,
    expected_map,
    operator_names,
    random_image,
    run,
)

from edgeclf import image as edgeclf_image
from edgeclf.errors import ModelError
from edgeclf.zoo.dequantize import dequantize
from edgeclf.zoo.graph import pack_model, read_model

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
TOLERANCE = 1e-5  # float32 sums of at most 16 numbers below 6
HALF = SIZE // 2
MAP = (1, HALF, HALF, CHANNELS)

IMAGE_SCALE = 1 / 128
RELU6_SCALE = 5.99 / 255


def to_float(content: bytes) -> tuple[bytes, str | None]:
    model = read_model(content)
    kind = dequantize(model)
    return pack_model(model), kind


def rounded(
    values: NDArray[Any], scale: Any, zero_point: int, dtype: Any
) -> NDArray[Any]:
    """Quantize: to the nearest, ties to even."""
    limits = np.iinfo(dtype)
    integers = np.rint(values / scale) + zero_point
    return np.clip(integers, limits.min, limits.max).astype(dtype)


def quantized_body(
    tensor_type: int,
    *,
    activation: int = Activation.NONE,
    per_channel: bool = False,
    scale: float = RELU6_SCALE,
    zero_point: int = 0,
) -> tuple[Builder, NDArray[Any], NDArray[Any]]:
    """The convolution of `Builder.body` in integers; its true weights and bias.

    `zero_point` is counted from the lowest integer.
    """
    signed = tensor_type == Type.INT8
    dtype, offset = (np.int8, -128) if signed else (np.uint8, 0)
    axis = (1, 2, 3) if per_channel else None
    step = np.abs(KERNEL).max(axis=axis, keepdims=True).astype(np.float32) / 127
    weights_zero = 0 if signed else 128
    integers = rounded(KERNEL, step, weights_zero, dtype)
    bias_scale = (step.ravel() * IMAGE_SCALE).astype(np.float32)
    bias = rounded(KERNEL_BIAS, bias_scale, 0, np.int32)
    builder = Builder().image(
        tensor_type=tensor_type, scale=IMAGE_SCALE, zero_point=128 + offset
    )
    builder.convolve(
        MAP,
        builder.const(
            integers, tensor_type, scale=step.ravel(), zero_point=weights_zero
        ),
        builder.const(bias, Type.INT32, scale=bias_scale),
        2,
        activation,
        version=3 if signed else 1,
        kind={
            "tensor_type": tensor_type,
            "scale": scale,
            "zero_point": zero_point + offset,
        },
    )
    kernel = (integers.astype(np.int64) - weights_zero) * step.astype(np.float64)
    return builder, kernel, bias * bias_scale.astype(np.float64)


def quantized_image(tensor_type: int, image: NDArray[np.float32]) -> NDArray[Any]:
    zero = (0, np.int8) if tensor_type == Type.INT8 else (128, np.uint8)
    return rounded(image, IMAGE_SCALE, *zero)


def seen(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers that the quantized image stands for."""
    integers = quantized_image(Type.UINT8, image).astype(np.float32)
    return (integers - 128) * np.float32(IMAGE_SCALE)


@pytest.mark.parametrize(
    ("tensor_type", "per_channel", "kind"),
    [
        (Type.UINT8, False, "uint8"),
        (Type.INT8, False, "int8"),
        (Type.INT8, True, "int8"),
    ],
)
def test_dequantize_convolution_equals_numpy(
    tensor_type: int, per_channel: bool, kind: str
) -> None:
    builder, kernel, bias = quantized_body(tensor_type, per_channel=per_channel)
    original = builder.content()
    content, found = to_float(original)
    assert found == kind
    for seed in range(5):
        image = seen(random_image(seed))
        expected = expected_map(image, kernel, bias)
        result = run(content, image)[0]
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, atol=TOLERANCE)
        integers = run(original, quantized_image(tensor_type, image))[0]
        lowest = -128 if tensor_type == Type.INT8 else 0
        numbers = (integers.astype(np.int64) - lowest) * RELU6_SCALE
        # Half a step of rounding, and the range ends at 5.99 instead of 6.
        np.testing.assert_allclose(numbers, expected, atol=0.51 * RELU6_SCALE + 0.01)


@pytest.mark.parametrize(
    ("scale", "zero_point", "limits"),
    [
        (6 / 255, 0, (0, 6)),
        (5.9998 / 255, 0, (0, 6)),
        (9 / 255, 0, (0, np.inf)),
        (12 / 255, 100, (-np.inf, np.inf)),
    ],
)
def test_limits_of_the_output_become_an_activation(
    scale: float, zero_point: int, limits: tuple[float, float]
) -> None:
    builder, kernel, bias = quantized_body(
        Type.UINT8, scale=scale, zero_point=zero_point
    )
    content, _ = to_float(builder.content())
    image = 3 * random_image()
    np.testing.assert_allclose(
        run(content, image)[0],
        expected_map(image, kernel, bias, limits),
        atol=TOLERANCE,
    )


@pytest.mark.parametrize(
    ("activation", "scale", "expected"),
    [
        (Activation.RELU6, RELU6_SCALE, Activation.RELU6),
        (Activation.RELU6, 3 / 255, Activation.RELU6),
        (Activation.RELU, 9 / 255, Activation.RELU),
        (Activation.RELU, RELU6_SCALE, Activation.RELU6),
        (Activation.RELU_N1_TO_1, 2 / 255, Activation.RELU_N1_TO_1),
    ],
)
def test_fused_activation_stays(activation: int, scale: float, expected: int) -> None:
    builder, _, _ = quantized_body(Type.UINT8, activation=activation, scale=scale)
    model = read_model(to_float(builder.content())[0])
    options = model.subgraphs[0].operators[0].builtinOptions
    assert options.fusedActivationFunction == expected


def test_conversions_at_the_ends_go() -> None:
    inner = {"tensor_type": Type.UINT8, "scale": IMAGE_SCALE, "zero_point": 128}
    whole, kernel, bias = quantized_body(Type.UINT8)
    graph = whole.graph
    image = whole.tensor("pixels", (1, SIZE, SIZE, 3))
    number = graph.inputs[0]
    graph.inputs = [image]
    whole.apply("DEQUANTIZE", MAP)
    whole.output()
    last = whole.last
    whole.apply("QUANTIZE", (1, SIZE, SIZE, 3), inputs=[image], kind=inner)
    graph.operators.insert(0, graph.operators.pop())
    graph.operators[0].outputs = [number]
    assert graph.outputs == [last]
    original = whole.content()
    assert operator_names(original) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    content, kind = to_float(original)
    assert kind == "uint8"
    assert operator_names(content) == ["CONV_2D"]
    image_values = random_image()
    expected = expected_map(image_values, kernel, bias)
    result = run(content, image_values)[0]
    np.testing.assert_allclose(result, expected, atol=TOLERANCE)
    step = 0.51 * RELU6_SCALE + 0.01 + 12 * 4 * IMAGE_SCALE / 2  # the image's rounding
    np.testing.assert_allclose(run(original, image_values)[0], result, atol=step)


@pytest.mark.parametrize(
    ("zero_point", "scale", "expected"),
    [(0, 9 / 255, "RELU"), (0, 6 / 255, "RELU6"), (90, 9 / 255, None)],
)
def test_requantization_that_clamps_becomes_an_activation(
    zero_point: int, scale: float, expected: str | None
) -> None:
    builder, kernel, bias = quantized_body(Type.UINT8, scale=0.1, zero_point=100)
    target = {"tensor_type": Type.UINT8, "scale": scale, "zero_point": zero_point}
    content, _ = to_float(builder.apply("QUANTIZE", MAP, kind=target).content())
    assert operator_names(content) == ["CONV_2D", expected][: 2 if expected else 1]
    limits = {"RELU": (0, np.inf), "RELU6": (0, 6), None: (-np.inf, np.inf)}[expected]
    image = 3 * random_image()
    np.testing.assert_allclose(
        run(content, image)[0],
        expected_map(image, kernel, bias, limits),
        atol=TOLERANCE,
    )


def test_float16_weights_are_widened() -> None:
    builder = Builder().image()
    image = builder.last
    widened = []
    for values in (KERNEL, KERNEL_BIAS):
        half = builder.const(values.astype(np.float16), Type.FLOAT16)
        builder.apply("DEQUANTIZE", values.shape, inputs=[half])
        widened.append(builder.last)
    builder.last = image
    original = builder.convolve(MAP, *widened, 2, Activation.RELU6).content()
    content, kind = to_float(original)
    assert kind == "float16 weights"
    assert operator_names(content) == ["CONV_2D"]
    values = random_image()
    kernel, bias = (one.astype(np.float16) for one in (KERNEL, KERNEL_BIAS))
    np.testing.assert_allclose(
        run(content, values)[0], expected_map(values, kernel, bias), atol=TOLERANCE
    )
    np.testing.assert_allclose(
        run(content, values), run(original, values), atol=TOLERANCE
    )


def test_dynamic_range_weights_become_float() -> None:
    step = np.float32(np.abs(WEIGHTS).max() / 127)
    integers = rounded(WEIGHTS, step, 0, np.int8)
    builder = Builder().image().body().mean()
    builder.apply(
        "FULLY_CONNECTED",
        (1, NUM_CLASSES),
        builder.const(integers, Type.INT8, scale=step),
        builder.const(BIAS),
        options="FullyConnectedOptions",
        asymmetricQuantizeInputs=True,
        version=9,
    )
    content, kind = to_float(builder.content())
    assert kind == "int8 weights"
    model = read_model(content)
    options = model.subgraphs[0].operators[-1].builtinOptions
    assert options.asymmetricQuantizeInputs is False
    image = random_image()
    features = expected_map(image).mean(axis=(0, 1))
    expected = integers * step.astype(np.float64) @ features + BIAS
    np.testing.assert_allclose(run(content, image)[0], expected, atol=TOLERANCE)


def test_one_buffer_under_two_scales_becomes_two() -> None:
    builder = Builder().image()
    integers = np.arange(-3, 3, dtype=np.int8)
    first = builder.const(integers, Type.INT8, scale=1.0)
    second = builder.const(integers, Type.INT8, scale=0.5)
    tensors = builder.graph.tensors
    tensors[second].buffer = tensors[first].buffer
    for one in (first, second):
        builder.apply("DEQUANTIZE", (6,), inputs=[one]).output()
    model = read_model(builder.content())
    dequantize(model)
    values = [
        np.frombuffer(
            model.buffers[model.subgraphs[0].tensors[index].buffer].data, "f4"
        )
        for index in model.subgraphs[0].outputs
    ]
    np.testing.assert_array_equal(values[0], integers)
    np.testing.assert_array_equal(values[1], integers / 2)


def test_float_graph_stays() -> None:
    original = Builder().image().body().mean().content()
    content, kind = to_float(original)
    assert kind is None
    assert content == pack_model(read_model(original))


def test_versions_are_those_of_float() -> None:
    builder, _, _ = quantized_body(Type.INT8)
    builder.apply(
        "MEAN",
        (1, CHANNELS),
        builder.integers(1, 2),
        options="ReducerOptions",
        version=2,
        kind={"tensor_type": Type.INT8, "scale": RELU6_SCALE, "zero_point": -128},
    )
    model = read_model(to_float(builder.content())[0])
    assert [code.version for code in model.operatorCodes] == [1, 1]


def test_cast_of_quantized_numbers_is_refused() -> None:
    builder, _, _ = quantized_body(Type.UINT8)
    builder.apply("CAST", MAP, options="CastOptions")
    with pytest.raises(ModelError, match="CAST of quantized numbers"):
        to_float(builder.content())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda parameters: setattr(parameters, "scale", np.ones(4, np.float32)),
        lambda parameters: setattr(parameters, "zeroPoint", np.ones(3, np.int64)),
        lambda parameters: setattr(parameters, "scale", np.zeros(1, np.float32)),
        lambda parameters: setattr(parameters, "scale", np.full(1, np.nan, np.float32)),
    ],
)
def test_scales_that_do_not_fit_are_refused(break_it: Any) -> None:
    builder, _, _ = quantized_body(Type.INT8, per_channel=True)
    weights = builder.graph.operators[0].inputs[1]
    content = changed(
        builder.content(),
        lambda model: break_it(model.subgraphs[0].tensors[weights].quantization),
    )
    with pytest.raises(ModelError, match="one scale and zero point per tensor or per"):
        to_float(content)


def test_constant_of_wrong_size_is_refused() -> None:
    builder, _, _ = quantized_body(Type.INT8)
    weights = builder.graph.operators[0].inputs[1]

    def shorten(model: Any) -> None:
        buffer = model.buffers[model.subgraphs[0].tensors[weights].buffer]
        buffer.data = buffer.data[:-1]

    with pytest.raises(ModelError, match="Received: 71 bytes"):
        to_float(changed(builder.content(), shorten))


@pytest.mark.filterwarnings("ignore:.*preserve_all_tensors")  # for calibration
@pytest.mark.parametrize("recipe_name", ["static_wi8_ai8", "dynamic_wi8_afp32"])
def test_ai_edge_quantizer_files_come_back(recipe_name: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="needs ai-edge-quantizer")
    from ai_edge_quantizer import quantizer, recipe

    from edgeclf.zoo.prepare import to_backbone

    backbone = to_backbone(
        Builder().image().body().mean().content(), "tiny", "a test", input_mean=0.0
    )
    path = tmp_path / "float.tflite"
    path.write_bytes(backbone.content)
    tool = quantizer.Quantizer(str(path), getattr(recipe, recipe_name)())
    batches = [{"image": random_image(seed)} for seed in range(20)]
    calibration = None
    if recipe_name.startswith("static"):
        calibration = tool.calibrate({"serving_default": batches})
    quantized = tool.quantize(calibration).quantized_model
    content, kind = to_float(bytes(quantized))
    assert kind == ("int8" if calibration else "int8 weights")
    for seed in range(5):
        image = random_image(seed)
        expected = run(backbone.content, image)
        # A weight of 12 is off by at most half of its step, 3 / 127.
        np.testing.assert_allclose(run(content, image), expected, atol=0.1)
        cosine = np.vdot(run(content, image), expected) / (
            np.linalg.norm(run(content, image)) * np.linalg.norm(expected)
        )
        assert cosine > 0.999


def test_google_uint8_model_gives_the_same_answers() -> None:
    path = SHARED / "models" / "mobilenet_v1_0.5_160_quant.tflite"
    pictures = sorted((SHARED / "data" / "flowers").rglob("*.jpg"))[::20]
    if not path.exists() or not pictures:
        pytest.skip("the shared models and flowers are not here")
    original = path.read_bytes()
    content, kind = to_float(original)
    assert kind == "uint8"
    same, clear = 0, 0
    for picture in pictures:
        pixels = edgeclf_image.load(picture, (160, 160))[None]
        scores = run(original, pixels)[0] / 256
        floats = run(content, ((pixels - np.float32(128)) / 128).astype(np.float32))[0]
        assert np.abs(scores - floats).max() < 0.15
        best, second = np.sort(scores)[:-3:-1]
        if best - second > 0.05:  # not a tie within the rounding
            clear += 1
            same += scores.argmax() == floats.argmax()
    assert clear > len(pictures) / 2
    assert same == clear
