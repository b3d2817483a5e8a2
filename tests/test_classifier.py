from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
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
from edgeclf.interpreter import create_interpreter
from edgeclf.model_info import ModelInfo
from edgeclf.scores import ends_in_probabilities, probabilities

RED, GREEN, BLUE = range(3)
PIXEL = np.array([200, 30, 90])
NORMAL: dict[str, Any] = {"input_mean": 127.5, "input_std": 127.5}
BYTES = models.build(input_type="uint8")  # takes pixels as they are
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
@pytest.mark.parametrize("output_shape", [(1, 3), (1, 1, 3), (1, 1, 1, 3), (3,)])
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
    with Classifier(content, **(NORMAL if input_type == "float32" else {})) as model:
        actual = model.scores(PICTURE)
    assert actual.dtype == np.float32
    assert actual.shape == (3,)
    # A level may round to either side where the kernel computes in float32.
    np.testing.assert_allclose(actual, expected, atol=1e-5 + 0.51 * scale)


def test_int8_scores_do_not_wrap_around() -> None:
    weights = 40 * np.eye(3, dtype=np.float32)
    content = models.build(
        output_type="int8", output_quantization=(1 / 256, -128), weights=weights
    )
    scores = Classifier(content, **NORMAL).scores(PICTURE)
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


@pytest.mark.parametrize("model_class", [Classifier, Embedder])
@pytest.mark.parametrize("input_type", ["float32", "float16", "int16"])
def test_model_that_does_not_say_how_it_is_normalised_is_refused(
    model_class: Any, input_type: str, model_file: Callable[..., Path]
) -> None:
    path = model_file(models.build(input_type=input_type))
    with pytest.raises(ModelError) as caught:
        model_class(path)
    assert str(caught.value) == (
        f"{path}: Expected a model that says how its {input_type} input is normalised. "
        "This one has no such metadata: give input_mean and input_std (--input_mean, "
        "--input_std), usually 127.5 and 127.5 for an input of -1 to 1, or 0 and 255 "
        "for one of 0 to 1."
    )


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
            "its input is uint8, which takes pixels as they are",
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


def test_logits_become_probabilities() -> None:
    logits = np.float32([3, -1, 1000])
    np.testing.assert_allclose(probabilities(logits), [0, 0, 1], atol=1e-6)
    for small in np.float32([[0.2, 0.2, 0.0], [0.6, 0.4, 0.0], [0.8, 0.4, 0.0]]):
        np.testing.assert_allclose(probabilities(small), softmax(small), rtol=1e-6)
    for logit in np.float32([-80, -2, 0, 3, 80]):
        (score,) = probabilities(np.array([logit]))
        assert score == pytest.approx(logistic(float(logit)), abs=1e-6)


def test_single_logit_is_the_certainty_of_one_class() -> None:
    content = models.build(weights=np.float32([[4, 0, 0]]), activation=None)
    classifier = Classifier(content, **NORMAL)
    for level in (0, 128, 255):
        (category,) = classifier.classify(np.full((8, 6, 3), level, np.uint8))
        logit = 4 * (level - 127.5) / 127.5
        assert category.score == pytest.approx(logistic(logit), abs=1e-5)


def flat_classes() -> dict[str, Any]:
    """1,001 classes of 8 bits, whose rounded probabilities do not sum to 1."""
    weights = np.zeros((1001, 3), np.float32)
    weights[7, RED] = 7.5
    return {"input_type": "uint8", "output_type": "uint8", "weights": weights}


@pytest.mark.parametrize("changes", [{"activation": "logistic"}, flat_classes()])
def test_probabilities_that_are_joined_stay_as_they_are(
    changes: dict[str, Any],
) -> None:
    options = {} if "input_type" in changes else NORMAL
    content = models.build(**changes)
    expected = Classifier(content, **options).scores(PICTURE)
    assert abs(expected.sum() - 1) > 0.02
    joined = Classifier(models.with_concatenation(content), **options)
    np.testing.assert_array_equal(joined.scores(PICTURE), expected)


