"""What `edgeclf label` takes as SOURCE, and what it calls the pictures."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import fsspec
import model_files as models
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import known_implementations
from hosting import running, status
from label_runs import are_right, each_alone, label, rows, write_pictures
from PIL import Image


def encoded(color: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 10), models.PIXELS[color]).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def memory():
    """A store in this process, empty before and after."""
    store = fsspec.filesystem("memory")
    for name in store.find("/"):
        store.rm(name)
    yield store
    for name in store.find("/"):
        store.rm(name)


def test_a_folder_gives_what_the_classifier_says(tmp_path, color_folder, model_file):
    paths = sorted(color_folder.rglob("*.png"))
    assert label(color_folder, tmp_path / "out", model_file()) == 0
    found = rows(tmp_path / "out")
    expected = each_alone(model_file(), paths)
    assert set(found) == set(expected)
    for path, row in found.items():
        assert list(zip(row["labels"], row["scores"], strict=True)) == expected[path]
        assert row["error"] is None


def test_names_are_those_of_label_image(tmp_path, color_folder, model_file, capsys):
    from edgeclf import label_image

    (color_folder / "again").symlink_to(color_folder / "red")
    (color_folder / "broken.png").symlink_to("nowhere")
    (color_folder / "empty").mkdir()
    model = str(model_file())
    label_image.main(["--model", model, "--image", str(color_folder), "--json"])
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert label(color_folder, tmp_path / "out", model) == 1
    found = rows(tmp_path / "out")
    for line in lines:
        assert found.pop(line["image"])["error"] == line.get("error")
    assert not found


def test_one_picture_and_bytes_that_are_no_text(tmp_path, picture, model_file):
    assert label(picture("red"), tmp_path / "one", model_file()) == 0
    assert list(rows(tmp_path / "one")) == [str(picture("red"))]
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    picture("green").rename(folder / "green.png")
    assert label(folder, tmp_path / "out", model_file()) == 0
    assert list(rows(tmp_path / "out")) == [rf"{tmp_path}/\xff/green.png"]


@pytest.mark.parametrize("ending", ["txt", "csv", "stdin"])
def test_lists_of_paths(tmp_path, model_file, monkeypatch, ending):
    paths = write_pictures(tmp_path / "photos", 6)
    names = [str(path) for path in paths[:4]]
    names += [f"photos/0/{paths[0].name}"]  # beside the list, not where we are
    names += [names[0]]  # once is enough
    source = tmp_path / f"list.{ending}"
    if ending == "csv":
        cells = [f'{number},"{name}"' for number, name in enumerate(names)]
        source.write_text("\n".join(["number,path", *cells]))
        text = ""
    else:
        text = "\n".join(names)
        source.write_text(text)
    if ending == "stdin":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        source = "-"
    assert label(source, tmp_path / "out", model_file()) == 0
    found = rows(tmp_path / "out")
    assert set(found) == set(names)
    assert are_right(found)


@pytest.mark.parametrize("is_folder", [False, True])
def test_tables_of_paths(tmp_path, model_file, is_folder):
    paths = [str(path) for path in write_pictures(tmp_path / "photos", 6)]
    table = pa.table({"id": range(6), "path": paths})
    (tmp_path / "t" / "_hidden").mkdir(parents=True)
    pq.write_table(table.slice(0, 4), tmp_path / "t" / "a.parquet")
    pq.write_table(table.slice(3), tmp_path / "t" / "b.parquet")
    pq.write_table(table, tmp_path / "t" / "_hidden" / "c.parquet")
    source = tmp_path / "t" if is_folder else tmp_path / "t" / "a.parquet"
    assert label(source, tmp_path / "out", model_file()) == 0
    found = rows(tmp_path / "out")
    assert set(found) == set(paths if is_folder else paths[:4])
    assert are_right(found)


def test_tables_that_do_not_fit_together(tmp_path, model_file, capsys):
    folder, model = tmp_path / "t", model_file()
    folder.mkdir()
    pq.write_table(pa.table({"path": ["a.png"]}), folder / "a.parquet")
    pq.write_table(pa.table({"image": [b"x"], "path": [b"y"]}), folder / "b.parquet")
    assert label(folder, tmp_path / "out", model) == 1
    assert f"Received: {folder}/b.parquet, which differs" in capsys.readouterr().err
    pq.write_table(pa.table({"x": [1]}), folder / "b.parquet")
    assert label(folder, tmp_path / "out", model) == 1
    assert f"Expected a column path in {folder}/b.parquet" in capsys.readouterr().err
    assert label(folder, folder / "out", model) == 1
    assert f"Expected --output outside of {folder}" in capsys.readouterr().err
    assert not (tmp_path / "out" / "_edgeclf").exists()


def test_tables_of_pictures(tmp_path, model_file):
    colors = ["red", "green", "blue", "red", "green"]
    pictures = [encoded(color) for color in colors]
    pictures[3:] = [b"no picture", None]
    table = pa.table({"jpeg": pa.array(pictures, pa.binary())})
    source = tmp_path / "t.parquet"
    pq.write_table(table, source, row_group_size=2)
    assert label(source, tmp_path / "out", model_file(), "--partition_size", 3) == 1
    found = rows(tmp_path / "out")
    assert [*found] == [f"{source}#{row}" for row in range(5)]
    assert [row["labels"] and row["labels"][0] for row in found.values()] == [
        *colors[:3],
        None,
        None,
    ]
    errors = [row["error"] for row in found.values()]
    assert errors[3] == (
        f"{source}#3 is not a picture in a format that Pillow reads. Convert it to "
        "JPEG or PNG, or leave it out."
    )
    assert errors[4] == f"{source}#4: Expected a picture. Received: nothing."


@pytest.mark.parametrize("is_dictionary", [False, True])
def test_names_in_tables_that_are_no_utf_8(tmp_path, model_file, is_dictionary):
    (tmp_path / "odd").mkdir()
    path = os.fsdecode(os.fsencode(tmp_path) + b"/odd/\xff.png")
    Image.new("RGB", (20, 10), models.PIXELS["red"]).save(path)
    named = pa.array([os.fsencode(path), None], pa.binary()).view(pa.string())
    if is_dictionary:
        named = named.dictionary_encode()
    pq.write_table(pa.table({"path": named}), tmp_path / "paths.parquet")
    assert label(tmp_path / "paths.parquet", tmp_path / "a", model_file()) == 0
    shown = f"{tmp_path}/odd/\\xff.png"
    assert rows(tmp_path / "a")[shown]["labels"][0] == "red"
    pictures = pa.array([None, encoded("blue")], pa.binary())
    if is_dictionary:
        pictures = pictures.dictionary_encode()
    table = os.fsencode(tmp_path) + b"/odd/\xfe.parquet"
    with Path(os.fsdecode(table)).open("wb") as file:
        pq.write_table(pa.table({"path": named, "image": pictures}), file)
    assert label(os.fsdecode(table), tmp_path / "b", model_file()) == 0
    found = rows(tmp_path / "b")
    assert found[shown]["labels"][0] == "red"
    assert found[f"{tmp_path}/odd/\\xfe.parquet#1"]["labels"][0] == "blue"


@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.uint8()), pa.int64()])
def test_tables_whose_bytes_are_none(tmp_path, model_file, capsys, kind):
    kind = pa.struct([("bytes", kind), ("path", pa.string())])
    table = pa.table({"image": pa.nulls(1, kind)})
    pq.write_table(table, tmp_path / "table.parquet")
    assert label(tmp_path / "table.parquet", tmp_path / "out", model_file()) == 1
    assert "Expected paths or encoded pictures in the col" in capsys.readouterr().err


def test_a_table_that_is_damaged_in_the_middle(tmp_path, model_file):
    path = tmp_path / "table.parquet"
    table = pa.table({"image": [encoded("red")] * 60})
    pq.write_table(table, path, 20, use_dictionary=False, compression="none")
    group = pq.ParquetFile(path).metadata.row_group(1)
    start = group.column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20  # the head of a page
    path.write_bytes(content)
    assert label(path, tmp_path / "out", model_file(), "--partition_size", 2) == 1
    found = rows(tmp_path / "out")
    failed = [row["path"] for row in found.values() if row["error"]]
    assert len(found) == 60
    assert failed == [f"{path}#{row}" for row in range(20, 40)]


def test_results_among_the_tables_are_refused(tmp_path, model_file, capsys):
    tables = tmp_path / "tables"
    tables.mkdir()
    (tmp_path / "link").symlink_to(tables)
    pq.write_table(pa.table({"image": [encoded("red")]}), tables / "a.parquet")
    assert label(tables, tmp_path / "link" / "out", model_file()) == 1
    assert "Expected --output outside of" in capsys.readouterr().err
    assert not (tables / "out" / "part-0000000.parquet").exists()


def test_tables_of_hugging_face(tmp_path, model_file, picture):
    image = [
        {"bytes": encoded("red"), "path": "red.png"},
        {"bytes": encoded("green"), "path": None},
        {"bytes": None, "path": str(picture("blue"))},
    ]
    source = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": image, "label": [0, 1, 2]}), source)
    assert label(source, tmp_path / "out", model_file()) == 0
    found = rows(tmp_path / "out")
    assert [*found] == ["red.png", f"{source}#1", str(picture("blue"))]
    assert [row["labels"][0] for row in found.values()] == ["red", "green", "blue"]


def test_a_store_as_source_and_output(tmp_path, model_file, memory):
    for color in models.COLORS:
        memory.pipe_file(f"/bucket/photos/{color}/a.png", encoded(color))
    memory.pipe_file("/bucket/photos/.hidden/a.png", encoded("red"))
    memory.pipe_file("/bucket/photos/notes.md", b"notes")
    output = "memory://bucket/labels"
    model = model_file()
    assert label("memory://bucket/photos", output, model) == 0
    expected = {f"memory:///bucket/photos/{each}/a.png" for each in models.COLORS}
    content = memory.cat_file("/bucket/labels/part-0000000.parquet")
    table = pq.read_table(io.BytesIO(content)).to_pylist()
    assert {row["path"].replace("///", "//") for row in table} == {
        name.replace("///", "//") for name in expected
    }
    assert all(row["labels"][0] in row["path"] for row in table)
    memory.pipe_file("/bucket/photos/red/b.png", encoded("red"))
    assert label("memory://bucket/photos", output, model) == 0
    content = memory.cat_file("/bucket/labels/part-0000001.parquet")
    assert pq.read_table(io.BytesIO(content)).num_rows == 1


def test_a_store_has_the_names_of_a_folder(tmp_path, model_file, memory):
    for name in ("_DSC0001.png", "_raw/a#b.png", "a%20b.png", ".hidden.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded("red"))
        memory.pipe_file(f"/photos/{name}", encoded("red"))
    assert label(tmp_path / "photos", tmp_path / "a", model_file()) == 0
    assert label("memory://photos", tmp_path / "b", model_file()) == 0
    here, there = rows(tmp_path / "a"), rows(tmp_path / "b")
    assert len(here) == 3
    assert {os.path.relpath(path, tmp_path) for path in here} == {
        path.removeprefix("memory://").lstrip("/") for path in there
    }


def test_what_reads_a_store_is_missing(tmp_path, model_file, monkeypatch, capsys):
    """That is no picture's fault, of which there may be millions."""
    known = {"class": "missing_store.Files", "err": "Install missing_store"}
    monkeypatch.setitem(known_implementations, "missing", known)
    (tmp_path / "list.txt").write_text("missing://a.png\nmissing://b.png\n")
    assert label(tmp_path / "list.txt", tmp_path / "out", model_file()) == 1
    assert "Install missing_store" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("part-*"))


