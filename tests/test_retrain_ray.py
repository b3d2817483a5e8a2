"""`edgeclf retrain --engine ray` on a real cluster of two nodes."""

import subprocess
import sys

import pytest
import tiny
from ray_cluster import heavy

from edgeclf.training.command import main

pytest.importorskip("ray.data", reason="Ray is not installed")


@pytest.fixture
def options(tmp_path):
    """Return the options of a run whose files go to a folder of its own."""
    folder = tiny.write_folder(tmp_path / "pictures", 20)
    (folder / "red" / "broken.jpg").write_bytes(b"no picture")
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    shared = [f"--architecture={backbone}", "--views=2", "--no_report"]

    def build(name, *more):
        out = tmp_path / name
        return [
            *shared,
            f"--output_graph={out / 'model.tflite'}",
            f"--bottleneck_dir={out / 'cache'}",
            *more,
        ]

    return build


def on_ray(options, cluster, folder):
    """Run the command, in a folder that names the pictures as they are named here."""
    command = [sys.executable, "-P", "-m", "edgeclf", "retrain", "--engine", "ray"]
    command += ["--address", cluster.address, *options]
    return subprocess.run(
        command, cwd=folder, env=cluster.environment, capture_output=True, text=True
    )


# Tags go the same way: `make test-ray` trains on them too.
KINDS = ["image_dir", pytest.param("tag_folders", marks=heavy)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_trains_the_same_model_to_the_byte(
    kind, cluster, options, tmp_path, capsys
):
    assert main(options("here", f"--{kind}={tmp_path / 'pictures'}")) == 0
    there = options("there", f"--{kind}=pictures")
    done = on_ray(there, cluster, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "broken.jpg" in done.stderr
    model = (tmp_path / "here" / "model.tflite").read_bytes()
    assert (tmp_path / "there" / "model.tflite").read_bytes() == model
