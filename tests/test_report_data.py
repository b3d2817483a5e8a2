"""What `retrain` reports, and that `evaluate` finds the same in the written file."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf.data.folders import Example
from edgeclf.evaluation.calibration import expected_calibration_error
from edgeclf.evaluation.command import main as evaluate
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.evaluation.model_file import count_weights, quantized_to
from edgeclf.evaluation.pictures import illustrate, remarkable
from edgeclf.evaluation.report_files import report_paths
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.command import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on coloured pictures, some of them odd; its folder and its result."""
    root = tmp_path_factory.mktemp("report")
    photos = tiny.write_folder(root / "photos", 20)
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    near = Image.open(photos / "green" / "000.png")
    near.save(photos / "green" / "again.jpg", quality=90)
    Image.fromarray(tiny.pixels("blue", 200)).save(photos / "red" / "blue.png")
    (root / "tiny.tflite").write_bytes(tiny.backbone_file())
    config = RetrainConfig(
        image_dir=photos,
        output_graph=root / "model.tflite",
        architecture=root / "tiny.tflite",
        bottleneck_dir=root / "bottlenecks",
        testing_percentage=30,
        seed=4,
    )
    return root, retrain(config)


@pytest.fixture(scope="module")
def report(made):
    return json.loads((made[0] / "model.json").read_text("utf-8"))


def test_evaluate_finds_the_same_in_the_written_file(made, report):
    root, result = made
    arguments = [str(result.model_path), str(root / "photos")]
    arguments += [f"--split_file={result.split_path}", f"--report={root}/again.html"]
    assert evaluate(arguments) == 0
    again = json.loads((root / "again.json").read_text("utf-8"))
    assert again["accuracy"]["device"] == report["accuracy"]["device"]
    for section in (
        "per_class",
        "confusion_matrix",
        "calibration",
        "pictures",
        "reject",
    ):
        assert again[section] == report[section], section
    same = ("sha256", "size_bytes", "parameters", "quantize", "temperature", "labels")
    for name in same:
        assert again["model"][name] == report["model"][name], name


def test_report_and_metrics_say_the_same(made, report):
    metrics = made[1].metrics
    device = report["accuracy"]["device"]
    assert device["accuracy"] == metrics["accuracy_int8"] == metrics["accuracy"]
    assert device["macro_f1"] == metrics["macro_f1"] == metrics["test"]["macro_f1"]
    assert device["interval_95"] == metrics["test"]["accuracy_interval_95"]
    assert device["num"] == metrics["num_test"]
    assert report["accuracy"]["float"]["accuracy"] == metrics["accuracy_float"]
    assert report["calibration"] == metrics["calibration"]
    assert report["per_class"] == metrics["test"]["per_class"]
    assert report["model"]["size_bytes"] == metrics["size_bytes"]


def test_calibration_is_that_of_the_device_file(made, report):
    from edgeclf import Classifier
    from edgeclf.data.splits import read_split_file

    root, result = made
    splits = read_split_file(result.split_path)
    names = sorted(name for name, split in splits.items() if split == "test")
    with Classifier(result.model_path) as classifier:
        scores = np.stack([classifier.scores(root / "photos" / n) for n in names])
        classes = [classifier.labels.index(name.split("/")[0]) for name in names]
    assert report["calibration"]["num"] == len(names)
    assert report["calibration"]["ece"] == pytest.approx(
        expected_calibration_error(scores, np.array(classes))
    )
    assert report["calibration"]["ece_before"] is not None


def test_data_are_counted_and_odd_pictures_listed(made, report):
    data = report["data"]
    counts = {entry["label"]: entry for entry in data["classes"]}
    assert {name: sum(entry[s] for s in ("train", "validation", "test"))
            for name, entry in counts.items()} == {
        "blue": 20, "green": 21, "red": 21
    }  # fmt: skip
    assert [entry["file"] for entry in data["unreadable"]] == ["red/broken.jpg"]
    assert ["green/000.png", "green/again.jpg"] in data["near_duplicates"]
    assert data["conflicting"] == []
    suspects = {entry["file"]: entry for entry in report["mislabelled"]}
    assert suspects["red/blue.png"]["suggested"] == "blue"
    assert len(suspects) == made[1].metrics["audit"]["mislabelled"]
    assert data["seed"] == 4
    assert data["num_test"] == made[1].metrics["num_test"]


def test_the_rest_of_the_report_is_there(report):
    assert report["format_version"] == 1
    assert report["command"] == "retrain"
    assert report["settings"]["seed"] == 4
    assert "quantize" not in report["settings"]  # as it is anyway
    assert report["model"]["input_size"] == [32, 32]
    assert report["latency"]["p90_ms"] >= report["latency"]["median_ms"] > 0
    assert {"edgeclf", "numpy", "python"} <= set(report["versions"])
    assert report["training_curves"] is None
    points = report["learning_curve"]["points"]
    assert points[-1]["accuracy"] > 0.8
    assert all(p["low"] <= p["accuracy"] <= p["high"] for p in points)


