"""Retraining on pictures with tags, end to end, on a backbone of one convolution."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tag_data
import tiny
from PIL import Image

from edgeclf import Classifier, DatasetError
from edgeclf.adding.command import main as add_class
from edgeclf.data.folders import Example
from edgeclf.data.splits import read_split_file
from edgeclf.label_image import main as label_image
from edgeclf.metadata import read_model_info
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.operators import LOGISTIC, QUANTIZE
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.command import main
from edgeclf.training.folds import FOLDS
from edgeclf.training.result_text import _tag_lines, mistake_lines
from edgeclf.training.tag_dataset import TagDataset
from edgeclf.training.tag_head import deal_tags
from edgeclf.training.tag_measurements import Mistagged

COUNT = 84
TAGS = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Pictures, their table, the backbone, and one cache for all tests here."""
    home = tmp_path_factory.mktemp("tags")
    rows = tag_data.write_pictures(home / "pictures", COUNT)
    tag_data.write_table(home / "tags.csv", rows)
    (home / "tiny.tflite").write_bytes(tiny.backbone_file())
    return home


@pytest.fixture
def configure(home, tmp_path):
    def build(**changes):
        settings = {
            "tags_csv": home / "tags.csv",
            "image_dir": home / "pictures",
            "output_graph": tmp_path / "out" / "model.tflite",
            "architecture": str(home / "tiny.tflite"),
            "bottleneck_dir": home / "bottlenecks",
            "testing_percentage": 25,
            "views": 1,
            "no_report": True,
            **changes,
        }
        return RetrainConfig(**settings)

    return build


@pytest.fixture
def command(home, tmp_path):
    def run(*arguments):
        return main(
            [
                f"--architecture={home / 'tiny.tflite'}",
                f"--bottleneck_dir={home / 'bottlenecks'}",
                f"--output_graph={tmp_path / 'model.tflite'}",
                "--views=1",
                "--no_report",
                *map(str, arguments),
            ]
        )

    return run


@pytest.fixture(scope="module")
def trained(home, tmp_path_factory):
    """A run that most tests look at."""
    return retrain(
        RetrainConfig(
            tags_csv=home / "tags.csv",
            image_dir=home / "pictures",
            output_graph=tmp_path_factory.mktemp("trained") / "model.tflite",
            architecture=str(home / "tiny.tflite"),
            bottleneck_dir=home / "bottlenecks",
            testing_percentage=25,
            views=1,
        )
    )


def test_every_colour_of_a_picture_is_given(trained):
    hits = []
    with Classifier(trained.model_path) as classifier:
        assert classifier.multi_label
        assert classifier.labels == tuple(TAGS)
        for number in range(200, 242):  # pictures that training never saw
            tags = tag_data.tags_of(number)
            given = classifier.classify(tag_data.pixels(tags, number))
            assert [c.score for c in given] == sorted(c.score for c in given)[::-1]
            names = {category.label for category in given}
            hits.append([(tag in names) == (tag in tags) for tag in TAGS])
    assert np.mean(hits) >= 0.85


def test_the_file_ends_in_a_sigmoid_of_fixed_scale(trained):
    graph = Graph(trained.model_path.read_bytes())
    *_, logistic, ends = graph.operators()
    assert (logistic.code, ends.code) == (LOGISTIC, QUANTIZE)
    (output,) = graph.outputs
    tensor = graph.tensor(output)
    assert (str(tensor.dtype), tensor.shape) == ("uint8", (1, 3))
    assert (float(tensor.scales[0]), int(tensor.zero_points[0])) == (1 / 256, 0)


def test_record_says_what_the_tags_are(trained, home):
    content = trained.model_path.read_bytes()
    record = read_model_info(content).record
    assert record["multi_label"] is True
    assert record["reject"] is None
    assert record["thresholds"] == trained.metrics["thresholds"]
    assert all(0 < threshold < 1 for threshold in record["thresholds"])
    assert record["provenance"]["tags"]["source"] == "tags_csv"
    assert str(home).encode() not in content  # nobody else's affair


