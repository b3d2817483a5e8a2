import numpy as np
import pytest
import tiny

from edgeclf.interpreter import create_interpreter
from edgeclf.training.assemble import assemble
from edgeclf.training.bias_correction import corrected_biases, with_biases
from edgeclf.training.head import Head
from edgeclf.training.quantize import activation_names, merge_ranges, quantize
from edgeclf.zoo import BUNDLED_ARCHITECTURE, load_backbone

HEAD_SEED = 4


def pictures_for(backbone, count):
    """Noisy pictures of the input's size."""
    height, width = backbone.input_size
    colors = list(tiny.COLORS)
    return [
        tiny.pixels(colors[seed % 3], seed, (width, height)) for seed in range(count)
    ]


def activations(backbone, content, pictures, names):
    """Return the named tensors for each input, dequantized: name -> list."""
    interpreter = create_interpreter(content, 1, preserve_all_tensors=True)
    details = {entry["name"]: entry for entry in interpreter.get_tensor_details()}
    source = interpreter.get_input_details()[0]
    result = {name: [] for name in names}
    for pixels in pictures:
        value = backbone.normalise(pixels)
        scale, zero_point = source["quantization"]
        if scale:
            levels = np.rint(value / scale) + zero_point
            value = np.clip(levels, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        for name in names:
            scale, zero_point = details[name]["quantization"]
            tensor = interpreter.get_tensor(details[name]["index"]).astype(np.float64)
            result[name].append((tensor - zero_point) * scale if scale else tensor)
    return result


def networks(backbone, pictures):
    """Return the float classifier and its int8 form, uncorrected."""
    source = np.random.default_rng(HEAD_SEED)
    weights = source.normal(0, 0.1, (3, backbone.depth)).astype(np.float32)
    head = Head(weights, np.zeros(3, np.float32))
    floating = assemble(backbone, head, "final_result")
    names = activation_names(backbone.content)
    seen = activations(backbone, backbone.content, pictures, names)
    lows = np.array([[value.min() for value in seen[name]] for name in names]).T
    highs = np.array([[value.max() for value in seen[name]] for name in names]).T
    bottlenecks = np.array([value.ravel() for value in seen[names[-1]]], np.float32)
    ranges = merge_ranges(names, lows, highs)
    return floating, quantize(floating, ranges, head.logits(bottlenecks))


def test_channel_means_come_closer_to_float():
    backbone = tiny.backbone()
    pictures = pictures_for(backbone, 12)
    floating, quantized = networks(backbone, pictures)
    # A bias that is far off, as the rounding of many small weights makes it.
    right = corrected_biases(backbone, quantized, pictures)
    off = with_biases(quantized, right + np.arange(-1600, 1600, 400, dtype=np.int32))
    again = with_biases(off, corrected_biases(backbone, off, pictures))

    def error(content):
        means = [
            np.mean(
                activations(backbone, which, pictures, ["maps"])["maps"],
                axis=(0, 1, 2, 3),
            )
            for which in (floating, content)
        ]
        return np.abs(means[0] - means[1]).max()

    assert error(off) > 3 * error(again)
    assert error(again) < 0.05  # ReLU6 hides part of a shift


def test_bundled_backbone_comes_closer_to_float():
    """52 convolutions, residual additions, concatenations; unseen pictures."""
    backbone = load_backbone(BUNDLED_ARCHITECTURE)
    pictures = pictures_for(backbone, 10)
    floating, quantized = networks(backbone, pictures[:4])
    corrected = with_biases(
        quantized, corrected_biases(backbone, quantized, pictures[:4])
    )
    name = activation_names(backbone.content)[-1]
    wanted = np.array(activations(backbone, floating, pictures[4:], [name])[name])
    before, after = (
        np.linalg.norm(
            np.array(activations(backbone, which, pictures[4:], [name])[name]) - wanted
        )
        for which in (quantized, corrected)
    )
    assert after < before


def test_same_inputs_give_the_same_biases():
    backbone = tiny.backbone()
    pictures = pictures_for(backbone, 3)
    _, quantized = networks(backbone, pictures)
    np.testing.assert_array_equal(
        corrected_biases(backbone, quantized, pictures),
        corrected_biases(backbone, quantized, pictures),
    )


def test_another_number_of_biases_is_refused():
    backbone = tiny.backbone()
    _, quantized = networks(backbone, pictures_for(backbone, 1))
    with pytest.raises(ValueError, match=r"Expected 8 biases\. Received: 7\."):
        with_biases(quantized, np.zeros(7, np.int32))
