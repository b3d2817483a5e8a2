from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import (
    Category,
    Classifier,
    Embedder,
    ImageError,
    LabelError,
    ModelError,
    image,
)
from edgeclf.classifier import probabilities
from edgeclf.network import dequantize

RED, GREEN, BLUE = range(3)
PIXEL = np.array([200, 30, 90])
PICTURE = np.broadcast_to(PIXEL.astype(np.uint8), (8, 6, 3))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def logistic(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def expected_scores(real: np.ndarray, activation: str | None = "softmax") -> np.ndarray:
    """What the models of `models.build` compute for a picture of one colour."""
    logits = models.WEIGHTS @ real
    return logistic(logits) if activation == "logistic" else softmax(logits)


def indices(categories: list[Category]) -> list[int | None]:
    return [category.index for category in categories]


OUTPUTS = {
    # The scale and zero point of each: nothing that could be mistaken for 1 / 255.
    ("float32", "softmax"): (0.0, 0),
    ("uint8", "softmax"): (1 / 200, 7),
    ("int8", "softmax"): (1 / 200, -100),
    ("float32", "logistic"): (0.0, 0),
    ("uint8", "logistic"): (1 / 250, 3),
    ("int8", "logistic"): (1 / 250, -125),
    ("float32", None): (0.0, 0),
    ("uint8", None): (1 / 20, 120),
    ("int8", None): (1 / 20, -5),
}


@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
@pytest.mark.parametrize(("output_type", "activation"), OUTPUTS)
@pytest.mark.parametrize("output_shape", [(1, 3), (1, 1, 1, 3), (3,)])
def test_scores_equal_reference(
    input_type: str,
    output_type: str,
    activation: str | None,
    output_shape: tuple[int, ...],
) -> None:
    scale, zero_point = OUTPUTS[output_type, activation]
    content = models.build(
        input_type=input_type,
        input_quantization=(1 / 127.5, 0 if input_type == "int8" else 128),
        output_type=output_type,
        output_quantization=(scale, zero_point),
        activation=activation,
        output_shape=output_shape,
    )
    # Without metadata a quantized input gets the raw pixel, int8 less 128.
    real = (PIXEL - (127.5 if input_type == "float32" else 128)) / 127.5
    expected = expected_scores(real, activation)
    if output_type != "float32":
        values = expected if activation else models.WEIGHTS @ real
        limits = np.iinfo(output_type)
        levels = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
        expected = (levels - zero_point) * scale
        expected = expected if activation else softmax(expected)
    with Classifier(content) as classifier:
        actual = classifier.scores(PICTURE)
    assert actual.dtype == np.float32
    assert actual.shape == (3,)
    # A level may round to either side where the kernel computes in float32.
    np.testing.assert_allclose(actual, expected, atol=1e-5 + 0.51 * scale)


def test_int8_scores_do_not_wrap_around() -> None:
    weights = 40 * np.eye(3, dtype=np.float32)
    content = models.build(
        output_type="int8", output_quantization=(1 / 256, -128), weights=weights
    )
    scores = Classifier(content).scores(PICTURE)
    assert scores[RED] == pytest.approx(255 / 256)  # level 127: 127 + 128 = 255


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,), (255.0,)), ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))]
)
@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
def test_normalisation_of_the_metadata_is_used(
    mean: tuple[float, ...], std: tuple[float, ...], input_type: str
) -> None:
    scale, zero_point = 0.02, 100 if input_type == "uint8" else -20
    content = models.build(
        input_type=input_type, input_quantization=(scale, zero_point)
    )
    content = models.with_metadata(content, mean=mean, std=std)
    real = (PIXEL - np.array(mean)) / np.array(std)
    if input_type != "float32":
        limits = np.iinfo(input_type)
        levels = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
        real = (levels - zero_point) * scale
    scores = Classifier(content).scores(PICTURE)
    np.testing.assert_allclose(scores, expected_scores(real), atol=1e-5)


@pytest.mark.parametrize(
    ("input_type", "zero_point"), [("uint8", 127), ("uint8", 128), ("int8", 0)]
)
def test_quantizing_within_half_a_level_of_the_pixel_is_left_out(
    input_type: str, zero_point: int
) -> None:
    content = models.build(
        input_type=input_type, input_quantization=(1 / 127.5, zero_point)
    )
    known = models.with_metadata(content, mean=[127.5], std=[127.5])
    for level in range(0, 256, 5):
        picture = np.full((8, 6, 3), level, np.uint8)
        picture[..., GREEN] = 255 - level
        np.testing.assert_array_equal(
            Classifier(known).scores(picture), Classifier(content).scores(picture)
        )


