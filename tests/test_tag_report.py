"""What a run on tags reports, and that `evaluate` finds the same in its file."""

import json

import pytest
import tiny
from PIL import Image

from edgeclf.evaluation.command import main as evaluate
from edgeclf.training import RetrainConfig, retrain

TAGS = {"blue": "blue;cold", "green": "green;cold", "red": "red;warm"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on coloured pictures, some of them odd; its folder and its result."""
    root = tmp_path_factory.mktemp("report")
    photos = tiny.write_folder(root / "photos", 20)
    (photos / "red" / "broken.jpg").write_bytes(b"no picture")
    near = Image.open(photos / "green" / "000.png")
    near.save(photos / "green" / "again.jpg", quality=90)
    rows = ["file,tags"]
    for path in sorted(photos.glob("*/*")):
        tags = TAGS[path.parent.name]
        if path.name == "019.jpg":
            tags = ""
        if path.relative_to(photos).as_posix() == "blue/003.jpg":
            tags = "red;warm"  # which it is not
        rows.append(f"{path.relative_to(photos).as_posix()},{tags}")
    (root / "tags.csv").write_text("\n".join(rows), "utf-8")
    (root / "tiny.tflite").write_bytes(tiny.backbone_file())
    config = RetrainConfig(
        image_dir=photos,
        tags_csv=root / "tags.csv",
        output_graph=root / "model.tflite",
        architecture=root / "tiny.tflite",
        bottleneck_dir=root / "bottlenecks",
        testing_percentage=30,
        split_file=_split(root, photos),
        views=1,
    )
    return root, retrain(config)


def _split(root, photos):
    """Most train; the odd one too."""
    lines = ["file,split"]
    for path in sorted(photos.glob("*/*")):
        number = path.stem
        split = "test" if number in ("001", "004", "007", "010", "016") else "train"
        split = "validation" if number in ("002", "005", "008") else split
        lines.append(f"{path.relative_to(photos).as_posix()},{split}")
    (root / "split.csv").write_text("\n".join(lines), "utf-8")
    return root / "split.csv"


@pytest.fixture(scope="module")
def report(made):
    return json.loads((made[0] / "model.json").read_text("utf-8"))


def test_report_and_metrics_say_the_same(made, report):
    metrics = made[1].metrics
    device = report["accuracy"]["device"]
    assert report["multi_label"] is True
    assert device["num"] == metrics["num_test"] == 15
    for figure in ("mean_average_precision", "micro_f1", "macro_f1",
                   "binary_cross_entropy", "accuracy"):  # fmt: skip
        assert device[figure] == metrics[figure] == metrics["test"][figure]
    floating = report["accuracy"]["float"]
    assert (
        floating["mean_average_precision"]
        == (metrics["test_float"]["mean_average_precision"])
    )
    assert report["per_tag"] == metrics["test"]["per_tag"]
    assert [entry["label"] for entry in report["per_tag"]] == metrics["labels"]
    thresholds = [entry["threshold"] for entry in report["per_tag"]]
    assert thresholds == pytest.approx(metrics["thresholds"])
    assert report["model"]["size_bytes"] == metrics["size_bytes"]


def test_evaluate_finds_the_same_in_the_written_file(made, report):
    root, result = made
    arguments = [str(result.model_path), str(root / "photos")]
    arguments += [f"--tags_csv={root / 'tags.csv'}", f"--report={root}/again.html"]
    arguments.append(f"--split_file={result.split_path}")
    assert evaluate(arguments) == 0
    again = json.loads((root / "again.json").read_text("utf-8"))
    assert again["accuracy"]["device"] == report["accuracy"]["device"]
    for section in ("per_tag", "precision_recall", "pairs", "calibration", "pictures"):
        assert again[section] == report[section], section
    for name in ("sha256", "size_bytes", "parameters", "quantize", "labels"):
        assert again["model"][name] == report["model"][name], name


def test_data_are_counted_and_odd_pictures_listed(report):
    data = report["data"]
    tags = {entry["label"]: entry for entry in data["tags"]}
    totals = {name: sum(entry[split] for split in ("train", "validation", "test"))
              for name, entry in tags.items()}  # fmt: skip
    assert totals == {"blue": 18, "cold": 38, "green": 20, "red": 20, "warm": 20}
    assert [tags["cold"][split] for split in ("validation", "test")] == [6, 10]
    assert [entry["file"] for entry in data["unreadable"]] == ["red/broken.jpg"]
    assert ["green/000.png", "green/again.jpg"] in data["near_duplicates"]
    assert data["num_without_tags"] == 3
    counts = report["cooccurrence"]["counts"]
    assert counts[0] == [18, 18, 0, 0, 0]  # blue: always cold, nothing else


def test_wrong_tags_of_learned_pictures_are_suspected(report):
    suspects = report["suspects"]
    assert "blue/003.jpg" in [entry["file"] for entry in suspects["missed"]]
    (entry,) = (e for e in suspects["missed"] if e["file"] == "blue/003.jpg")
    assert entry["tag"] in ("red", "warm")
    lacking = {entry["file"] for entry in suspects["wrong"]}
    assert lacking & {f"{color}/019.jpg" for color in tiny.COLORS}


def test_pages_and_pictures_stand_beside_the_model(made):
    root = made[0]
    page = (root / "model.html").read_text("utf-8")
    assert "Tags to check in the data" in page
    assert "red/broken.jpg" in page
    for name in ("again.jpg", "model.cooccurrence.png"):
        assert list(root.rglob(name))
    for name in ("model.confusion.png", "model.curves.png"):
        assert not (root / name).exists()


def test_without_test_pictures_there_is_still_a_report(made, tmp_path):
    root, _ = made
    retrain(
        RetrainConfig(
            image_dir=root / "photos",
            tags_csv=root / "tags.csv",
            output_graph=tmp_path / "model.tflite",
            architecture=root / "tiny.tflite",
            bottleneck_dir=root / "bottlenecks",
            testing_percentage=0,
            views=1,
        )
    )
    report = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert "accuracy" not in report
    assert report["cooccurrence"]["counts"]
    assert report["data"]["num_test"] == 0
    page = (tmp_path / "model.html").read_text("utf-8")
    assert "How good it is has not been measured" in page
