"""The options of `edgeclf label`, what it prints, and its Python function."""

from __future__ import annotations

import hashlib
import io
import json
import sys

import model_files as models
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from label_runs import are_right, label, parts, rows, summary, write_pictures

import edgeclf
from edgeclf import Embedder
from edgeclf.engines.local import LocalEngine
from edgeclf.scale import LabelConfig, LabelResult
from edgeclf.scale import label as label_all
from edgeclf.scale.partitions import default_size


def test_the_summary(tmp_path, color_folder, model_file, capsys):
    output, model = tmp_path / "out", model_file()
    (color_folder / "red" / "bad.png").write_bytes(b"no picture")
    assert label(color_folder, output, model) == 1
    out = capsys.readouterr().out
    start = f"{output}: 10 pictures labelled, 1 of them with an error, "
    assert out.startswith(start)
    assert out.endswith(" pictures/s\n")
    assert label(color_folder, output, model, "--json") == 0
    counts = summary(capsys)
    assert counts["seconds"] > 0
    del counts["seconds"]
    assert counts == {
        "failure": "",
        "missing_partitions": [],
        "num_done": 0,
        "num_errors": 0,
        "num_inputs": 10,
        "num_missing": 0,
        "num_new": 0,
        "pictures_per_second": 0.0,
        "unreadable_folders": 0,
    }


def test_the_schema(tmp_path, color_folder, model_file):
    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model, "--bottleneck") == 0
    schema = pq.read_schema(output / "part-0000000.parquet")
    assert {field.name: field.type for field in schema} == {
        "path": pa.string(),
        "labels": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        "error": pa.string(),
        "bottleneck": pa.list_(pa.float32()),
    }
    assert schema.metadata == {
        b"edgeclf.version": edgeclf.__version__.encode(),
        b"edgeclf.model": b"model.tflite",
        b"edgeclf.model_sha256": hashlib.sha256(model.read_bytes())
        .hexdigest()
        .encode(),
        b"edgeclf.errors": b"0",
    }


@pytest.mark.parametrize("changes", [{}, {"input_signature": (1, -1, -1, 3)}])
def test_bottlenecks_are_those_of_the_embedder(
    tmp_path, color_folder, model_file, changes
):
    output, model = tmp_path / "out", model_file(models.own(**changes))
    assert label(color_folder, output, model, "--bottleneck") == 0
    assert label(color_folder, tmp_path / "plain", model) == 0
    found, plain = rows(output), rows(tmp_path / "plain")
    assert all(row.items() < found[path].items() for path, row in plain.items())
    with Embedder(model) as embedder:
        for path, row in found.items():
            expected = embedder.embed(path)
            assert np.float32(row["bottleneck"]).tolist() == expected.tolist()


def test_options_of_the_choice(tmp_path, color_folder, model_file):
    model = model_file()
    options = ("--top-k", 2, "--deny", "red", "--rotation", 90, "--region", 0, 0, 1, 1)
    assert label(color_folder, tmp_path / "out", model, *options) == 0
    for path, row in rows(tmp_path / "out").items():
        assert set(row["labels"]) == {"green", "blue"}
        if "/red/" not in path:
            assert row["labels"][0] in path


def test_labels_from_a_file(tmp_path, color_folder, model_file):
    names = tmp_path / "names.txt"
    names.write_text("rot\ngrün\nblau\n", encoding="utf-8")
    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model, "--labels", names, "--top_k", 1) == 0
    assert {row["labels"][0] for row in rows(output).values()} == {
        "rot",
        "grün",
        "blau",
    }


