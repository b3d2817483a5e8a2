"""A full disk and a read-only folder: a sentence, and nothing lost."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import tiny
from killing import content_of, edgeclf, finished, half_written, leftovers, thorough

from edgeclf.training.cache import FILE_NAME, BottleneckCache

OLD = b"what stood there before"


@contextmanager
def mounted(folder, size_kib, *, read_only=False):
    """A disk of its own at a folder; what lay there is copied onto it."""
    folder.mkdir(exist_ok=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    mount = shutil.which("mount")
    if mount is None or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    options = f"size={size_kib}k"
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
    try:
        for name, content in before.items():
            (folder / name).write_bytes(content)
        if read_only:
            subprocess.run([mount, "-o", "remount,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    tiny.write_folder(folder / "photos", 12)
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    return folder


def retrain(folder, *more):
    command = edgeclf(
        *("retrain", "--image_dir", "photos", "--architecture", "tiny.tflite"),
        *("--bottleneck_dir", "cache", "--output_graph", "out/m.tflite", *more),
    )
    ended = finished(command, cwd=folder)
    assert "Traceback" not in ended.stderr
    return ended


@pytest.fixture
def out(data):
    yield data / "out"
    shutil.rmtree(data / "out", ignore_errors=True)


@pytest.mark.parametrize(
    "more",
    [
        (),
        pytest.param(("--no_report", "--summaries_dir", "out/logs"), marks=thorough),
        pytest.param(("--no_report", "--metrics_json", "out/m.json"), marks=thorough),
    ],
)
def test_a_full_disk_for_the_outputs_is_a_sentence(data, out, more):
    with mounted(out, 200):
        for name in ("m.tflite", "m.html", "m.split.csv"):
            (out / name).write_bytes(OLD)
        (out / "logs" / "train").mkdir(parents=True)
        (out / "logs" / "train" / "events.out.tfevents.1.x").write_bytes(OLD)
        fill(out, keep_kib=8)  # the model alone is larger
        before = content_of(out)
        ended = retrain(data, *more)
        assert ended.status == 1
        (line,) = [
            line for line in ended.stderr.splitlines() if line.startswith("error: ")
        ]
        assert ": No space left on device. Free some space." in line
        assert line.startswith("error: out/")
        assert content_of(out) == before
        assert not leftovers(out)


def fill(folder, keep_kib):
    """Write a file until only some room is left."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    (folder / "other").write_bytes(bytes(max(0, free - 1024 * keep_kib)))


def test_a_full_disk_for_the_cache_costs_a_warning(data, out):
    """The run ends as any other; what was in the cache before is still there."""
    whole = retrain(data)
    assert whole.status == 0
    expected = (out / "m.tflite").read_bytes()
    shutil.rmtree(data / "cache")
    with BottleneckCache(data / "cache") as cache:
        cache.put([(b"k" * 32, OLD)])
    with mounted(data / "cache", 40) as folder:
        ended = retrain(data)
        assert ended.status == 0
        assert ended.stderr.count("cannot be used (database or disk is full)") == 1
        assert "Free some space" in ended.stderr
        with BottleneckCache(folder) as cache:
            assert cache.get(b"k" * 32) == OLD
    assert (out / "m.tflite").read_bytes() == expected
    shutil.rmtree(data / "cache")


def test_a_read_only_folder_for_the_outputs_is_a_sentence(data, out):
    out.mkdir()
    (out / "m.tflite").write_bytes(OLD)
    with mounted(out, 100, read_only=True):
        ended = retrain(data)
        assert ended.status == 1
        assert ended.stderr == "error: out/m.tflite: Read-only file system.\n"
        assert (out / "m.tflite").read_bytes() == OLD


@thorough
@pytest.mark.parametrize("is_filled", [False, True])
def test_a_read_only_cache_is_used_and_not_written(data, out, is_filled):
    shutil.rmtree(data / "cache", ignore_errors=True)
    assert retrain(data).status == 0
    expected = (out / "m.tflite").read_bytes()
    if not is_filled:
        shutil.rmtree(data / "cache")
    with mounted(data / "cache", 1000, read_only=True):
        ended = retrain(data)
        assert ended.status == 0
        assert ended.stderr.count("cannot be used") == (0 if is_filled else 1)
    assert (out / "m.tflite").read_bytes() == expected
    assert (data / "cache" / FILE_NAME).exists() == is_filled
    shutil.rmtree(data / "cache", ignore_errors=True)


def test_a_full_disk_for_the_copies_of_augment_is_a_sentence(data, out):
    with mounted(out, 40):
        ended = finished(edgeclf("augment", "photos", "--output", "out"), cwd=data)
        assert ended.status == 1
        assert "Traceback" not in ended.stderr
        (line,) = [
            line for line in ended.stderr.splitlines() if line.startswith("error: ")
        ]
        assert line.startswith("error: out/")
        assert ": No space left on device. Free some space." in line
        assert not half_written(out)
        assert not leftovers(out)
