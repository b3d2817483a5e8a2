from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_graphs import (
    CHANNELS,
    NUM_CLASSES,
    SIZE,
    Activation,
    Builder,
    Type,
    changed,
    expected_features,
    operator_names,
    random_image,
    run,
    schema,
)

from edgeclf import image as edgeclf_image
from edgeclf.errors import ModelError
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.graph import pack_model, read_model
from edgeclf.zoo.prepare import to_backbone

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
TOLERANCE = 1e-5  # float32 sums of at most 16 numbers below 6
HALF = SIZE // 2


def classifier() -> Builder:
    return Builder().image().body().mean().connect().softmax()


def prepare(content: bytes, **normalization: float) -> Backbone:
    return to_backbone(content, "tiny.tflite", "a test", **normalization)


def shared_model(name: str) -> bytes:
    path = SHARED / "models" / name
    if not path.exists():
        pytest.skip("the shared models are not here")
    return path.read_bytes()


def with_metadata(content: bytes, mean: list[float], std: list[float]) -> bytes:
    """Add TFLite Metadata that hold nothing but the input's normalisation."""
    import flatbuffers

    builder = flatbuffers.Builder(256)

    def floats(values: list[float]) -> int:
        return builder.CreateNumpyVector(np.array(values, np.float32))

    def table(num_slots: int, slot: int, offset: int, union_type: int = 0) -> int:
        builder.StartObject(num_slots)
        if union_type:
            builder.PrependUint8Slot(slot - 1, union_type, 0)
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return builder.EndObject()

    def vector(offset: int) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    means, deviations = floats(mean), floats(std)
    builder.StartObject(2)  # NormalizationOptions: mean, std
    builder.PrependUOffsetTRelativeSlot(0, means, 0)
    builder.PrependUOffsetTRelativeSlot(1, deviations, 0)
    unit = table(2, 1, builder.EndObject(), union_type=1)  # ProcessUnit
    tensor = table(7, 4, vector(unit))  # TensorMetadata: process_units
    subgraph = table(8, 2, vector(tensor))  # SubGraphMetadata: input_tensor_metadata
    root = table(8, 3, vector(subgraph))  # ModelMetadata: subgraph_metadata
    builder.Finish(root, b"M001")

    def attach(model: Any) -> None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)
        model.buffers.append(buffer)
        entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers) - 1
        model.metadata = [entry]

    return changed(content, attach)


def test_backbone_keeps_its_contract(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    backbone = prepare(classifier().content())
    assert backbone.name == "tiny.tflite"
    assert backbone.source == "a test"
    assert backbone.input_size == (SIZE, SIZE)
    assert (backbone.input_mean, backbone.input_std) == (127.5, 127.5)
    assert backbone.depth == CHANNELS
    assert caplog.messages == [
        "tiny.tflite does not say how its input is normalised: taken as "
        "(x - 127.5) / 127.5; --input_mean and --input_std change it.",
        "tiny.tflite is cut before its last layer (5 outputs); bottleneck of 6.",
    ]
    model = read_model(backbone.content)
    graph = model.subgraphs[0]
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    (signature,) = model.signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [(one.name, one.tensorIndex) for one in signature.inputs] == [
        (b"image", graph.inputs[0])
    ]
    assert [(one.name, one.tensorIndex) for one in signature.outputs] == [
        (b"bottleneck", graph.outputs[0])
    ]
    image = random_image()
    features = run(backbone.content, image)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[0], expected_features(image), atol=TOLERANCE)


@pytest.mark.parametrize("given", [{}, {"input_mean": 0.0}, {"input_std": 255.0}])
def test_prepared_backbone_is_prepared_already(
    given: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    first = prepare(classifier().content(), **given)
    caplog.set_level(logging.INFO, "edgeclf")
    caplog.clear()
    assert prepare(first.content) == first
    assert caplog.messages == []


def test_bottleneck_that_is_a_dense_layer_is_not_cut_again() -> None:
    builder = Builder().image().body().mean().connect()
    weights, bias = builder.const(np.ones((2, NUM_CLASSES))), builder.const(np.ones(2))
    builder.apply(
        "FULLY_CONNECTED", (1, 2), weights, bias, options="FullyConnectedOptions"
    )
    first = prepare(builder.content())
    assert first.depth == NUM_CLASSES
    assert prepare(first.content) == first


def test_record_is_void_behind_a_new_head(caplog: pytest.LogCaptureFixture) -> None:
    first = prepare(classifier().content(), input_mean=1.0, input_std=2.0)
    builder = Builder(read_model(first.content))
    builder.last = builder.graph.outputs.pop()
    second = prepare(builder.connect().softmax().content())
    assert (second.input_mean, second.depth) == (127.5, CHANNELS)


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b'{"input_mean": 1}', b'{"input_mean": 1, "input_std": 0}']
)
def test_damaged_record_is_passed_over(damage: bytes) -> None:
    first = prepare(classifier().content(), input_mean=1.0)

    def overwrite(model: Any) -> None:
        model.buffers[model.metadata[0].buffer].data = np.frombuffer(damage, np.uint8)

    assert prepare(changed(first.content, overwrite)).input_mean == 127.5


