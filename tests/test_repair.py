"""int8 files that lose accuracy, made by real backbones that quantize badly."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import Classifier, ModelError
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.command import main
from edgeclf.training.quantize import merge_ranges
from edgeclf.training.repair import expected_losses, expected_tag_losses
from edgeclf.zoo import graph

RELU = graph.schema.ActivationFunctionType.RELU
HUGE = 3e3


def constant(model, name):
    """Return a float constant of the model, to be changed, and how to store it."""
    tensors = model.subgraphs[0].tensors
    (tensor,) = [tensor for tensor in tensors if tensor.name == name.encode()]
    buffer = model.buffers[tensor.buffer]
    stored = np.frombuffer(bytes(buffer.data), np.float32)

    def store(changed):
        data = np.ascontiguousarray(changed, np.float32).tobytes()
        buffer.data = np.frombuffer(data, np.uint8)

    return stored.reshape(tuple(tensor.shape)).copy(), store


def without_clamp(content):
    model = graph.read_model(content)
    for operator in model.subgraphs[0].operators:
        if hasattr(operator.builtinOptions, "fusedActivationFunction"):
            operator.builtinOptions.fusedActivationFunction = RELU
    return model


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory):
    """One channel is huge and made small again: float does not mind, int8 does."""
    model = without_clamp(tiny.deep_backbone_file())
    for name, channel, factor in (
        ("weights", np.s_[0], HUGE),
        ("bias", np.s_[0], HUGE),
        ("weights1", np.s_[..., 0], 1 / HUGE),
    ):
        values, store = constant(model, name)
        values[channel] *= factor
        store(values)
    path = tmp_path_factory.mktemp("lopsided") / "lopsided.tflite"
    path.write_bytes(graph.pack_model(model))
    return path


@pytest.fixture(scope="module")
def brightness(tmp_path_factory):
    """All channels grow with brightness, from 0 at black, without an end."""
    model = without_clamp(tiny.backbone_file())
    values, store = constant(model, "weights")
    values = 0.01 + np.abs(values) * 0.1
    store(values)
    _, store = constant(model, "bias")
    store(values.sum(axis=(1, 2, 3)))
    path = tmp_path_factory.mktemp("brightness") / "brightness.tflite"
    path.write_bytes(graph.pack_model(model))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 12)


def write_grays(folder, levels, count=12):
    """Write gray pictures, a class for each level."""
    source = np.random.default_rng(0)
    for name, level in levels.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = source.normal(level, 2, (32, 32, 3)).clip(0, 255)
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def configure(tmp_path, photos):
    def build(**changes):
        settings = {
            "image_dir": photos,
            "output_graph": tmp_path / "model.tflite",
            "bottleneck_dir": tmp_path / "bottlenecks",
            "views": 1,
            "testing_percentage": 25,
            **changes,
        }
        return RetrainConfig(**settings)

    return build


def test_a_drop_that_cannot_be_repaired_is_an_error(configure, lopsided, tmp_path):
    with pytest.raises(
        ModelError,
        match=r"int8 to cost at most 1 points of accuracy \(max_int8_drop\)\. "
        r"Received: \d+\.\d\d \+- .* after every repair\. Use --quantize float16",
    ):
        retrain(configure(architecture=lopsided))
    assert not (tmp_path / "model.tflite").exists()


def test_the_error_ends_the_command_with_status_1(
    lopsided, photos, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = [f"--image_dir={photos}", f"--architecture={lopsided}", "--views=1"]
    assert main([*options, "--bottleneck_dir=b", "--output_graph=m.tflite"]) == 1
    printed = capsys.readouterr()
    assert "error: Expected int8 to cost at most 1 points" in printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "m.tflite").exists()


def test_the_loss_is_as_large_as_was_expected(configure, lopsided):
    """Without a limit the file is written; the test split bears out the estimate."""
    result = retrain(configure(architecture=lopsided, max_int8_drop=100))
    metrics = result.metrics
    lost = 100 * (metrics["accuracy_float"] - metrics["accuracy_int8"])
    assert metrics["accuracy_float"] > 0.8
    assert lost > 15
    assert 15 < metrics["int8_drop"] < 90
    assert metrics["int8_repair"] is None


def test_without_a_limit_nothing_is_measured(configure, lopsided):
    metrics = retrain(configure(architecture=lopsided, max_int8_drop=None)).metrics
    assert metrics["int8_drop"] is None
    assert metrics["int8_repair"] is None


def test_wider_ranges_repair_classes_that_are_cut_off_alike(
    configure, brightness, tmp_path, caplog
):
    """Mean ranges end where both bright classes begin."""
    levels = {"a": 4, "b": 14, "c": 24, "d": 34, "e": 215, "f": 245}
    grays = write_grays(tmp_path / "grays", levels)
    result = retrain(configure(architecture=brightness, image_dir=grays))
    metrics = result.metrics
    assert metrics["int8_repair"] == "widest_ranges"
    assert metrics["int8_drop"] <= 1.0
    assert metrics["accuracy_int8"] == metrics["accuracy_float"] == 1.0
    assert "int8 costs" in caplog.text
    assert "With widest ranges: 0.00" in caplog.text
    record = json.loads(json.dumps(result.metrics))
    assert record["head"] == "int8"


def test_more_calibration_pictures_repair_too_few(configure, brightness, tmp_path):
    """The one picture is dark: every other is cut off."""
    mixed = write_grays(tmp_path / "mixed", {"a": 0}, 4)
    tiny.write_folder(mixed, 20)
    options = {"architecture": brightness, "image_dir": mixed}
    broken = retrain(
        configure(**options, calibration_pictures=1, max_int8_drop=None)
    ).metrics
    assert broken["accuracy_int8"] < broken["accuracy_float"] - 0.2
    metrics = retrain(configure(**options, calibration_pictures=1)).metrics
    assert metrics["int8_repair"] == "calibration_pictures"
    assert metrics["accuracy_int8"] == metrics["accuracy_float"]


def test_a_good_file_is_left_alone_and_looked_at_once(configure, tmp_path, caplog):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny.backbone_file())
    first = retrain(configure(architecture=path))
    assert first.metrics["int8_repair"] is None
    assert 0 <= first.metrics["int8_drop"] <= 1
    assert "int8 costs" not in caplog.text
    content = first.model_path.read_bytes()
    for limit in (None, 0.9):
        again = retrain(configure(architecture=path, max_int8_drop=limit))
        with Classifier(again.model_path) as one, Classifier(content) as other:
            pixels = tiny.pixels("red", 500, (32, 32))
            np.testing.assert_array_equal(one.scores(pixels), other.scores(pixels))


@pytest.mark.parametrize("limit", [-1, 101, float("nan")])
def test_a_limit_outside_0_to_100_is_refused(configure, limit):
    with pytest.raises(ValueError, match="Expected max_int8_drop in 0-100"):
        configure(max_int8_drop=limit)


def test_the_expected_loss_is_the_difference_of_the_scores():
    unseen = np.log(np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]], np.float32))
    floating = np.array([[9, 0, 0], [9, 0, 0]], np.float32)
    quantized = np.array([[9, 0.1, 0], [8, 0.5, -1]], np.float32)
    # The noise of the second picture lifts class 1 by 1.5 over class 0.
    np.testing.assert_allclose(
        expected_losses(unseen, floating, quantized), [0, 0.3], atol=1e-6
    )


def test_the_expected_loss_of_tags_is_that_of_the_micro_f1():
    source = np.random.default_rng(2)
    unseen = source.normal(-0.5, 2, (30, 4)).astype(np.float32)
    noise = source.normal(0, 0.8, (30, 4)).astype(np.float32)
    cuts = np.array([-0.5, 0.0, 0.3, 1.0])
    losses = expected_tag_losses(unseen, np.zeros_like(noise), noise, cuts)
    scores = 1 / (1 + np.exp(-unseen.astype(np.float64)))

    def expected_f1(logits):
        given = logits >= cuts
        return 2 * (scores * given).sum() / (scores.sum() + given.sum())

    drop = expected_f1(unseen) - expected_f1(unseen + noise)
    assert losses.shape == (30,)
    assert losses.mean() == pytest.approx(drop, abs=1e-6)
    # A picture whose tags stay has its share of what changes nothing: none.
    noise[7:] = 0
    losses = expected_tag_losses(unseen, np.zeros_like(noise), noise, cuts)
    assert (losses[7:] == 0).all()


def test_widest_ranges_are_the_extremes():
    lows, highs = np.array([[0, -1], [2, -3]]), np.array([[4, 5], [6, 1]])
    merged = merge_ranges(["a", "b"], lows, highs, "widest")
    assert merged == {"a": (0.0, 6.0), "b": (-3.0, 5.0)}