def test_logits_that_are_joined_become_probabilities() -> None:
    content = models.with_concatenation(models.build(activation=None))
    scores = Classifier(content, **NORMAL).scores(PICTURE)
    expected = expected_scores((PIXEL - 127.5) / 127.5)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("output_type", "quantization", "expected"),
    [
        ("uint8", (1 / 256, 0), True),
        ("int8", (1 / 256, -128), True),
        ("uint8", (1 / 255, 0), True),
        ("int16", (1 / 32768, 0), True),
        ("uint8", (1 / 20, 0), None),
        ("int8", (1 / 256, 0), None),
        ("int16", (1 / 3000, 0), None),
        ("float32", (0.0, 0), None),
    ],
)
def test_operator_that_nobody_knows_is_judged_by_its_quantization(
    output_type: str, quantization: tuple[float, int], expected: bool | None
) -> None:
    """As in a file for an EdgeTPU, which is one such operator."""
    content = models.with_operator(
        models.build(
            output_type=output_type,
            output_quantization=quantization,
            activation="softmax" if output_type == "float32" else None,
        ),
        "edgetpu-custom-op",
    )
    assert ends_in_probabilities(content, ModelInfo()) is expected


def behind(name: str, **changes: Any) -> bytes:
    """A model with another operator, which has no options, at its end."""
    model = schema.ModelT.InitFromPackedBuf(
        models.with_concatenation(models.build(**changes)), 0
    )
    code = model.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = getattr(
        schema.BuiltinOperator, name
    )
    operator = model.subgraphs[0].operators[-1]
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    return models.pack(model)


@pytest.mark.parametrize("name", ["GATHER", "SLICE", "STRIDED_SLICE", "TRANSPOSE"])
def test_operators_that_only_choose_values_tell_nothing_else(name: str) -> None:
    assert ends_in_probabilities(behind(name), ModelInfo()) is True
    assert ends_in_probabilities(behind(name, activation=None), ModelInfo()) is False


def test_gray_pictures_decide_where_the_graph_does_not() -> None:
    real = (PIXEL - 127.5) / 127.5
    scores = Classifier(behind("ABS"), **NORMAL).scores(PICTURE)
    np.testing.assert_allclose(scores, expected_scores(real), atol=1e-5)
    classifier = Classifier(behind("ABS", activation=None), **NORMAL)
    for levels in (PIXEL, [140, 146.6, 127.5], [146.6, 140, 127.5]):
        # Some of these logits lie in [0, 1] and sum to 1: they stay logits.
        picture = np.broadcast_to(np.uint8(levels), (8, 6, 3))
        logits = np.abs(models.WEIGHTS @ ((np.uint8(levels) - 127.5) / 127.5))
        np.testing.assert_allclose(
            classifier.scores(picture), softmax(logits), atol=1e-5
        )


def test_model_that_fails_on_gray_pictures_is_not_refused() -> None:
    content = models.own(weights=np.full((3, 3), np.nan, np.float32))
    assert Classifier(content).num_classes == 3
    content = behind("ABS", weights=np.full((3, 3), np.nan, np.float32))
    assert Classifier(content, **NORMAL).num_classes == 3


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
    sentence = r"In the model's record: Expected resize .* Received: resize='lanczos'"
    with pytest.raises(ModelError, match=sentence):
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
        Classifier(BYTES).classify(PICTURE, allow=["red"])


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


def test_only_a_labels_file_loses_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0 red\n1 green\n2 blue\n")
    assert Classifier(models.own(), labels=path).labels == models.COLORS
    numbered = ("0 red", "1 green", "2 blue")
    assert Classifier(models.own(), labels=list(numbered)).labels == numbered
    assert Classifier(models.own(numbered)).labels == numbered