def test_readers_of_datasets(tmp_path, model_file):
    pandas = pytest.importorskip("pandas")
    paths = write_pictures(tmp_path / "photos", 20)
    output = tmp_path / "out"
    options = ("--partition_size", 6)
    assert label(tmp_path / "photos", output, model_file(), *options) == 0
    assert ds.dataset(output).count_rows() == 20
    assert pq.read_table(output).num_rows == 20
    frame = pandas.read_parquet(output)
    assert sorted(frame["path"]) == [str(path) for path in paths]
    assert frame["error"].isna().all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--top_k", 0), "expected a whole number of 1 or more"),
        (("--partition_size", 0), "expected a whole number of 1 or more"),
        (("--storage_options", "{"), "expected JSON"),
        (("--storage_options", "[]"), "expected a JSON object"),
        (("--address", "here:1"), "Expected --engine ray with --address"),
        (("--region", 1, 0, 0, 1), "Expected --region LEFT TOP RIGHT BOTTOM"),
        (("--deny", "pink"), "pink"),
        (("--workers", 65), "expected 64 at most"),
        (("--input_mean", 1), "input_std"),
        (("--input_height", 99), "Expected --input_height 8, the size of the model's"),
    ],
)
def test_wrong_usage(tmp_path, color_folder, model_file, capsys, options, text):
    with pytest.raises(SystemExit) as ended:
        label(color_folder, tmp_path / "out", model_file(), *options)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_models_that_are_none(tmp_path, color_folder, model_file, capsys):
    assert label(color_folder, tmp_path / "out", tmp_path / "none.tflite") == 1
    assert "none.tflite: No such file or directory." in capsys.readouterr().err
    bad = model_file(b"no model", "bad.tflite")
    assert label(color_folder, tmp_path / "out", bad) == 1
    assert "bad.tflite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_function(tmp_path, color_folder, model_file):
    config = LabelConfig(
        source=str(color_folder), output=str(tmp_path / "out"), model=str(model_file())
    )
    totals = []
    done = []

    def begin(total):
        totals.append(total)
        return done.append

    result = label_all(config, LocalEngine(1), begin)
    assert result == LabelResult(
        num_inputs=9,
        num_new=9,
        num_done=9,
        num_errors=0,
        num_missing=0,
        missing_partitions=(),
        failure="",
        unreadable_folders=0,
        seconds=result.seconds,
    )
    assert result.is_complete
    assert result.pictures_per_second == pytest.approx(9 / result.seconds)
    assert totals == [9]
    assert sum(done) == 9
    assert are_right(rows(tmp_path / "out"))


@pytest.mark.parametrize(
    "changes", [{"source": ""}, {"output": ""}, {"partition_size": 0}]
)
def test_configs_that_are_refused(changes):
    with pytest.raises(ValueError, match="Expected "):
        LabelConfig(**{"source": "a", "output": "b", "model": "c", **changes})


@pytest.mark.parametrize("changes", [{"top_k": 0}, {"rotation": 45}, {"allow": "a"}])
def test_arguments_that_would_fail_with_every_picture(
    tmp_path, color_folder, model_file, changes
):
    config = LabelConfig(
        source=str(color_folder),
        output=str(tmp_path / "out"),
        model=str(model_file()),
        **changes,
    )
    with pytest.raises((TypeError, ValueError), match="Expected "):
        label_all(config, LocalEngine(1))
    assert not (tmp_path / "out").exists()


def test_partitions_of_small_sources_are_small():
    sizes = [default_size(count) for count in (1, 4096, 4097, 20_000, 256_000, 10**8)]
    assert sizes == [16, 16, 17, 79, 1000, 1000]


def test_without_pyarrow_it_says_what_to_install(
    tmp_path, color_folder, model_file, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert label(color_folder, tmp_path / "out", model_file()) == 1
    assert 'pip install "edgeclf[parquet]"' in capsys.readouterr().err


def test_stdin_in_another_folder_means_other_pictures(
    tmp_path, model_file, monkeypatch
):
    for number, folder in enumerate("abb"):
        (path,) = write_pictures(tmp_path / folder, 1)
        stdin = io.TextIOWrapper(io.BytesIO(f"{path.parent.name}/{path.name}".encode()))
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.setattr(sys, "stdin", stdin)
        assert label("-", tmp_path / "out", model_file()) == 0, number
    found = rows(tmp_path / "out")
    assert list(found) == ["0/00000-red.png", f"{tmp_path}/b/0/00000-red.png"]


def test_stdin_again_adds_what_is_new(tmp_path, model_file, monkeypatch):
    paths = [str(path) for path in write_pictures(tmp_path / "photos", 6)]
    output, model = tmp_path / "out", model_file()
    for end in (4, 6):
        stream = io.BytesIO("\n".join(paths[:end]).encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        assert label("-", output, model) == 0
    assert len(parts(output)) == 2
    assert sorted(rows(output)) == paths
    job = json.loads((output / "_edgeclf" / "job.json").read_text())
    assert job["source"] == "-"