def test_float_model_that_does_not_say_is_normalised_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "edgeclf"):
        scores = Classifier(models.build()).scores(PICTURE)
    np.testing.assert_allclose(
        scores, expected_scores((PIXEL - 127.5) / 127.5), atol=1e-5
    )
    (line,) = caplog.messages
    assert "(pixel - 127.5) / 127.5 is used" in line
    caplog.clear()
    with caplog.at_level(logging.INFO, "edgeclf"):
        Classifier(models.own())
        Classifier(models.build(), input_mean=0, input_std=255)
        Classifier(models.build(input_type="uint8"))
    assert not caplog.messages


def test_given_normalisation_is_used_and_zero_is_a_mean() -> None:
    content = models.build()
    scores = Classifier(content, input_mean=0, input_std=255).scores(PICTURE)
    np.testing.assert_allclose(scores, expected_scores(PIXEL / 255), atol=1e-5)
    mean, std = [1.0, 2.0, 3.0], [50.0, 60.0, 70.0]
    scores = Classifier(content, input_mean=mean, input_std=std).scores(PICTURE)
    real = (PIXEL - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(scores, expected_scores(real), atol=1e-5)


def test_given_normalisation_that_the_model_has_itself_is_accepted() -> None:
    scores = Classifier(models.own(), input_mean=127.5, input_std=127.5).scores(PICTURE)
    np.testing.assert_array_equal(scores, Classifier(models.own()).scores(PICTURE))


@pytest.mark.parametrize(
    ("content", "mean", "std", "sentence"),
    [
        (
            models.own(),
            0,
            255,
            r"its metadata say \(127.5,\) and \(127.5,\). Received",
        ),
        (
            models.build(input_type="uint8"),
            0,
            255,
            "its input is uint8, not float32",
        ),
        (
            models.build(),
            0,
            None,
            "together. Received: input_mean=0, input_std=None",
        ),
        (
            models.build(),
            None,
            1,
            "together. Received: input_mean=None, input_std=1",
        ),
        (
            models.build(),
            0,
            0,
            "input_std other than 0. Received: input_mean=0, inpu",
        ),
        (
            models.build(),
            float("nan"),
            1,
            "one finite number, or three for R, G, B",
        ),
        (models.build(), [1, 2], 1, "one finite number, or three for R, G, B"),
    ],
)
def test_given_normalisation_that_does_not_fit_is_refused(
    content: bytes, mean: Any, std: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        Classifier(content, input_mean=mean, input_std=std)
    assert not isinstance(caught.value, ModelError)


def test_softmax_is_applied_to_logits_only() -> None:
    logits = np.float32([3, -1, 1000])
    np.testing.assert_allclose(probabilities(logits), [0, 0, 1], atol=1e-6)
    certain = np.float32([0.2, 0.795, 0.0])  # 8-bit probabilities miss 1 by a little
    np.testing.assert_array_equal(probabilities(certain), certain)
    small = np.float32([0.2, 0.2, 0.0])
    np.testing.assert_allclose(probabilities(small), softmax(small), rtol=1e-6)


def test_categories_carry_index_label_and_score(
    picture: Callable[..., Path], model_file: Callable[..., Path]
) -> None:
    with Classifier(model_file()) as classifier:
        categories = classifier.classify(picture("green"))
        assert classifier.labels == models.COLORS
        assert classifier.input_size == (8, 6)
        assert classifier.num_classes == 3
        assert classifier.resize == "antialias"
        assert not classifier.multi_label
        assert classifier.info.record == models.record()
    expected = expected_scores((np.array(models.PIXELS["green"]) - 127.5) / 127.5)
    assert [(c.index, c.label) for c in categories] == [
        (GREEN, "green"),
        (RED, "red"),
        (BLUE, "blue"),
    ]
    for category in categories:
        assert isinstance(category.index, int)
        assert isinstance(category.score, float)
        assert category.score == pytest.approx(expected[category.index], abs=1e-5)


@pytest.mark.parametrize("color", models.COLORS)
def test_every_kind_of_image_is_labelled(
    color: str, picture: Callable[..., Path], model_file: Callable[..., Path]
) -> None:
    path = picture(color)
    array = np.full((5, 5, 3), models.PIXELS[color], np.uint8)
    with Classifier(str(model_file())) as classifier, path.open("rb") as file:
        for source in (
            path,
            str(path),
            path.read_bytes(),
            file,
            Image.fromarray(array),
            array,
        ):
            assert classifier.classify(source)[0].label == color


def test_region_rotation_and_resize_reach_the_picture(noise: np.ndarray) -> None:
    content = models.own()
    region, rotation = (0.1, 0.2, 0.6, 0.9), 90
    for resize in image.RESIZE_METHODS:
        pixels = image.load(
            noise, (8, 6), resize=resize, region=region, rotation=rotation
        )
        classifier = Classifier(content, resize=resize)
        expected = expected_scores((pixels.mean((0, 1)) - 127.5) / 127.5)
        actual = classifier.scores(noise, region=region, rotation=rotation)
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        assert classifier.resize == resize


def test_resize_of_the_record_is_the_default() -> None:
    preprocessing = {**models.record()["preprocessing"], "resize": "nearest"}
    content = models.own(entry=models.record(preprocessing=preprocessing))
    assert Classifier(content).resize == "nearest"
    assert Classifier(content, resize="bilinear").resize == "bilinear"
    preprocessing["resize"] = "lanczos"
    content = models.own(entry=models.record(preprocessing=preprocessing))
    with pytest.raises(ModelError, match="resize filter in the model's record"):
        Classifier(content)
    with pytest.raises(ValueError, match="Received: resize='lanczos'"):
        Classifier(models.own(), resize="lanczos")


def many_classes(count: int = 8, **changes: Any) -> bytes:
    """A model whose class k has the logit k * mean of the red channel."""
    weights = np.zeros((count, 3), np.float32)
    weights[:, RED] = np.arange(count)
    labels = [f"class {index}" for index in range(count)]
    return models.own(labels, weights=weights, **changes)


def test_top_k_is_five_unless_told() -> None:
    classifier = Classifier(many_classes())
    assert indices(classifier.classify(PICTURE)) == [7, 6, 5, 4, 3]
    assert indices(classifier.classify(PICTURE, top_k=2)) == [7, 6]
    assert len(classifier.classify(PICTURE, top_k=100)) == 8
    for top_k in (0, -1):
        with pytest.raises(ValueError, match=f"least 1. Received: top_k={top_k}"):
            classifier.classify(PICTURE, top_k=top_k)


def test_ties_are_in_index_order() -> None:
    gray = np.full((8, 6, 3), 127, np.uint8)
    content = many_classes(input_type="float32", activation=None)
    classifier = Classifier(content, labels=None)
    black_and_white = np.where(np.arange(6)[:, np.newaxis] % 2, gray[0], 128)
    zero = np.broadcast_to(black_and_white.astype(np.uint8), (8, 6, 3))
    assert len({c.score for c in classifier.classify(zero, top_k=8)}) == 1
    assert indices(classifier.classify(zero, top_k=8)) == list(range(8))


def test_score_threshold_keeps_what_reaches_it() -> None:
    classifier = Classifier(models.own())
    scores = classifier.scores(PICTURE)
    second = float(np.sort(scores)[-2])
    assert len(classifier.classify(PICTURE, score_threshold=second)) == 2
    assert len(classifier.classify(PICTURE, score_threshold=0)) == 3
    assert classifier.classify(PICTURE, score_threshold=1.0) == []
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"\[0, 1\]. Received: score_threshold"):
            classifier.classify(PICTURE, score_threshold=threshold)


def test_allow_and_deny_choose_labels() -> None:
    classifier = Classifier(models.own())
    assert indices(classifier.classify(PICTURE, allow=["green", "blue"])) == [
        BLUE,
        GREEN,
    ]
    assert indices(classifier.classify(PICTURE, deny=["red"])) == [BLUE, GREEN]
    assert classifier.classify(PICTURE, allow=[]) == []
    assert len(classifier.classify(PICTURE, deny=[])) == 3
    whole = classifier.scores(PICTURE)[BLUE]
    assert classifier.classify(PICTURE, allow=["blue"])[0].score == pytest.approx(whole)


def test_allow_and_deny_are_checked(model_file: Callable[..., Path]) -> None:
    path = model_file()
    classifier = Classifier(path)
    with pytest.raises(ValueError, match="allow or deny, not both"):
        classifier.classify(PICTURE, allow=["red"], deny=["blue"])
    with pytest.raises(ValueError) as caught:
        classifier.classify(PICTURE, deny=["red", "pink", "żółty"])
    assert str(caught.value) == (
        f"Expected labels of {path}. Received: 'pink', 'żółty', which it does not have."
    )
    with pytest.raises(TypeError, match=r"a list of labels. Received: 'red'"):
        classifier.classify(PICTURE, allow="red")
    with pytest.raises(LabelError, match=r"the model has none. Give them with lab"):
        Classifier(models.build()).classify(PICTURE, allow=["red"])


def test_reject_answers_unknown_below_the_models_limit() -> None:
    best = float(Classifier(models.own()).scores(PICTURE).max())
    content = models.own(entry=models.record(reject={"min_score": best + 0.01}))
    classifier = Classifier(content)
    assert classifier.classify(PICTURE, reject=True) == [
        Category(None, "unknown", best)
    ]
    assert len(classifier.classify(PICTURE)) == 3
    content = models.own(entry=models.record(reject={"min_score": best}))
    assert len(Classifier(content).classify(PICTURE, reject=True)) == 3
    assert len(Classifier(models.own()).classify(PICTURE, reject=True)) == 3


def test_multi_label_model_gives_every_tag_above_its_threshold() -> None:
    scores = expected_scores((PIXEL - 127.5) / 127.5, "logistic")
    thresholds = [float(scores[RED]) + 0.01, 0.0, float(scores[BLUE]) - 0.01]
    classifier = Classifier(
        models.own(
            entry=models.record(multi_label=True, thresholds=thresholds),
            activation="logistic",
        )
    )
    assert classifier.multi_label
    np.testing.assert_allclose(classifier.scores(PICTURE), scores, atol=1e-5)
    assert indices(classifier.classify(PICTURE)) == [BLUE, GREEN]
    assert indices(classifier.classify(PICTURE, score_threshold=0)) == [
        RED,
        BLUE,
        GREEN,
    ]
    assert indices(classifier.classify(PICTURE, score_threshold=0.5)) == [RED]
    assert indices(classifier.classify(PICTURE, top_k=1)) == [RED]


def test_multi_label_model_returns_more_than_five_tags() -> None:
    content = many_classes(entry=models.record(multi_label=True), activation="logistic")
    # Without thresholds of its own: 0.5, which class 0 reaches with a logit of 0.
    assert len(Classifier(content).classify(PICTURE)) == 8


def test_labels_argument_overrides_the_models_own(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("0 rot\r\n1:grün\r\nłąka \r\n".encode())
    for labels in (path, str(path), ["0 rot", "1:grün", "łąka "]):
        classifier = Classifier(models.own(), labels=labels)
        assert classifier.labels == ("0 rot", "1:grün", "łąka ")
        assert classifier.classify(PICTURE)[0].label == "0 rot"


def test_model_without_labels_gives_indices() -> None:
    classifier = Classifier(models.build())
    assert classifier.labels is None
    assert classifier.classify(PICTURE, top_k=1)[0].label is None


def test_number_of_labels_must_fit(
    tmp_path: Path, model_file: Callable[..., Path]
) -> None:
    path = model_file(models.own(["a", "b", "c", "d"]))
    with pytest.raises(LabelError) as caught:
        Classifier(path)
    assert str(caught.value) == (
        f"Expected 3 labels for {path} (output shape (1, 3)). "
        "Received: 4 in the file itself."
    )
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\n")
    with pytest.raises(LabelError, match=rf"Received: 2 in {labels}\."):
        Classifier(path, labels=labels)
    with pytest.raises(LabelError, match=r"Received: 1 in the list of labels\."):
        Classifier(path, labels=["a"])
    assert Classifier(path, labels=["a", "b", "c"]).labels == ("a", "b", "c")
    labels.write_bytes(b"\xff\xfe")
    with pytest.raises(LabelError, match=f"Expected {labels} to be UTF-8 text"):
        Classifier(path, labels=labels)
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        Classifier(path, labels=tmp_path / "missing.txt")


def test_missing_model_stays_file_not_found(tmp_path: Path) -> None:
    for model_class in (Classifier, Embedder):
        with pytest.raises(FileNotFoundError, match=r"missing\.tflite"):
            model_class(tmp_path / "missing.tflite")
        with pytest.raises(IsADirectoryError):
            model_class(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"text", "Expected a TFLite model"),
        (models.build()[:700], "damaged|refuses the model|cut short"),
        (
            models.build(input_shape=(2, 8, 6, 3)),
            r"3\). Received: \[2, 8, 6, 3\]",
        ),
        (
            models.build(input_shape=(1, 8, 6, 1), weights=np.ones((2, 1), np.float32)),
            r"Expected an input of shape \(1, height, width, 3\). Received: \[1, 8, 6",
        ),
        (
            models.build(input_signature=(1, -1, -1, 3)),
            r"fixed height and width. Received: \[1, -1, -1, 3\]; convert the model",
        ),
        (
            models.build(input_type="int16", input_quantization=(1 / 32768, 0)),
            "Expected an input of float32, uint8 or int8. Received: int16",
        ),
        (
            models.build(outputs=2),
            r"one output of shape \(1, num_classes\). Received",
        ),
        (
            models.build(weights=np.ones((4, 3), np.float32), output_shape=(1, 2, 2)),
            r"Received: outputs of shape \(1, 2, 2\)",
        ),
        (
            models.with_metadata(models.build(), mean=[1.0, 2.0], std=[1.0]),
            "Expected a normalisation of one value, or of one for each of R, G, B",
        ),
        (
            models.own(entry=models.record(thresholds=[0.5] * 3), labels=["a"]),
            "thresho",
        ),
    ],
)
def test_unsupported_models_are_refused_by_name(
    content: bytes, sentence: str, model_file: Callable[..., Path]
) -> None:
    path = model_file(content)
    with pytest.raises(ModelError, match=sentence) as caught:
        Classifier(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_output_that_is_not_finite_is_refused() -> None:
    content = models.build(weights=np.full((3, 3), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"^the model: The model's output has values"):
        Classifier(content).scores(PICTURE)


@pytest.mark.parametrize(
    ("values", "scale"), [(np.uint8([1]), 0.0), (np.bool_([True]), 1.0)]
)
def test_output_without_real_values_is_refused(
    values: np.ndarray, scale: float
) -> None:
    with pytest.raises(ModelError, match=f"Received: {values.dtype}, scale {scale}"):
        dequantize(values, {"quantization": (scale, 0)})


def test_dynamic_batch_is_accepted() -> None:
    content = models.build(input_signature=(-1, 8, 6, 3))
    assert Classifier(content).classify(PICTURE)[0].index == RED


def test_arguments_are_checked_before_the_picture_is_read(tmp_path: Path) -> None:
    classifier = Classifier(models.own())
    with pytest.raises(ValueError, match="top_k"):
        classifier.classify(tmp_path / "missing.jpg", top_k=0)
    with pytest.raises(ValueError, match="Received: rotation=7"):
        classifier.classify(PICTURE, rotation=7)
    with pytest.raises(ValueError, match="Received: num_threads=0"):
        Classifier(models.own(), num_threads=0)
    with pytest.raises(FileNotFoundError):
        classifier.classify(tmp_path / "missing.jpg")
    with pytest.raises(ImageError):
        classifier.classify(b"text")


@pytest.mark.parametrize("model_class", [Classifier, Embedder])
def test_closing_twice_is_safe_and_use_after_it_refused(model_class: Any) -> None:
    with model_class(models.own()) as model:
        model.close()
    model.close()
    use = model.classify if model_class is Classifier else model.embed
    with pytest.raises(ValueError, match=r"is closed. Make a new one") as caught:
        use(PICTURE)
    assert not isinstance(caught.value, ModelError)


def test_one_classifier_labels_many_pictures() -> None:
    classifier = Classifier(models.own(), num_threads=2)
    for color, _ in itertools.product(models.COLORS, range(3)):
        pixels = np.full((9, 9, 3), models.PIXELS[color], np.uint8)
        assert classifier.classify(pixels)[0].label == color


@pytest.mark.parametrize("convolution", [False, True])
@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("types", [("float32", "float32"), ("uint8", "uint8")])
def test_embedder_returns_what_the_head_reads(
    convolution: bool, outside: bool, own: bool, types: tuple[str, str]
) -> None:
    changes: dict[str, Any] = {
        "convolution": convolution,
        "outside": outside,
        "input_type": types[0],
        "output_type": types[1],
        "input_quantization": (1 / 127.5, 128),
    }
    content = models.own(**changes) if own else models.build(**changes)
    with Embedder(content) as embedder:
        assert embedder.input_size == (8, 6)
        assert embedder.depth == 3
        vector = embedder.embed(PICTURE)
    assert vector.dtype == np.float32
    mean = 127.5 if types[0] == "float32" else 128
    np.testing.assert_allclose(vector, (PIXEL - mean) / 127.5, atol=1e-5)


def test_embedder_of_a_feature_extractor_returns_its_output() -> None:
    content = models.build(head=False, activation=None)
    vector = Embedder(content, input_mean=0, input_std=1).embed(PICTURE)
    np.testing.assert_allclose(vector, PIXEL, rtol=1e-6)


def test_embedder_dequantizes() -> None:
    content = models.build(
        head=False,
        activation=None,
        output_type="int8",
        output_quantization=(0.01, -5),
    )
    vector = Embedder(content).embed(PICTURE)
    np.testing.assert_allclose(vector, (PIXEL - 127.5) / 127.5, atol=0.0051)


def test_embedder_takes_region_and_rotation(noise: np.ndarray) -> None:
    region = (0.0, 0.0, 0.5, 0.5)
    pixels = image.load(noise, (8, 6), region=region, rotation=180)
    vector = Embedder(models.own()).embed(noise, region=region, rotation=180)
    np.testing.assert_allclose(vector, (pixels.mean((0, 1)) - 127.5) / 127.5, atol=1e-5)


def test_embedder_names_the_tensor_that_is_missing(
    model_file: Callable[..., Path],
) -> None:
    path = model_file(models.own(entry=models.record(bottleneck="pool")))
    with pytest.raises(ModelError) as caught:
        Embedder(path)
    assert str(caught.value) == (
        f"{path}: Expected a tensor named pool in the model. Found none."
    )
    assert Classifier(path).classify(PICTURE)[0].label == "red"


def test_google_models_label_a_flower_photo(shared: Path) -> None:
    photo = next((shared / "data" / "flowers" / "daisy").glob("*.jpg"))
    with Image.open(photo) as opened:
        pixels = np.asarray(
            opened.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        )
    name = "mobilenet_v1_0.25_224_1_metadata_1.tflite"
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(shared / "models" / name))
    interpreter.allocate_tensors()
    (source,), (output,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    normal = (pixels.astype(np.float32) - 127.5) / 127.5
    interpreter.set_tensor(source["index"], normal[np.newaxis])
    interpreter.invoke()
    expected = interpreter.get_tensor(output["index"])[0]
    with Classifier(shared / "models" / name) as classifier:
        actual = classifier.scores(photo)
        np.testing.assert_allclose(actual, expected, atol=0.02)  # scaled decoding
        best = classifier.classify(photo)[0]
        assert best.index == expected.argmax()
    with Embedder(shared / "models" / name) as embedder:
        assert embedder.embed(photo).shape == (256,)
    quantized = shared / "models" / "mobilenet_v1_0.5_160_quant.tflite"
    with Classifier(quantized) as classifier, Embedder(quantized) as embedder:
        assert classifier.scores(photo).sum() == pytest.approx(1, abs=0.1)
        assert embedder.embed(photo).shape == (512,)
        assert classifier.labels is not None
        assert classifier.labels[985] == "daisy" or len(classifier.labels) == 1001


def test_result_of_encoded_bytes_equals_result_of_the_file(
    picture: Callable[..., Path],
) -> None:
    path = picture("blue", "photo.jpg", quality=90)
    classifier = Classifier(models.own())
    expected = classifier.classify(path)
    assert classifier.classify(path.read_bytes()) == expected
    assert classifier.classify(io.BytesIO(path.read_bytes())) == expected


@pytest.mark.parametrize(
    ("quantization", "mean", "std"),
    [((1 / 127.5, 128), 0.0, 1.0), ((1.0, 0), 127.5, 127.5)],
)
def test_raw_pixels_go_in_where_metadata_say_no_more(
    quantization: tuple[float, int], mean: float, std: float
) -> None:
    """As backbones are read: mean 0 and deviation 1 say nothing; scale 1 is a pixel."""
    plain = models.build(input_type="uint8", input_quantization=quantization)
    said = models.with_metadata(plain, mean=[mean], std=[std])
    np.testing.assert_array_equal(
        Classifier(said).scores(PICTURE), Classifier(plain).scores(PICTURE)
    )
