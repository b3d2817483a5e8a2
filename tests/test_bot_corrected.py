"""Corrected pictures become training data."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeclf.bot.feedback import Feedback
from edgeclf.errors import DatasetError, ImageError, LabelError

LABELS = ("Gzhel", "Iznik ü", "a b")


def picture(color: str, file_format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(file, file_format)
    return file.getvalue()


def files_below(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).parent.as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


def test_a_corrected_picture_moves_to_its_label(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path, LABELS, multi_label=False)
    red, blue = picture("red"), picture("blue", "PNG")
    first = feedback.store(red, ["Gzhel"])
    assert first.read_bytes() == red
    assert first.suffix == ".jpg"
    assert feedback.store(blue, ["Gzhel"]).suffix == ".png"
    assert files_below(tmp_path) == ["Gzhel", "Gzhel"]
    again = feedback.store(red, ["Iznik ü"])
    assert again.name == first.name
    assert files_below(tmp_path) == ["Gzhel", "Iznik ü"]


def test_class_folders_are_what_training_reads(tmp_path: Path) -> None:
    folders = pytest.importorskip("edgeclf.data.folders")
    feedback = Feedback(tmp_path, LABELS, multi_label=False)
    feedback.store(picture("red"), ["Gzhel"])
    feedback.store(picture("blue"), ["Iznik ü"])
    examples = folders.read_folder(tmp_path)
    assert [example.label for example in examples] == ["Gzhel", "Iznik ü"]


def test_tags_have_one_row_for_each_picture(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path, LABELS, multi_label=True)
    red = feedback.store(picture("red"), ["Gzhel", "a b"]).name
    blue = feedback.store(picture("blue"), []).name
    with (tmp_path / "tags.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)] == [["file", "tags"], [red, "Gzhel;a b"], [blue, ""]]
    feedback.store(picture("red"), ["Iznik ü"])
    with (tmp_path / "tags.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)] == [["file", "tags"], [red, "Iznik ü"], [blue, ""]]
    assert files_below(tmp_path) == [".", "images", "images"]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_what_a_file_says_of_its_making_is_left_out(
    tmp_path: Path, file_format: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    exif[0x0110] = "a camera with a number"
    exif.get_ifd(0x8825)[1] = "N"  # of where it was taken
    image = Image.new("RGB", (40, 30), "red")
    image.paste("blue", (0, 0, 20, 30))
    file = io.BytesIO()
    image.save(file, file_format, exif=exif, lossless=True)
    feedback = Feedback(tmp_path, LABELS, multi_label=False)
    path = feedback.store(file.getvalue(), ["Gzhel"])
    assert b"a camera" in file.getvalue()
    assert b"a camera" not in path.read_bytes()
    with Image.open(path) as stored:
        assert not stored.getexif()
        assert stored.size == (30, 40)
        top, bottom = stored.getpixel((15, 5)), stored.getpixel((15, 35))
    assert np.abs(np.subtract(top, (0, 0, 255))).max() < 12
    assert np.abs(np.subtract(bottom, (255, 0, 0))).max() < 12
    assert feedback.store(file.getvalue(), ["Iznik ü"]).name == path.name
    assert files_below(tmp_path) == ["Iznik ü"]


def test_a_damaged_table_is_named_and_stays(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path, LABELS, multi_label=True)
    (tmp_path / "tags.csv").write_bytes("file,tags\na.jpg,łąka\n".encode("utf-16"))
    with pytest.raises(DatasetError, match=r"Expected a table in UTF-8 .*tags\.csv"):
        feedback.store(picture("red"), ["Gzhel"])
    assert "łąka" in (tmp_path / "tags.csv").read_text("utf-16")


def test_what_is_no_picture_is_not_stored(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "new", LABELS, multi_label=False)
    with pytest.raises(ImageError):
        feedback.store(b"<html>", ["Gzhel"])
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        Feedback(tmp_path / "file", LABELS, multi_label=False)


@pytest.mark.parametrize(
    "label", ["a/b", "..", ".x", "_background", "", "a\\b", "ł" * 128]
)
def test_labels_that_are_no_folders_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(LabelError, match="Expected labels that can name folders"):
        Feedback(tmp_path, ["fine", label], multi_label=False)


@pytest.mark.parametrize("label", ["a;b", "a,b"])
def test_tags_that_hold_a_separator_are_refused(tmp_path: Path, label: str) -> None:
    Feedback(tmp_path, ["a/b"], multi_label=True)
    with pytest.raises(LabelError, match=r"Expected tags without any of ';,'"):
        Feedback(tmp_path, [label], multi_label=True)
