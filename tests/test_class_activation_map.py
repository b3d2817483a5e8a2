from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import model_files as models
import numpy as np
import pytest
import tiny
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from edgeclf import Classifier, Embedder, LabelError, ModelError
from edgeclf.class_activation_map import ClassActivationMapper, _spread, relative
from edgeclf.linear_head import find_linear_head
from edgeclf.network import open_network
from edgeclf.tflite.graph import Graph
from edgeclf.training.assemble import LOGITS, assemble
from edgeclf.training.head import Head, softmax
from edgeclf.training.quantize import (
    activation_names,
    cast_to_float16,
    quantize,
    with_uint8_ends,
)
from edgeclf.zoo import graph
from edgeclf.zoo.depths import with_depths

PIXELS = {"input_mean": 127.5, "input_std": 127.5}
WEIGHTS = np.random.default_rng(5).normal(0, 1.5, (3, tiny.DEPTH)).astype(np.float32)
HEAD = Head(WEIGHTS, np.array([0.1, -0.2, 0.3], np.float32))
PICTURES = [tiny.pixels(color, 1, (32, 32)) for color in tiny.COLORS]

# How far scores may be off that are computed from the map: none, weights rounded to
# float16 on both sides, the rounding of int8 layers behind the map.
KINDS = {"float32": 1e-5, "float16": 1e-5, "int8": 0.03, "int8 head float": 0.03}


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """One convolution, pool and head, in every precision that edgeclf writes."""
    floating = assemble(tiny.backbone(), HEAD, "scores")
    names = activation_names(floating)
    ranges = dict(zip(names, [(-1, 1), (0, 6), (0, 3)], strict=False))
    with Embedder(floating, **PIXELS) as embedder:
        logits = HEAD.logits(np.array([embedder.embed(image) for image in PICTURES]))
    return {
        "float32": floating,
        "float16": cast_to_float16(floating),
        "int8": with_uint8_ends(quantize(floating, ranges, logits)),
        "int8 head float": with_uint8_ends(
            quantize(floating, ranges, logits, head="float")
        ),
    }


def logits_by_map(mapper: ClassActivationMapper, image: np.ndarray) -> np.ndarray:
    classes = range(mapper.num_classes)
    return np.array([mapper.map(image, index).sum() for index in classes]) + mapper.bias


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_and_bias_sum_to_the_logits(
    contents: dict[str, bytes], kind: str
) -> None:
    settings = PIXELS if kind.startswith("float") else {}
    with (
        ClassActivationMapper(contents[kind], **settings) as mapper,
        Classifier(contents[kind], **settings) as classifier,
    ):
        for image in PICTURES:
            assert mapper.map(image).shape == (16, 16)
            scores = softmax(logits_by_map(mapper, image))
            expected = classifier.scores(image)
            np.testing.assert_allclose(scores, expected, atol=KINDS[kind])
            best = mapper.map(image, int(expected.argmax()))
            np.testing.assert_array_equal(mapper.map(image), best)


def test_sum_is_the_logit_of_the_graph_itself(contents: dict[str, bytes]) -> None:
    content = contents["float32"]
    _, _, _, network = open_network(
        content, outputs=lambda model, _: [Graph(model).tensor_named(LOGITS)], **PIXELS
    )
    mapper = ClassActivationMapper(content, **PIXELS)
    for image in PICTURES:
        (expected,) = network.run(image, region=None, rotation=0)
        np.testing.assert_allclose(
            logits_by_map(mapper, image), expected[0], rtol=1e-5, atol=1e-5
        )


def test_cells_are_the_features_times_the_weights() -> None:
    """The feature map of this model is its input: the map is known pixel by pixel."""
    image = np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)
    weights = np.random.default_rng(4).normal(0, 1, (2, 3)).astype(np.float32)
    for convolution in (False, True):
        for activation in ("softmax", "logistic", None):
            content = models.build(
                weights=weights, convolution=convolution, activation=activation
            )
            mapper = ClassActivationMapper(content, **PIXELS)
            expected = (image / 127.5 - 1) @ weights[1] / 48
            np.testing.assert_allclose(mapper.map(image, 1), expected, atol=1e-6)


def test_scores_are_found_among_several_outputs() -> None:
    image = np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)
    several = models.build(outputs=("bottleneck", "image", "scores"))
    with pytest.raises(ModelError, match="where the evidence lies"):
        find_linear_head(Graph(several))
    np.testing.assert_array_equal(
        ClassActivationMapper(several, **PIXELS).map(image, 1),
        ClassActivationMapper(models.build(), **PIXELS).map(image, 1),
    )


@pytest.mark.parametrize("labels", [list("abc"), list("abcde")])
def test_labels_tell_which_of_two_heads_is_explained(labels: list[str]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (8, 6, 3), np.uint8)
    weights = np.random.default_rng(4).normal(0, 1, (5, 3)).astype(np.float32)
    content = models.with_second_head(models.build(), weights)
    for model_class in (Classifier, ClassActivationMapper):
        with pytest.raises(ModelError, match=r"one output of .* \(1, 3\), \(1, 5\)"):
            model_class(content, **PIXELS)
    mapper = ClassActivationMapper(content, labels, **PIXELS)
    assert mapper.labels == tuple(labels)
    assert mapper.num_classes == len(labels)
    scores = Classifier(content, labels, **PIXELS).scores(image)
    np.testing.assert_allclose(softmax(logits_by_map(mapper, image)), scores, atol=1e-5)
    last = mapper.map(image, labels[-1])
    np.testing.assert_array_equal(last, mapper.map(image, len(labels) - 1))


