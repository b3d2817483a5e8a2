"""`edgeclf evaluate` on models that give a picture several tags."""

import json
import shlex

import model_files as models
import pytest
from PIL import Image
from test_tag_evaluate import tagger

from edgeclf.evaluation.command import main
from edgeclf.report.card import command

PIXELS = {
    "yellow": (220, 220, 20),
    "blue": (20, 20, 220),
    "white": (240, 240, 240),
    "black": (9, 9, 9),
}
TABLE = """file,tags
yellow.png,red;green;sun
blue.png,blue
white.png,Red; green ;blue
black.png,
gone.png,red
"""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, pixels in PIXELS.items():
        Image.new("RGB", (20, 10), pixels).save(folder / f"{name}.png")
    (tmp_path / "tags.csv").write_text(TABLE, "utf-8")
    return folder


@pytest.fixture
def evaluate(photos, model_file, capsys):
    """Run the command; return status, report, stdout, stderr."""

    def run(*arguments, content=None):
        path = model_file(tagger() if content is None else content)
        if not arguments:
            arguments = (f"--tags_csv={photos.parent / 'tags.csv'}", photos)
        status = main([str(path), *map(str, arguments)])
        captured = capsys.readouterr()
        values = path.with_suffix(".json")
        report = json.loads(values.read_text("utf-8")) if values.exists() else None
        return status, report, captured.out, captured.err

    return run


def test_a_table_of_tags_is_measured(evaluate, tmp_path):
    status, report, out, err = evaluate()
    assert status == 0
    device = report["accuracy"]["device"]
    assert device["num"] == 4
    for figure in ("mean_average_precision", "micro_f1", "macro_f1", "accuracy",
                   "subset_accuracy", "label_ranking_average_precision"):  # fmt: skip
        assert device[figure] == 1.0
    assert device["hamming_loss"] == 0.0
    assert 0 < device["binary_cross_entropy"] < 0.5
    assert out.startswith("mAP = 100.0% (N=4), 95% interval 100.0% to 100.0%\nMicro-")
    assert "Subset accuracy = 100.0%, Hamming loss = 0.0%\n" in out
    assert "Rows without a picture: 1 (gone.png)." in err
    assert "Other tags, left out: 1 (sun)." in err
    assert report["data"]["num_without_tags"] == 1
    assert [entry["label"] for entry in report["per_tag"]] == [*models.COLORS]
    assert [entry["num_positive"] for entry in report["per_tag"]] == [2, 2, 2]
    assert report["cooccurrence"] == {
        "labels": [*models.COLORS],
        "counts": [[2, 2, 1], [2, 2, 1], [1, 1, 2]],
    }
    for ending in ("html", "cooccurrence.png"):
        assert (tmp_path / f"model.{ending}").exists()
    assert not (tmp_path / "model.confusion.png").exists()