def test_metrics_are_those_of_the_written_file(trained, home):
    metrics = trained.metrics
    assert metrics["labels"] == TAGS
    assert metrics["multi_label"] is True
    assert metrics["num_train"] + metrics["num_validation"] + metrics["num_test"] == 84
    splits = read_split_file(trained.split_path)
    names = [name for name, split in splits.items() if split == "test"]
    right, given, true = [], 0, 0
    with Classifier(trained.model_path) as classifier:
        for name in names:
            tags = set(tag_data.tags_of(int(name[:3])))
            found = classifier.classify(home / "pictures" / name)
            labels = {category.label for category in found}
            right += [(tag in labels) == (tag in tags) for tag in TAGS]
            given, true = given + len(labels), true + len(tags)
    assert metrics["accuracy_int8"] == pytest.approx(np.mean(right))
    assert metrics["accuracy"] == metrics["accuracy_int8"]
    wrong = len(right) - sum(right)
    assert metrics["micro_f1"] == pytest.approx((given + true - wrong) / (given + true))
    assert metrics["num_test"] == len(names) == metrics["test"]["num"]
    for name in ("mean_average_precision", "macro_f1", "binary_cross_entropy"):
        assert metrics[name] == metrics["test"][name]
    assert metrics["test_float"]["accuracy"] == metrics["accuracy_float"]
    assert metrics["size_bytes"] == trained.model_path.stat().st_size


def test_same_pictures_and_seed_same_bytes(trained, configure, home, tmp_path):
    again = retrain(configure())
    assert again.model_path.read_bytes() == trained.model_path.read_bytes()
    moved = tmp_path / "elsewhere"
    shutil.copytree(home / "pictures", moved)
    fresh = configure(
        image_dir=moved,
        output_graph=tmp_path / "moved.tflite",
        bottleneck_dir=tmp_path / "fresh",
        num_workers=1,
    )
    assert retrain(fresh).model_path.read_bytes() == trained.model_path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "kind", "dtype"),
    [
        ({"head": "float"}, "int8", "float32"),
        ({"quantize": "float16"}, "float16", "float32"),
        ({"quantize": "none"}, "float", "float32"),
    ],
)
def test_other_types_say_nearly_the_same(trained, configure, changes, kind, dtype):
    result = retrain(configure(**changes))
    content = result.model_path.read_bytes()
    graph = Graph(content)
    assert str(graph.tensor(graph.outputs[0]).dtype) == dtype
    assert result.metrics["accuracy"] is not None
    assert (result.metrics["accuracy_int8"] is None) == (kind != "int8")
    with Classifier(content) as one, Classifier(trained.model_path) as other:
        for number in range(300, 307):
            picture = tag_data.pixels(tag_data.tags_of(number), number)
            np.testing.assert_allclose(
                one.scores(picture), other.scores(picture), atol=0.12
            )


def test_folders_of_tags_share_pictures(home, tmp_path, configure, caplog):
    folder = tmp_path / "folders"
    for number in range(COUNT):
        for tag in tag_data.tags_of(number) or ("_background",):
            (folder / tag).mkdir(parents=True, exist_ok=True)
            name = f"{number:03}.png"
            shutil.copy(home / "pictures" / name, folder / tag / name)
    result = retrain(configure(tag_folders=folder, tags_csv=None, image_dir=None))
    counts = [result.metrics[f"num_{split}"] for split in ("train", "validation")]
    assert sum(counts) + result.metrics["num_test"] == COUNT
    assert result.metrics["labels"] == TAGS


def test_copies_with_other_tags_are_one_picture(home, tmp_path, configure, caplog):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    shutil.copy(tmp_path / "pictures" / "000.png", tmp_path / "pictures" / "copy.png")
    table = tag_data.write_table(tmp_path / "t.csv", [*rows, "copy.png,shiny;red"])
    tagged = {"tags_csv": table, "image_dir": tmp_path / "pictures"}
    with caplog.at_level("INFO", "edgeclf"):
        result = retrain(configure(**tagged, testing_percentage=0))
    assert "1 picture is there several times, with other tags" in caplog.text
    assert "000.png, copy.png" in caplog.text
    assert result.metrics["labels"] == [*TAGS, "shiny"]
    metrics = result.metrics
    assert metrics["num_train"] + metrics["num_validation"] == COUNT
    assert metrics["num_test"] == 0
    assert metrics["test"] is None and metrics["accuracy_int8"] is None


