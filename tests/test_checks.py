import json
import os
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf.data.checks import (
    group_copies,
    inspect,
    inspect_pictures,
    is_tiny,
    report_copies,
    report_leaks,
)
from edgeclf.data.findings import KINDS, SEVERITIES, Finding, count_kinds, in_order
from edgeclf.data.folders import read_folder
from edgeclf.data.listing import Picture, list_folder

INPUT_SIZE = (64, 64)


def scene(seed=0, size=(90, 70)):
    """A smooth random picture; size is (width, height)."""
    source = np.random.default_rng(seed)
    small = source.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def found(tmp_path):
    """Save a picture and return kind and detail of what is odd about it."""

    def inspect_saved(name, image=None, **options):
        path = tmp_path / name
        (image or scene()).save(path, **options)
        inspected = inspect(Picture(path, f"a/{name}", "a"), INPUT_SIZE)
        assert {finding.file for finding in inspected.findings} <= {f"a/{name}"}
        return [(finding.kind, finding.detail) for finding in inspected.findings]

    return inspect_saved


def kinds_of(listing):
    return [(finding.kind, finding.file) for finding in listing.findings]


def test_a_good_picture_has_nothing_odd(found):
    assert found("a.jpg") == []
    assert found("a.jpeg") == []
    assert found("a.PNG", format="PNG") == []
    assert found("a.webp") == []


def test_a_format_that_the_name_does_not_say_is_named(found):
    assert found("a.jpg", format="PNG") == [("misnamed", "PNG inside, named .jpg")]
    assert found("a.heic", format="JPEG") == [("misnamed", "JPEG inside, named .heic")]


def test_size_is_told_as_it_is(found, tmp_path):
    assert found("a.png", scene(size=(200, 31))) == [("tiny", "200 x 31 pixels")]
    small_input = inspect(Picture(tmp_path / "a.png", "a.png", "a"), (32, 32))
    assert small_input.findings == []
    small = [("small", "60 x 40 pixels, the model's input 64 x 64")]
    assert found("a.png", scene(size=(60, 40))) == small
    assert found("a.png", scene(size=(65, 40))) == []
    huge = Image.new("L", (6000, 5001))
    assert found("a.png", huge) == [("huge", "6000 x 5001 pixels")]


def test_exif_turns_and_the_size_is_the_upright_one(tmp_path, found):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert found("a.jpg", exif=exif) == [("rotated", "EXIF orientation 6")]
    inspected = inspect(Picture(tmp_path / "a.jpg", "a/a.jpg", "a"), INPUT_SIZE)
    assert inspected.size == (90, 70)  # (height, width); stored as 70 rows


def test_frames_and_colours_are_told(found):
    frames = {"save_all": True, "append_images": [scene(1), scene(2)]}
    assert found("a.gif", **frames) == [("animated", "3 frames")]
    assert found("a.jpg", scene().convert("CMYK")) == [("colours", "CMYK, for print")]
    deep = Image.fromarray(np.full((70, 90), 40_000, np.uint16))
    assert found("a.png", deep) == [("colours", "more than 8 bits a channel")]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "is empty (0 bytes)."),
        (b"<html>", "is not a picture in a format that Pillow reads."),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, content, detail):
    (tmp_path / "a.jpg").write_bytes(content)
    inspected = inspect(Picture(tmp_path / "a.jpg", "x/a.jpg", "x"), INPUT_SIZE)
    (finding,) = inspected.findings
    assert finding.kind == "unreadable"
    assert finding.detail.startswith(detail)
    assert inspected.size is None


def test_a_truncated_picture_and_a_broken_link_are_unreadable(tmp_path):
    scene().save(tmp_path / "a.jpg", quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "b.jpg").symlink_to("nowhere")
    details = [
        inspect(Picture(tmp_path / name, name, "a"), INPUT_SIZE).findings[0].detail
        for name in ("a.jpg", "b.jpg")
    ]
    assert details[0].startswith("is damaged or cut short")
    assert details[1] == "No such file or directory"


