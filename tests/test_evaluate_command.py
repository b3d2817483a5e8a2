"""`edgeclf evaluate` on models of our own and of others."""

import json
import os
import shlex

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier
from edgeclf.evaluation.command import main
from edgeclf.report.card import command


@pytest.fixture
def evaluate(color_folder, model_file, capsys):
    """Run the command on coloured pictures; return status, report, stdout, stderr."""

    def run(*arguments, content=None, folder=color_folder):
        path = model_file(content)
        status = main([str(path), str(folder), *map(str, arguments)])
        captured = capsys.readouterr()
        values = path.with_suffix(".json")
        report = _read(values) if values.exists() else None
        return status, report, captured.out, captured.err

    return run


def _read(values):
    try:
        return json.loads(values.read_text("utf-8"))
    except ValueError:
        return None


def test_every_colour_is_named_and_counted(evaluate):
    status, report, out, _ = evaluate()
    assert status == 0
    assert "Accuracy = 100.0% (N=9), 95% interval 70.1% to 100.0%\n" in out
    assert "Macro-F1 = 1.000\n" in out
    assert report["accuracy"]["device"]["num"] == 9
    assert report["confusion_matrix"] == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
    assert report["model"]["labels"] == ["red", "green", "blue"]
    assert report["data"]["num_test"] == 9
    assert report["latency"]["median_ms"] > 0


def test_a_wrong_folder_shows_in_every_figure(evaluate, color_folder):
    (color_folder / "red" / "0.png").rename(color_folder / "blue" / "moved.png")
    _, report, _, _ = evaluate()
    assert report["confusion_matrix"] == [[2, 0, 0], [0, 3, 0], [1, 0, 3]]
    blue = report["per_class"][2]
    assert (blue["recall"], blue["precision"]) == (0.75, 1.0)
    assert blue["f1"] == pytest.approx(6 / 7)
    (worst,) = report["pictures"]["worst"]
    assert (worst["file"], worst["predicted"]) == ("blue/moved.png", "red")
    assert len(report["pictures"]["doubtful"]) == 8
    with Classifier(models.own()) as classifier:
        scores = classifier.scores(color_folder / "blue" / "moved.png")
    assert worst["score"] == pytest.approx(scores[0])
    assert worst["label_score"] == pytest.approx(scores[2])


def test_json_is_one_object_and_all_of_stdout(evaluate):
    _, report, out, _ = evaluate("--json")
    printed = json.loads(out)
    assert out.count("\n") == 1
    assert printed == report


def test_report_can_be_elsewhere_or_left_out(evaluate, tmp_path):
    page = tmp_path / "new" / "page.html"
    _, beside, out, _ = evaluate(f"--report={page}")
    assert beside is None
    assert f"Report: {page}" in out
    assert json.loads((page.parent / "page.json").read_text())["command"] == "evaluate"
    before = sorted(tmp_path.rglob("*"))
    status, beside, out, _ = evaluate("--no_report")
    assert status == 0
    assert beside is None
    assert "Report" not in out
    assert sorted(tmp_path.rglob("*")) == before


