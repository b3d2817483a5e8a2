"""Copies of pictures: what they look like, and that no split tears them apart."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import image
from edgeclf.augmenting.augment import AugmentConfig, augment
from edgeclf.augmenting.command import main
from edgeclf.augmenting.copies import Changes
from edgeclf.data.duplicates import group_near_duplicates
from edgeclf.data.splits import read_split_file, write_split_file
from edgeclf.errors import DatasetError
from edgeclf.training import RetrainConfig, retrain

NOTHING = dict.fromkeys(
    ("rotate", "brightness", "contrast", "saturation", "crop", "blur"), 0.0
) | {"flip": False}


def changes(**options: object) -> Changes:
    return Changes(**(NOTHING | options))


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def one_picture(tmp_path: Path, pixels: np.ndarray, name: str = "a.png", **options):
    folder = tmp_path / "photos" / "red"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **options)
    return tmp_path / "photos"


def only_copy(folder: Path, tmp_path: Path, **options: object) -> np.ndarray:
    config = AugmentConfig(folder, tmp_path / "out", 1, changes(**options))
    augment(config)
    (path,) = (tmp_path / "out").rglob("*.*")
    return image.load(path, None)


def splits_of_retrain(
    folder: Path, tmp_path: Path, split_file: Path | None = None
) -> dict[str, str]:
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    retrain(
        RetrainConfig(
            image_dir=folder,
            output_graph=tmp_path / "model.tflite",
            output_labels=tmp_path / "labels.txt",
            architecture=str(backbone),
            bottleneck_dir=tmp_path / "bottlenecks",
            split_file=split_file,
            testing_percentage=30,
        )
    )
    return read_split_file(tmp_path / "model.split.csv")


def test_copies_keep_class_folders_names_and_formats(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 2)
    (folder / "red" / "deep").mkdir()
    (folder / "red" / "001.jpg").rename(folder / "red" / "deep" / "x.jpg")
    result = augment(AugmentConfig(folder, tmp_path / "out", copies=2))
    assert result.num_pictures == 6
    assert result.num_written == 12
    assert result.counts == {"blue": 4, "green": 4, "red": 4}
    names = list(written(tmp_path / "out"))
    assert names[:2] == ["blue/000_nohash_aug1.png", "blue/000_nohash_aug2.png"]
    assert names[-1] == "red/deep/x_nohash_aug2.jpg"
    for name, content in written(tmp_path / "out").items():
        with Image.open(io.BytesIO(content)) as opened:
            assert opened.format == ("JPEG" if name.endswith("jpg") else "PNG")
            assert opened.size == (40, 30)


def test_copies_follow_from_bytes_and_seed_alone(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 1)
    first = AugmentConfig(folder, tmp_path / "a", copies=1, num_workers=1)
    augment(first)
    (folder / "red" / "000.png").rename(folder / "red" / "renamed.png")
    augment(AugmentConfig(folder, tmp_path / "b", copies=2, num_workers=3))
    augment(AugmentConfig(folder, tmp_path / "c", copies=1, seed=1))
    one, two, other = (written(tmp_path / name) for name in "abc")
    assert one["red/000_nohash_aug1.png"] == two["red/renamed_nohash_aug1.png"]
    assert len(set(two.values())) == 6
    assert not set(one.values()) & set(other.values())


def test_a_second_run_writes_only_what_is_missing_or_changed(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 2)
    config = AugmentConfig(folder, tmp_path / "out", copies=2)
    augment(config)
    before = written(tmp_path / "out")
    again = augment(config)
    assert (again.num_written, again.num_kept) == (0, 12)
    (tmp_path / "out/red/000_nohash_aug1.png").unlink()
    cut = tmp_path / "out/red/001_nohash_aug2.jpg"
    cut.write_bytes(cut.read_bytes()[:-7])
    again = augment(config)
    assert (again.num_written, again.num_kept) == (2, 10)
    assert written(tmp_path / "out") == before
    other = augment(AugmentConfig(folder, tmp_path / "out", 2, changes(blur=2.0)))
    assert other.num_written == 12


def test_fewer_copies_remove_those_that_are_too_many(tmp_path, capsys):
    folder = tiny.write_folder(tmp_path / "photos", 1)
    out = tmp_path / "out"
    augment(AugmentConfig(folder, out, 1, changes(blur=1.0)))
    expected = written(out)
    augment(AugmentConfig(folder, out, copies=3))
    arguments = [str(folder), "--output", str(out), "--copies", "1"]
    still = [f"--{name}={value}" for name, value in NOTHING.items() if name != "flip"]
    assert main([*arguments, *still, "--blur=1", "--no_flip"]) == 0
    assert "Removed 6 copies of an earlier run with more" in capsys.readouterr().err
    assert written(out) == expected


def test_what_is_no_unchanged_copy_of_the_picture_is_not_removed(tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "photos", 1)
    out = tmp_path / "out"
    augment(AugmentConfig(folder, out, copies=3))
    red, green = out / "red/000_nohash_aug2.png", out / "green/000_nohash_aug2.png"
    other = out / "red/000_nohash_aug1.png"
    red.write_bytes(red.read_bytes()[:-7])  # edited
    green.write_bytes(other.read_bytes())  # of another picture
    kept = {path: path.read_bytes() for path in (red, green)}
    assert augment(AugmentConfig(folder, out, copies=1)).num_removed == 4
    assert {path: path.read_bytes() for path in kept} == kept
    assert "2 copies in" in caplog.text


def test_the_pictures_own_folder_gets_no_copies_of_copies(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 2)
    for _ in range(2):
        result = augment(AugmentConfig(folder, folder, copies=2))
        assert result.num_pictures == 6
    assert len(written(folder)) == 18


def test_a_strangers_file_is_never_replaced(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 1)
    target = tmp_path / "out/red/000_nohash_aug1.png"
    target.parent.mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(target)
    before = target.read_bytes()
    with pytest.raises(DatasetError, match=r"Expected no file at .*aug1\.png but a"):
        augment(AugmentConfig(folder, tmp_path / "out"))
    assert target.read_bytes() == before


def test_two_pictures_of_one_stem_have_copies_each(tmp_path):
    folder = one_picture(tmp_path, tiny.pixels("red", 0), "a.png")
    one_picture(tmp_path, tiny.pixels("red", 1), "a.jpg")
    one_picture(tmp_path, tiny.pixels("red", 2), "A.bmp")
    augment(AugmentConfig(folder, tmp_path / "out", copies=1))
    assert list(written(tmp_path / "out")) == [
        "red/A.bmp_nohash_aug1.png",
        "red/a.jpg_nohash_aug1.jpg",
        "red/a.png_nohash_aug1.png",
    ]


def test_mirrored_copies_are_exact(tmp_path, noise):
    folder = one_picture(tmp_path, noise)
    augment(AugmentConfig(folder, tmp_path / "out", 16, changes(flip=True)))
    copies = [image.load(path, None) for path in (tmp_path / "out").rglob("*.png")]
    mirrored = [np.array_equal(copy, noise[:, ::-1]) for copy in copies]
    assert 2 <= sum(mirrored) <= 14
    for copy, is_mirrored in zip(copies, mirrored, strict=True):
        assert is_mirrored or np.array_equal(copy, noise)


def test_brightness_is_one_factor_on_every_value(tmp_path):
    gray = np.full((8, 8, 3), 100, np.uint8)
    copy = only_copy(one_picture(tmp_path, gray), tmp_path, brightness=30.0)
    assert len(np.unique(copy)) == 1
    assert 70 <= copy[0, 0, 0] <= 130
    assert copy[0, 0, 0] != 100


def test_rotated_copies_show_no_empty_corner(tmp_path):
    white = np.full((60, 90, 3), 255, np.uint8)
    folder = one_picture(tmp_path, white)
    augment(AugmentConfig(folder, tmp_path / "out", 8, changes(rotate=180.0, crop=30)))
    for path in (tmp_path / "out").rglob("*.png"):
        assert image.load(path, None).min() == 255


def test_rotation_turns_as_pillow_does(tmp_path):
    # A disc right of the centre: its place tells angle and scale.
    rows, columns = np.mgrid[:101, :101] - 50
    disc = (rows**2 + (columns - 20) ** 2 < 25) * np.uint8(255)
    folder = one_picture(tmp_path, np.repeat(disc[..., None], 3, axis=2))
    copy = only_copy(folder, tmp_path, rotate=45.0)[..., 0] > 127
    row, column = (np.mean(np.nonzero(copy), axis=1) - 50).tolist()
    angle = np.arctan2(-row, column)
    assert 0.02 < abs(angle) < np.pi / 4
    # The largest square that fits into the turned one is smaller by cos + sin.
    expected = 20 * (np.cos(angle) + np.sin(abs(angle)))
    offset = np.hypot(row, column) - expected
    assert abs(offset) < 1.5


def test_orientation_and_transparency_are_those_of_training(tmp_path, noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = one_picture(tmp_path, noise, "a.png", exif=exif)
    out = only_copy(folder, tmp_path, flip=True)
    upright = np.rot90(noise, -1)
    assert any(np.array_equal(out, each) for each in (upright, upright[:, ::-1]))
    clear = np.zeros((10, 10, 4), np.uint8)
    Image.fromarray(clear).save(folder / "red" / "clear.png")
    augment(AugmentConfig(folder, tmp_path / "two", 1, changes(flip=True)))
    assert image.load(tmp_path / "two/red/clear_nohash_aug1.png", None).min() == 255


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_large_pictures_are_scaled_down_upright(tmp_path, ending):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    pixels = np.zeros((300, 1000, 3), np.uint8)
    folder = one_picture(tmp_path, pixels, f"a.{ending}", exif=exif)
    out = AugmentConfig(folder, tmp_path / "out", 1, max_side=100)
    augment(out)
    with Image.open(tmp_path / f"out/red/a_nohash_aug1.{ending}") as opened:
        assert opened.size == (30, 100)
    augment(AugmentConfig(folder, tmp_path / "out", 1))
    with Image.open(tmp_path / f"out/red/a_nohash_aug1.{ending}") as opened:
        assert opened.size == (300, 1000)


def test_broken_pictures_are_left_out_and_named(tmp_path, capsys):
    folder = tiny.write_folder(tmp_path / "photos", 1)
    (folder / "red" / "bad.jpg").write_bytes(b"no picture")
    (folder / "beside.png").write_bytes(b"")
    arguments = [str(folder), "--output", str(tmp_path / "out"), "--copies", "2"]
    assert main([*arguments, "--json"]) == 1  # one could not be read
    output, errors = capsys.readouterr()
    result = json.loads(output)
    assert result["num_pictures"] == 3
    assert result["num_written"] == 6
    assert "bad.jpg is not a picture" in result["unreadable"][0]
    assert "bad.jpg is not a picture" in errors
    assert "1 picture lies in" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rotate", "181"], "Expected rotate from 0 to 180. Received: 181."),
        (["--brightness", "-1"], "Expected brightness from 0 to 100"),
        (["--blur", "nan"], "Expected blur from 0 to 50"),
        (["--copies", "0"], "Expected copies of at least 1. Received: 0."),
        (
            ["--rotate", "0", "--brightness", "0", "--no_flip"],
            "Expected something that changes",
        ),
    ],
)
def test_wrong_usage_is_status_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_info:
        main([str(tmp_path), "--output", str(tmp_path / "out"), *arguments])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_an_output_below_the_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it would be a class"):
        AugmentConfig(tmp_path, tmp_path / "more")


def test_folders_without_pictures_fail_in_a_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--output", str(tmp_path / "o")]) == 1
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "red").mkdir()
    assert main([str(tmp_path), "--output", str(tmp_path)]) == 1
    assert "none to copy" in capsys.readouterr().err


def test_only_training_pictures_of_a_split_are_copied(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 2)
    splits = {"red/000.png": "train", "red/001.jpg": "test", "blue/000.png": "train"}
    write_split_file(tmp_path / "split.csv", splits)
    config = AugmentConfig(
        folder, tmp_path / "out", 1, split_file=tmp_path / "split.csv"
    )
    augment(config)
    assert list(written(tmp_path / "out")) == [
        "blue/000_nohash_aug1.png",
        "red/000_nohash_aug1.png",
    ]


def test_names_join_the_original_of_their_folder_only():
    names = [
        "red/a_nohash_aug1.jpg",
        "red/a.jpg",
        "blue/a.jpg",
        "red/b.png_nohash_aug1.png",
        "red/b.png",
        "red/b.jpg",
        "red/ab.jpg",
        "red/a",
    ]
    source = np.random.default_rng(0)
    prints = source.integers(0, 256, (len(names), 32), dtype=np.uint8)
    bottlenecks = source.normal(size=(len(names), 4)).astype(np.float32)
    groups = group_near_duplicates(names, prints, bottlenecks).tolist()
    assert groups == [0, 0, 2, 3, 3, 5, 6, 0]


@pytest.mark.parametrize("place", ["beside", "apart", "with_originals"])
def test_retrain_keeps_copies_in_the_split_of_their_picture(tmp_path, place):
    folder = tiny.write_folder(tmp_path / "photos", 10)
    output = folder if place == "beside" else tmp_path / "out"
    strong = Changes(rotate=90.0, brightness=80.0, crop=40.0)
    augment(AugmentConfig(folder, output, copies=2, changes=strong))
    if place == "with_originals":
        for path in folder.rglob("*.*"):
            target = output / path.relative_to(folder)
            target.write_bytes(path.read_bytes())
    splits = splits_of_retrain(output, tmp_path)
    assert len(splits) == (60 if place == "apart" else 90)
    of_picture: dict[str, set[str]] = {}
    for name, split in splits.items():
        picture = name.rpartition(".")[0].partition("_nohash_")[0]
        of_picture.setdefault(picture, set()).add(split)
    assert len(of_picture) == 30
    assert all(len(each) == 1 for each in of_picture.values())
    assert len(set(splits.values())) == 3


def test_copies_of_training_pictures_alone_leave_the_test_as_it_was(tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 10)
    before = splits_of_retrain(folder, tmp_path)
    split_file = tmp_path / "first.csv"
    write_split_file(split_file, before)
    augment(AugmentConfig(folder, folder, copies=2, split_file=split_file))
    after = splits_of_retrain(folder, tmp_path, split_file)
    added = after.keys() - before.keys()
    assert len(added) == 2 * list(before.values()).count("train")
    assert {after[name] for name in added} == {"train"}
    assert {name: after[name] for name in before} == before