def test_tags_that_are_wrong_show_in_figures_and_pictures(evaluate, photos):
    table = photos.parent / "tags.csv"
    table.write_text("yellow.png,red\nblue.png,green;blue\nblack.png,\n")
    _, report, _, err = evaluate(f"--tags_csv={table}", photos)
    assert "Pictures without a row, left out: 1 (white.png)." in err
    device = report["accuracy"]["device"]
    assert device["hamming_loss"] == pytest.approx(2 / 9)
    assert device["subset_accuracy"] == pytest.approx(1 / 3)
    assert device["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    (missed,) = report["pictures"]["missed"]
    assert (missed["file"], missed["tag"]) == ("blue.png", "green")
    assert missed["tags"] == ["green", "blue"]
    assert [given["label"] for given in missed["given"]] == ["blue"]
    assert missed["score"] < missed["threshold"] == pytest.approx(0.6)
    (wrong,) = report["pictures"]["wrong"]
    assert (wrong["file"], wrong["tag"]) == ("yellow.png", "green")
    page = (photos.parent / "model.html").read_text("utf-8")
    assert "A tag is missed most" in page
    assert page.count("data:image/jpeg") == 4  # with their heat maps
    assert {
        (*pair["labels"], pair["true"], pair["given"]) for pair in report["pairs"]
    } == {("red", "green", 0, 1), ("green", "blue", 1, 0)}


def test_folders_are_called_like_tags(evaluate, color_folder):
    (color_folder / "RED").mkdir()
    (color_folder / "green" / "0.png").rename(color_folder / "RED" / "9.png")
    status, report, _, _ = evaluate(color_folder)
    assert status == 0
    assert report["data"]["image_dir"] == str(color_folder)
    counts = {entry["label"]: entry["num_positive"] for entry in report["per_tag"]}
    assert counts == {"red": 4, "green": 2, "blue": 3}
    assert report["accuracy"]["device"]["subset_accuracy"] == pytest.approx(8 / 9)
    again = evaluate(f"--tag_folders={color_folder}")[1]
    assert again["accuracy"] == report["accuracy"]


def test_unsplash_tables_are_measured(evaluate, photos):
    (photos / "photos.tsv000").write_text(
        "photo_id\tphoto_image_url\nyellow\tyellow.png\nblue\tblue.png\n"
    )
    (photos / "keywords.tsv000").write_text(
        "photo_id\tkeyword\tai_service_1_confidence\tai_service_2_confidence\t"
        "suggested_by_user\nyellow\tred\t98\t\tf\nyellow\tgreen\t\t\tt\n"
        "blue\tblue\t99.5\t\tf\n"
    )
    _, report, _, err = evaluate(f"--unsplash={photos}")
    assert "has the tags: red" in err
    assert [entry["num_positive"] for entry in report["per_tag"]] == [0, 1, 1]
    assert report["per_tag"][0]["average_precision"] is None
    _, report, _, _ = evaluate(f"--unsplash={photos}", "--min_confidence=90")
    assert [entry["num_positive"] for entry in report["per_tag"]] == [1, 1, 1]
    assert report["accuracy"]["device"]["subset_accuracy"] == 1.0


def test_split_and_synonyms(evaluate, photos):
    table, splits = photos.parent / "tags.csv", photos.parent / "some.csv"
    table.write_text("yellow.png,rot;green\nblue.png,blue\nwhite.png,blue\n")
    splits.write_text("file,split\nyellow.png,test\nblue.png,train\n")
    synonyms = photos.parent / "synonyms.txt"
    synonyms.write_text("red: rot\n")
    arguments = [f"--tags_csv={table}", photos, f"--split_file={splits}"]
    _, report, _, _ = evaluate(*arguments, f"--synonyms={synonyms}")
    assert report["data"]["num_test"] == 1
    assert report["accuracy"]["device"]["subset_accuracy"] == 1.0
    splits.write_text("file,split\nother.png,test\n")
    status, _, _, err = evaluate(*arguments)
    assert status == 1
    assert "in the split test, named like blue.png. Received: other.png." in err


def test_synonyms_of_the_training_are_asked_for(evaluate, photos):
    table, synonyms = photos.parent / "tags.csv", photos.parent / "synonyms.txt"
    table.write_text("yellow.png,rot\nblue.png,blue\n")
    synonyms.write_text("red: rot\n")
    given = [f"--tags_csv={table}", photos]
    entry = models.record(
        multi_label=True,
        thresholds=(0.5, 0.6, 0.4),
        provenance={"tags": {"synonyms": True}},
    )
    content = models.own(entry=entry, activation="logistic")
    assert "trained with --synonyms" in evaluate(*given, content=content)[3]
    given.append(f"--synonyms={synonyms}")
    assert "trained with --synonyms" not in evaluate(*given, content=content)[3]
    assert "trained with --synonyms" not in evaluate(*given[:2])[3]


def test_tables_are_not_written_over(evaluate, photos):
    for name, option in (("tags.htm", "tags_csv"), ("same.htm", "synonyms")):
        (photos.parent / name).write_text("red: rot\n" if "same" in name else TABLE)
        arguments = {"tags_csv": photos.parent / "tags.csv"}
        arguments[option] = photos.parent / name
        given = [f"--{key}={path}" for key, path in arguments.items()]
        status, _, _, err = evaluate(*given, photos, f"--report={photos.parent / name}")
        assert status == 1
        assert f"it would be written over {photos.parent / name}." in err


def test_json_is_the_report(evaluate, photos):
    table = photos.parent / "tags.csv"
    _, report, out, _ = evaluate("--json", f"--tags_csv={table}", photos)
    assert json.loads(out) == report


def test_other_makers_models_are_measured_when_asked_to(evaluate, photos):
    foreign = models.with_labels(
        models.build(activation="logistic", input_type="uint8", output_type="uint8")
    )
    table = photos.parent / "tags.csv"
    status, report, _, err = evaluate(f"--tags_csv={table}", photos, content=foreign)
    assert (status, report) == (1, None)
    assert "Expected a model that gives each picture several labels, with --tags_c" in (
        err
    )
    arguments = [f"--tags_csv={table}", photos, "--multi_label"]
    _, report, _, _ = evaluate(*arguments, content=foreign)
    assert report["accuracy"]["device"]["subset_accuracy"] == 1.0
    assert [entry["threshold"] for entry in report["per_tag"]] == [0.5] * 3


def test_synonyms_are_of_tags_alone(evaluate, photos):
    content = models.own(entry=models.record())
    status, _, _, err = evaluate(photos, "--synonyms=a.txt", content=content)
    assert status == 1
    assert "gives each picture several labels, with --synonyms." in err


def test_the_written_command_makes_the_report_again(evaluate, capsys):
    _, report, _, _ = evaluate()
    words = shlex.split(command(report).replace("\\\n", " "))
    assert words[:2] == ["edgeclf", "evaluate"]
    assert main([*words[2:], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for section in ("accuracy", "per_tag", "pictures", "cooccurrence"):
        assert again[section] == report[section]


def test_pictures_that_were_trained_on_are_noticed(evaluate, tmp_path):
    (tmp_path / "model.split.csv").write_text("file,split\nblue.png,train\n")
    _, report, _, err = evaluate()
    assert "has been trained with 1 of these 4 pictures" in err
    assert "With --split_file, that table and --split test it is measured" in err
    assert report["data"]["num_trained_on"] == 1


def test_no_tag_matches(evaluate, photos):
    table = photos.parent / "tags.csv"
    table.write_text("yellow.png,sun;moon\nblue.png,sun\n")
    status, report, out, err = evaluate(f"--tags_csv={table}", photos)
    assert (status, report, out) == (1, None, "")
    assert "Expected pictures with a tag of" in err
    assert "frequent there: sun, moon." in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--no_report"], "Expected DIR, the folder of the pictures, or --tags_csv"),
        (["a", "--image_dir=b"], "Expected DIR or --image_dir. Received: both."),
        (["--tags_csv=a.csv"], "Expected image_dir, the folder of the pictures"),
        (["a", "--tag_folders=b"], "Expected no image_dir with tag_folders"),
        (["--tags_csv=a", "--unsplash=b"], "Received: unsplash and tags_csv"),
        (["--unsplash=b", "--min_confidence=101"], "Expected min_confidence in 0-100"),
        (["a", "--min_confidence=40"], "Expected --unsplash too, the tables of --min"),
        (["a", "--allow_private"], "Expected --unsplash too, the tables of --allow_p"),
    ],
)
def test_wrong_usage(evaluate, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as stop:
        evaluate(*arguments)
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err
