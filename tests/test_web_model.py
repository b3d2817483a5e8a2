"""What the web app says of a model: facts, page, downloads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import model_files as models
import pytest
from reports import HOSTILE, report, tag_report
from web_server import serving

from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.report.page import render
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.model_facts import card_text, described
from edgeclf.web.model_page import disposition
from edgeclf.web.model_report import by_report

# Of a label file, that is lines of UTF-8.
LABELS = [name for name in HOSTILE if name.isprintable() or "\u202e" in name]
PROVENANCE = {
    "architecture": "mobilenet_v1_0.50_224",
    "accuracy": 0.9,
    "accuracy_float": 0.95,
    "macro_f1": 0.88,
    "num_train": 80,
    "num_validation": 10,
    "num_test": 20,
    "quantize": "int8",
    "dataset_sha256": "ab" * 32,
    "seed": 3,
    "versions": {"edgeclf": "0.1.0", "numpy": "2.4.6"},
    "reject": {"accuracy": 0.97, "coverage": 0.9},
}
RECORD = models.record(provenance=PROVENANCE)


@pytest.fixture
def opened(model_file):
    """Open the model of a content."""
    loaded = []

    def load(content: bytes, name: str = "model.tflite") -> LoadedModel:
        path = model_file(content, name)
        loaded.append(LoadedModel(path))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


def write_report(path: Path, values: dict, page: str = "<p>report</p>") -> dict:
    """Write a report beside a model, as of this very file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    values = {**values, "model": {**values["model"], "sha256": digest}}
    path.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")
    path.with_suffix(".html").write_text(page, encoding="utf-8")
    return values


def tag_model(labels=("a", "b", "c")) -> bytes:
    entry = models.record(multi_label=True, thresholds=[0.25, 0.5, 0.75])
    return models.own(labels, entry, activation="logistic")


def fetch(url: str) -> SimpleNamespace:
    try:
        answer = urllib.request.urlopen(url, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return SimpleNamespace(
            status=answer.status, headers=answer.headers, content=answer.read()
        )


def test_facts_of_a_record(opened):
    content = models.own(entry=RECORD)
    facts = described(opened(content))
    assert facts["name"] == "model.tflite"
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["size_bytes"] == len(content)
    assert facts["labels"] == ["red", "green", "blue"]
    assert facts["num_classes"] == 3
    assert facts["input_size"] == [8, 6]
    assert facts["architecture"] == "mobilenet_v1_0.50_224"
    assert facts["measured"]["accuracy"] == 0.9
    assert facts["measured"]["accuracy_float"] == 0.95
    assert facts["measured"]["interval_95"] == [*wilson_interval(18, 20)]
    assert facts["pictures"] == {"num_train": 80, "num_validation": 10, "num_test": 20}
    assert (facts["seed"], facts["dataset_sha256"]) == (3, "ab" * 32)
    assert (facts["multi_label"], facts["thresholds"]) == (False, None)
    json.dumps(facts, allow_nan=False)


def test_facts_of_another_makers_file(opened):
    content = models.with_labels(
        models.with_metadata(
            models.build(), mean=[127.5], std=[127.5], files=[("labels.txt", 2, None)]
        )
    )
    facts = described(opened(content))
    assert facts["labels"] == ["red", "green", "blue"]
    assert facts["quantize"] == "float"
    for name in ("architecture", "measured", "pictures", "versions", "seed"):
        assert facts[name] is None, name


def test_facts_of_a_file_without_labels(opened):
    facts = described(opened(models.build(input_type="uint8")))
    assert facts["labels"] is None
    assert facts["num_classes"] == 3
    assert "It gives 3 classes" in card_text(opened(models.build(input_type="uint8")))


def test_facts_of_tags(opened):
    facts = described(opened(tag_model()))
    assert facts["multi_label"] is True
    assert facts["thresholds"] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    "provenance",
    [
        None,
        [],
        {"accuracy": "<script>", "num_test": "many", "versions": 3, "reject": [1]},
        {"accuracy": float("nan"), "num_test": 10},
        {"accuracy": True, "num_test": -1, "macro_f1": {}},
    ],
)
def test_a_record_of_anything_is_no_error(opened, provenance):
    entry = models.record(provenance=provenance)
    assert described(opened(models.own(entry=entry)))["measured"] is None


def test_a_report_beside_counts_only_if_it_is_of_this_file(opened, tmp_path):
    model = opened(models.own(entry=RECORD))
    path = tmp_path / "model.tflite"
    values = write_report(path, report(models.COLORS))
    measured = described(model)["measured"]
    assert measured["accuracy"] == values["accuracy"]["device"]["accuracy"]
    values["model"]["sha256"] = "00" * 32
    path.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")
    assert described(model)["measured"]["accuracy"] == 0.9
    path.with_suffix(".json").write_text("{broken", encoding="utf-8")
    assert described(model)["measured"]["accuracy"] == 0.9


