"""Awkward files behave as their manifest says: API, command line, folder run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeclf import Classifier, Embedder, ImageError, image
from edgeclf.embedder import cosine_similarity
from edgeclf.label_image import main

LITTER = {".DS_Store", "Thumbs.db"}

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def messy(shared: Path) -> Path:
    return shared / "data" / "messy"


@pytest.fixture
def expected(messy: Path) -> dict[str, str]:
    """What is to become of each file: ok, rejected, either."""
    with (messy / "manifest.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    assert len(expected) > 50
    return expected


def check(
    found: dict[str, bool], expected: dict[str, str], errors: dict[str, str]
) -> None:
    """Compare which files were labelled; an error must name its file."""
    for name, labelled in found.items():
        assert expected[name] in ("either", "ok" if labelled else "rejected"), name
        if not labelled:
            assert name in errors[name]


def results(printed: str) -> tuple[dict[str, bool], dict[str, str]]:
    """Of JSON lines: which files were labelled, and the others' errors."""
    lines = [json.loads(line) for line in printed.splitlines()]
    by_name = {Path(line["image"]).name: line for line in lines}
    assert len(by_name) == len(lines)
    for line in lines:
        assert ("categories" in line) is not ("error" in line)
        if "categories" in line:
            assert sum(c["score"] for c in line["categories"]) == pytest.approx(1)
    errors = {name: line["error"] for name, line in by_name.items() if "error" in line}
    return {name: name not in errors for name in by_name}, errors


@pytest.mark.parametrize("resize", image.RESIZE_METHODS)
def test_api_labels_or_refuses_every_file(
    messy: Path, expected: dict[str, str], model_file: Files, resize: str
) -> None:
    found, errors = {}, {}
    with Classifier(model_file(), resize=resize) as classifier:
        for name in expected:
            try:
                found[name] = len(classifier.classify(messy / name)) == 3
            except ImageError as error:
                found[name], errors[name] = False, str(error)
    check(found, expected, errors)


def test_command_line_goes_on_to_the_last_file(
    messy: Path, expected: dict[str, str], model_file: Files, capsys: Captured
) -> None:
    names = [str(messy / name) for name in expected]
    assert main(["--model", str(model_file()), "--json", "--image", *names]) == 1
    printed = capsys.readouterr()
    found, errors = results(printed.out)
    assert list(found) == list(expected)
    check(found, expected, errors)
    assert [error for error in errors.values() if error not in printed.err] == []


def test_folder_run_passes_over_litter_and_names_the_rest(
    messy: Path,
    expected: dict[str, str],
    model_file: Files,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(messy, folder)
    assert main(["--model", str(model_file()), "--json", "--image", str(folder)]) == 1
    printed = capsys.readouterr()
    found, errors = results(printed.out)
    check(found, expected, errors)
    for name in LITTER:
        assert name not in found
        assert name not in printed.err
    pictures = {name for name, end in expected.items() if end == "ok"}
    assert pictures <= found.keys()


def test_the_eight_orientations_show_one_scene(messy: Path) -> None:
    first, *others = (
        image.load(messy / f"exif_orientation_{number}.jpg", (50, 75)).astype(int)
        for number in range(1, 9)
    )
    for other in others:
        assert np.abs(other - first).mean() < 3


def test_the_eight_orientations_get_nearly_one_answer(
    shared: Path, messy: Path
) -> None:
    model = shared / "models" / "mobilenet_v1_0.50_224_features_f32.tflite"
    with Embedder(model, input_mean=127.5, input_std=127.5) as embedder:
        first, *others = (
            embedder.embed(messy / f"exif_orientation_{number}.jpg")
            for number in range(1, 9)
        )
        on_its_side = embedder.embed(messy / "exif_orientation_1.jpg", rotation=90)
    # The pictures differ by the number that is written in each.
    least = min(cosine_similarity(first, other) for other in others)
    assert least > 0.95
    assert cosine_similarity(first, on_its_side) < least
