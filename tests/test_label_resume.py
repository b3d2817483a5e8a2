"""A run that was stopped or killed goes on; each picture is labelled exactly once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import fsspec
import killing
import pyarrow.parquet as pq
import pytest
from label_runs import are_right, label, parts, rows, summary, write_pictures

SMALL = ("--partition_size", 8)


def command(folder, output, model, workers=2, size=8):
    return killing.edgeclf(
        *("label", folder, "--output", output, "--model", model),
        *("--workers", str(workers), "--partition_size", str(size)),
    )


def started(output, line):
    """Start a command and return it when it has written its first results."""
    process = killing.started(line)
    deadline = time.monotonic() + 60
    while not list(output.glob("part-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More pictures than are labelled before a signal comes."""
    folder = tmp_path_factory.mktemp("many")
    write_pictures(folder, 1500)
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "photos"
    write_pictures(folder, 60)
    return folder


def test_the_same_bytes_with_one_worker_and_with_two(tmp_path, pictures, model_file):
    model = model_file()
    assert label(pictures, tmp_path / "one", model, *SMALL) == 0
    assert killing.finished(command(pictures, tmp_path / "two", model)).status == 0
    assert parts(tmp_path / "one") == parts(tmp_path / "two")
    assert killing.content_of(tmp_path / "one", ["*job.json"]) == killing.content_of(
        tmp_path / "two", ["*job.json"]
    )
    assert len(parts(tmp_path / "one")) == 8
    assert are_right(rows(tmp_path / "one"))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_it_goes_on(tmp_path, pictures, model_file, workers):
    model = model_file()
    whole = tmp_path / "whole"
    began = time.monotonic()
    ended = killing.finished(command(pictures, whole, model, workers=workers))
    took_s = time.monotonic() - began
    assert ended.status == 0, ended.stderr
    expected = killing.content_of(whole)
    output = tmp_path / "out"
    line = command(pictures, output, model, workers=workers)
    for ended in killing.killed_runs(line, max(1, killing.KILLS // 2), workers, took_s):
        if output.is_dir():
            assert not killing.half_written(output)
            done = parts(output).items()
            assert done <= parts(whole).items()
        if not ended.was_killed:
            assert ended.status == 0, ended.stderr
    assert label(pictures, output, model, *SMALL) == 0
    assert killing.content_of(output) == expected
    assert not killing.leftovers(output)
    assert len(rows(output)) == 60


def test_a_killed_worker_is_a_sentence(tmp_path, many, model_file):
    output, model = tmp_path / "out", model_file()
    process = started(output, command(many, output, model, size=20))
    children = [pid for pid in children_of(process.pid) if is_worker(pid)]
    os.kill(children[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: A worker died, killed by somebody or for want of memory." in stderr
    assert "Traceback" not in stderr
    assert not killing.leftovers(output)
    assert 0 < len(parts(output)) < 75
    assert label(many, output, model) == 0
    assert len(rows(output)) == 1500


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_it_ends_within_a_second(tmp_path, many, model_file, workers):
    output, model = tmp_path / "out", model_file()
    process = started(output, command(many, output, model, workers))
    children = children_of(process.pid)
    is_busy = os.getloadavg()[0] > 2 * len(os.sched_getaffinity(0))
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    took_s = time.monotonic() - began
    assert process.returncode == 130
    assert took_s < (5 if is_busy else 1), stderr
    assert "The same command goes on where this one stopped." in stderr
    assert "Traceback" not in stderr
    assert not killing.half_written(output)
    assert 0 < len(parts(output)) < 188
    assert not [pid for pid in children if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_workers_die_with_a_killed_parent(tmp_path, many, model_file):
    output = tmp_path / "out"
    process = started(output, command(many, output, model_file()))
    children = children_of(process.pid)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 5
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in children if is_alive(pid)]


def test_new_pictures_get_new_partitions(tmp_path, pictures, model_file, capsys):
    output, model = tmp_path / "out", model_file()
    assert label(pictures, output, model, *SMALL) == 0
    before = parts(output)
    (pictures / "0" / "00000-red.png").unlink()
    write_pictures(pictures, 5, first=60)
    capsys.readouterr()
    assert label(pictures, output, model, "--json") == 0
    counts = summary(capsys)
    assert (counts["num_inputs"], counts["num_new"], counts["num_done"]) == (65, 5, 5)
    assert parts(output).items() > before.items()
    found = rows(output)
    assert len(found) == 65  # what has vanished keeps its row
    assert are_right(found)
    assert label(pictures, output, model, "--json") == 0
    assert summary(capsys)["num_done"] == 0


def test_a_part_that_is_gone_is_done_again(tmp_path, pictures, model_file):
    output, model = tmp_path / "out", model_file()
    assert label(pictures, output, model, *SMALL) == 0
    before = parts(output)
    (output / "part-0000002.parquet").unlink()
    assert label(pictures, output, model) == 0
    assert parts(output) == before


def test_partitions_that_were_cut_before_a_kill_stay(tmp_path, pictures, model_file):
    """As if the listing had been killed after its third partition."""
    output, model = tmp_path / "out", model_file()
    assert label(pictures, output, model, *SMALL) == 0
    expected = killing.content_of(output)
    for path in output.glob("part-*"):
        path.unlink()
    for path in sorted((output / "_edgeclf" / "inputs").iterdir())[3:]:
        path.unlink()
    assert label(pictures, output, model) == 0
    assert killing.content_of(output) == expected


def test_other_spellings_of_the_source_are_the_same_inputs(
    tmp_path, pictures, model_file, monkeypatch
):
    output, model = tmp_path / "out", model_file()
    monkeypatch.chdir(tmp_path)
    assert label("photos", output, model, *SMALL) == 0
    write_pictures(pictures, 3, first=60)
    monkeypatch.chdir(pictures)
    assert label("../photos/", "../out", model) == 0
    found = rows(output)
    assert len(found) == 63
    assert all(name.startswith("photos/") for name in found)
    assert are_right(found)


def test_the_folder_above_a_link_is_that_of_what_it_leads_to(tmp_path, model_file):
    write_pictures(tmp_path / "real" / "photos", 3)
    write_pictures(tmp_path / "photos", 1)
    (tmp_path / "real" / "below").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "below")
    above = f"{tmp_path}/link/.."
    assert label(f"{above}/photos", f"{above}/out", model_file()) == 0
    assert not (tmp_path / "out").exists()
    found = rows(tmp_path / "real" / "out")
    assert len(found) == 3
    assert are_right(found)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--top_k", 1), "begun with: top_k=null. Received: top_k=1."),
        (("--score_threshold", 0), "score_threshold=null. Received: score_threshold=0"),
        (("--bottleneck",), "bottleneck=null. Received: bottleneck=true."),
        (("--deny", "red"), 'deny=null. Received: deny=["red"].'),
        (("--region", 0, 0, 0.5, 1), "Received: region=[0, 0, 0.5, 1]."),
        (("--resize", "nearest"), 'Received: resize="nearest".'),
    ],
)
def test_other_answers_are_refused(
    tmp_path, color_folder, model_file, capsys, options, text
):
    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model) == 0
    before = parts(output)
    assert label(color_folder, output, model, *options) == 1
    assert text in capsys.readouterr().err
    assert parts(output) == before


