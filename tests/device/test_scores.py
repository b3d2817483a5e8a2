"""How the device test judges scores; the test itself needs qemu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import model_files as models
import run
import scores

from edgeclf import Classifier

HERE = {
    "clear.jpg": {"red": 0.9, "blue": 0.1},
    "close.jpg": {"red": 0.52, "blue": 0.48},
}


def test_rounding_decides_which_of_two_close_ones_is_first() -> None:
    there = {**HERE, "close.jpg": {"red": 0.47, "blue": 0.53}}
    assert scores.compare_labels(HERE, there) == (
        "1 of 2 top labels the same, 1 of 1 clear ones",
        [],
    )
    difference, picture = scores.largest_difference(HERE, there)
    assert abs(difference - 0.05) < 1e-9
    assert picture == "close.jpg"


def test_another_label_for_a_clear_picture_fails() -> None:
    there = {**HERE, "clear.jpg": {"red": 0.4, "blue": 0.6}}
    assert scores.compare_labels(HERE, there) == (
        "1 of 2 top labels the same, 0 of 1 clear ones",
        ["clear.jpg: red here, blue there"],
    )


def test_missing_pictures_fail() -> None:
    assert scores.compare_labels(HERE, {}) == ("", ["labelled 0 of 2 pictures"])


def test_reference_kernels_give_the_scores_of_a_small_model(
    model_file: Callable[..., Path], picture: Callable[..., Path]
) -> None:
    quantized = {"input_type": "uint8", "output_type": "uint8"}
    path, image = model_file(models.own(**quantized)), picture("green")
    (received,) = scores.reference_scores(path, [image]).values()
    with Classifier(path) as classifier:
        expected = {c.label: c.score for c in classifier.classify(image)}
    assert received.keys() == expected.keys()
    assert all(abs(received[key] - expected[key]) < 0.01 for key in expected)


def test_sample_is_spread_evenly(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "README.md").touch()
    assert [path.stem for path in run.spread(tmp_path, 3)] == ["0", "3", "6"]
    assert len(run.spread(tmp_path, 60)) == 10
    assert run.spread(tmp_path / "none", 3) == []
