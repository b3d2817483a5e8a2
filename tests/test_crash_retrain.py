"""`retrain` and `augment` are killed at random moments, run again, and end the same."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tag_data
import tiny
from killing import (
    SLOW_KILLS,
    content_of,
    edgeclf,
    files_below,
    finished,
    half_written,
    killed,
    killed_runs,
    leftovers,
    moments,
    signalled,
    started,
    thorough,
)

LIMIT_S = 1.5  # a second, and what a busy machine adds
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?|[\d.,]+ ms")
EVENTS = "logs/*/events.out.tfevents.*"  # their names and contents tell the time


def said(path: Path) -> bytes:
    """What a file says but for the time, and for how long something took."""
    content = path.read_bytes()
    if path.suffix == ".html":
        return TIMES.sub("", content.decode()).encode()
    if path.suffix == ".json":
        return json.dumps(timeless(json.loads(content)), sort_keys=True).encode()
    return content


def timeless(value):
    if isinstance(value, dict):
        return {
            key: timeless(each)
            for key, each in value.items()
            if key != "created" and not key.endswith("_ms")
        }
    return [timeless(each) for each in value] if isinstance(value, list) else value


class Runs:
    """A command in a folder, what it takes undisturbed and what it then writes."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder, self.out = folder, folder / "out"
        self.command = edgeclf(*arguments)
        self.clear()
        began = time.monotonic()
        self.whole = self.result()
        self.seconds = time.monotonic() - began

    def clear(self) -> None:
        for name in ("out", "cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def result(self) -> dict[str, str]:
        """Run it to its end and return what the files say."""
        ended = finished(self.command, cwd=self.folder)
        assert ended.status == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        assert not half_written(self.out)
        assert not leftovers(self.out), "not swept"
        return self.said()

    def said(self) -> dict[str, str]:
        return content_of(self.out, [EVENTS], said)


RETRAIN = (
    *("retrain", "--architecture", "tiny.tflite", "--bottleneck_dir", "cache"),
    *("--output_graph", "out/m.tflite", "--output_labels", "out/labels.txt"),
    *("--metrics_json", "out/metrics.json", "--summaries_dir", "out/logs"),
)
SLOW = {"views", "tags"}
KINDS = {
    "classes": ("--image_dir", "photos"),
    "views": ("--image_dir", "photos", "--views", "6", "--split_file", "split.csv"),
    "tags": ("--image_dir", "tagged", "--tags_csv", "tags.csv"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    tiny.write_folder(folder / "photos", 12)
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    names = [
        path.relative_to(folder / "photos") for path in files_below(folder / "photos")
    ]
    splits = ("train", "test", "train", "validation", "train")
    rows = [f"{name.as_posix()},{splits[n % 5]}\n" for n, name in enumerate(names)]
    (folder / "split.csv").write_text("file,split\n" + "".join(rows))
    tag_data.write_table(
        folder / "tags.csv", tag_data.write_pictures(folder / "tagged", 40)
    )
    return folder


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=thorough if kind in SLOW else ()) for kind in KINDS],
)
def test_retrain_killed_and_run_again_ends_the_same(data, kind):
    runs = Runs(data, *RETRAIN, *KINDS[kind])
    count = 0
    for ended in clearing(
        runs, killed_runs(runs.command, SLOW_KILLS, 1, runs.seconds, cwd=data)
    ):
        count += ended.was_killed
        assert not half_written(runs.out)
        assert runs.result() == runs.whole
        for folder in (runs.out / "logs").iterdir():
            assert len(list(folder.glob("events*"))) == 1
    assert count >= SLOW_KILLS / 2, "killed too late to say anything"


@thorough
def test_a_kill_leaves_each_old_file_or_the_new_one(data):
    """Most kills fall before the writing: the moments here lie around its begin."""
    runs = Runs(data, *RETRAIN, *KINDS["classes"])
    seed = [*runs.command, "--seed", "5"]
    assert finished(seed, cwd=data).status == 0
    old, new = runs.said(), runs.whole
    assert old["m.tflite"] != new["m.tflite"]
    shutil.copytree(runs.out, data / "old")
    try:
        for part in moments(SLOW_KILLS, 2, 0.4):
            killed(runs.command, (0.7 + part) * runs.seconds, cwd=data)
            assert not half_written(runs.out)
            for name, content in runs.said().items():
                assert content in (old.get(name), new.get(name)), name
            assert runs.result() == new
            shutil.rmtree(runs.out)
            shutil.copytree(data / "old", runs.out)
    finally:
        shutil.rmtree(data / "old")
    runs.clear()


