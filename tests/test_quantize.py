import numpy as np
import pytest
import tiny

from edgeclf.errors import ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.training.assemble import assemble
from edgeclf.training.head import Head, softmax
from edgeclf.training.quantize import (
    activation_names,
    cast_to_float16,
    floored_names,
    logits_range,
    merge_ranges,
    moved_ranges,
    quantize,
    tag_logits_range,
    with_uint8_ends,
)
from edgeclf.zoo import BUNDLED_ARCHITECTURE, graph, load_backbone

WEIGHTS = np.random.default_rng(5).normal(0, 1.5, (3, tiny.DEPTH)).astype(np.float32)
HEAD = Head(WEIGHTS, np.array([0.1, -0.2, 0.3], np.float32))
PICTURES = [
    tiny.pixels(color, seed, (32, 32)) for color in tiny.COLORS for seed in (1, 2)
]


def normalised(pixels):
    return (pixels[np.newaxis].astype(np.float32) - 127.5) / 127.5


def run(content, value):
    """Return every output of a model, dequantized."""
    interpreter = create_interpreter(content, 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    result = interpreter.get_tensor(output["index"])[0]
    scale, zero_point = output["quantization"]
    return (result.astype(np.int64) - zero_point) * scale if scale else result


@pytest.fixture(scope="module")
def floating():
    return assemble(tiny.backbone(), HEAD, "final_result")


@pytest.fixture(scope="module")
def calibration(floating):
    names = activation_names(floating)[:-2]
    lows, highs, logits = [], [], []
    for picture in PICTURES:
        interpreter = create_interpreter(
            tiny.backbone_file(), 1, preserve_all_tensors=True
        )
        index = {d["name"]: d["index"] for d in interpreter.get_tensor_details()}
        interpreter.set_tensor(index["image"], normalised(picture))
        interpreter.invoke()
        values = [interpreter.get_tensor(index[name]) for name in names]
        lows.append([value.min() for value in values])
        highs.append([value.max() for value in values])
        logits.append(HEAD.logits(values[-1])[0])
    ranges = merge_ranges(names, np.array(lows), np.array(highs))
    return ranges, np.array(logits)


def test_assembled_model_is_backbone_times_head(floating):
    for picture in PICTURES:
        features = run(tiny.backbone_file(), normalised(picture))
        expected = softmax(WEIGHTS @ features + HEAD.bias)
        np.testing.assert_allclose(
            run(floating, normalised(picture)), expected, atol=1e-5
        )


def test_assembled_model_names_its_tensors(floating):
    assert activation_names(floating) == [
        "image",
        "maps",
        "features",
        "edgeclf_logits",
        "final_result",
    ]


@pytest.mark.parametrize("name", ["features", "edgeclf_logits", "edgeclf_head/bias"])
def test_an_output_name_that_is_taken_is_refused(name):
    with pytest.raises(ModelError, match=rf"tiny nor the head uses.*'{name}'"):
        assemble(tiny.backbone(), HEAD, name)


@pytest.mark.parametrize("head", ["int8", "float"])
def test_quantized_model_takes_pixels_and_stays_close(floating, calibration, head):
    content = with_uint8_ends(quantize(floating, *calibration, head=head))
    (wanted,) = create_interpreter(content).get_input_details()
    assert (wanted["dtype"], wanted["name"]) == (np.uint8, "image")
    for picture in PICTURES:
        difference = run(content, picture[np.newaxis]) - run(
            floating, normalised(picture)
        )
        assert np.abs(difference).max() < 0.06


def test_int8_model_gives_256ths(floating, calibration):
    device_file = with_uint8_ends(quantize(floating, *calibration))
    (given,) = create_interpreter(device_file).get_output_details()
    assert (given["dtype"], given["name"]) == (np.uint8, "final_result")
    assert given["quantization"] == (1 / 256, 0)


def test_float_head_gives_floats_and_keeps_its_weights(floating, calibration):
    content = with_uint8_ends(quantize(floating, *calibration, head="float"))
    (given,) = create_interpreter(content).get_output_details()
    assert given["dtype"] == np.float32
    model = graph.read_model(content)
    tensors = model.subgraphs[0].tensors
    (index,) = [i for i, t in enumerate(tensors) if t.name == b"edgeclf_head/weights"]
    np.testing.assert_array_equal(graph.constant(model, index), WEIGHTS)


def test_quantizing_twice_gives_the_same_bytes(floating, calibration):
    assert quantize(floating, *calibration) == quantize(floating, *calibration)


def test_constants_are_aligned_and_inside_the_flatbuffer(floating, calibration):
    content = with_uint8_ends(quantize(floating, *calibration))
    model = graph.read_model(content)
    assert all(buffer.offset <= 1 for buffer in model.buffers)
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) >= 64:
            assert content.index(bytes(buffer.data)) % 16 == 0