def test_a_spoiled_report_is_none(model_file):
    path = model_file(models.own(entry=RECORD))
    values = report(models.COLORS)
    with serving("--model", path) as server:
        for name in ("model", *(values.keys() - {"model", "format_version"})):
            for value in (5, "x", [3], {"device": 7, "sha256": 1}):
                write_report(path, values)
                spoiled = json.loads(path.with_suffix(".json").read_text("utf-8"))
                spoiled[name] = value
                path.with_suffix(".json").write_text(json.dumps(spoiled), "utf-8")
                for page in ("/model", "/v1/model"):
                    assert fetch(server.url + page).status == 200, (name, value)
        values["accuracy"]["device"]["accuracy"] = float("nan")
        write_report(path, values)
        facts = json.loads(fetch(f"{server.url}/v1/model").content)
        assert facts["measured"]["accuracy"] == 0.9  # of the record


def test_what_is_shown_names_no_file_of_the_server(opened, tmp_path):
    model = opened(models.own(entry=RECORD))
    values = report(models.COLORS)
    values["model"]["path"] = "/home/somebody/model.tflite"
    values["settings"] = {"image_dir": "/home/somebody/photos"}
    write_report(tmp_path / "model.tflite", values)
    shown = json.dumps(by_report(model, dict))
    for private in ("somebody", "my photos", "picture 0.jpg", "broken.jpg"):
        assert private not in shown


def test_the_card_is_plain_lines(opened):
    card = card_text(opened(models.own(entry=RECORD)))
    assert card.splitlines() == [
        "Model: model.tflite, 1.7 kB",
        "Architecture: mobilenet_v1_0.50_224",
        "Numbers: float",
        "Input: 6 x 8 pixels, RGB",
        "It gives 3 classes: red, green, blue",
        "Accuracy: 90.0% on 20 test pictures (95% interval 69.9% to 97.2%)",
        "Pictures: 80 for training, 10 for validation, 20 for testing",
    ]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("m.tflite", "attachment; filename=\"m.tflite\"; filename*=UTF-8''m.tflite"),
        (
            'ł "a"\r\n.tflite',
            'attachment; filename="_ _a___.tflite"; '
            "filename*=UTF-8''%C5%82%20%22a%22%0D%0A.tflite",
        ),
        ("\udcff", "attachment; filename=\"?\"; filename*=UTF-8''%3F"),
    ],
)
def test_names_of_downloads_are_safe(name, header):
    assert disposition(name) == header


def test_page_and_downloads(model_file):
    path = model_file(models.own(LABELS[:3], RECORD), "wzory łowickie.tflite")
    values = report(tuple(LABELS[:3]))
    values["settings"] = {"output_graph": "/home/somebody/m.tflite"}
    values["data"]["image_dir"] = "/home/somebody/photos"
    values = write_report(path, values, render(values, {}))
    with serving("--model", path) as server:
        page = fetch(f"{server.url}/model")
        text = page.content.decode()
        assert page.status == 200
        for part in ("Class by class", "Who is taken for whom", "Training, step by"):
            assert part in text
        assert "<script>window" not in text
        assert "<img src='x:y'" not in text
        assert "<h1>out" not in text
        assert ' style="' not in text
        assert re.findall(r"<script[^>]*>", text) == [
            '<script type="module" src="/model/sort.js">'
        ]

        file = fetch(f"{server.url}/model/model.tflite")
        assert file.content == path.read_bytes()
        assert "wzory%20%C5%82owickie.tflite" in file.headers["Content-Disposition"]
        labels = fetch(f"{server.url}/model/labels.txt").content.decode()
        assert labels.splitlines() == LABELS[:3]
        written = fetch(f"{server.url}/model/report.html")
        assert b"Class by class" in written.content
        assert b"How to make it again" not in written.content
        assert b"somebody" not in written.content
        assert written.headers["Content-Disposition"].startswith("attachment")
        figures = json.loads(fetch(f"{server.url}/model/model.json").content)
        assert figures["per_class"] == values["per_class"]
        assert "somebody" not in json.dumps(figures)

        facts = json.loads(fetch(f"{server.url}/v1/model").content)
        assert facts["labels"] == LABELS[:3]
        # The file of another model takes its place: this one is still served.
        new = path.with_name("new.tflite")
        new.write_bytes(models.own())
        old = path.read_bytes()
        new.replace(path)
        assert fetch(f"{server.url}/model/model.tflite").content == old
        path.with_suffix(".json").unlink()
        assert fetch(f"{server.url}/model/report.html").status == 404
        assert fetch(f"{server.url}/model").status == 200