def test_split_takes_some_pictures(evaluate, tmp_path):
    table = tmp_path / "some.csv"
    table.write_text("file,split\nred/0.png,test\nblue/1.png,test\nblue/2.png,train\n")
    _, report, _, _ = evaluate(f"--split_file={table}")
    assert report["data"]["num_test"] == 2
    _, report, _, _ = evaluate(f"--split_file={table}", "--split=train")
    assert [report["data"][f"num_{name}"] for name in ("train", "test")] == [1, 0]
    status, _, _, err = evaluate(f"--split_file={table}", "--split=validation")
    assert status == 1
    assert "Expected pictures of" in err
    assert "in the split validation, named like blue/0.png." in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--split=test"], "Expected --split_file too"),
        (["--report=a.html", "--no_report"], "Expected --report or --no_report."),
        (["--report=a.json"], "Expected an HTML file in --report"),
        (["--num_threads=0"], "expected a whole number of 1 or more"),
    ],
)
def test_wrong_usage(evaluate, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as stop:
        evaluate(*arguments)
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "order",
    [
        "MODEL DIR --no_report --num_workers 1",
        "MODEL --no_report --num-workers=1 DIR",
        "--no_report MODEL --num_workers 1 DIR",
        "--num_workers 1 --no_report MODEL DIR",
        "--no_report --num_workers 1 -- MODEL DIR",
        "MODEL --no_report --num_workers 1 -- DIR",
        "--image_dir DIR --no_report --num_workers 1 -- MODEL",
    ],
)
def test_arguments_stand_in_any_order(
    model_file, color_folder, tmp_path, monkeypatch, capsys, order
):
    model_file().rename(tmp_path / "--model.tflite")
    color_folder.rename(tmp_path / "--photos")
    monkeypatch.chdir(tmp_path)
    words = order.replace("MODEL", "./--model.tflite").replace("DIR", "./--photos")
    options, dashes, names = words.partition(" -- ")
    names = names.replace("./", "")  # there they may look like options
    assert main(f"{options}{dashes}{names}".split()) == 0
    assert "Accuracy = 100.0% (N=9)" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.html"))


def test_pictures_that_were_trained_on_are_noticed(evaluate, tmp_path):
    (tmp_path / "model.split.csv").write_text("file,split\nred/0.png,train\n")
    _, report, _, err = evaluate()
    assert "has been trained with 1 of these 9 pictures" in err
    assert report["data"]["num_trained_on"] == 1
    page = (tmp_path / "model.html").read_text("utf-8")
    assert "it was trained with 1 of them" in page


def test_folders_and_labels_that_do_not_match_are_named(evaluate, color_folder):
    (color_folder / "green").rename(color_folder / "verdant")
    status, report, _, err = evaluate()
    assert status == 0
    assert "The folder verdant is no label of the model: its pictures are left" in err
    assert "Labels without a folder: green.\n" in err
    assert report["data"]["num_test"] == 6
    assert report["per_class"][1]["recall"] is None


def test_no_folder_matches(evaluate, color_folder):
    for color in models.COLORS:
        (color_folder / color).rename(color_folder / f"{color}ish")
    status, report, out, err = evaluate()
    assert (status, report, out) == (1, None, "")
    assert "that are named like the model's labels: red, green, blue. Received: " in err
    assert "redish. Rename the folders, or give other labels with --labels." in err


def test_one_folder_is_enough(evaluate, color_folder, tmp_path):
    (tmp_path / "few").mkdir()
    (color_folder / "green").rename(tmp_path / "few" / "green")
    status, report, _, _ = evaluate(folder=tmp_path / "few")
    assert status == 0
    assert report["accuracy"]["device"]["num"] == 3


def test_composed_and_decomposed_letters_are_one_name(evaluate, color_folder):
    (color_folder / "red").rename(color_folder / "re\u0301d")
    status, report, _, err = evaluate(content=models.own(["r\u00e9d", "green", "blue"]))
    assert status == 0
    assert "no label" not in err
    assert report["per_class"][0]["num_test"] == 3


def test_foreign_model_without_labels_says_what_to_do(evaluate, tmp_path):
    arguments = ("--input_mean=127.5", "--input_std=127.5")
    status, _, _, err = evaluate(*arguments, content=models.build())
    assert status == 1
    assert "has no labels. Expected a name for each of its 3 classes" in err
    assert "give them with --labels FILE, one a line." in err
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    status, report, _, _ = evaluate(
        *arguments, f"--labels={labels}", content=models.build()
    )
    assert status == 0
    assert report["accuracy"]["device"] == {
        **report["accuracy"]["device"], "kind": "float", "accuracy": 1.0
    }  # fmt: skip
    assert report["calibration"]["ece_before"] is None
    assert report["settings"]["input_mean"] == 127.5


