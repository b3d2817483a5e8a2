"""Statistics of the classes: what they compute, and how a file carries them."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO

import model_files as models
import numpy as np
import pytest

from edgeclf import Classifier, ModelError
from edgeclf.metadata import read_model_info
from edgeclf.statistics import (
    STATISTICS_NAME,
    Distances,
    Statistics,
    pack,
    read_statistics,
    unpack,
)
from edgeclf.training.write_metadata import with_statistics

HEADER_BYTES = 24


def make(classes: int = 3, depth: int = 40, rank: int = 5, seed: int = 0) -> Statistics:
    """Parts of unlike size, as bottlenecks of several depths have."""
    source = np.random.default_rng(seed)
    units = np.where(np.arange(depth) < depth // 2, 0.01, 3.0)
    return Statistics(
        np.asarray(source.normal(1, 1, (classes, depth)) * units, np.float32),
        np.arange(1, classes + 1, dtype=np.float32),
        np.asarray(source.uniform(0.5, 2, depth) * units**2, np.float32),
        np.asarray(source.normal(0, 1, (rank, depth)) * units, np.float32),
    )


def covariance(statistics: Statistics) -> np.ndarray:
    wide = statistics.factors.astype(np.float64)
    return np.diag(statistics.variances.astype(np.float64)) + wide.T @ wide


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_solve_is_that_of_the_full_covariance(rank: int) -> None:
    statistics = make(rank=rank)
    differences = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    expected = np.linalg.solve(covariance(statistics), differences.T.astype(float)).T
    np.testing.assert_allclose(statistics.solve(differences), expected, rtol=1e-6)


def test_distances_are_squared_mahalanobis_distances() -> None:
    statistics = make()
    bottleneck = np.random.default_rng(2).normal(size=40).astype(np.float32)
    inverse = np.linalg.inv(covariance(statistics))
    expected = [
        (bottleneck - mean.astype(float)) @ inverse @ (bottleneck - mean.astype(float))
        for mean in statistics.means
    ]
    several = np.stack([bottleneck, statistics.means[1]])
    squares = Distances(statistics).squares(several)
    np.testing.assert_allclose(squares[0], expected, rtol=1e-6)
    assert squares.shape == (2, 3)
    assert squares[1, 1] == pytest.approx(0, abs=1e-9)
    nearest, _ = Distances(statistics).nearest(several)
    np.testing.assert_allclose(nearest[0], np.sqrt(min(expected)), rtol=1e-6)


def test_lean_is_the_difference_to_the_background() -> None:
    place = np.random.default_rng(3).normal(size=40).astype(np.float32)
    statistics = make()._replace(background=place)
    points = np.random.default_rng(4).normal(size=(5, 40))
    inverse = np.linalg.inv(covariance(statistics))
    far = [(point - place) @ inverse @ (point - place) for point in points]
    measured = Distances(statistics)
    distances, leans = measured.nearest(points)
    np.testing.assert_allclose(measured.squares(points)[:, -1], far, rtol=1e-6)
    np.testing.assert_allclose(distances, Distances(make()).nearest(points)[0])
    np.testing.assert_allclose(leans, distances**2 - far, rtol=1e-6)
    assert measured.nearest(place[np.newaxis])[1][0] > 0
    assert measured.nearest(statistics.means)[1].max() < 0
    assert not Distances(make()).nearest(points)[1].any()


def test_background_is_carried() -> None:
    place = make(seed=5).means[0]
    found = unpack(pack(make()._replace(background=place)))
    assert found.background is not None
    roots = np.sqrt(make().variances)
    limit = np.abs(place / roots).max() / 127
    assert np.abs((found.background - place) / roots).max() <= limit
    assert unpack(pack(make())).background is None


def test_class_without_pictures_is_infinitely_far() -> None:
    statistics = make()._replace(counts=np.array([2, 0, 1], np.float32))
    (squares,) = Distances(statistics).squares(statistics.means[1:2])
    assert squares[1] == np.inf
    assert np.isfinite(squares[[0, 2]]).all()


def test_huge_bottlenecks_have_finite_distances() -> None:
    far = np.full(40, np.finfo(np.float32).max)
    assert np.isfinite(Distances(make()).squares(far[np.newaxis])).all()


def test_rounded_statistics_are_nearly_the_same() -> None:
    exact = make(depth=400, rank=8)
    rounded = unpack(pack(exact))
    roots = np.sqrt(exact.variances)
    for name, step in (("means", 127), ("factors", 127)):
        before, after = getattr(exact, name) / roots, getattr(rounded, name) / roots
        limit = np.abs(before).max(axis=1, keepdims=True) / step  # half a step, twice
        assert (np.abs(before - after) <= limit).all(), name
    np.testing.assert_allclose(rounded.variances, exact.variances, rtol=1e-3)
    np.testing.assert_array_equal(rounded.counts, exact.counts)
    point = exact.means[0] + 3 * roots
    np.testing.assert_allclose(
        Distances(rounded).squares(point[np.newaxis]),
        Distances(exact).squares(point[np.newaxis]),
        rtol=0.02,
    )


def test_packing_twice_changes_nothing_more() -> None:
    once = pack(make())
    assert pack(unpack(once)) == once


def test_packed_size_is_a_byte_for_each_number() -> None:
    assert len(pack(make(7, 1408, 24))) == HEADER_BYTES + 7 * 4 + 1408 * 2 + 31 * 1412


def test_unlike_variances_stay_above_zero() -> None:
    variances = np.geomspace(1e-30, 1e30, 40).astype(np.float32)
    rounded = unpack(pack(make()._replace(variances=variances)))
    assert (rounded.variances > 0).all()
    assert np.isfinite(Distances(rounded).squares(np.ones((1, 40)))).all()


@pytest.mark.parametrize(
    "change",
    [
        {"means": np.zeros((3, 39), np.float32)},
        {"counts": np.zeros(2, np.float32)},
        {"factors": np.full((1, 40), np.nan, np.float32)},
        {"means": np.full((3, 40), np.inf, np.float32)},
        {"background": np.zeros(39, np.float32)},
        {"background": np.full(40, np.nan, np.float32)},
    ],
)
def test_arrays_that_do_not_fit_are_not_packed(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"Expected finite means \(classes, depth\)"):
        pack(make()._replace(**change))


def test_variances_of_zero_are_not_packed() -> None:
    with pytest.raises(ValueError, match=r"Expected variances above 0\. Received: 0"):
        pack(make()._replace(variances=np.zeros(40, np.float32)))


def test_file_carries_statistics_beside_everything_else() -> None:
    content = models.own()
    carrying = with_statistics(content, make())
    found = read_statistics(carrying)
    assert found is not None
    for before, after in zip(unpack(pack(make()))[:4], found[:4], strict=True):
        np.testing.assert_array_equal(before, after)
    assert read_model_info(carrying) == read_model_info(content)
    picture = np.full((8, 6, 3), (200, 40, 120), np.uint8)
    expected = Classifier(content).classify(picture)
    assert Classifier(carrying).classify(picture) == expected
    assert carrying.startswith(models.build())


def test_statistics_replace_those_before() -> None:
    first = with_statistics(models.own(), make(seed=1))
    second = with_statistics(first, make(seed=2))
    assert second == with_statistics(models.own(), make(seed=2))
    names = zipfile.ZipFile(BytesIO(second)).namelist()
    assert names.count(STATISTICS_NAME) == 1


@pytest.mark.parametrize("content", [models.own(), models.build()])
def test_file_without_statistics_has_none(content: bytes) -> None:
    assert read_statistics(content) is None


def damaged(position: int, code: str, value: float) -> bytes:
    data = bytearray(pack(make()))
    struct.pack_into(code, data, position, value)
    return bytes(data)


COUNTS, VARIANCES = HEADER_BYTES, HEADER_BYTES + 3 * 4
SCALES = VARIANCES + 40 * 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "another beginning"),
        (b"XXXX" + pack(make())[4:], "another beginning"),
        (pack(make())[:-1], "bytes where"),
        (pack(make()) + b"\0", "bytes where"),
        (damaged(4, "<I", 2**32 - 1), "bytes where"),
        (damaged(8, "<I", 0), "bytes where"),
        (damaged(12, "<I", 2**31), "bytes where"),
        (damaged(16, "<I", 1), "bytes where"),
        (damaged(16, "<I", 2**32 - 1), "bytes where"),
        (damaged(20, "<f", float("nan")), "variances that are not above 0"),
        (damaged(20, "<f", float("inf")), "variances that are not above 0"),
        (damaged(20, "<f", -1.0), "variances that are not above 0"),
        (damaged(20, "<f", 3e38), "variances that are not above 0, or not finite"),
        (damaged(VARIANCES, "<e", 0.0), "variances that are not above 0"),
        (damaged(VARIANCES, "<e", float("inf")), "variances that are not above 0"),
        (damaged(VARIANCES, "<H", 0x7D01), "variances that are not above 0"),
        (damaged(20, "<f", 1e38), "variances that are not above 0, or not finite"),
        (damaged(COUNTS, "<f", float("nan")), "means or counts that are not finite"),
        (damaged(COUNTS, "<f", -1.0), "means or counts that are not finite"),
        (damaged(SCALES, "<f", float("nan")), "means or counts that are not finite"),
        (damaged(SCALES, "<f", float("inf")), "means or counts that are not finite"),
        (damaged(SCALES, "<f", 3e38), "means or counts that are not finite"),
        (damaged(SCALES + 3 * 44, "<f", 1e6), "factors that are too large"),
        (damaged(SCALES + 3 * 44, "<f", float("nan")), "factors that are too large"),
        (pack(make(depth=4, rank=5)), "the sizes 3, 4, 5 and 0"),
    ],
)
def test_damaged_statistics_are_refused(data: bytes, sentence: str) -> None:
    content = models.with_files(
        models.build(),
        {"labels.txt": "a\nb\nc\n", "edgeclf.json": "{}", STATISTICS_NAME: data},
    )
    with pytest.raises(ModelError, match=f"statistics is damaged.*({sentence})"):
        read_statistics(content)


def test_every_cut_and_every_flipped_byte_is_refused_or_can_be_used() -> None:
    data = pack(make(2, 6, 2))
    bottleneck = np.ones((1, 6))
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        for wrong in (data[:position], bytes(flipped)):
            try:
                statistics = unpack(wrong)
            except ModelError:
                continue
            assert not np.isnan(Distances(statistics).squares(bottleneck)).any()
