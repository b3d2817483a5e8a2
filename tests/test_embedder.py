from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest

from edgeclf import Classifier, Embedder, ModelError, image
from edgeclf.embedder import cosine_similarity

NORMAL: dict[str, Any] = {"input_mean": 127.5, "input_std": 127.5}
PIXEL = np.array([200, 30, 90])
PICTURE = np.broadcast_to(PIXEL.astype(np.uint8), (8, 6, 3))


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
    given = NORMAL if not own and types[0] == "float32" else {}
    with Embedder(content, **given) as embedder:
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
    vector = Embedder(content, **NORMAL).embed(PICTURE)
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


def test_embedder_normalizes_on_demand() -> None:
    embedder = Embedder(models.own())
    vector, unit = embedder.embed(PICTURE), embedder.embed(PICTURE, normalize=True)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, vector / np.linalg.norm(vector), rtol=1e-6)
    black = np.zeros((8, 6, 3), np.uint8)
    content = models.build(head=False, activation=None)
    zero = Embedder(content, input_mean=0, input_std=1).embed(black, normalize=True)
    np.testing.assert_array_equal(zero, np.zeros(3, np.float32))


def test_cosine_similarity_is_that_of_the_directions() -> None:
    first, second = np.float32([3, 0, 4]), np.float32([0, 5, 0])
    assert cosine_similarity(first, 7 * first) == pytest.approx(1)
    assert cosine_similarity(first, -first) == pytest.approx(-1)
    assert cosine_similarity(first, second) == 0
    assert cosine_similarity(first, np.float32([1, 0, 0])) == pytest.approx(0.6)
    assert cosine_similarity(first, np.zeros(3, np.float32)) == 0
    assert isinstance(cosine_similarity(first, second), float)
    huge = np.full(3, 1e30, np.float32)
    assert cosine_similarity(huge, huge) == pytest.approx(1)


def test_cosine_similarity_compares_each_with_each() -> None:
    random = np.random.default_rng(2)
    first, second = random.normal(size=(4, 6)), random.normal(size=(3, 6))
    table = cosine_similarity(first, second)
    assert isinstance(table, np.ndarray)
    assert table.shape == (4, 3)
    for row, column in np.ndindex(4, 3):
        one = cosine_similarity(first[row], second[column])
        assert table[row, column] == pytest.approx(one, abs=1e-6)
    np.testing.assert_allclose(cosine_similarity(first[1], second), table[1], atol=1e-6)
    np.testing.assert_allclose(
        cosine_similarity(first, second[2]), table[:, 2], atol=1e-6
    )


@pytest.mark.parametrize(
    "shapes", [((3,), (4,)), ((2, 3), (2, 4)), ((), (3,)), ((1, 1, 3), (3,))]
)
def test_vectors_that_do_not_fit_are_refused(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    with pytest.raises(ValueError, match=r"of the same depth. Received: shapes"):
        cosine_similarity(np.ones(shapes[0]), np.ones(shapes[1]))


def test_outputs_may_share_a_bottleneck() -> None:
    content = models.build(input_type="uint8")
    several = models.with_second_head(content, np.ones((5, 3), np.float32))
    np.testing.assert_array_equal(
        Embedder(several).embed(PICTURE), Embedder(content).embed(PICTURE)
    )


def test_outputs_that_cannot_be_told_apart_are_refused() -> None:
    content = models.build(
        input_type="uint8", head=False, activation=None, outputs=("bottleneck", "image")
    )
    assert Embedder(content).depth == 3  # the only vector
    content = models.build(
        input_type="uint8", head=False, activation=None, outputs=("image", "real_image")
    )
    with pytest.raises(ModelError, match=r"outputs of shape \(1, 8, 6, 3\), \(1, 8, 6"):
        Embedder(content)