def test_pages_and_pictures_stand_beside_the_model(made):
    root = made[0]
    page = (root / "model.html").read_text("utf-8")
    assert page.startswith("<!")
    assert "red/broken.jpg" in page
    assert page.count("data:image/jpeg") >= 2 * 8 + 1  # with heat maps; one suspect
    for name in ("model.confusion.png", "model.curves.png"):
        with Image.open(root / name) as picture:
            assert min(picture.size) > 100


def test_weights_are_counted(report):
    depth, num_classes = tiny.DEPTH, 3
    convolution = depth * 3 * 3 * 3 + depth
    head = num_classes * depth + num_classes
    assert report["model"]["parameters"] == convolution + head
    assert report["model"]["quantize"] == "int8"
    floating = count_weights(tiny.backbone_file())
    assert floating == {"float32": convolution}
    assert quantized_to(floating) == "float"


def test_gradient_descent_has_training_curves(made, tmp_path, capsys):
    root, _ = made
    arguments = [
        f"--image_dir={root / 'photos'}",
        f"--architecture={root / 'tiny.tflite'}",
        f"--bottleneck_dir={root / 'bottlenecks'}",
        f"--output_graph={tmp_path / 'model.tflite'}",
        "--how_many_training_steps=21",
    ]
    assert main(arguments) == 0
    assert f"Report: {tmp_path / 'model.html'}" in capsys.readouterr().out
    report = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert (tmp_path / "model.curves.png").exists()
    steps = report["training_curves"]
    assert [step["step"] for step in steps] == [0, 10, 20]
    assert steps[-1]["train_cross_entropy"] < steps[0]["train_cross_entropy"]
    assert report["calibration"]["ece_before"] is None
    arguments[-1:] = ["--no_report", f"--output_graph={tmp_path / 'b' / 'm.tflite'}"]
    assert main(arguments) == 0
    assert "Report" not in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert names == ["m.split.csv", "m.tflite"]


def test_without_test_pictures_there_is_still_a_report(made, tmp_path):
    root, _ = made
    retrain(
        RetrainConfig(
            image_dir=root / "photos",
            output_graph=tmp_path / "model.tflite",
            architecture=root / "tiny.tflite",
            bottleneck_dir=root / "bottlenecks",
            testing_percentage=0,
            views=1,
        )
    )
    report = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert "accuracy" not in report
    assert report["learning_curve"]["points"]
    assert report["data"]["num_test"] == 0


def test_reports_path_is_checked_before_the_work(tmp_path):
    settings = {"image_dir": tmp_path / "photos", "output_graph": tmp_path / "m.tflite"}
    config = RetrainConfig(**settings, metrics_json=tmp_path / "m.json")
    assert config.report_paths.values == tmp_path / "m.report.json"
    assert RetrainConfig(**settings, no_report=True).report_paths is None
    with pytest.raises(ValueError, match="Expected report or no_report"):
        RetrainConfig(**settings, no_report=True, report=tmp_path / "a.html")
    for report in ("m.tflite", "m.json", "m.split.csv"):
        with pytest.raises(ValueError, match="Received twice"):
            RetrainConfig(**settings, report=tmp_path / report)
    (tmp_path / "m.html").mkdir()
    with pytest.raises(IsADirectoryError, match="Expected a file to write"):
        retrain(RetrainConfig(**settings))


def test_parts_stand_beside_the_page(tmp_path):
    paths = report_paths(tmp_path / "a.b.htm")
    pictures = ["a.b.confusion.png", "a.b.curves.png", "a.b.cooccurrence.png"]
    assert [path.name for path in paths] == ["a.b.htm", "a.b.json", *pictures]


def test_worst_are_wrong_and_sure_and_doubtful_are_close():
    scores = np.array(
        [[0.9, 0.1], [0.6, 0.4], [0.51, 0.49], [0.2, 0.8], [1.0, 0.0]], np.float32
    )
    evaluation = Evaluation(scores, np.array([1, 1, 0, 1, 0]), list("abcde"))
    found = remarkable(evaluation, ["x", "y"])
    assert [entry["file"] for entry in found["worst"]] == ["a", "b"]
    assert [entry["file"] for entry in found["doubtful"]] == ["c", "d", "e"]
    assert found["worst"][0] == {
        "file": "a", "label": "y", "predicted": "x",
        "score": pytest.approx(0.9), "label_score": pytest.approx(0.1),
    }  # fmt: skip


def test_pictures_that_vanish_are_missing_and_said(made, caplog):
    root, result = made
    model = result.model_path.read_bytes()
    entry = {"predicted": "red", "label": "red"}
    report = {
        "pictures": {
            "worst": [{"file": "gone.png", **entry}],
            "doubtful": [{"file": "red/000.png", **entry}],
        },
        "mislabelled": [{"file": "red/blue.png"}],
    }
    examples = [
        Example(root / "photos" / name, name, "red")
        for name in ("gone.png", "red/000.png", "red/blue.png")
    ]
    drawn = illustrate(report, examples, model, ["blue", "green", "red"], {})
    assert list(drawn) == ["red/000.png", "red/blue.png"]
    assert drawn["red/000.png"].heat_map[:2] == b"\xff\xd8"  # JPEG
    assert drawn["red/blue.png"].heat_map is None
    assert "Not shown in the report: " in caplog.text
    assert "gone.png" in caplog.text