def test_number_of_labels_must_fit() -> None:
    with pytest.raises(
        LabelError, match=r"Expected 3 labels for the model. Received: 2"
    ):
        ClassActivationMapper(models.build(), ["a", "b"], **PIXELS)


def test_region_and_rotation_are_those_of_the_classifier() -> None:
    image = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)
    mapper = ClassActivationMapper(models.own())
    part = image[6:, :12]
    np.testing.assert_array_equal(
        mapper.map(image, 0, region=(0, 6, 12, 12)), mapper.map(part, 0)
    )
    np.testing.assert_array_equal(
        mapper.map(image, 0, rotation=90), mapper.map(np.rot90(image, -1).copy(), 0)
    )


def test_bright_half_is_the_evidence(picture: Callable[..., Path]) -> None:
    image = np.zeros((8, 6, 3), np.uint8)
    image[:, 3:, 2] = 255  # blue on the right
    mapper = ClassActivationMapper(models.own())
    assert mapper.labels == models.COLORS
    evidence = mapper.map(image, "blue")
    assert (evidence[:, 3:] > 0).all()
    assert (evidence[:, :3] < 0).all()
    expected = np.zeros((8, 6))
    expected[:, 3:] = 1
    np.testing.assert_allclose(relative(evidence), expected, atol=1e-6)


def test_relative_evidence_is_its_own_relative_evidence() -> None:
    evidence = np.array([[-1, 2], [8, 0]], np.float32)
    np.testing.assert_array_equal(relative(evidence), [[0, 0.25], [1, 0]])
    np.testing.assert_array_equal(relative(relative(evidence)), relative(evidence))
    assert not relative(np.full((2, 2), -3, np.float32)).any()


@pytest.mark.parametrize(
    ("content", "options", "label", "error", "message"),
    [
        (models.own(), {}, "pink", ValueError, "a label of the model. Received: label"),
        (models.own(), {}, 3, ValueError, "one of 3 classes. Received: label=3"),
        (models.own(), {}, 1.0, ValueError, "one of 3 classes. Received: label=1.0"),
        (models.own(), {}, -1, ValueError, "one of 3 classes. Received: label=-1"),
        (models.build(), PIXELS, "red", LabelError, "the model has no labels"),
    ],
)
def test_unknown_labels_are_refused(
    content: bytes, options: dict, label: str | int, error: type, message: str
) -> None:
    mapper = ClassActivationMapper(content, **options)
    with pytest.raises(error, match=message):
        mapper.map(np.zeros((8, 6, 3), np.uint8), label)


def test_closed_mapper_refuses() -> None:
    with ClassActivationMapper(models.own()) as mapper:
        pass
    mapper.close()
    with pytest.raises(ValueError, match="closed"):
        mapper.map(np.zeros((8, 6, 3), np.uint8))


def changed(change: Callable[[schema.ModelT], None], **options: object) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(models.build(**options), 0)
    change(model)
    return models.pack(model)


def tensor(model: schema.ModelT, name: str) -> schema.TensorT:
    named = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    return named[name]


def pool_rows_only(model: schema.ModelT) -> None:
    axes = np.array([1, 1], np.int32)
    model.buffers[tensor(model, "axes").buffer].data = np.frombuffer(axes, np.uint8)


def build_in_relu(model: schema.ModelT) -> None:
    layer = model.subgraphs[0].operators[1]
    layer.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU


def compute_weights(model: schema.ModelT) -> None:
    model.buffers[tensor(model, "weights").buffer].data = None


def widen_kernel(model: schema.ModelT) -> None:
    tensor(model, "weights").shape = [1, 3, 1, 3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (models.build(head=False, activation=None), "does not come from such a layer"),
        (changed(pool_rows_only), r"reads, of shape \(1, 3\), is no such mean"),
        (changed(build_in_relu), "an activation is built into"),
        (changed(build_in_relu, convolution=True), "an activation is built into"),
        (changed(compute_weights), "the weights of its last layer are computed"),
        (changed(widen_kernel, convolution=True), r"weights of shape \(1, 3, 1, 3\)"),
    ],
)
def test_other_models_are_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=f"where the evidence lies.*{reason}"):
        find_linear_head(Graph(content))


def test_refusal_names_the_model(model_file: Callable[..., Path]) -> None:
    path = model_file(models.build(head=False, activation=None), "extractor.tflite")
    with pytest.raises(ModelError, match=r"extractor\.tflite: Expected a classifier"):
        ClassActivationMapper(path, **PIXELS)


