import csv
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeclf.demo import draw_pictures, main
from edgeclf.demo.command import LEAST_PER_CLASS, split_of
from edgeclf.demo.decors import DECORS
from edgeclf.demo.objects import OBJECTS, Scene
from edgeclf.demo.photographs import photograph
from edgeclf.demo.pictures import LIST_NAME, SIDES
from edgeclf.demo.stitches import cross_stitch

LABELS = [
    "Gorodets",
    "Gzhel",
    "Iznik",
    "Khokhloma",
    "Neglyubka",
    "Wycinanki łowickie",
    "Wzory kaszubskie",
]
PER_CLASS = 10
ROOT = Path(__file__).resolve().parents[1]
BY_NAME = {decor.name: decor for decor in DECORS}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return folder, draw_pictures(folder, PER_CLASS, seed=3)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((64, 64)), np.float64)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_pictures_lie_in_seven_folders_named_by_class(drawn):
    folder, paths = drawn
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == LABELS
    assert len(paths) == len(set(paths)) == 7 * PER_CLASS
    for label in LABELS:
        assert len(list((folder / label).iterdir())) == PER_CLASS


def test_pictures_are_rgb_jpeg_and_a_few_png_of_varied_size(drawn):
    formats, sizes = set(), set()
    for path in drawn[1]:
        with Image.open(path) as picture:
            picture.load()
            assert picture.mode == "RGB"
            assert SIDES[0] <= min(picture.size) <= max(picture.size) <= SIDES[1]
            assert (picture.format == "PNG") == (path.suffix == ".png")
            formats.add(picture.format)
            sizes.add(picture.size)
    assert formats == {"JPEG", "PNG"}
    assert len(sizes) > PER_CLASS


def test_no_two_pictures_are_alike(drawn):
    small = np.stack([pixels(path) for path in drawn[1]]).reshape(7 * PER_CLASS, -1)
    square = (small**2).sum(axis=1)
    distances = square[:, None] + square - 2 * small @ small.T
    np.fill_diagonal(distances, np.inf)
    root_mean_square = np.sqrt(distances.min() / small.shape[1])
    assert root_mean_square > 15  # grey levels


def test_mean_colour_alone_does_not_tell_the_classes_apart(drawn):
    _, paths = drawn
    means = np.stack([pixels(path).mean(axis=(0, 1)) for path in paths])
    classes = np.array([LABELS.index(path.parent.name) for path in paths])
    distances = np.linalg.norm(means[:, None] - means, axis=2)
    np.fill_diagonal(distances, np.inf)
    right = np.mean(classes[distances.argmin(axis=1)] == classes)
    assert right < 0.75


def test_drawing_again_gives_the_same_bytes(tmp_path):
    draw_pictures(tmp_path / "a", 2, seed=5)
    draw_pictures(tmp_path / "b", 2, seed=5)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_gives_other_pictures(tmp_path):
    first = draw_pictures(tmp_path / "a", 1, seed=5)
    second = draw_pictures(tmp_path / "b", 1, seed=6)
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        assert one.read_bytes() != other.read_bytes()


def test_more_pictures_leave_the_first_ones_alone(tmp_path, drawn):
    for path in draw_pictures(tmp_path, 1, seed=3):
        assert path.read_bytes() == (drawn[0] / path.relative_to(tmp_path)).read_bytes()


def test_fewer_pictures_remove_only_what_was_drawn_and_not_changed(tmp_path):
    draw_pictures(tmp_path, 4, seed=0)
    own = tmp_path / "Gzhel" / "my_own.jpg"
    own.write_bytes((tmp_path / "Gzhel" / "gzhel_001.jpg").read_bytes())
    changed = tmp_path / "Gzhel" / "gzhel_003.jpg"
    changed.write_bytes(b"retouched")
    (tmp_path / "notes.txt").write_text("mine")
    draw_pictures(tmp_path, 2, seed=0)
    assert sorted(path.name for path in (tmp_path / "Gzhel").iterdir()) == [
        "gzhel_001.jpg",
        "gzhel_002.jpg",
        "gzhel_003.jpg",
        "my_own.jpg",
    ]
    assert changed.read_bytes() == b"retouched"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(list((tmp_path / "Iznik").iterdir())) == 2