def test_tiny_is_told_from_the_header(tmp_path):
    scene(size=(31, 500)).save(tmp_path / "a.jpg")
    scene(size=(32, 500)).save(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_bytes(b"?")
    assert [is_tiny(tmp_path / f"{name}.jpg", INPUT_SIZE) for name in "abcd"] == [
        True,
        False,
        False,
        False,
    ]


def copies_in(folder):
    listing = list_folder(folder)
    inspected = inspect_pictures(listing.pictures, INPUT_SIZE, 2, iter)
    groups = group_copies(listing.pictures, inspected)
    return listing.pictures, groups


def test_the_same_pixels_are_found_in_other_formats_and_turned(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
    for number in range(6):
        scene(number, (400, 300)).save(tmp_path / "b" / f"{number}.jpg")
    jpeg = Image.open(tmp_path / "b" / "3.jpg")
    jpeg.save(tmp_path / "a" / "as png.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = jpeg.transpose(Image.Transpose.ROTATE_180)
    turned.save(tmp_path / "a" / "turned.png", exif=exif)
    again = tmp_path / "a" / "other quality.jpg"
    jpeg.save(again, quality=60)  # nearly the same is not the same
    pictures, groups = copies_in(tmp_path)
    names = [[pictures[row].name for row in group] for group in groups]
    assert names == [["b/3.jpg", "a/as png.png", "a/turned.png"]]
    found = list(report_copies(pictures, groups))
    assert [finding.kind for finding in found] == ["conflicting"] * 3
    assert found[1].others == ("b/3.jpg", "a/turned.png")


def test_of_copies_in_a_class_the_one_that_is_no_link_stays(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
    scene().save(tmp_path / "b" / "picture.png")
    scene(1).save(tmp_path / "a" / "1.png")
    shutil.copy(tmp_path / "b" / "picture.png", tmp_path / "b" / "picture (1).png")
    (tmp_path / "b" / "a.png").symlink_to("picture.png")
    pictures, groups = copies_in(tmp_path)
    found = list(report_copies(pictures, groups))
    assert found == [
        Finding("duplicate", f"b/{name}", "the same picture", ("b/picture.png",))
        for name in ("picture (1).png", "a.png")
    ]


@pytest.mark.parametrize(
    ("times", "kept"),
    [((1, 2, 2), "10386525695.png"), ((2, 1, 2), "dup.png"), ((1, 1, 1), "a.png")],
)
def test_of_copies_in_a_class_the_oldest_stays(tmp_path, times, kept):
    (tmp_path / "b").mkdir()
    for name, time in zip(("10386525695", "dup", "a"), times, strict=True):
        scene().save(tmp_path / "b" / f"{name}.png")
        os.utime(tmp_path / "b" / f"{name}.png", (time, time))
    pictures, (group,) = copies_in(tmp_path)
    assert pictures[group[0]].name == f"b/{kept}"


def test_leaks_are_pictures_alike_in_two_splits():
    splits = {"a/1": "train", "a/2": "test", "a/3": "train", "a/4": "test"}
    groups = [["a/1", "a/2", "a/9"], ["a/3", "a/9"]]
    assert list(report_leaks(groups, splits)) == [
        Finding("leak", "a/1", "in train, its like in test", ("a/2",)),
        Finding("leak", "a/2", "in test, its like in train", ("a/1",)),
    ]


def test_the_listing_has_the_pictures_that_retrain_reads(tmp_path):
    tiny.write_folder(tmp_path, 10)
    (tmp_path / "red" / "deeper").mkdir()
    scene().save(tmp_path / "red" / "deeper" / "x.webp")
    (tmp_path / "red" / ".hidden.png").touch()
    (tmp_path / "red" / "@eaDir").mkdir()
    listing = list_folder(tmp_path)
    read = [(example.path, example.name) for example in read_folder(tmp_path)]
    assert [(each.path, each.name) for each in listing.pictures] == read
    assert listing.counts == {"blue": 10, "green": 10, "red": 11}
    assert kinds_of(listing) == [
        ("hidden", "red/@eaDir/"),
        ("hidden", "red/.hidden.png"),
    ]


def test_what_is_passed_over_is_named(tmp_path):
    tiny.write_folder(tmp_path, 10)
    scene().save(tmp_path / "outside.jpg")
    scene().save(tmp_path / "red" / "photo.jpg?w=640", format="JPEG")
    (tmp_path / "red" / "notes.txt").write_text("red ones")
    (tmp_path / "red" / "Thumbs.db").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "table.csv").touch()
    assert kinds_of(list_folder(tmp_path)) == [
        ("hidden", ".DS_Store"),
        ("hidden", ".git/"),
        ("outside", "outside.jpg"),
        ("hidden", "red/Thumbs.db"),
        ("stray", "red/notes.txt"),
        ("unnamed", "red/photo.jpg?w=640"),
    ]


def test_classes_are_counted_and_their_names_compared(tmp_path):
    tiny.write_folder(tmp_path, {"blue": 31, "green": 3, "red": 10})
    (tmp_path / "Red ").mkdir()
    (tmp_path / "_background").mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    listing = list_folder(tmp_path)
    assert sorted(kinds_of(listing)) == [
        ("class_name", "caf\udce9/"),
        ("empty_class", "Red /"),
        ("empty_class", "caf\udce9/"),
        ("few", "green/"),
        ("imbalance", "green/"),
        ("similar_names", "Red /"),
    ]
    details = {finding.kind: finding.detail for finding in listing.findings}
    assert details["imbalance"] == "3 pictures, the largest class 31"


def test_two_links_to_one_folder_end(tmp_path):
    tiny.write_folder(tmp_path, 10)
    (tmp_path / "red" / "up").symlink_to(tmp_path / "red")
    (tmp_path / "red" / "note").touch()
    assert kinds_of(list_folder(tmp_path)) == [("stray", "red/note")]


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere, which does not exist"):
        list_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file, which is a file"):
        list_folder(tmp_path / "file")


def test_findings_are_sorted_counted_and_plain():
    findings = [
        Finding("hidden", "a/.x", "a hidden file"),
        Finding("mislabelled", "a/1", "", (), "b", 0.91),
        Finding("mislabelled", "a/2", "", (), "b", 0.97),
        Finding("unreadable", "z/1", "is empty"),
    ]
    ordered = in_order(findings)
    assert [finding.file for finding in ordered] == ["z/1", "a/2", "a/1", "a/.x"]
    assert count_kinds(findings) == {"unreadable": 1, "mislabelled": 2, "hidden": 1}
    assert json.loads(json.dumps(ordered[1].describe())) == {
        "file": "a/2",
        "kind": "mislabelled",
        "severity": "warning",
        "detail": "",
        "suggested": "b",
        "confidence": 0.97,
    }
    ranks = [SEVERITIES.index(kind.severity) for kind in KINDS.values()]
    assert ranks == sorted(ranks)
