"""Photos of tables, collected without being stored, train what stored ones train."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tag_data
import tiny
from hosting import Server, running, status
from tag_tables import write_unsplash

from edgeclf.collecting.command import main as collect
from edgeclf.data.splits import read_split_file
from edgeclf.training.command import main as retrain
from edgeclf.training.export import CORRECTION_PICTURES

COUNT = 49


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def tables(tmp_path: Path, server: Server) -> Path:
    """Photos on the server, of which three have no tag and one is gone."""
    pictures = tmp_path / "pictures"
    tag_data.write_pictures(pictures, COUNT)
    names = {f"{number:03}": f"{number:03}.png" for number in range(COUNT)}
    for photo, name in names.items():
        # What `edgeclf.collecting.unsplash.resized` asks a server for.
        query = "w=128&h=128&fit=max&fm=jpg&q=85"
        server.files[f"/{photo}?{query}"] = (pictures / name).read_bytes()
    rows = [
        (photo, tag, "", "", "t")
        for number, photo in enumerate(names)
        for tag in tag_data.tags_of(number)
    ]
    write_unsplash(pictures, {"gone": "gone.png", **names}, [*rows, ("gone", "red")])
    addresses = {photo: f"{server.address}/{photo}" for photo in ("gone", *names)}
    return write_unsplash(
        tmp_path / "tables", addresses, [*rows, ("gone", "red", "100")]
    )


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """What both commands take."""
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    return [
        f"--architecture={backbone}",
        f"--bottleneck_dir={tmp_path / 'bottlenecks'}",
        "--views=2",
    ]


def collected(tables: Path, options: list[str]) -> Path:
    output = tables.parent / "collected"
    arguments = [f"--unsplash={tables}", f"--output={output}", "--no_store"]
    assert collect([*arguments, "--allow_private", "--workers=4", *options]) == 0
    return output


def test_collect_writes_no_picture(
    tables: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = collected(tables, options)

    with (output / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    num_tagged = sum(bool(tag_data.tags_of(number)) for number in range(COUNT))
    assert len(rows) == num_tagged
    assert {row["file"] for row in rows} == {""}
    assert {row["license"] for row in rows} == {"Unsplash License"}
    said = capsys.readouterr()
    assert "404" in said.out
    words = [f"--unsplash {tables}", f"--image_dir {output}", "--views 2"]
    words += ["--keywords blue,green,red", "--allow_private", options[0][:14]]
    assert all(text in said.err.partition("Next: edgeclf retrain")[2] for text in words)
    for path in output.rglob("*"):
        assert not path.is_file() or b"\x89PNG" not in path.read_bytes()


def test_retrain_makes_the_same_model_of_photos_that_are_not_stored(
    tables: Path,
    server: Server,
    options: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    output = collected(tables, options)
    server.requests.clear()
    models = [tmp_path / "remote.tflite", tmp_path / "stored.tflite"]
    arguments = [*options, "--testing_percentage=20", "--no_report"]
    arguments.append(f"--metrics_json={tmp_path / 'metrics.json'}")

    remote = [f"--unsplash={tables}", f"--image_dir={output}", "--allow_private"]
    assert retrain([*remote, f"--output_graph={models[0]}", *arguments]) == 0

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    splits = read_split_file(tmp_path / "remote.split.csv")
    assert metrics["num_test"] == metrics["test"]["num"] > 4
    # Fetched again: what measures, what sets int8's biases, what looks at the result.
    tested = {name for name, split in splits.items() if split == "test"}
    assert tested <= {path[1:4] for path, _ in server.requests}
    assert len(server.requests) <= len(tested) + 2 * CORRECTION_PICTURES

    stored = tmp_path / "pictures"
    for path in stored.glob("*.png"):
        if path.stem not in splits:  # of no tag, so not collected
            path.unlink()
    arguments += [f"--unsplash={stored}", f"--output_graph={models[1]}"]
    assert retrain(arguments) == 0
    assert models[0].read_bytes() == models[1].read_bytes()


def test_retrain_names_photos_that_are_gone(
    tables: Path,
    server: Server,
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = collected(tables, options)
    server.normally = status(404)
    arguments = [f"--output_graph={tmp_path / 'x.tflite'}", *options, "--no_report"]
    remote = [f"--unsplash={tables}", f"--image_dir={output}", "--allow_private"]

    retrain([*remote, *arguments])

    assert "Not measured: Cannot fetch http://127.0.0.1" in capsys.readouterr().err


def test_summaries_show_photos_that_are_not_stored(
    tables: Path, options: list[str], tmp_path: Path
) -> None:
    with (tables / "keywords.tsv000").open("a", encoding="utf-8") as table:
        # What no picture shows: nothing can be right about it throughout.
        table.writelines(f"{number:03}\todd\t\t\tt\n" for number in range(0, COUNT, 2))
    output = collected(tables, options)
    remote = [f"--unsplash={tables}", f"--image_dir={output}", "--allow_private"]
    outputs = [f"--output_graph={tmp_path / 'x.tflite'}", "--no_report"]
    outputs += [f"--summaries_dir={tmp_path / 'events'}", "--testing_percentage=30"]

    assert retrain([*remote, *outputs, *options]) == 0

    events = (tmp_path / "events" / "test").glob("events.out.tfevents.*")
    assert b"misclassified/00" in b"".join(path.read_bytes() for path in events)


def test_pictures_that_cannot_be_fetched_are_not_said_to_be_missing(
    tables: Path,
    server: Server,
    options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = collected(tables, options)
    server.normally = status(404)
    remote = [f"--unsplash={tables}", f"--image_dir={output}", "--allow_private"]
    outputs = [f"--output_graph={tmp_path / 'x.tflite'}", "--no_report"]

    assert retrain([*remote, *outputs, *options]) == 0

    said = capsys.readouterr().out
    assert "No test figure: no test picture could be read." in said