def test_foreign_float_model_without_normalisation_is_refused(evaluate):
    status, _, _, err = evaluate(content=models.with_labels(models.build()))
    assert status == 1
    assert "input_mean" in err
    with pytest.raises(SystemExit) as stop:
        evaluate("--input_mean=1", content=models.with_labels(models.build()))
    assert stop.value.code == 2


def test_labels_that_stand_twice_are_one_class(evaluate, color_folder):
    for picture in (color_folder / "green").iterdir():
        picture.rename(color_folder / "red" / f"green {picture.name}")
    status, report, _, _ = evaluate(content=models.own(["red", "red", "blue"]))
    assert status == 0
    assert report["accuracy"]["device"]["accuracy"] == 1.0
    assert report["confusion_matrix"] == [[6, 0, 0], [0, 0, 0], [0, 0, 3]]


def test_many_classes_that_play_no_part_are_left_out(evaluate):
    labels = [*models.COLORS, *(f"other {number}" for number in range(300))]
    weights = np.zeros((303, 3), np.float32)
    weights[:3] = models.WEIGHTS
    content = models.own(labels, weights=weights)
    _, report, _, _ = evaluate(content=content)
    assert report["model"]["labels"] == labels
    assert [entry["label"] for entry in report["per_class"]] == list(models.COLORS)
    assert np.shape(report["confusion_matrix"]) == (3, 3)


def test_classes_that_are_left_out_are_rivals_all_the_same(evaluate, color_folder):
    for name in ("green", "blue"):
        (color_folder / name).rename(color_folder / f".{name}")
    labels = [*models.COLORS, *(f"other {number}" for number in range(300))]
    weights = np.zeros((303, 3), np.float32)
    weights[:3] = models.WEIGHTS
    Image.new("RGB", (20, 20), (140, 120, 0)).save(color_folder / "red" / "z.png")
    _, report, _, _ = evaluate(content=models.own(labels, weights=weights))
    assert [entry["label"] for entry in report["per_class"]] == ["red"]
    assert report["pictures"]["doubtful"][0]["file"] == "red/z.png"


def test_options_that_are_zero_are_kept(evaluate):
    content = models.with_labels(models.build())
    settings = ("--input_mean=0", "--input_std=255", "--no_heat_maps")
    _, report, _, _ = evaluate(*settings, content=content)
    given = {"input_mean": 0.0, "input_std": 255.0, "no_heat_maps": True}
    assert report["settings"] == given


def test_a_model_of_any_size_sees_what_its_classifier_sees(evaluate, color_folder):
    content = models.own(input_signature=(1, -1, -1, 3))
    status, report, _, _ = evaluate(content=content)
    assert status == 0
    assert report["accuracy"]["device"]["accuracy"] == 1.0
    with Classifier(content) as classifier:
        for entry in report["pictures"]["doubtful"]:
            scores = classifier.scores(color_folder / entry["file"])
            assert entry["score"] == pytest.approx(float(scores.max()), abs=1e-6)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a model", "Expected a TFLite model"),
        (models.build(head=False, input_type="uint8"), "has no labels."),
    ],
)
def test_models_that_cannot_be_measured(evaluate, content, sentence):
    status, report, out, err = evaluate(content=content)
    assert (status, report, out) == (1, None, "")
    assert sentence in err
    assert "Traceback" not in err