def test_float16_halves_the_weights_and_stays_close(floating):
    content = cast_to_float16(floating)
    difference = run(content, normalised(PICTURES[0])) - run(
        floating, normalised(PICTURES[0])
    )
    assert np.abs(difference).max() < 5e-3


def test_ranges_are_means_over_pictures():
    lows = np.array([[-1.0, 0.0], [-3.0, 0.0]], np.float32)
    highs = np.array([[1.0, 5.0], [2.0, 7.0]], np.float32)
    assert merge_ranges(["a", "b"], lows, highs) == {"a": (-2.0, 1.5), "b": (0.0, 6.0)}


def test_pixels_behind_a_concatenation_keep_their_range():
    """The bundled backbone frames the picture before its first convolution."""
    content = load_backbone(BUNDLED_ARCHITECTURE).content
    names = activation_names(content)
    seen = dict.fromkeys(names, (-0.9, 0.8)) | {names[0]: (-1.0, 1.0)}
    ranges = moved_ranges(graph.read_model(content), seen)
    assert ranges["tall"] == ranges["framed"] == (-1.0, 1.0)
    assert ranges["stem"] == (-0.9, 0.8)


def test_a_missing_range_is_a_model_error(floating, calibration):
    ranges, logits = calibration
    with pytest.raises(ModelError, match="cannot be quantized to int8"):
        quantize(floating, {"image": ranges["image"]}, logits)


def test_the_range_of_logits_leaves_out_what_has_no_score():
    logits = np.array([[-60, 3, 40], [-50, 30, -2], [5, -40, 6]], np.float32)
    # The least of the best is 6, the largest second 5.
    assert logits_range(logits) == (6 - 10, 6 + 10)
    assert logits_range(logits / 10) == pytest.approx((-6, 4))
    assert logits_range(np.array([[0, 30, 40]], np.float32)) == (30, 40)


def test_assembled_tags_are_a_sigmoid_of_the_head(floating, calibration):
    ranges, logits = calibration
    tags = assemble(tiny.backbone(), HEAD, "final_result", multi_label=True)
    assert activation_names(tags) == activation_names(floating)
    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    for head in ("float", "int8"):
        quantized = with_uint8_ends(quantize(tags, ranges, logits, head=head))
        for picture, scores in zip(PICTURES, expected, strict=True):
            np.testing.assert_allclose(
                run(tags, normalised(picture)), scores, atol=1e-6
            )
            answer = run(quantized, picture[np.newaxis])
            np.testing.assert_allclose(answer, scores, atol=0.1)
    assert (answer * 256 % 1 == 0).all()  # the fixed scale of LOGISTIC


@pytest.mark.parametrize("size", [1e-11, 0.0])
def test_a_head_of_next_to_no_weights_keeps_its_bias(calibration, size):
    ranges, _ = calibration
    bias = np.array([3.5, -2.0, 0.5], np.float32)
    head = Head(np.full_like(WEIGHTS, size), bias)
    logits = np.tile(bias, (len(PICTURES), 1))
    for multi_label in (True, False):
        floating = assemble(
            tiny.backbone(), head, "final_result", multi_label=multi_label
        )
        content = with_uint8_ends(quantize(floating, ranges, logits))
        expected = run(floating, normalised(PICTURES[0]))
        answer = run(content, PICTURES[0][np.newaxis])
        np.testing.assert_allclose(answer, expected, atol=0.01)


def test_the_range_of_tags_ends_where_scores_do():
    low, high = tag_logits_range(np.array([[-30, 2.5], [1, 0]], np.float32))
    assert (1 / (1 + np.exp(-low)), high) == (pytest.approx(1 / 512), 2.5)
    low, high = tag_logits_range(np.array([[40, -1], [3, 0]], np.float32))
    assert (low, 1 / (1 + np.exp(-high))) == (-1, pytest.approx(511 / 512))
    # 0 belongs to every range.
    assert tag_logits_range(np.array([[-3, -2]], np.float32)) == (-3, 0)


def test_what_ends_in_relu_is_known():
    assert floored_names(tiny.backbone_file()) == {"maps"}
    deep = floored_names(tiny.deep_backbone_file())
    assert deep == {"maps", "maps1", "maps2", "maps3", "maps4"}