def test_given_normalization_wins_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = with_metadata(classifier().content(), [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    backbone = prepare(content, input_mean=0.0, input_std=255.0)
    assert (backbone.input_mean, backbone.input_std) == (0.0, 255.0)
    assert operator_names(backbone.content) == ["CONV_2D", "MEAN"]
    assert "--input_mean 0 is used in place of what" in caplog.text
    assert "says itself: 4, 5, 6" in caplog.text


def test_metadata_normalization_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    backbone = prepare(with_metadata(classifier().content(), [0.0], [255.0]))
    assert (backbone.input_mean, backbone.input_std) == (0.0, 255.0)
    assert "normalised" not in caplog.text


@pytest.mark.parametrize(
    ("given", "mean", "std"),
    [
        ({}, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ({"input_std": 60.0}, [123.675, 116.28, 103.53], [60.0]),
        ({}, [127.5], [58.395, 57.12, 57.375]),
    ],
)
def test_channels_are_normalised_inside_the_graph(
    given: dict[str, float], mean: list[float], std: list[float]
) -> None:
    original = Builder().image().body().mean().content()
    backbone = prepare(with_metadata(original, mean, std), **given)
    assert (backbone.input_mean, backbone.input_std) == (127.5, 127.5)
    assert operator_names(backbone.content)[0] == "DEPTHWISE_CONV_2D"
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3))
    pixels = pixels.astype(np.float32)
    own = ((pixels - np.float32(mean)) / np.float32(std)).astype(np.float32)
    new = run(backbone.content, (pixels - np.float32(127.5)) / np.float32(127.5))
    np.testing.assert_allclose(new, run(original, own), atol=TOLERANCE)
    assert prepare(backbone.content) == backbone


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([1.0, 2.0], [3.0], "one for each of the 3"),
        ([1.0], [-3.0], "Expected a deviation above 0"),
    ],
)
def test_unusable_metadata_is_refused(
    mean: list[float], std: list[float], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        prepare(with_metadata(classifier().content(), mean, std))


@pytest.mark.parametrize(
    ("tensor_type", "zero_point", "scale", "expected"),
    [
        (Type.UINT8, 128, 1 / 128, (128.0, 128.0)),
        (Type.UINT8, 0, 1 / 255, (0.0, 255.0)),
        (Type.INT8, -1, 1 / 127.5, (127.0, 127.5)),
        (Type.UINT8, 0, None, (0.0, 1.0)),
    ],
)
def test_quantized_input_says_its_normalization(
    tensor_type: int,
    zero_point: int,
    scale: float | None,
    expected: tuple[float, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    builder = Builder().image(
        tensor_type=tensor_type, scale=scale, zero_point=zero_point
    )
    shape = (1, SIZE, SIZE, 3)
    if scale is None:
        builder.apply("CAST", shape, options="CastOptions")
    else:
        builder.apply("DEQUANTIZE", shape)
    original = builder.body().mean().content()
    for content in (original, with_metadata(original, [0.0], [1.0])):
        backbone = prepare(content)
        assert (backbone.input_mean, backbone.input_std) == expected
        assert operator_names(backbone.content) == ["CONV_2D", "MEAN"]
        pixels = np.random.default_rng(1).integers(0, 256, shape)
        raw = pixels - 128 if tensor_type == Type.INT8 else pixels
        raw = raw.astype(np.int8 if tensor_type == Type.INT8 else np.uint8)
        image = ((pixels - expected[0]) / expected[1]).astype(np.float32)
        np.testing.assert_allclose(
            run(backbone.content, image), run(original, raw), rtol=1e-6, atol=TOLERANCE
        )
    assert "tiny.tflite is quantized (uint8" in caplog.text or scale is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_std": 0.0}, "Expected a finite input_std above 0. Received: 0.0"),
        ({"input_std": float("nan")}, "Expected a finite input_std above 0"),
        ({"input_mean": float("inf")}, "Expected a finite input_mean. Received: inf"),
    ],
)
def test_impossible_normalization_is_refused(
    given: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(classifier().content(), **given)


def test_dynamic_batch_becomes_one() -> None:
    flat = HALF * HALF * CHANNELS
    builder = Builder().image().body()
    feature_map = builder.last
    builder.apply(
        "SHAPE",
        (4,),
        options="ShapeOptions",
        outType=Type.INT32,
        kind={"tensor_type": Type.INT32},
    )
    builder.apply(
        "STRIDED_SLICE",
        (),
        builder.integers(0),
        builder.integers(1),
        builder.integers(1),
        options="StridedSliceOptions",
        shrinkAxisMask=1,
        kind={"tensor_type": Type.INT32},
    )
    builder.apply(
        "PACK",
        (2,),
        builder.const(np.int32(flat), Type.INT32),
        options="PackOptions",
        valuesCount=2,
        kind={"tensor_type": Type.INT32},
    )
    builder.apply("RESHAPE", (1, flat), inputs=[feature_map, builder.last])
    for index in (builder.graph.inputs[0], feature_map, builder.last):
        tensor = builder.graph.tensors[index]
        tensor.shapeSignature = [-1, *tensor.shape[1:]]
    original = builder.content()
    backbone = prepare(original)
    assert operator_names(backbone.content) == ["CONV_2D", "RESHAPE"]
    assert all(
        tensor.shapeSignature is None
        for tensor in read_model(backbone.content).subgraphs[0].tensors
    )
    image = random_image()
    np.testing.assert_array_equal(run(backbone.content, image), run(original, image))


def test_names_become_unique() -> None:
    names = [b"x", b"x", b"x_2", b"", b"\xff"]

    def rename(model: Any) -> None:
        for index, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = names[index % len(names)]

    content = changed(classifier().content(), rename)
    tensors = read_model(prepare(content).content).subgraphs[0].tensors
    unique = {tensor.name.decode() for tensor in tensors}
    assert len(unique - {""}) == len(tensors)


def with_weights_outside(content: bytes) -> bytes:
    """Move the largest constant behind the flatbuffer, as ai-edge-quantizer does."""
    model = read_model(content)
    buffer = max(
        model.buffers, key=lambda one: 0 if one.data is None else len(one.data)
    )
    data = bytes(buffer.data)
    buffer.data, buffer.offset, buffer.size = None, 1 << 20, len(data)
    start = -(-len(pack_model(model)) // 16) * 16
    buffer.offset = start
    return pack_model(model).ljust(start, b"\0") + data


def test_weights_outside_the_flatbuffer_are_read_in() -> None:
    content = classifier().content()
    outside = with_weights_outside(content)
    assert prepare(outside).content == prepare(content).content
    with pytest.raises(ModelError, match="cut short: a buffer is missing"):
        prepare(outside[:-1])


def test_operator_numbers_of_old_files_are_brought_up_to_date() -> None:
    def forget(model: Any) -> None:
        for code in model.operatorCodes:
            code.builtinCode = 0  # a field that TOCO did not know

    old = changed(classifier().content(), forget)
    codes = read_model(prepare(old).content).operatorCodes
    numbers = [(code.builtinCode, code.deprecatedBuiltinCode) for code in codes]
    assert numbers == [(3, 3), (40, 40)]  # CONV_2D, MEAN


def test_bytes_are_deterministic() -> None:
    content = classifier().content()
    assert prepare(content).content == prepare(content).content


def unsupported_type(tensor_type: int) -> bytes:
    builder = Builder().image()
    builder.apply("CAST", (1, SIZE, SIZE, 3), kind={"tensor_type": tensor_type})
    builder.apply("CAST", (1, SIZE, SIZE, 3))
    return builder.body().mean().content()


def custom_operator() -> bytes:
    builder = Builder().image().apply("CUSTOM", (1, SIZE, SIZE, 3))
    builder.model.operatorCodes[0].customCode = b"edgetpu-custom-op"
    return builder.body().mean().content()


def two_inputs() -> bytes:
    builder = Builder().image()
    builder.image()
    return builder.body().mean().content()


def two_subgraphs() -> bytes:
    model = classifier().model
    model.subgraphs[0].outputs = [0]
    model.subgraphs.append(schema.SubGraphT())
    return pack_model(model)


def control_flow() -> bytes:
    builder = Builder().image().body()
    return builder.apply("CALL_ONCE", (1,)).content()


def image_of(shape: tuple[int, ...], signature: list[int] | None = None) -> bytes:
    builder = Builder().image(shape)
    builder.graph.tensors[0].shapeSignature = signature
    return builder.body().mean().content()


def image_type(tensor_type: int) -> bytes:
    return Builder().image(tensor_type=tensor_type).body().mean().content()


def external_weights() -> bytes:
    model = classifier().output().model
    model.externalBuffers = [schema.ExternalBufferT()]
    return pack_model(model)


def infinite_features() -> bytes:
    builder = Builder().image().body().mean()
    infinite = builder.const(np.full(CHANNELS, np.inf, np.float32))
    return (
        builder.apply("ADD", (1, CHANNELS), infinite, options="AddOptions")
        .apply("RELU", (1, CHANNELS))
        .content()
    )


def integer_features() -> bytes:
    builder = Builder().image().body().mean()
    kind = {"tensor_type": Type.INT32}
    builder.apply("CAST", (1, CHANNELS), options="CastOptions", kind=kind)
    return builder.apply("ABS", (1, CHANNELS), kind=kind).content()


def index_out_of_range() -> bytes:
    builder = Builder().image().body().mean()
    far = builder.integers(99)
    options = "GatherOptions"
    return builder.apply("GATHER", (1, 1), far, options=options, axis=1).content()


def no_graph() -> bytes:
    model = classifier().model
    model.subgraphs = []
    return pack_model(model)


def wrong_shapes() -> bytes:
    builder = Builder().image().body()
    weights = builder.const(np.ones((3, 1, 1, CHANNELS + 1), np.float32))
    builder.convolve(
        (1, HALF, HALF, 3), weights, builder.const(np.ones(3)), 1, Activation.RELU
    )
    return builder.mean(3).content()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_inputs, "Expected one input, an image. Received: 2 inputs."),
        (two_subgraphs, "Received: 2 subgraphs."),
        (control_flow, "Expected one graph without control flow."),
        (external_weights, "Received: 1 external buffers."),
        (lambda: image_of((1, SIZE, SIZE, 1)), r"Received: \(1, 8, 8, 1\)"),
        (lambda: image_of((1, 3, SIZE, SIZE)), "channels last"),
        (lambda: image_of((2, SIZE, SIZE, 3)), r"Received: \(2, 8, 8, 3\)"),
        (lambda: image_of((1, SIZE)), r"Received: \(1, 8\)"),
        (
            lambda: image_of((1, 1, 1, 3), [-1, -1, -1, 3]),
            r"fixed height and width, .* Received: \(-1, -1, -1, 3\)",
        ),
        (lambda: image_type(Type.INT16), "float32, uint8 or int8 input. .*: int16"),
        (lambda: image_type(Type.STRING), "Received: string"),
        (lambda: image_type(Type.INT8), "Received: int8 in the tensor 'input'"),
        (lambda: unsupported_type(Type.INT16), "Received: int16 in the tensor 'cast'"),
        (custom_operator, "Received: 'edgetpu-custom-op'. Use the file from before"),
        (infinite_features, "Expected finite features."),
        (integer_features, "Received: int32 of shape"),
        (index_out_of_range, "The prepared graph does not run: "),
        (no_graph, "Expected a TFLite model with a graph."),
        (wrong_shapes, "The interpreter refuses the model"),
        (lambda: b"GIF89a, not a model", "Received: b'GIF89a, ', 19 bytes"),
        (lambda: b"", "Received: b'', 0 bytes"),
    ],
)
def test_unusable_model_is_refused(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        prepare(make())
    assert str(caught.value).startswith("tiny.tflite cannot be used as a backbone. ")


def set_in_graph(change: Callable[[Any], object]) -> bytes:
    model = classifier().output().model
    change(model.subgraphs[0])
    return pack_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph.operators[0].inputs.append(99), r"names tensor 99 of \d"),
        (lambda graph: graph.outputs.append(-1), r"names tensor -1 of \d"),
        (lambda graph: setattr(graph.tensors[0], "buffer", 50), "names buffer 50 of"),
        (
            lambda graph: setattr(graph.operators[0], "opcodeIndex", 9),
            "names operator code 9 of 4",
        ),
        (lambda graph: graph.operators.reverse(), "its operators are unordered"),
        (
            lambda graph: setattr(graph.tensors[1], "shape", [6, 2, 2, 4]),
            r"the constant b'const' of type FLOAT32 to hold \[6, 2, 2, 4\] values. "
            "Received: 288 bytes",
        ),
        (
            lambda graph: setattr(graph.tensors[3], "shape", [1, 1 << 14, 1 << 14, 6]),
            "Expected tensors of at most 134217728 numbers. Received: shape",
        ),
        (lambda graph: setattr(graph.tensors[3], "shape", [1, -4, 4, 6]), "at most"),
        (lambda graph: setattr(graph.tensors[0], "shape", [1, 9999, 8, 3]), "at most"),
        (lambda graph: graph.operators[1].inputs.clear(), "cannot be used as"),
    ],
)
def test_damaged_graph_is_refused(
    change: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        prepare(set_in_graph(change))


def test_quantized_operator_without_inputs_is_refused() -> None:
    builder = Builder().image(tensor_type=Type.UINT8, scale=1 / 128, zero_point=128)
    builder.apply("DEQUANTIZE", (1, SIZE, SIZE, 3))
    builder.graph.operators[0].inputs = []
    with pytest.raises(ModelError, match="The TFLite model is damaged: list index"):
        prepare(builder.body().content())


def test_custom_operator_in_the_head_goes_with_it() -> None:
    builder = Builder().image().body().mean()
    trunk = builder.last
    builder.connect().output()
    builder.last = trunk
    builder.apply("CUSTOM", (1, 4)).output()
    builder.model.operatorCodes[-1].customCode = b"mine"
    assert prepare(builder.content()).depth == CHANNELS


@pytest.mark.parametrize("fraction", [0.02, 0.2, 0.5, 0.9, 0.99])
def test_truncated_file_is_refused(fraction: float) -> None:
    content = classifier().content()
    with pytest.raises(ModelError):
        prepare(content[: int(fraction * len(content))])


FUZZ = """
import logging, random, sys
from pathlib import Path
from edgeclf.errors import ModelError
from edgeclf.zoo.prepare import to_backbone
logging.disable()
content = Path(sys.argv[1]).read_bytes()
source = random.Random(int(sys.argv[2]))
refused = 0
for round in range(200):
    changed = bytearray(content)
    for _ in range(source.randint(1, 3)):
        changed[source.randrange(8, len(changed))] = source.randrange(256)
    try:
        to_backbone(bytes(changed), "changed", "fuzz")
    except ModelError:
        refused += 1
print(refused)
"""


def test_mutated_files_end_in_model_error(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(classifier().content())
    result = subprocess.run(
        [sys.executable, "-c", FUZZ, str(path), "1"],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) > 10


@pytest.mark.parametrize(
    ("name", "depth", "mean"),
    [
        ("mobilenet_v1_0.25_224_1_metadata_1.tflite", 256, 127.5),
        ("mobilenet_v1_0.50_224_features_f32.tflite", 512, 127.5),
        ("mobilenet_v1_0.5_160_quant.tflite", 512, 127.5),
    ],
)
def test_google_models_are_prepared(name: str, depth: int, mean: float) -> None:
    content = shared_model(name)
    backbone = prepare(content)
    assert (backbone.depth, backbone.input_mean) == (depth, mean)
    assert prepare(backbone.content) == backbone
    if "quant" not in name:
        assert len(backbone.content) < len(content)
    record = json.dumps({"input_mean": mean}, sort_keys=True)[1:-1].encode()
    assert record in backbone.content


def test_google_float_classifier_equals_its_bottleneck_and_head() -> None:
    content = shared_model("mobilenet_v1_0.25_224_1_metadata_1.tflite")
    picture = next((SHARED / "data" / "flowers").rglob("*.jpg"))
    pixels = edgeclf_image.load(picture, (224, 224))[None]
    image = (pixels - np.float32(127.5)) / np.float32(127.5)
    features = run(prepare(content).content, image)[0]
    model = read_model(content)
    graph = model.subgraphs[0]
    layer = graph.operators[28]  # the 1x1 convolution, followed by SQUEEZE, SOFTMAX
    weights, bias = (
        np.frombuffer(bytes(model.buffers[graph.tensors[index].buffer].data), "f4")
        for index in layer.inputs[1:]
    )
    logits = weights.reshape(1001, 256).astype(np.float64) @ features + bias
    scores = np.exp(logits - logits.max())
    np.testing.assert_allclose(
        scores / scores.sum(), run(content, image)[0], atol=TOLERANCE
    )


def test_google_feature_extractor_gives_the_same_features() -> None:
    content = shared_model("mobilenet_v1_0.50_224_features_f32.tflite")
    image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    image = image.astype(np.float32)
    np.testing.assert_array_equal(
        run(prepare(content).content, image), run(content, image)
    )