def test_empty_folder(evaluate, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, _, err = evaluate(folder=tmp_path / "empty")
    assert status == 1
    assert "Expected at least one class folder with pictures in" in err
    status, _, _, err = evaluate(folder=tmp_path / "missing")
    assert status == 1
    assert "which does not exist" in err


def test_unreadable_pictures_are_left_out_and_listed(evaluate, color_folder):
    (color_folder / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    status, report, _, err = evaluate()
    assert status == 0
    assert "Not measured:" in err
    (entry,) = report["data"]["unreadable"]
    assert entry["file"] == "red/broken.png"
    assert report["accuracy"]["device"]["num"] == 9
    for path in color_folder.rglob("*.png"):
        path.write_bytes(b"")
    status, _, out, err = evaluate("--no_report")
    assert (status, out) == (1, "")
    assert "Expected a readable picture in" in err


def test_copies_are_listed(evaluate, color_folder):
    picture = (color_folder / "red" / "0.png").read_bytes()
    (color_folder / "red" / "copy.png").write_bytes(picture)
    _, report, _, err = evaluate()
    assert report["data"]["near_duplicates"] == [["red/0.png", "red/copy.png"]]
    assert report["data"]["conflicting"] == []
    (color_folder / "blue" / "copy.png").write_bytes(picture)
    _, report, _, err = evaluate()
    assert "where one name at most is right: blue/copy.png, red/0.png, red/co" in err
    assert len(report["data"]["conflicting"]) == 3


def test_a_report_that_cannot_be_written_is_an_error_before_the_work(
    evaluate, tmp_path
):
    (tmp_path / "model.html").mkdir()
    status, report, out, err = evaluate()
    assert (status, report, out) == (1, None, "")
    assert "Expected a file to write. Received a folder" in err
    assert "Not measured" not in err


def test_the_report_is_not_written_over_a_picture_or_the_model(evaluate, color_folder):
    picture = color_folder / "red" / "0.png"
    before = picture.read_bytes()
    page = color_folder / "red" / "0.png"
    status, _, _, err = evaluate(f"--report={page}")
    assert status == 1
    assert "Expected another --report: it would be written over" in err
    assert picture.read_bytes() == before
    status, _, _, err = evaluate(f"--report={color_folder.parent / 'model.tflite'}")
    assert status == 1


def test_metrics_beside_the_model_stay(evaluate, tmp_path):
    for content in ("{}", "[1]", "no JSON"):
        (tmp_path / "model.json").write_text(content)
        assert evaluate("--no_heat_maps", "--labels", label_file(tmp_path))[0] == 0
        assert (tmp_path / "model.json").read_text() == content
    assert "accuracy" in json.loads((tmp_path / "model.report.json").read_text())
    (tmp_path / "model.json").write_text('{"format_version": 1, "command": "evaluate"}')
    assert "accuracy" in evaluate("--no_heat_maps")[1]


@pytest.mark.parametrize("name", ["model.json", "model.report.json"])
def test_the_report_of_the_training_stays(evaluate, tmp_path, name):
    (tmp_path / "model.json").write_text("{}")
    content = '{"format_version": 1, "command": "retrain"}'
    (tmp_path / name).write_text(content)
    (tmp_path / "model.html").write_text("of the training")
    for _ in range(2):
        status, _, out, err = evaluate("--no_heat_maps")
        assert status == 0
        page = tmp_path / "model.evaluation.html"
        assert f"{tmp_path / 'model.html'} tells of the training and stays.\n" in err
        assert f"Report: {page}\n" in out
    assert (tmp_path / "model.html").read_text() == "of the training"
    assert (tmp_path / name).read_text() == content
    made = json.loads((tmp_path / "model.evaluation.json").read_text())
    assert made["command"] == "evaluate"
    assert (tmp_path / "model.evaluation.confusion.png").exists()


def test_the_command_in_the_report_can_be_run_again(evaluate, color_folder, tmp_path):
    folder = color_folder.rename(tmp_path / "my photos")
    _, report, _, _ = evaluate("--no_heat_maps", folder=folder)
    words = shlex.split(command(report).replace("\\\n", ""))
    assert words[:2] == ["edgeclf", "evaluate"]
    assert main(words[2:]) == 0
    assert _read(tmp_path / "model.json")["settings"] == {"no_heat_maps": True}


def test_pictures_of_no_class_are_measured(evaluate, color_folder):
    strangers = color_folder / "_background"
    strangers.mkdir()
    for number, level in enumerate((100, 128)):
        picture = Image.new("RGB", (20, 20), (level, level, level))
        picture.save(strangers / f"{number}.png")
    Image.new("RGB", (20, 20), models.PIXELS["red"]).save(strangers / "red.png")
    (strangers / "broken.png").write_bytes(b"?")
    content = models.own(entry=models.record(reject={"min_score": 0.5}))
    _, report, out, err = evaluate(content=content)
    share = pytest.approx(2 / 3)
    assert report["reject"]["background"] == {"num": 3, "rejected": share}
    assert "With --reject it keeps 100.0% of these pictures, of which 100.0" in out
    assert ", and rejects 66.7% of 3 pictures of no class\n" in out
    assert "Not measured:" in err
    assert report["data"]["num_test"] == 9
    _, report, out, err = evaluate()
    assert "Not measured: 4 pictures of no class. The model has no rule" in err
    assert report["reject"]["background"] is None
    assert "--reject" not in out


def test_classes_of_the_collection_are_those_with_pictures(evaluate, color_folder):
    (color_folder / "green").rename(color_folder / ".green")
    _, report, _, _ = evaluate()
    assert [entry["label"] for entry in report["data"]["classes"]] == ["red", "blue"]
    assert report["per_class"][1]["f1"] is None


def test_labels_are_not_written_over(evaluate, tmp_path):
    labels = label_file(tmp_path)
    page = labels.rename(tmp_path / "labels.html")
    status, _, _, err = evaluate("--labels", page, "--report", page)
    assert status == 1
    assert f"it would be written over {page}" in err


def label_file(folder):
    path = folder / "labels.txt"
    path.write_text("".join(f"{color}\n" for color in models.COLORS))
    return path


def test_the_models_own_rule_is_measured(evaluate):
    entry = models.record(reject={"min_score": 0.85})
    weights = np.diag([1, 1, 4]).astype(np.float32)  # surer of blue: 0.9 against 0.8
    _, report, _, _ = evaluate(content=models.own(entry=entry, weights=weights))
    rule = report["reject"]["rule"]
    assert rule == {"coverage": pytest.approx(3 / 9), "accuracy": 1.0}
    entry = models.record(reject={"min_score": 1.0})
    rule = evaluate(content=models.own(entry=entry))[1]["reject"]["rule"]
    assert rule == {"coverage": 0.0, "accuracy": None}
    assert evaluate()[1]["reject"]["rule"] is None


def test_names_that_are_not_utf8_are_written(evaluate, color_folder):
    name = os.fsdecode(b"\xff.png")
    Image.new("RGB", (20, 20), models.PIXELS["red"]).save(color_folder / "blue" / name)
    status, report, out, _ = evaluate("--json")
    assert status == 0
    assert report["pictures"]["worst"][0]["file"] == f"blue/{name}"
    assert json.loads(out) == report


def test_page_and_confusion_matrix_stand_beside(evaluate, color_folder, tmp_path):
    (color_folder / "red" / "0.png").rename(color_folder / "blue" / "moved.png")
    evaluate()
    page = (tmp_path / "model.html").read_text("utf-8")
    assert "blue/moved.png" in page
    assert page.count("data:image/jpeg") == 2 * 9  # each with its heat map
    with Image.open(tmp_path / "model.confusion.png") as picture:
        assert min(picture.size) > 100
    assert not (tmp_path / "model.curves.png").exists()
    evaluate("--no_heat_maps")
    page = (tmp_path / "model.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 9


def test_a_model_that_cannot_be_mapped_has_no_heat_maps(evaluate):
    content = models.with_labels(models.with_concatenation(models.build()))
    status, _, _, err = evaluate(
        "--input_mean=127.5", "--input_std=127.5", content=content
    )
    assert status == 0
    assert "The report has no heat maps." in err