def test_model_without_labels_gives_indices() -> None:
    classifier = Classifier(BYTES)
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
            r"Received: \[2, 8, 6, 3\]|shape \(2, 3\). Received: \(1, 3\)",
        ),
        (
            models.build(input_shape=(1, 8, 6, 1), weights=np.ones((2, 1), np.float32)),
            r"input of shape \(1, height, width, 3\) or .* Received: \[1, 8, 6, 1\]",
        ),
        (
            models.build(input_type="int32"),
            "one of float32, float16, uint8, int8, int16. Received: int32",
        ),
        (
            models.build(input_type="uint8", outputs=("logits", "scores", "scores")),
            r"one output of shape \(1, num_classes\). Received: outputs of shape \(1,",
        ),
        (
            models.build(
                input_type="uint8",
                weights=np.ones((4, 3), np.float32),
                output_shape=(1, 2, 2),
            ),
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
    content = models.own(weights=np.full((3, 3), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"^the model: The model's output has values"):
        Classifier(content).scores(PICTURE)


def test_dynamic_batch_is_accepted() -> None:
    content = models.build(input_signature=(-1, 8, 6, 3), input_type="uint8")
    assert Classifier(content).classify(PICTURE)[0].index == RED


@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
def test_input_without_a_batch_is_accepted(input_type: str) -> None:
    content = models.own(
        input_shape=(8, 6, 3),
        input_type=input_type,
        input_quantization=(1 / 127.5, 0 if input_type == "int8" else 128),
    )
    classifier = Classifier(content)
    assert classifier.input_size == (8, 6)
    assert classifier.classify(PICTURE)[0].label == "red"


@pytest.mark.parametrize(
    ("input_type", "scale", "zero_point"), [("float16", 0, 0), ("int16", 1 / 32768, 0)]
)
def test_wide_inputs_get_what_normalisation_and_scale_say(
    input_type: str, scale: float, zero_point: int
) -> None:
    content = models.build(
        input_type=input_type, input_quantization=(scale, zero_point)
    )
    expected = expected_scores((PIXEL - 127.5) / 127.5)
    scores = Classifier(content, **NORMAL).scores(PICTURE)
    np.testing.assert_allclose(scores, expected, atol=2e-3)
    known = models.with_metadata(content, mean=[100, 110, 120], std=[130, 150, 160])
    expected = expected_scores((PIXEL - [100, 110, 120]) / [130, 150, 160])
    np.testing.assert_allclose(Classifier(known).scores(PICTURE), expected, atol=2e-3)


def test_wide_integers_need_a_scale() -> None:
    content = models.build(input_type="int16", input_quantization=(0, 0))
    with pytest.raises(ModelError, match=r"with a scale. Received: int16 without one"):
        Classifier(content, **NORMAL)


def dynamic(shape: tuple[int, int] = (1, 1), **changes: Any) -> bytes:
    """A model of any height and width: its first layer is a mean."""
    signature = changes.pop("input_signature", (1, -1, -1, 3))
    return models.own(input_shape=(1, *shape, 3), input_signature=signature, **changes)


@pytest.mark.parametrize("model_class", [Classifier, Embedder])
def test_dynamic_size_is_the_callers_the_tensors_or_the_pictures(
    model_class: Any,
) -> None:
    assert model_class(dynamic(), input_size=(40, 30)).input_size == (40, 30)
    assert model_class(dynamic((20, 10))).input_size == (20, 10)
    assert model_class(dynamic((1, 10))).input_size == (10, 10)
    assert model_class(dynamic()).input_size is None
    said = models.with_metadata(
        models.build(
            input_type="uint8", input_shape=(1, 5, 5, 3), input_signature=(1, -1, -1, 3)
        ),
        default_size=(12, 34),
    )
    assert model_class(said).input_size == (12, 34)
    assert model_class(said, input_size=(9, 9)).input_size == (9, 9)


def test_size_that_the_metadata_say_must_not_take_all_memory() -> None:
    content = models.build(
        input_type="uint8", input_shape=(1, 5, 5, 3), input_signature=(1, -1, -1, 3)
    )
    for size in ((1025, 8), (8, 2**31), (0, 8)):
        said = models.with_metadata(content, default_size=size)
        assert Classifier(said).input_size == (5, 5)


def test_size_that_the_metadata_say_must_fit_what_is_fixed() -> None:
    content = models.build(
        input_type="uint8", input_shape=(1, 8, 6, 3), input_signature=(1, -1, 6, 3)
    )
    for size, expected in (((9, 64), (8, 6)), ((9, 6), (9, 6))):
        classifier = Classifier(models.with_metadata(content, default_size=size))
        assert classifier.input_size == expected
        assert classifier.classify(PICTURE)[0].index == RED


@pytest.mark.parametrize("input_type", ["float32", "uint8"])
@pytest.mark.parametrize("input_size", [None, (5, 9)])
def test_model_of_dynamic_size_labels_pictures_of_all_sizes(
    input_type: str, input_size: tuple[int, int] | None
) -> None:
    random = np.random.default_rng(3)
    content = dynamic(input_type=input_type)
    classifier = Classifier(content, input_size=input_size)
    for shape in ((7, 9), (3, 4), (1, 1), (900, 1300), (7, 9)):
        pixels = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        size = input_size or shape
        if shape[1] == 1300 and input_size is None:
            size = (354, 512)
        stretched = image.load(pixels, size).mean((0, 1))
        mean = 127.5 if input_type == "float32" else 128
        expected = expected_scores((stretched - mean) / 127.5)
        np.testing.assert_allclose(classifier.scores(pixels), expected, atol=1e-4)


def test_dynamic_size_of_a_region_is_the_regions(noise: np.ndarray) -> None:
    classifier = Classifier(dynamic())
    region = (3, 5, 20, 30)
    expected = expected_scores((noise[5:30, 3:20].mean((0, 1)) - 127.5) / 127.5)
    actual = classifier.scores(noise, region=region)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "input_size", "sentence"),
    [
        (models.own(), (9, 6), r"as the model has it: \(8, 6\). Received: .*\(9, 6\)"),
        (dynamic(), (0, 6), r"\(1-4096, 1-4096\). Received: input_size=\(0, 6\)"),
        (dynamic(), (5000, 6), r"Received: input_size=\(5000, 6\)"),
        (dynamic(), (2.5, 6), r"Received: input_size=\(2.5, 6\)"),
        (dynamic(), (5,), r"Received: input_size=\(5,\)"),
        (dynamic(), 8, "Received: input_size=8"),
        (
            dynamic((8, 1), input_signature=(1, 8, -1, 3)),
            (9, 5),
            r"\(8, 1-4096\). Received",
        ),
    ],
)
def test_input_size_that_does_not_fit_is_refused(
    content: bytes, input_size: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        Classifier(content, input_size=input_size)
    assert not isinstance(caught.value, ModelError)


def test_input_size_of_a_fixed_model_may_be_said() -> None:
    assert Classifier(models.own(), input_size=(8, 6)).input_size == (8, 6)


def expected_label(content: bytes, **options: Any) -> tuple[str | None, float]:
    best = Classifier(content, **options).classify(PICTURE)[0]
    return best.label, best.score


@pytest.mark.parametrize(
    "outputs",
    [("bottleneck", "scores"), ("scores", "image"), ("logits", "image", "scores")],
)
def test_scores_are_found_among_several_outputs(outputs: tuple[str, ...]) -> None:
    weights = np.vstack([models.WEIGHTS, np.zeros((2, 3), np.float32)])
    changes: dict[str, Any] = {"input_type": "uint8", "weights": weights}
    single = models.with_labels(models.build(**changes), "abcde")
    several = models.with_labels(models.build(**changes, outputs=outputs), "abcde")
    np.testing.assert_array_equal(
        Classifier(several).scores(PICTURE), Classifier(single).scores(PICTURE)
    )
    np.testing.assert_array_equal(
        Embedder(several).embed(PICTURE), Embedder(single).embed(PICTURE)
    )


def test_output_of_as_many_values_as_labels_is_the_scores() -> None:
    weights = np.vstack([models.WEIGHTS, np.zeros((2, 3), np.float32)])
    changes: dict[str, Any] = {"input_type": "uint8", "weights": weights}
    content = models.build(**changes, activation=None, outputs=("bottleneck", "logits"))
    with pytest.raises(ModelError, match="Expected an image classifier: one output"):
        Classifier(content)
    expected = Classifier(models.build(**changes)).scores(PICTURE)
    scores = Classifier(content, labels=list("abcde")).scores(PICTURE)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_metadata_say_which_output_has_the_scores() -> None:
    content = models.build(input_type="uint8", outputs=("scores", "p", "p"))
    named = [
        models.OutputMetadata([("other.txt", 3, None)]),
        models.OutputMetadata([("names.txt", 2, None)]),
        models.OutputMetadata([("labels.txt", 1, None)]),
    ]
    content = models.with_metadata(content, outputs=named)
    files = {"labels.txt": "x\n", "other.txt": "y\n", "names.txt": "r\ng\nb\n"}
    classifier = Classifier(models.with_files(content, files))
    assert classifier.labels == ("r", "g", "b")
    assert classifier.classify(PICTURE)[0].label == "r"


def test_recommended_threshold_is_the_default() -> None:
    content = models.with_metadata(
        models.with_labels(BYTES), outputs=[models.OutputMetadata(threshold=0.5)]
    )
    classifier = Classifier(content)
    assert indices(classifier.classify(PICTURE)) == [RED]
    assert len(classifier.classify(PICTURE, score_threshold=0)) == 3


def test_score_calibration_replaces_the_softmax() -> None:
    calibration = "1,2,-1\n0.5,1,0.25\n\n"
    plain = models.build(input_type="uint8", activation=None)
    content = models.with_metadata(
        plain,
        outputs=[models.OutputMetadata([("c.csv", 4, None)], calibration=(0, 0.125))],
    )
    scores = Classifier(models.with_files(content, {"c.csv": calibration})).scores(
        PICTURE
    )
    logits = models.WEIGHTS @ ((PIXEL - 128) / 127.5)
    expected = [
        1 / (1 + np.exp(-(2 * logits[RED] - 1))),
        0.5 / (1 + np.exp(-(logits[GREEN] + 0.25))),
        0.125,
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    wide = models.with_metadata(
        plain,
        outputs=[models.OutputMetadata([("c.csv", 4, None)], calibration=(0, -1.0))],
    )
    classifier = Classifier(models.with_files(wide, {"c.csv": "5,2,-1\n\n\n"}))
    for options in ({}, {"score_threshold": 0}):
        categories = classifier.classify(PICTURE, **options)  # type: ignore[arg-type]
        assert indices(categories) == [RED, GREEN, BLUE]
        assert categories[0].score > 1
        assert [category.score for category in categories[1:]] == [-1, -1]
    assert indices(classifier.classify(PICTURE, score_threshold=0.5)) == [RED]
    short = models.with_files(content, {"c.csv": "1,2,-1\n"})
    with pytest.raises(ModelError, match=r"calibration of 3 lines.* Received: 2"):
        Classifier(short)


def test_threads_share_a_classifier() -> None:
    random = np.random.default_rng(1)
    pictures = list(random.integers(0, 256, (60, 9, 7, 3), dtype=np.uint8))
    for content in (models.own(), dynamic(), models.own(input_type="uint8")):
        classifier, embedder = Classifier(content), Embedder(content)
        expected = [classifier.scores(pixels) for pixels in pictures]
        vectors = [embedder.embed(pixels) for pixels in pictures]
        with ThreadPoolExecutor(8) as executor:
            actual = list(executor.map(classifier.scores, pictures * 5))
            np.testing.assert_array_equal(actual, expected * 5)
            actual = list(executor.map(embedder.embed, pictures * 5))
            np.testing.assert_array_equal(actual, vectors * 5)


def test_closing_while_threads_label_ends_in_an_answer_or_a_sentence() -> None:
    expected = Classifier(models.own()).scores(PICTURE)
    for _ in range(20):
        classifier = Classifier(models.own())
        with ThreadPoolExecutor(4) as executor:
            answers = [executor.submit(classifier.scores, PICTURE) for _ in range(50)]
            classifier.close()
        for answer in answers:
            if isinstance(answer.exception(), ValueError):
                assert "is closed" in str(answer.exception())
            else:
                np.testing.assert_array_equal(answer.result(), expected)


def test_arguments_are_checked_before_the_picture_is_read(tmp_path: Path) -> None:
    classifier = Classifier(models.own())
    with pytest.raises(ValueError, match="top_k"):
        classifier.classify(tmp_path / "missing.jpg", top_k=0)
    with pytest.raises(ValueError, match="Received: rotation=7"):
        classifier.classify(PICTURE, rotation=7)
    with pytest.raises(ValueError, match=r"top_k=2\.5"):
        classifier.classify(tmp_path / "missing.jpg", top_k=2.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a list of labels. Received: 'red'"):
        classifier.classify(tmp_path / "missing.jpg", allow="red")
    for num_threads in (0, 1.5):
        with pytest.raises(ValueError, match=f"num_threads={num_threads}") as caught:
            Classifier(models.own(), num_threads=num_threads)  # type: ignore[arg-type]
        assert not isinstance(caught.value, ModelError)
    for labels in (b"abc", [1, 2, 3]):
        with pytest.raises(TypeError, match="a path or a list of names"):
            Classifier(models.own(), labels=labels)  # type: ignore[arg-type]
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
    small = image.load(photo, (160, 160))
    interpreter = create_interpreter(quantized.read_bytes())
    (source,), (output,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    interpreter.set_tensor(source["index"], small[np.newaxis])
    interpreter.invoke()
    expected = interpreter.get_tensor(output["index"])[0] / np.float32(256)
    with Classifier(quantized) as classifier, Embedder(quantized) as embedder:
        np.testing.assert_array_equal(classifier.scores(photo), expected)
        assert embedder.embed(photo).shape == (512,)
        assert classifier.labels is not None
        assert len(classifier.labels) == 1001
        assert classifier.classify(photo)[0].label == "daisy"


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


def test_categories_are_chosen_from_scores_as_classify_does() -> None:
    classifier = Classifier(many_classes())
    scores = classifier.scores(PICTURE)
    labels = ["class 2", "class 5"]
    for options in (
        {},
        {"top_k": 2},
        {"score_threshold": float(scores[6])},
        {"allow": labels},
        {"deny": labels},
    ):
        expected = classifier.classify(PICTURE, **options)  # type: ignore[arg-type]
        assert classifier.categories(scores, **options) == expected  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_k"):
        classifier.categories(scores, top_k=0)
    for wrong in (scores[:2], scores[np.newaxis], scores * np.nan):
        with pytest.raises(ValueError, match=r"Expected \d+ finite scores, one for ea"):
            classifier.categories(wrong)
    best = float(scores.max())
    entry = models.record(reject={"min_score": best})
    classifier = Classifier(many_classes(entry=entry))
    assert len(classifier.categories(scores, reject=True)) == 5
    (unknown,) = classifier.categories(scores * 0.9, reject=True)
    assert unknown == Category(None, "unknown", pytest.approx(0.9 * best))