def test_stdin_that_is_closed(tmp_path, model_file, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert label("-", tmp_path / "out", model_file()) == 1
    assert "Received: it is closed." in capsys.readouterr().err


def test_addresses_of_the_web(tmp_path, model_file):
    with running() as server:
        server.files["/red.png"] = encoded("red")
        names = [f"{server.address}/{name}" for name in ("red.png", "none.png")]
        source = tmp_path / "list.txt"
        source.write_text("\n".join(names))
        assert label(source, tmp_path / "no", model_file()) == 1
        assert "private" in rows(tmp_path / "no")[names[0]]["error"]
        out = tmp_path / "out"
        assert label(source, out, model_file(), "--allow_private") == 1
        server.script = [status(404)]
        one = tmp_path / "one"
        assert label(names[0], one, model_file(), "--allow_private") == 1
        assert list(rows(one)) == names[:1]
    found = rows(out)
    assert found[names[0]]["labels"][0] == "red"
    assert "404" in found[names[1]]["error"]


def test_files_with_an_address(tmp_path, color_folder, model_file):
    output = f"file://{tmp_path}/out"
    assert label(f"file://{color_folder}", output, model_file()) == 0
    assert str(color_folder / "red" / "0.png") in rows(tmp_path / "out")


@pytest.mark.parametrize(
    ("write", "options", "text"),
    [
        (None, (), "list of paths. Received: {source}, which is not there."),
        ("", (), "Expected pictures in {source}, or their paths. Received: none."),
        ("x,y\n1,2\n", (), "Expected a column path in {source}: name another with"),
        ("x,y\n1,2\n", ("--column", "z"), "Expected a column z in {source}"),
        (b"\x01\x02\x03", (), "one a line. Received: bytes that are no text."),
        ({"a": ["x"], "b": [1]}, (), "Expected a column path or image in {source}"),
        ({"b": [1]}, (), "Expected paths or encoded pictures in the column b of"),
        (b"PAR1", (), "Expected a Parquet file. Received: {source}"),
    ],
)
def test_sources_that_are_none(tmp_path, model_file, capsys, write, options, text):
    if isinstance(write, dict) or write == b"PAR1":
        source = tmp_path / "t.parquet"
    else:
        source = tmp_path / ("l.csv" if "x,y" in str(write) else "l.txt")
    if isinstance(write, dict):
        pq.write_table(pa.table(write), source)
    elif write is not None:
        source.write_bytes(write if isinstance(write, bytes) else write.encode())
    assert label(source, tmp_path / "out", model_file(), *options) == 1
    assert text.format(source=source) in capsys.readouterr().err


def test_a_store_that_nobody_knows(tmp_path, model_file, capsys):
    assert label("nope://bucket/photos", tmp_path / "out", model_file()) == 1
    assert "Expected a store that fsspec knows" in capsys.readouterr().err