@pytest.mark.parametrize("text", ["not json", "[1, 2]", '{"../outside.jpg": "%s"}'])
def test_a_list_that_is_not_the_demos_removes_nothing(tmp_path, text):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"")
    sha256_of_nothing = (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    text = text.replace("%s", sha256_of_nothing)
    (folder / LIST_NAME).write_text(text, encoding="utf-8")
    draw_pictures(folder, 1)
    assert outside.exists()
    assert len(json.loads((folder / LIST_NAME).read_text(encoding="utf-8"))) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_class": 0}, r"Expected per_class of at least 1\. Received: 0\."),
        ({"seed": -1}, r"Expected a seed of at least 0\. Received: -1\."),
    ],
)
def test_drawing_refuses_wrong_numbers(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_pictures(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("decor", DECORS, ids=lambda decor: decor.name.split()[-1])
def test_every_decor_paints_a_square_of_many_colours(decor):
    ornament = decor.paint(200, np.random.default_rng(1))
    assert ornament.size == (200, 200)
    assert ornament.mode == "RGB"
    assert len(np.unique(np.asarray(ornament).reshape(-1, 3), axis=0)) >= 4
    assert set(decor.objects) <= set(OBJECTS)


def mean_colour(name):
    pictures = [
        np.asarray(BY_NAME[name].paint(120, np.random.default_rng(seed)), np.float64)
        for seed in range(8)
    ]
    return np.mean(pictures, axis=(0, 1, 2))


def test_decors_have_their_colours():
    red, _, blue = mean_colour("Gzhel")
    assert blue > red + 15
    red, _, blue = mean_colour("Khokhloma")
    assert red > blue + 60
    red, green, blue = mean_colour("Neglyubka")
    assert red > green + 30
    assert red > blue + 30


def test_paper_cuts_are_symmetrical():
    for seed in range(4):
        cut = BY_NAME["Wycinanki łowickie"].paint(200, np.random.default_rng(seed))
        picture = np.asarray(cut)
        np.testing.assert_array_equal(picture, picture[:, ::-1])


def test_cross_stitch_is_red_black_and_ground_in_cells():
    picture = np.asarray(cross_stitch(240, np.random.default_rng(2)))
    colours = np.unique(picture.reshape(-1, 3), axis=0)
    assert len(colours) <= 6  # three threads, each with its gaps


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_object_can_carry_every_decor(name):
    for seed, decor in enumerate(DECORS):
        for carried in range(2):
            rng = np.random.default_rng([seed, carried])
            ornament = decor.paint(160, rng)
            scene = Scene(ornament, (200, 40, 40), (250, 250, 250))
            OBJECTS[name](scene, rng)
            assert scene.light.shape == (80, 80)
            assert 0 < scene.light.min() <= scene.light.max() < 1.6
            plain = np.full((160, 160, 3), 250, np.uint8)
            assert (np.asarray(scene.canvas.image) != plain).mean() > 0.1


def test_photograph_has_the_size_asked_for():
    picture = photograph(BY_NAME["Iznik"], np.random.default_rng(0), (100, 140))
    assert picture.size == (140, 100)


def test_splits_serve_every_class_from_the_least_number_on():
    for count in (LEAST_PER_CLASS, 40):
        splits = [split_of(Path(f"gzhel_{n:03d}.jpg")) for n in range(1, count + 1)]
        assert {"train", "validation", "test"} == set(splits)
        assert splits.count("test") == count // 5
        assert splits.count("train") >= 0.6 * count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per_class", "4"], "Expected --per_class of at least 5. Received: 4."),
        (["--per-class=0"], "Expected --per_class of at least 5. Received: 0."),
        (["--seed", "-1"], "Expected --seed of at least 0. Received: -1."),
        (["--per_class", "many"], "invalid int value: 'many'"),
    ],
)
def test_command_refuses_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_command_says_when_the_output_cannot_be_written(tmp_path, capsys):
    (tmp_path / "demo").write_text("a file where a folder is wanted")
    assert main(["--output", str(tmp_path / "demo"), "--per_class", "5"]) == 1
    assert str(tmp_path / "demo") in capsys.readouterr().err
    assert (tmp_path / "demo").read_text() == "a file where a folder is wanted"


def test_drawing_needs_neither_an_interpreter_nor_training_packages():
    code = (
        "import sys, edgeclf.demo; heavy = {'ai_edge_litert', 'ai_edge_quantizer', "
        "'tqdm', 'scipy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    for package in ("ai_edge_litert", "ai_edge_quantizer"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    output = tmp_path_factory.mktemp("run") / "my demo"
    command = [sys.executable, "-m", "edgeclf", "demo", "--output", str(output)]
    process = subprocess.run(
        [*command, "--per_class", "10", "--seed", "1"],
        cwd=ROOT,
        env={**os.environ, "EDGECLF_HOME": str(output.parent / "home")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return output, process


@pytest.mark.slow
def test_demo_ends_well_and_prints_the_accuracy_and_labels(finished):
    _, process = finished
    assert process.returncode == 0, process.stderr
    first, *labels = process.stdout.splitlines()
    found = re.fullmatch(
        r"Test accuracy of the int8 model: ([\d.]+) % \((\d+) of 14 pictures\)", first
    )
    assert found, first
    assert float(found[1]) == pytest.approx(100 * int(found[2]) / 14, abs=0.05)
    assert int(found[2]) >= 8
    assert len(labels) == 3
    for line in labels:
        label, score = line.rsplit(" ", 1)
        assert label in LABELS
        assert 0 <= float(score) <= 1


@pytest.mark.slow
def test_demo_tells_what_it_does_and_what_to_do_next(finished):
    output, process = finished
    assert "Drawing 10 pictures of each of seven decors" in process.stderr
    assert "Retraining mobilenet_v2_1.00_224_torchvision on" in process.stderr
    assert f"label_image --model '{output / 'model.tflite'}' --image" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_demo_leaves_model_labels_split_and_overview(finished):
    output, _ = finished
    assert (output / "labels.txt").read_text(encoding="utf-8").splitlines() == LABELS
    assert (output / "model.tflite").stat().st_size > 1_000_000
    with (output / "model.split.csv").open(encoding="utf-8", newline="") as file:
        splits = {row["file"]: row["split"] for row in csv.DictReader(file)}
    assert len(splits) == 70
    for name, split in splits.items():
        assert split == split_of(Path(name))
    with Image.open(output / "overview.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.height > 7 * 100


@pytest.mark.slow
def test_demo_can_be_run_again_in_its_own_folder(finished, caplog, capsys):
    output, process = finished
    (output / "keep.txt").write_text("mine")
    model = (output / "model.tflite").read_bytes()
    caplog.set_level(logging.INFO)
    assert main(["--output", str(output), "--per_class", "10", "--seed", "1"]) == 0
    assert capsys.readouterr().out == process.stdout
    assert (output / "model.tflite").read_bytes() == model
    assert (output / "keep.txt").read_text() == "mine"
