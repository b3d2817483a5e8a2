"""What `benchmarks.scale` measures, and what `benchmarks.paper` makes of it."""

import dataclasses
import itertools
import subprocess
import sys

import pytest
import tiny
from PIL import Image, ImageChops

from benchmarks import numbered, paper, scale
from benchmarks.label_image import PEERS
from benchmarks.measure import CommandError
from benchmarks.processes import Watch
from benchmarks.scale import Labelled, Steady
from edgeclf import Classifier


def labelled(count, wall_s, picture_s, picture_cpu_s=0.0):
    return Labelled(count, wall_s, 0, 0, 150.0, 160.0, 0, picture_s, picture_cpu_s)


@pytest.fixture
def model(model_file):
    return model_file()


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "numbered-40x30-7"
    numbered.write(folder, (30, 40), 7)
    return folder


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


def test_numbered_pictures_differ_in_their_comment_alone(pictures, monkeypatch):
    monkeypatch.setattr(numbered, "NUM_DRAWN", 3)
    numbered.write(pictures, (30, 40), 7)
    paths = sorted(pictures.rglob("*.jpg"))
    assert len({path.read_bytes() for path in paths}) == len(paths) == 7
    images = [opened(path) for path in paths]
    assert {image.size for image in images} == {(40, 30)}
    assert images[5].info["comment"] == b"0000005"
    assert ImageChops.difference(images[0], images[3]).getbbox() is None
    assert ImageChops.difference(images[0], images[1]).getbbox() is not None


def test_the_steady_rate_is_told_from_the_start():
    # 4 s to start, then 10 ms a picture on two cores, 18 ms of their time.
    steady = Steady.of(labelled(500, 9, 0.01, 0.018), cores=2)
    assert steady == Steady(per_core_s=50, per_cpu_s=1 / 0.018, start_s=4)


def test_the_steady_rate_leaves_out_the_start_and_the_end():
    # Two workers, a part in two seconds; the second one starts 5 s later and ends last.
    written = [2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17]
    assert scale.steady_times(written[::-1], 2) == (1, 10, 11)
    with pytest.raises(CommandError, match=r"more than 10 parts .* Received: 10"):
        scale.steady_times(range(10), 2)


def test_overheads_are_compared_within_a_round():
    base = [Steady(100, 100, 1), Steady(50, 50, 1), Steady(80, 80, 1)]
    values = [Steady(80, 100, 3), Steady(40, 50, 3), Steady(80, 40, 3)]
    assert scale.overhead(values, base, "per_core_s") == pytest.approx(25)
    assert scale.overhead(values, base, "per_cpu_s") == pytest.approx(0)


def test_growth_says_how_straight_the_line_is(capsys):
    runs = [labelled(10_000, 12, 0.001), labelled(100_000, 113, 0.0011)]
    scale.print_growth("local", runs)
    lines = capsys.readouterr().out.splitlines()
    assert "| 10,000 | 12 | 1000 | 150 | 160 |" in lines
    assert "| 100,000 | 113 | 909 | 150 | 160 |" in lines
    assert "one takes +10.0 % more time than of 10,000" in lines[-1]


def test_the_plain_loop_labels_as_the_classifier_does(model, pictures, tmp_path):
    command = [sys.executable, PEERS / "plain_loop.py", model, pictures, tmp_path]
    command += ["2", "3"]
    subprocess.run(command, check=True)
    rows = [path.read_text().splitlines() for path in sorted(tmp_path.glob("*.csv"))]
    assert [len(some) for some in rows] == [3, 1, 3]
    with Classifier(model) as classifier:
        for line in itertools.chain(*rows):
            path, _, index = line.rpartition(",")
            assert classifier.classify(path)[0].index == int(index)
    done = subprocess.run([*command[:3], "none", *command[4:]], capture_output=True)
    assert done.returncode == 0  # no pictures, no rows
    command[2] = "none.tflite"
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_what_is_watched_is_that_of_grandchildren_too():
    burn = "import time\nwhile time.process_time() < 0.6: pass\n"
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    )
    large = "x = bytearray(b'x' * 80_000_000); import time; time.sleep(0.5)\n"
    with Watch() as watch:
        command = [sys.executable, "-c", program, burn + large]
        subprocess.run(command, check=True)
    assert 0.5 <= watch.cpu_s() < 3
    middle = watch.line[len(watch.line) // 2][0]
    parts = [watch.cpu_s_between(0, middle), watch.cpu_s_between(middle, 2 * middle)]
    assert sum(parts) == pytest.approx(watch.cpu_s(), abs=0.1)
    parents = {process.parent for process in watch.seen.values()}
    below = [each for each in watch.seen.values() if each.pid not in parents]
    assert max(each.peak_mb for each in below) > 80


def test_labelling_on_one_machine_is_measured(model, tmp_path, monkeypatch):
    pictures = tmp_path / "numbered-40x30-20"
    numbered.write(pictures, (30, 40), 20)
    monkeypatch.setattr(scale, "OUTPUT", tmp_path / "out")
    monkeypatch.setattr(scale, "PARTITION", 1)
    _, local, *_ = scale.ways(model, cores=2)
    measured = scale.label_folders(local, [(20, pictures)], cores=2)[0]
    assert measured.count == 20
    assert measured.cpu_s > measured.driver_cpu_s > 0.1
    assert measured.wall_s > 0.1
    assert 30 < measured.driver_mb < 500
    assert measured.output_bytes > 100
    assert 0 < measured.picture_s < measured.wall_s / 6


def test_the_paper_multiplies_what_was_measured():
    def run(*values):
        return dataclasses.asdict(Labelled(*values))

    one = paper.Measured.of(
        {
            "cores": 2,
            "photo_bytes": 125_000.0,
            "measured": {
                scale.TWO_NODES: [run(500, 12, 9, 1, 150, 170, 9, 0.005, 0.009)]
            },
            "growth": {
                scale.ONE_NODE: [
                    run(1000, 9, 9, 1.0, 150, 160, 30_000, 1, 1),
                    run(11_000, 9, 9, 1.4, 151, 160, 430_000, 1, 1),
                ]
            },
        }
    )
    assert one.core_s == pytest.approx(0.01)  # 5 ms on two cores
    assert one.driver_s == pytest.approx(40e-6)
    assert one.written_bytes == pytest.approx(40)
    assert (one.worker_mb, one.driver_mb) == (170, 151)
    sums = dict(paper.totals(one, 36_000_000))
    assert sums["core-hours of labelling"] == "100"
    assert sums["read, TB"] == "4.5"
    assert sums["requests for pictures"] == "72,000,000"
    assert sums["hours of the driver"] == "0.4"
    row = paper.row(one, 36_000_000, 16)
    assert row == (
        *("16", "1", "1,600", "6.2", "0.4", "1.0", "1.6", "0.6"),
        "decoding and inference",
    )
    assert paper.row(one, 36_000_000, 1024)[-1] == "listing a store"


def test_pictures_are_drawn_where_there_are_no_flowers(tmp_path, monkeypatch):
    monkeypatch.setattr(numbered, "SHARED_DIR", tmp_path)
    first, second = numbered.draw((tiny.SIDE, 40), 2)
    assert first != second
