"""The lines that users of tensorflow-for-poets have, from the project's root."""

import csv
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from edgeclf.zoo import cache
from edgeclf.zoo.hosted import hosted_models

ROOT = Path(__file__).resolve().parents[1]
RETRAIN = (
    "python -m scripts.retrain --bottleneck_dir=tf_files/bottlenecks "
    "--how_many_training_steps=500 --learning_rate=0.03 "
    "--model_dir=tf_files/models/ --summaries_dir=tf_files/training_summaries/LR_0.03 "
    "--output_graph=tf_files/retrained_graph.pb "
    "--output_labels=tf_files/retrained_labels.txt "
    "--architecture=mobilenet_0.50_224 --image_dir=tf_files/decor_images"
)
LABEL = (
    "python -m scripts.label_image --graph=tf_files/retrained_graph.pb "
    "--image=data/decor-jpg/01_02_2_001.jpg"
)


@pytest.fixture
def project(tmp_path):
    """A project root: the code by links, pictures and downloads of its own."""
    for name in ("edgeclf", "models", "scripts", "prepare_data.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(project, line):
    program, *arguments = shlex.split(line)
    program = {"python": sys.executable, "sh": "/bin/sh"}[program]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [program, *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def install_backbone(project, content):
    """Put a backbone where a finished download would lie."""
    folder = project / "tf_files" / "models"
    cache.write_model_file(hosted_models()["mobilenet_v1_0.50_224"], folder, content)


def check_old_lines(project, labels):
    run(project, "sh prepare_data.sh")
    trained = run(project, RETRAIN)
    assert "Final test accuracy = " in trained.stdout
    assert "retrained_graph.tflite instead of" in trained.stderr
    assert "Step 499: train accuracy" in trained.stderr
    lines = (project / "tf_files" / "retrained_labels.txt").read_text().splitlines()
    assert lines == labels
    for part in ("train", "validation"):
        folder = project / "tf_files" / "training_summaries" / "LR_0.03" / part
        assert any(path.name.startswith("events.out") for path in folder.iterdir())
    labelled = run(project, LABEL)
    top = labelled.stdout.splitlines()[0]
    assert top.rsplit(" ", 1)[0] in labels
    assert 0 <= float(top.rsplit(" ", 1)[1]) <= 1
    return top


def test_old_lines_on_pictures_of_our_own(project):
    """A table in the shape of the decor one, quirks included."""
    from PIL import Image

    images = project / "data" / "decor"
    images.mkdir(parents=True)
    names = {"1": ("Gzhel", "blue"), "2": ("Khokhloma", "red"), "3": ("Łąka", "green")}
    rows = []
    for label, (decor, color) in names.items():
        for number in range(1, 25):
            file = f"01_0{label}_2_{number:03}.png"
            Image.fromarray(tiny.pixels(color, number)).save(images / file)
            rows.append(["1", "Russia", label, decor, "1", "product", file])
        file = f"01_0{label}_1_001.png"
        Image.fromarray(tiny.pixels(color, 99)).save(images / file)
        rows.append(["1", "Russia", label, decor, "1", "pattern", file])
    with (project / "data" / "decor.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(
            [
                "country_label",
                "country",
                "decor_label",
                "decor",
                "type_label",
                "type",
                "file",
            ]
        )
        writer.writerows(rows)
    install_backbone(project, tiny.backbone_file())
    check_old_lines(project, ["Gzhel", "Khokhloma", "Łąka"])
    prepared = project / "tf_files" / "decor_images"
    assert len(list(prepared.rglob("*.jpg"))) == 72  # products only
    assert len(list((project / "data" / "decor-jpg").iterdir())) == 75


@pytest.mark.slow
def test_old_lines_on_the_decor_pictures(project, shared):
    shutil.copytree(shared / "data" / "decor" / "images", project / "data" / "decor")
    shutil.copy(shared / "data" / "decor" / "decor.csv", project / "data")
    backbone = shared / "models" / "mobilenet_v1_0.50_224_features_f32.tflite"
    install_backbone(project, backbone.read_bytes())
    labels = [
        "Gorodets",
        "Gzhel",
        "Iznik",
        "Khokhloma",
        "Neglyubka",
        "Wycinanki łowickie",
        "Wzory kaszubskie",
    ]
    top = check_old_lines(project, labels)
    assert top.startswith("Khokhloma ")


def test_installed_users_have_the_same_commands(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "edgeclf", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in ("retrain", "label_image", "prepare_data", "convert", "demo"):
        assert f"  {name}" in done.stdout