def test_split_file_is_honoured(home, configure, tmp_path):
    names = [f"{number:03}.png" for number in range(COUNT)]
    splits = dict.fromkeys(names, "train") | dict.fromkeys(names[:14], "test")
    table = tmp_path / "split.csv"
    table.write_text("file,split\n" + "".join(f"{n},{s}\n" for n, s in splits.items()))
    result = retrain(configure(split_file=table))
    assert read_split_file(result.split_path) == splits
    assert result.metrics["num_validation"] == 0


def test_tag_that_no_training_picture_has_is_left_out(configure, tmp_path, caplog):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    rows[3] += ";rare"
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    split = tmp_path / "split.csv"
    split.write_text(
        "file,split\n003.png,test\n" + "".join(f"{n:03}.png,train\n" for n in range(3))
    )
    tagged = {"tags_csv": table, "image_dir": tmp_path / "pictures"}
    result = retrain(configure(**tagged, split_file=split))
    assert result.metrics["labels"] == TAGS
    assert "Tag rare (1 picture) has none to train on: left out." in caplog.text
    # Known by its hash, it trains; nothing is left to measure it by.
    result = retrain(configure(**tagged, output_graph=tmp_path / "m.tflite"))
    assert result.metrics["labels"] == ["blue", "green", "rare", "red"]
    assert "Tag rare (1 picture) has no picture for validation and test." in caplog.text


def test_unreadable_pictures_are_named(configure, tmp_path, caplog):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    (tmp_path / "pictures" / "bad.png").write_bytes(b"no picture")
    table = tag_data.write_table(tmp_path / "t.csv", [*rows, "bad.png,red"])
    tagged = {"tags_csv": table, "image_dir": tmp_path / "pictures"}
    result = retrain(configure(**tagged))
    assert [entry["file"] for entry in result.metrics["unreadable"]] == ["bad.png"]
    with pytest.raises(DatasetError, match=r"1 unreadable, bad\.png"):
        retrain(configure(**tagged, strict=True, output_graph=tmp_path / "m.tflite"))


def test_one_picture_is_too_few(configure, home, tmp_path):
    table = tag_data.write_table(tmp_path / "t.csv", ["000.png,red"])
    with pytest.raises(DatasetError, match=r"Received: 1 of 1 picture\."):
        retrain(configure(tags_csv=table))


def test_near_duplicates_of_one_picture_are_too_few(configure, tmp_path):
    (tmp_path / "alike").mkdir()
    picture = Image.fromarray(tag_data.pixels(("red",), 1))
    for side in range(64, 70):
        picture.resize((side, side)).save(tmp_path / "alike" / f"{side}.png")
    rows = [f"{side}.png,red" for side in range(64, 70)]
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    with pytest.raises(
        DatasetError, match=r"Received: 6 of 6 pictures, near-duplicates of one another"
    ):
        retrain(configure(tags_csv=table, image_dir=tmp_path / "alike"))


def test_near_duplicates_with_other_tags_share_a_fold():
    has = {"c": [0, 1, 2, 3, 4], "a": [5, 6, 7, 8], "b": [0, 5]}
    targets = np.array([[row in has[tag] for tag in "abc"] for row in range(12)])
    groups = np.array([0, 1, 2, 3, 4, 0, 6, 7, 8, 4, 10, 11])  # 5 like 0, 9 like 4
    dataset = TagDataset(
        examples=[Example(Path(f"{row}"), f"{row}", "") for row in range(12)],
        labels=("a", "b", "c"),
        targets=targets,
        splits=np.array(["train"] * 10 + ["validation", "test"]),
        groups=groups,
        digests=[bytes([row]) for row in range(12)],
        bottlenecks=np.zeros((12, 1), np.float32),
        activations=(),
        lows=np.zeros((12, 0), np.float32),
        highs=np.zeros((12, 0), np.float32),
        unreadable=(),
    )
    rows, folds = deal_tags(dataset)
    assert rows.tolist() == [*range(11)]
    assert folds[0] == folds[5] and folds[4] == folds[9]
    assert folds[10] == FOLDS not in folds[:10]
    assert len(set(folds[:10].tolist())) == FOLDS