@thorough
def test_two_runs_on_one_cache_one_of_them_killed(data):
    runs = Runs(data, *RETRAIN, *KINDS["classes"])
    other = edgeclf(
        *("retrain", "--image_dir", "photos", "--architecture", "tiny.tflite"),
        *("--bottleneck_dir", "cache", "--output_graph", "other/m.tflite"),
        *("--no_report", "--views", "4"),
    )
    for moment in moments(SLOW_KILLS, 3, runs.seconds):
        runs.clear()
        first = started(runs.command, cwd=data)
        ended = killed(other, moment, cwd=data)
        _, told = first.communicate(timeout=120)
        assert first.returncode == 0
        for stderr in (told, ended.stderr):
            assert "cache" not in stderr  # neither damaged nor locked
        assert runs.said() == runs.whole
        assert runs.result() == runs.whole
    shutil.rmtree(data / "other", ignore_errors=True)
    runs.clear()


def test_ctrl_c_ends_a_run_with_a_line_and_it_goes_on(data):
    runs = Runs(data, *RETRAIN, *KINDS["views"])
    for part in moments(SLOW_KILLS, 4, 1.0):
        runs.clear()
        ended = signalled(runs.command, part * runs.seconds, signal.SIGINT, cwd=data)
        assert ended.after_s < LIMIT_S or ended.status == 0
        assert not half_written(runs.out)
        assert not leftovers(runs.out)
        is_over = "Done in" in ended.stderr  # Python itself ends
        if "Looking for pictures" in ended.stderr and not is_over:
            assert ended.status == 130
            assert ended.stderr.count("the same command goes on from there.") == 1
            assert "Traceback" not in ended.stderr
        assert runs.result() == runs.whole
    runs.clear()


def rubbish(path, source):
    path.write_bytes(source.randbytes(500))


def truncated(path, source):
    path.write_bytes(path.read_bytes()[: source.randrange(path.stat().st_size)])


def other_picture(path, source):
    other = source.choice(files_below(path.parent.parent))
    path.write_bytes(other.read_bytes())


def gone(path, source):
    path.unlink()


@thorough
@pytest.mark.parametrize("change", [rubbish, truncated, other_picture, gone])
def test_a_picture_that_changes_meanwhile_is_never_used_silently(data, change):
    """The model is that of before or of after, or the picture is named."""
    runs = Runs(data, *RETRAIN, *KINDS["classes"], "--views", "3")
    source = random.Random(change.__name__)  # noqa: S311 - no secret
    for moment in moments(SLOW_KILLS, 6, runs.seconds):
        runs.clear()
        path = source.choice(files_below(data / "photos"))
        content = path.read_bytes()
        process = started(runs.command, cwd=data)
        try:
            time.sleep(moment)
            change(path, source)
            _, told = process.communicate(timeout=120)
            meanwhile = runs.said()
            after = runs.result()  # with the cache of the disturbed run
            runs.clear()
            assert runs.result() == after, "a wrong entry in the cache"
        finally:
            path.write_bytes(content)
        assert "Traceback" not in told
        assert process.returncode == 0, told
        if path.name not in told:
            assert differing(meanwhile, runs.whole) == [] or (
                differing(meanwhile, after) == []
            )
    runs.clear()


def differing(one, other):
    return sorted(name for name in one | other if one.get(name) != other.get(name))


@thorough
def test_a_clock_that_jumps_changes_nothing(data, tmp_path):
    """By ten years, back and forth, at every look."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux, for a clock that jumps")
    (tmp_path / "clock.c").write_text(CLOCK)
    library = tmp_path / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c"], check=True
    )
    runs = Runs(data, *RETRAIN, *KINDS["classes"])
    runs.clear()
    jumping = finished(runs.command, cwd=data, env={"LD_PRELOAD": str(library)})
    assert jumping.status == 0, jumping.stderr
    assert runs.said() == runs.whole
    assert float(re.search(r"Done in ([\d.]+) s", jumping.stderr)[1]) < 1000
    runs.clear()


CLOCK = """
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int count;
    int status = syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += (count++ % 2 ? 1 : -1) * 315360000L;
    return status;
}
"""


def test_augment_killed_and_run_again_ends_the_same(data):
    runs = Runs(data, "augment", "photos", "--output", "out", "--copies", "6")
    count = 0
    for ended in clearing(
        runs, killed_runs(runs.command, SLOW_KILLS, 7, runs.seconds, cwd=data)
    ):
        count += ended.was_killed
        assert not half_written(runs.out)
        assert content_of(runs.out).items() <= runs.whole.items()
        assert runs.result() == runs.whole
    assert count >= SLOW_KILLS / 2, "killed too late to say anything"


def clearing(runs, endings):
    """Begin each run without files of the one before."""
    runs.clear()
    for ended in endings:
        yield ended
        runs.clear()