def test_page_of_tags_without_a_report(model_file):
    path = model_file(tag_model(LABELS[:3]))
    with serving("--model", path) as server:
        text = fetch(f"{server.url}/model").content.decode()
        assert "0.250" in text
        assert "&lt;script&gt;window.hacked" in text
        assert "/model/report.html" not in text
        assert fetch(f"{server.url}/model/report.html").status == 404
        live = fetch(f"{server.url}/live").content.decode()
        assert 'data-thresholds="[0.25, 0.5, 0.75]"' in live
        write_report(path, tag_report(tuple(LABELS[:3])))
        text = fetch(f"{server.url}/model").content.decode()
        assert "Precision against recall" in text
        assert "<script>window" not in text


def test_page_of_another_makers_file_without_labels(model_file):
    with serving("--model", model_file(models.build(input_type="uint8"))) as server:
        page = fetch(f"{server.url}/model")
        assert page.status == 200
        assert "The model file" in page.content.decode()
        missing = fetch(f"{server.url}/model/labels.txt")
        assert missing.status == 404
        assert "has none" in missing.content.decode()


def test_without_a_model_the_pages_say_what_to_do(tmp_path):
    with serving("--teach", tmp_path / "projects") as server:
        for path in ("/model", "/live"):
            page = fetch(f"{server.url}{path}")
            assert page.status == 200
            assert "There is no model yet." in page.content.decode()
            assert 'href="/teach"' in page.content.decode()
        missing = fetch(f"{server.url}/model/model.tflite")
        assert missing.status == 404
        assert "--model" in missing.content.decode()


def teach(folder: Path, name: str, content: bytes, at: int) -> None:
    """Leave a project as a training at a time, seconds, leaves it."""
    ours = folder / name / ".edgeclf"
    (ours / "run-1").mkdir(parents=True)
    (ours / "current").write_text("run-1\n", encoding="utf-8")
    model = ours / "run-1" / "model.tflite"
    model.write_bytes(content)
    os.utime(model, (at, at))


def options(page: str) -> list[tuple[str, str]]:
    """Return what can be chosen, and which is."""
    form = page.partition('name="project">')[2].partition("</select>")[0]
    return re.findall(r'<option value="([^"]*)"( selected)?>', form)


@pytest.mark.parametrize("path", ["/", "/live", "/model"])
def test_a_page_uses_the_model_of_a_project(tmp_path, path):
    projects = tmp_path / "projects"
    teach(projects, "old", models.own(["a", "b", "c"]), 1_000)
    teach(projects, "zwei & <drei>", models.own(["x", "y", "z"]), 2_000)
    (projects / "untrained" / "a").mkdir(parents=True)
    with serving("--teach", projects) as server:
        shown = fetch(f"{server.url}{path}").content.decode()
        names = ["old", "zwei &amp; &lt;drei&gt;"]
        assert options(shown) == [(names[0], ""), (names[1], " selected")]
        assert 'href="/live?project=zwei%20%26%20%3Cdrei%3E"' in shown
        other = fetch(f"{server.url}{path}?project=old").content.decode()
        assert options(other) == [(names[0], " selected"), (names[1], "")]
        assert "/v1/teach/projects/old/" in other or path != "/model"
        assert 'data-api="/v1/teach/projects/old"' in other or path == "/model"
        for name in ("untrained", "none", "..%2Fold"):
            missing = fetch(f"{server.url}{path}?project={name}")
            assert missing.status == 404
            assert "Expected a " in missing.content.decode()


def test_the_served_model_goes_before_projects(tmp_path, model_file):
    path = model_file(models.own(), "colors.tflite")
    teach(tmp_path / "projects", "taught", models.own(["x", "y", "z"]), 1_000)
    with serving("--model", path, "--teach", tmp_path / "projects") as server:
        page = fetch(server.url).content.decode()
        assert options(page) == [("", " selected"), ("taught", "")]
        assert "colors.tflite</bdi> knows 3 classes" in page
        assert 'data-api="/v1"' in page
        model = fetch(f"{server.url}/model?project=taught").content.decode()
        assert 'href="/v1/teach/projects/taught/model.tflite"' in model
        assert "/model/model.tflite" not in model
    with serving("--model", path) as server:
        assert "<select" not in fetch(server.url).content.decode()
        assert fetch(f"{server.url}/?project=taught").status == 404