def test_class_weights_change_scores_and_hardly_what_is_given(configure, tmp_path):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    rows = [
        f"{row};few" if number % 14 == 3 else row for number, row in enumerate(rows)
    ]
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    given, scores = {}, {}
    for weights in ("none", "balanced"):
        result = retrain(
            configure(
                tags_csv=table,
                image_dir=tmp_path / "pictures",
                class_weights=weights,
                output_graph=tmp_path / f"{weights}.tflite",
            )
        )
        with Classifier(result.model_path) as classifier:
            few = classifier.labels.index("few")
            each = [
                classifier.scores(tag_data.pixels(tag_data.tags_of(number), number))
                for number in range(300, 342)
            ]
            scores[weights] = np.array(each)[:, few].mean()
            threshold = classifier.thresholds[few]
            given[weights] = (np.array(each)[:, few] >= threshold).sum()
    assert scores["balanced"] > scores["none"] + 0.1
    assert given["balanced"] == pytest.approx(given["none"], abs=3)


def test_tags_of_all_pictures_or_of_one_are_learned(configure, tmp_path, caplog):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    rows = [f"{row};always" for row in rows]
    rows[5] += ";once"
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    result = retrain(configure(tags_csv=table, image_dir=tmp_path / "pictures"))
    labels = ["always", "blue", "green", "once", "red"]
    assert result.metrics["labels"] == labels
    assert "Tag always (" in caplog.text
    assert "all training pictures have it, so there is nothing" in caplog.text
    with Classifier(result.model_path) as classifier:
        scores = classifier.scores(tag_data.pixels(("red",), 400))
    assert scores[labels.index("always")] > 0.9
    assert scores[labels.index("once")] < 0.5


def test_summaries_hold_the_figures(trained, configure, tmp_path):
    retrain(configure(summaries_dir=tmp_path / "events"))
    test = (tmp_path / "events" / "test").glob("events.out.tfevents.*")
    content = b"".join(path.read_bytes() for path in test)
    for tag in (b"accuracy_1", b"micro_f1", b"mean_average_precision/float"):
        assert tag in content
    lines = (tmp_path / "events" / "bottlenecks" / "metadata.tsv").read_text()
    assert '["green", "red"]\t' in lines


def test_command_prints_the_figures(command, home, tmp_path, capsys):
    status = command(
        f"--tags_csv={home / 'tags.csv'}",
        f"--image_dir={home / 'pictures'}",
        "--keywords= red ,blue",
        "--precision=0.9",
        f"--output_labels={tmp_path / 'labels.txt'}",
        f"--metrics_json={tmp_path / 'metrics.json'}",
        "--print_misclassified_test_images",
    )
    assert status == 0
    out = capsys.readouterr().out
    assert out.startswith("Misclassified test images:")
    assert "2 tags; pictures: " in out
    assert "Final test mAP = " in out and "measured on the int8 file" in out
    assert "The same before quantization: mAP = " in out
    assert "Lowest average precision: " not in out  # they are all 100 %
    assert (tmp_path / "labels.txt").read_text() == "blue\nred\n"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["labels"] == ["blue", "red"]
    assert metrics["tags"]["precision"] == 0.9


def test_a_missed_tag_is_shown_with_its_threshold():
    wrong = Mistagged("a.jpg", [("footwear", 0.4023)], [("beige", 0.7)], [0.4512])
    shown = mistake_lines(SimpleNamespace(misclassified=[wrong]))[1]
    assert shown == (
        "  a.jpg: missed footwear (0.4023, threshold 0.4512); "
        "wrongly given beige (0.7000)"
    )


@pytest.mark.parametrize("lowest", [0.75, 1.0])
def test_only_flawed_tags_are_called_the_lowest(lowest):
    per_tag = [
        {"label": label, "average_precision": precision, "num_positive": 4}
        for label, precision in (("beige", 1.0), ("red", lowest))
    ]
    test = {"num": 8, "per_tag": per_tag, "mean_average_precision": 0.9,
            "micro_f1": 0.9, "macro_f1": 0.9}  # fmt: skip
    lines = _tag_lines({"test": test}, SimpleNamespace(quantize="none"))
    named = [line for line in lines if line.startswith("Lowest")]
    expected = "Lowest average precision: red 75.0% (4 pictures)"
    assert named == ([expected] if lowest < 1 else [])


