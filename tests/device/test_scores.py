"""How the device test judges scores; the test itself needs qemu."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import model_files as models
import pytest
import run
import scores

from edgeclf import Classifier
from edgeclf.image import load

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
    with Classifier(path) as classifier:
        pixels = {"a": load(image, classifier.input_size)}
        (received,) = scores.reference_scores(path, pixels).values()
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


def test_sample_has_all_that_the_demo_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, numbers in (("demo/pictures/Gzhel", 20), ("shared/flowers/roses", 9)):
        (tmp_path / place).mkdir(parents=True)
        for number in range(numbers):
            (tmp_path / place / f"a_{number:03}.jpg").touch()
    monkeypatch.setattr(run, "SHARED", tmp_path / "shared")
    names = [path.stem for path in run.sample(tmp_path / "demo", 3)]
    assert names[:4] == ["a_002", "a_007", "a_012", "a_017"]
    assert names[4:] == ["a_000", "a_003", "a_006"]


def test_wheel_that_cannot_be_installed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = tmp_path / "edgeclf-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("edgeclf-1.0.dist-info/METADATA", "Name: damaged\n")
    monkeypatch.setattr(run, "check_machine", lambda: None)
    monkeypatch.setattr(run.UserSpace, "build", lambda _: None)
    (tmp_path / "arm64").mkdir()
    assert run.main([str(wheel), "--cache", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: pip cannot download {wheel} for aarch64: ")
