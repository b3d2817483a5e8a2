"""Bad pictures are rows; a disk or store that does not answer is not."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys

import fsspec
import killing
import pyarrow.parquet as pq
import pytest
from label_runs import are_right, label, parts, rows, summary, write_pictures

from edgeclf import label_image
from edgeclf.scale import LabelConfig
from edgeclf.scale import label as label_all

SMALL = ("--partition_size", 4)


def test_the_messy_folder_as_label_image_has_it(shared, tmp_path, model_file, capsys):
    folder, model = shared / "data" / "messy", str(model_file())
    label_image.main(["--model", model, "--image", str(folder), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert label(folder, tmp_path / "out", model, "--json") == 1
    counts = summary(capsys)
    found = rows(tmp_path / "out")
    assert counts["num_errors"] == sum("error" in line for line in lines) > 5
    for line in lines:
        row = found.pop(line["image"])
        assert row["error"] == line.get("error")
        if row["error"] is None:
            labels = [category["label"] for category in line["categories"]]
            assert row["labels"] == labels
        else:
            assert row["labels"] is row["scores"] is None
    assert not found


def test_lines_of_a_list_that_are_no_pictures(tmp_path, model_file, picture):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder").mkdir()
    names = [str(picture("red")), "none.png", "folder", "pipe.png", "/dev/zero"]
    names += ["a" * 300, f"{names[0]}/below"]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert label(tmp_path / "list.txt", tmp_path / "out", model_file()) == 1
    found = rows(tmp_path / "out")
    assert set(found) == set(names)
    errors = {name: found[name]["error"] for name in names}
    assert errors == {
        names[0]: None,
        "none.png": "none.png: No such file or directory.",
        "folder": "folder: Is a directory.",
        "pipe.png": "pipe.png: Expected a file. Received: a pipe or a device.",
        "/dev/zero": "/dev/zero: Expected a file. Received: a pipe or a device.",
        names[5]: f"{names[5]}: File name too long.",
        names[6]: f"{names[6]}: Not a directory.",
    }


def test_pictures_that_vanish_after_they_were_listed(tmp_path, model_file):
    """Partitions are there and not done, as after a kill; then a picture goes."""
    folder, output, model = tmp_path / "photos", tmp_path / "out", model_file()
    paths = write_pictures(folder, 6)
    assert label(folder, output, model) == 0
    (output / "part-0000000.parquet").unlink()
    paths[0].unlink()
    assert label(folder, output, model) == 1
    assert rows(output)[str(paths[0])]["error"].endswith("No such file or directory.")
    write_pictures(folder, 6)
    before = parts(output)
    assert label(folder, output, model) == 0  # nothing new
    assert parts(output) == before
    assert label(folder, output, model, "--redo_errors") == 0
    found = rows(output)
    assert are_right(found)
    before = parts(output)
    assert label(folder, output, model, "--redo_errors") == 0
    assert parts(output) == before


@pytest.mark.parametrize("options", [(), ("--bottleneck",)])
def test_redo_errors_keeps_the_rows_of_what_has_vanished(
    tmp_path, model_file, capsys, options
):
    folder, output, model = tmp_path / "photos", tmp_path / "out", model_file()
    paths = write_pictures(folder, 6)
    assert label(folder, tmp_path / "whole", model, *options) == 0
    content = paths[2].read_bytes()
    paths[2].write_bytes(b"")
    assert label(folder, output, model, *options) == 1
    paths[2].write_bytes(content)
    for path in (paths[0], paths[5]):
        path.unlink()
    capsys.readouterr()
    assert label(folder, output, model, "--redo_errors", "--json", *options) == 0
    assert summary(capsys)["num_done"] == 1
    assert parts(output) == parts(tmp_path / "whole")


def test_a_disk_that_fails_is_no_row(tmp_path, model_file, capsys):
    # Reading this file fails with EIO, as a disk does.
    paths = [str(path) for path in write_pictures(tmp_path / "photos", 7)]
    source, output, model = tmp_path / "list.txt", tmp_path / "out", model_file()
    source.write_text("\n".join([*paths, "/proc/self/mem"]))
    assert label(source, output, model, *SMALL) == 1
    assert len(parts(output)) == 1
    printed = capsys.readouterr()
    assert "/proc/self/mem: Input/output error." in printed.err
    assert "1 partition with 4 pictures could not be labelled" in printed.err
    assert "The same command goes on." in printed.err
    assert "Traceback" not in printed.err
    assert "4 pictures labelled" in printed.out


def test_a_folder_that_is_away_is_no_row(tmp_path, model_file):
    folder, output, model = tmp_path / "photos", tmp_path / "out", str(model_file())
    write_pictures(folder, 6)

    class Leaving:
        """Does the work here, when the disk is not there any more."""

        def map(self, start, items):
            shutil.move(folder, tmp_path / "away")
            work = start()
            for item in items:
                yield work(item)

    config = LabelConfig(source=str(folder), output=str(output), model=model)
    result = label_all(config, Leaving())
    assert result.num_missing == 6
    assert result.failure == f"{folder} is not there any more."
    assert not parts(output)
    shutil.move(tmp_path / "away", folder)
    assert label(folder, output, model) == 0
    assert are_right(rows(output))


def test_a_store_that_does_not_answer_is_no_row(tmp_path, model_file, capsys):
    pytest.importorskip("s3fs")
    paths = [str(path) for path in write_pictures(tmp_path / "photos", 4)]
    source, output = tmp_path / "list.txt", tmp_path / "out"
    source.write_text("\n".join([*paths, "s3://bucket/a.png"]))
    options = {
        "endpoint_url": "http://127.0.0.1:9",
        "key": "key",
        "secret": "secret",
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1},
    }
    options = ("--storage_options", json.dumps(options), *SMALL)
    assert label(source, output, model_file(), *options) == 1
    printed = capsys.readouterr().err
    assert "1 partition with 1 picture could not be labelled: s3://bucket" in printed
    assert len(rows(output)) == 4
    assert label("s3://bucket/photos", tmp_path / "2", model_file(), *options) == 1
    printed = capsys.readouterr().err
    assert "error: s3://bucket/photos: " in printed
    assert "Traceback" not in printed


def test_it_gives_up_when_nothing_answers(tmp_path, model_file, capsys):
    source = tmp_path / "list.txt"
    source.write_text("\n".join(_spellings(30)))
    options = ("--partition_size", 1)
    assert label(source, tmp_path / "out", model_file(), *options) == 1
    printed = capsys.readouterr().err
    assert "20 partitions in a row could not be labelled" in printed


def _spellings(count: int) -> list[str]:
    """Many names of one file that cannot be read."""
    return [f"/proc/self/{'./' * number}mem" for number in range(1, count)]


def test_a_full_disk_is_a_sentence_and_loses_nothing(tmp_path, model_file):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        folder, model = tmp_path / "photos", model_file()
        write_pictures(folder, 400)
        line = killing.edgeclf(
            *("label", folder, "--output", disk / "out", "--model", model),
            *("--workers", "2", "--partition_size", "10"),
        )
        full = killing.finished(line)
        assert full.status == 1
        assert "No space left on device" in full.stderr
        assert "Traceback" not in full.stderr
        out = disk / "out"
        before = parts(out)
        assert not killing.leftovers(out)
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert killing.finished(line).status == 0
        assert before.items() <= parts(out).items()
        assert len(rows(out)) == 400
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sorting_without_room_is_a_sentence(tmp_path, model_file):
    source = tmp_path / "list.txt"
    with source.open("w") as file:
        for number in range(200_000):
            file.write(f"/no/such/folder/of/pictures/{number % 7}/{number:09}.jpg\n")
    line = killing.edgeclf(
        *("label", source, "--output", tmp_path / "out", "--model", model_file())
    )
    ended = subprocess.run(
        line,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2),
    )
    assert ended.returncode == 1
    assert "Cannot sort the inputs in" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="as root writes anywhere else")
def test_an_output_that_cannot_be_written(color_folder, model_file, capsys):
    assert label(color_folder, "/proc/out", model_file()) == 1
    assert "/proc/out" in capsys.readouterr().err


def test_damaged_results_are_named(tmp_path, color_folder, model_file, capsys):
    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model) == 0
    inputs = output / "_edgeclf" / "inputs" / "inputs-0000000.parquet"
    inputs.write_bytes(b"PAR1")
    assert label(color_folder, output, model) == 1
    assert f"Expected a Parquet file. Received: {inputs}" in capsys.readouterr().err


def test_a_table_that_changes_is_a_row_with_an_error(tmp_path, picture, model_file):
    import pyarrow as pa

    source, output, model = tmp_path / "t.parquet", tmp_path / "out", model_file()
    content = picture("red").read_bytes()
    pq.write_table(pa.table({"jpeg": [content] * 3}), source)
    assert label(source, output, model) == 0
    pq.write_table(pa.table({"jpeg": [content] * 2}), source)
    (output / "part-0000000.parquet").unlink()
    assert label(source, output, model) == 1
    found = rows(output)
    assert [row["error"] is None for row in found.values()] == [True, True, False]
    assert "Received: a table of 2 rows, so it has changed." in str(found)


def test_an_object_that_vanished_is_a_row(tmp_path, picture, model_file):
    store = fsspec.filesystem("memory")
    store.pipe_file("/v/red.png", picture("red").read_bytes())
    source = tmp_path / "list.txt"
    source.write_text("memory://v/red.png\nmemory://v/none.png")
    assert label(source, tmp_path / "out", model_file()) == 1
    found = rows(tmp_path / "out")
    assert found["memory://v/red.png"]["labels"][0] == "red"
    assert "none.png" in found["memory://v/none.png"]["error"]
    store.rm("/v", recursive=True)