def test_another_model_or_source_is_refused(tmp_path, color_folder, model_file, capsys):
    import model_files as models

    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model) == 0
    other = model_file(models.own(output_type="uint8"), "other.tflite")
    assert label(color_folder, output, other) == 1
    assert f"Expected what {output} was begun with: model=" in capsys.readouterr().err
    assert label(color_folder / "red", output, model) == 1
    assert f'Received: source="{color_folder}/red"' in capsys.readouterr().err


def test_folders_of_something_else_are_refused(
    tmp_path, color_folder, model_file, capsys
):
    assert label(color_folder, color_folder, model_file()) == 1
    assert "Expected a new or empty folder as --output" in capsys.readouterr().err
    assert not (color_folder / "_edgeclf").exists()
    output = tmp_path / "out"
    assert label(color_folder, output, model_file()) == 0
    job = output / "_edgeclf" / "job.json"
    job.write_text(json.dumps({**json.loads(job.read_text()), "layout": 2}))
    assert label(color_folder, output, model_file()) == 1
    assert "Expected results of this version of edgeclf" in capsys.readouterr().err
    job.write_text("{")
    assert label(color_folder, output, model_file()) == 1
    assert f"Expected {job} as edgeclf label writes it." in capsys.readouterr().err


def test_a_file_as_output(tmp_path, color_folder, model_file, capsys):
    output = tmp_path / "out"
    output.touch()
    assert label(color_folder, output, model_file()) == 1
    assert capsys.readouterr().err == f"error: {output}: Not a directory.\n"


def test_files_of_others_stay(tmp_path, color_folder, model_file):
    output, model = tmp_path / "out", model_file()
    assert label(color_folder, output, model) == 0
    (output / ".film.part").touch()
    (output / ".part-0000001.edgeclf-00000000.part").touch()
    assert label(color_folder, output, model) == 0
    assert [path.name for path in output.glob(".*")] == [".film.part"]


def test_two_processes_on_one_output(tmp_path, many, model_file, capsys):
    output, model = tmp_path / "out", model_file()
    first = started(output, command(many, output, model, workers=1, size=20))
    os.kill(first.pid, signal.SIGSTOP)  # until the other one has looked
    status = label(many, output, model)
    os.kill(first.pid, signal.SIGCONT)
    assert status == 1
    assert f"Another process labels into {output}" in capsys.readouterr().err
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == 0, stderr
    assert len(rows(output)) == 1500


def test_a_store_may_be_written_by_two(tmp_path, pictures, model_file):
    store = fsspec.filesystem("memory")
    model = model_file()
    output = "memory://twice/labels"
    assert label(pictures, output, model, *SMALL) == 0
    name = "/twice/labels/part-0000001.parquet"
    before = store.cat_file(name)
    store.rm(name)
    assert label(pictures, output, model) == 0
    assert store.cat_file(name) == before
    assert pq.read_table(store.open(name)).num_rows == 8
    store.rm("/twice", recursive=True)
