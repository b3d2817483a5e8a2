import csv
import logging
import shlex
import shutil

import pytest
import tiny
from PIL import Image

from edgeclf.audit.command import main as audit_command
from edgeclf.training import RetrainConfig, retrain


@pytest.fixture
def run(tmp_path, caplog):
    """Retrain on a folder with a real backbone of one convolution."""
    (tmp_path / "tiny.tflite").write_bytes(tiny.backbone_file())

    def retrain_on(folder):
        caplog.set_level(logging.INFO, "edgeclf")
        result = retrain(
            RetrainConfig(
                image_dir=folder,
                output_graph=tmp_path / "model.tflite",
                architecture=tmp_path / "tiny.tflite",
                bottleneck_dir=tmp_path / "bottlenecks",
                views=1,
            )
        )
        return result, caplog.text

    return retrain_on


def test_retrain_counts_what_is_odd_and_names_suspects(tmp_path, run):
    folder = tiny.write_folder(tmp_path / "photos", 15)
    red, blue, green = (folder / color for color in ("red", "blue", "green"))
    shutil.move(blue / "004.png", red / "blue one.png")
    shutil.copy(red / "002.png", red / "002 copy.png")
    shutil.copy(red / "006.png", green / "a red one.png")
    Image.open(green / "005.jpg").save(green / "again.jpg", quality=90)
    Image.open(green / "007.jpg").save(red / "green one.jpg", quality=90)
    Image.new("RGB", (3, 5)).save(green / "tiny.png")
    (green / "broken.jpg").write_bytes(b"?")
    result, told = run(folder)
    audit = result.metrics["audit"]
    assert audit.pop("mislabelled") in (2, 3, 4)
    assert audit == {
        "unreadable": 1,
        "conflicting": 2,
        "duplicate": 1,
        "near_conflicting": 2,
        "tiny": 1,
        "near_duplicate": 1,
    }
    assert "unreadable 1, in several classes 2, copies within a class 1" in told
    assert "red/blue one.png (blue? " in told
    words = shlex.split(told.split("by another method: ")[1].splitlines()[0])
    backbone, cache = str(tmp_path / "tiny.tflite"), str(tmp_path / "bottlenecks")
    assert words[:3] == ["edgeclf", "audit", str(folder)]
    assert words[3:] == ["--architecture", backbone, "--bottleneck_dir", cache]
    assert audit_command(words[2:]) == 1
    with result.split_path.open(encoding="utf-8", newline="") as file:
        splits = {row["file"]: row["split"] for row in csv.DictReader(file)}
    assert splits["green/005.jpg"] == splits["green/again.jpg"]
    assert splits["red/002.png"] == splits["red/002 copy.png"]


def test_retrain_says_nothing_of_good_pictures(tmp_path, run):
    result, told = run(tiny.write_folder(tmp_path / "photos", 15))
    assert set(result.metrics["audit"].values()) == {0}
    assert "edgeclf audit" not in told
    assert "audit" not in result.model_path.read_bytes().decode(errors="ignore")