def test_mistakes_are_those_of_the_file(trained, home):
    with Classifier(trained.model_path) as classifier:
        for wrong in trained.misclassified:
            tags = set(tag_data.tags_of(int(wrong.name[:3])))
            found = classifier.classify(home / "pictures" / wrong.name)
            given = {category.label for category in found}
            assert {label for label, _ in wrong.missed} == tags - given
            assert {label for label, _ in wrong.wrong} == given - tags
            for (_, score), threshold in zip(
                wrong.missed, wrong.thresholds, strict=True
            ):
                assert score < threshold
    names = [wrong.name for wrong in trained.misclassified]
    num_wrong = len(trained.misclassified)
    assert len(set(names)) == num_wrong
    num = trained.metrics["num_test"]
    assert trained.metrics["test"]["subset_accuracy"] == pytest.approx(
        1 - num_wrong / num
    )


def test_label_image_gives_tags(trained, home, capsys):
    picture = str(home / "pictures" / "003.png")
    arguments = ["--model", str(trained.model_path), "--image", picture]
    assert label_image([*arguments, "--format", "hashtags"]) == 0
    assert set(capsys.readouterr().out.split()) == {"#blue", "#red"}
    assert label_image([*arguments, "--json", "--score_threshold", "0"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert {category["label"] for category in line["categories"]} == set(TAGS)
    assert label_image([*arguments, "--format", "hashtags", "--deny", *TAGS]) == 0
    assert capsys.readouterr().out == "\n"
    assert label_image([*arguments, "--json", "--deny", *TAGS]) == 0
    assert json.loads(capsys.readouterr().out)["categories"] == []


def test_no_class_can_be_added(trained, home, capsys):
    options = [f"--images={home / 'pictures'}", "--label=shiny"]
    assert add_class([str(trained.model_path), *options]) == 1
    assert "Expected a model with one label for each picture" in capsys.readouterr().err


def test_the_only_tag_may_be_that_of_all_pictures(configure, tmp_path):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    rows = [f"{row.split(',')[0]},every" for row in rows]
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    result = retrain(configure(tags_csv=table, image_dir=tmp_path / "pictures"))
    with Classifier(result.model_path) as classifier:
        assert classifier.scores(tag_data.pixels(("red",), 400))[0] > 0.9


def test_one_tag_is_enough(configure, tmp_path):
    result = retrain(configure(keywords=("red",)))
    with Classifier(result.model_path) as classifier:
        assert classifier.num_classes == 1
        has = classifier.scores(tag_data.pixels(("red",), 500))
        has_not = classifier.scores(tag_data.pixels(("blue",), 501))
    assert has.shape == (1,)
    assert has[0] > has_not[0] + 0.2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_dir": None}, "Expected one of image_dir"),
        ({"tags_csv": "t.csv"}, "Expected image_dir"),
        ({"tags_csv": "t.csv", "unsplash": "u"}, "Received: unsplash and tags_csv"),
        ({"tag_folders": "f", "image_dir": "d"}, "Expected no image_dir"),
        ({"image_dir": "d", "keywords": ("a",)}, "Expected keywords with unsplash"),
        ({"image_dir": "d", "precision": 0.5}, "Expected precision with unsplash"),
        ({"tag_folders": "f", "precision": 0.0}, "above 0 and below 1"),
        ({"tag_folders": "f", "precision": 1.0}, "above 0 and below 1"),
        ({"tag_folders": "f", "min_confidence": 40}, "Expected min_confidence with"),
        ({"tag_folders": "f", "top_keywords": 0}, "top_keywords of 1 or more"),
        ({"tag_folders": "f", "keywords": ("a", "A")}, "different names in keywords"),
        ({"tag_folders": "f", "fine_tune": True}, "Expected no fine_tune with tags"),
        (
            {"tag_folders": "f", "solver": "prototype"},
            "solver to be auto or regression",
        ),
        ({"tag_folders": "f", "learning_rate": 0.1}, "Received: gradient descent"),
        ({"unsplash": "u", "min_confidence": 101}, "min_confidence in 0-100"),
        (
            {"tags_csv": "t.csv", "image_dir": "d", "output_graph": "t.csv"},
            "Expected different paths",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        RetrainConfig(**changes)


def test_wrong_usage_is_status_2(command, capsys):
    with pytest.raises(SystemExit) as error:
        command()
    assert error.value.code == 2
    assert "Expected one of image_dir" in capsys.readouterr().err
    with pytest.raises(SystemExit) as error:
        command("--tag_folders=x", "--precision=2")
    assert error.value.code == 2


def test_missing_table_is_one_sentence(command, home, tmp_path, capsys):
    options = ("--image_dir", home / "pictures")
    assert command("--tags_csv", tmp_path / "none.csv", *options) == 1
    err = capsys.readouterr().err
    assert "none.csv" in err and "Traceback" not in err


def test_unsplash_tables(home, tmp_path, command, capsys):
    """The shape of the real thing, in the small."""
    folder = tmp_path / "unsplash"
    tag_data.write_pictures(folder / "images", COUNT)
    with (folder / "photos.tsv000").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["photo_id", "photo_image_url"])
        for number in range(COUNT):
            writer.writerow([f"p{number}", f"images/{number:03}.png"])
    with (folder / "keywords.tsv000").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(
            [
                *("photo_id", "keyword", "ai_service_1_confidence"),
                *("ai_service_2_confidence", "suggested_by_user"),
            ]
        )
        for number in range(COUNT):
            for tag in tag_data.tags_of(number):
                writer.writerow([f"p{number}", tag, "", "99.5", "f"])
            writer.writerow([f"p{number}", "doubtful", "20", "", "f"])
    assert command("--unsplash", folder, "--top_keywords", 2) == 0
    out = capsys.readouterr().out
    assert "2 tags; pictures: " in out
    with Classifier(tmp_path / "model.tflite") as classifier:
        assert set(classifier.labels) < set(TAGS)


def test_hashtags_that_cannot_be_are_named(configure, tmp_path, caplog):
    rows = tag_data.write_pictures(tmp_path / "pictures", COUNT)
    rows[1] += ";🐶"
    rows[2] += ";a b"
    rows[3] += ";a-b"
    table = tag_data.write_table(tmp_path / "t.csv", rows)
    retrain(configure(tags_csv=table, image_dir=tmp_path / "pictures"))
    assert "No hashtag can be made of 🐶" in caplog.text
    assert "One hashtag, #a_b, stands for a b, a-b." in caplog.text


@pytest.mark.slow
def test_style_pictures_get_their_tags(shared, tmp_path):
    result = retrain(
        RetrainConfig(
            unsplash=shared / "data" / "style_tags",
            keywords=("shoes", "lipstick", "gray"),
            min_confidence=40,
            output_graph=tmp_path / "style.tflite",
            architecture=str(_standard_backbone(shared)),
            bottleneck_dir=tmp_path / "bottlenecks",
            views=1,
            no_report=True,
        )
    )
    assert result.metrics["labels"] == ["gray", "lipstick", "shoes"]
    assert result.metrics["mean_average_precision"] > 0.85


def _standard_backbone(shared):
    path = shared / "models" / "mobilenet_v1_0.50_224_features_f32.tflite"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the shared folder")
    return path


def test_pictures_are_not_written_over(configure, home):
    with pytest.raises(DatasetError, match="another path to write than a picture's"):
        retrain(configure(output_labels=home / "pictures" / "000.png"))
    with Image.open(home / "pictures" / "000.png") as picture:
        assert picture.size == (40, 30)


def test_many_pictures_left_out_are_counted(configure, home, tmp_path, caplog):
    pictures = tmp_path / "pictures"
    shutil.copytree(home / "pictures", pictures)
    for path in sorted(pictures.iterdir())[:13]:
        path.write_bytes(b"no picture")
    retrain(configure(image_dir=pictures, bottleneck_dir=tmp_path / "cache"))
    left_out = [line for line in caplog.messages if line.startswith("Left out ")]
    assert len(left_out) == 11
    assert left_out[-1] == "Left out 3 pictures more."