def test_mutated_models_have_a_head_or_are_refused() -> None:
    random = np.random.default_rng(17)
    content = models.build(convolution=True)
    found = 0
    for _ in range(300):
        damaged = bytearray(content)
        for position in random.integers(8, len(content), 4):
            damaged[position] = random.integers(256)
        try:
            head = find_linear_head(Graph(bytes(damaged)))
        except ModelError:
            continue
        found += 1
        assert head.weights.shape == (len(head.bias), 3)
    assert 0 < found < 300


@pytest.mark.parametrize(
    ("name", "cells", "tolerance"),
    [
        ("mobilenet_v1_0.25_224_1_metadata_1.tflite", (7, 7), 1e-4),
        ("mobilenet_v1_0.5_160_quant.tflite", (5, 5), 0.3),  # two output levels
    ],
)
def test_foreign_classifiers(
    shared: Path, name: str, cells: tuple[int, int], tolerance: float
) -> None:
    path = shared / "models" / name
    layer = "MobilenetV1/Logits/SpatialSqueeze"
    layer += "1" if "quant" in name else ""
    _, _, _, network = open_network(
        path, outputs=lambda model, _: [Graph(model).tensor_named(layer)]
    )
    mapper = ClassActivationMapper(path)
    images = sorted((shared / "data" / "flowers").rglob("*.jpg"))[::200]
    assert images
    for image in images:
        (logits,) = network.run(image, region=None, rotation=0)
        assert mapper.map(image).shape == cells
        for index in np.argsort(logits[0])[-3:].tolist():
            total = mapper.map(image, index).sum() + mapper.bias[index]
            assert total == pytest.approx(logits[0, index], abs=tolerance)


def test_evidence_lies_on_the_object(model_file: Callable[..., Path]) -> None:
    """A red square on gray: the map of `red` is highest inside it."""
    image = Image.new("RGB", (60, 80), (128, 128, 128))
    image.paste((255, 0, 0), (10, 20, 30, 50))
    with ClassActivationMapper(model_file()) as mapper:
        row, column = np.unravel_index(mapper.map(image, "red").argmax(), (8, 6))
    assert 2 <= row <= 4
    assert 1 <= column <= 2


DEEP = with_depths(tiny.deep_backbone())
DEEP_HEAD = Head(
    np.random.default_rng(6).normal(0, 1.5, (3, DEEP.depth)).astype(np.float32),
    np.array([0.1, -0.2, 0.3], np.float32),
)


def deep_int8(floating: bytes) -> bytes:
    names = activation_names(floating)
    ranges = dict.fromkeys(names, (0.0, 6.0)) | {names[0]: (-1.0, 1.0)}
    with Embedder(floating, **PIXELS) as embedder:
        vectors = np.array([embedder.embed(image) for image in PICTURES])
    logits = DEEP_HEAD.logits(vectors)
    return with_uint8_ends(quantize(floating, ranges, logits))


def test_evidence_of_several_depths_sums_to_the_logits() -> None:
    floating = assemble(DEEP, DEEP_HEAD, "scores")
    _, _, _, network = open_network(
        floating, outputs=lambda model, _: [Graph(model).tensor_named(LOGITS)], **PIXELS
    )
    mapper = ClassActivationMapper(floating, **PIXELS)
    for image in PICTURES:
        assert mapper.map(image).shape == (4, 4)  # of the finest, not of the last
        (expected,) = network.run(image, region=None, rotation=0)
        np.testing.assert_allclose(
            logits_by_map(mapper, image), expected[0], rtol=1e-5, atol=1e-4
        )
        best = mapper.map(image, int(expected[0].argmax()))
        np.testing.assert_array_equal(mapper.map(image), best)


def test_evidence_of_several_depths_of_an_int8_file() -> None:
    content = deep_int8(assemble(DEEP, DEEP_HEAD, "scores"))
    with ClassActivationMapper(content) as mapper, Classifier(content) as classifier:
        for image in PICTURES:
            scores = softmax(logits_by_map(mapper, image))
            np.testing.assert_allclose(scores, classifier.scores(image), atol=0.1)


def test_a_coarse_place_is_spread_over_what_it_covers() -> None:
    evidence = np.array([[1, 2], [3, 4]], np.float32)
    expected = np.kron(evidence, np.ones((2, 2))) / 4
    np.testing.assert_allclose(_spread(evidence, 4, 4), expected, atol=1e-7)
    odd = _spread(evidence, 3, 5)
    assert odd.shape == (3, 5)
    assert odd.sum() == pytest.approx(10)
    # The middle of three rows has a third of each row, two fifths of them per column.
    assert odd[1, 0] == pytest.approx((1 + 3) / 3 * 2 / 5)


def test_a_concatenation_with_something_else_is_refused() -> None:
    model = graph.read_model(assemble(DEEP, DEEP_HEAD, "scores"))
    (joined,) = (
        operator
        for operator in model.subgraphs[0].operators
        if graph.operator_name(model, operator) == "CONCATENATION"
    )
    extra = np.zeros((1, 10), np.float32)
    joined.inputs[0] = graph.add_tensor(model, "constant", (1, 10), data=extra)
    with pytest.raises(ModelError, match=r"of shape \(1, 38\), is no such mean"):
        find_linear_head(Graph(graph.pack_model(model)))
