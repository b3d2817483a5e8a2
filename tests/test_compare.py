"""Candidates are trained on one split, measured, kept and weighed."""

import csv
import dataclasses
import io
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tag_data
import tiny

from edgeclf import Classifier, files
from edgeclf.choosing.candidates import Candidate, list_candidates
from edgeclf.choosing.compare import main
from edgeclf.choosing.comparison import MORE_ROUNDS, ROUNDS, RUNS
from edgeclf.choosing.outcome import Outcome, TagFigures
from edgeclf.choosing.recommend import (
    Budget,
    explain_misfit,
    mcnemar,
    paired_f1,
    recommend,
    smallest_difference,
)
from edgeclf.choosing.table import as_text
from edgeclf.data.splits import read_split_file
from edgeclf.zoo.depths import with_depths


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbones")
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    (folder / "deep.tflite").write_bytes(tiny.deep_backbone_file())
    (folder / "broken.tflite").write_bytes(b"not a model")
    return folder


@pytest.fixture
def arguments(tmp_path, photos, backbones):
    def build(*names, **options):
        paths = ",".join(str(backbones / f"{name}.tflite") for name in names)
        settings = {
            "image_dir": photos,
            "architectures": paths,
            "views": "1",
            "solvers": "discriminant",
            "output_dir": tmp_path / "out",
            "bottleneck_dir": tmp_path / "bottlenecks",
            **options,
        }
        return [f"--{name}={value}" for name, value in settings.items()]

    return build


def outcome(name, wrong, *, macs=100, size=1000, latency=1.0, num_test=100, loss=0.5):
    candidate = Candidate(name, name, name, 1, "discriminant", "int8")
    return Outcome(
        candidate,
        model=f"{name}.tflite",
        num_test=num_test,
        accuracy=1 - len(wrong) / num_test,
        cross_entropy=loss,
        macs=macs,
        size_bytes=size,
        parameters_frozen=size,
        latency_ms=latency,
        misclassified=tuple(map(str, wrong)),
    )


def test_compare_measures_all_candidates_on_one_split(arguments, tmp_path, capsys):
    status = main([*arguments("tiny", "deep", quantize="int8,float16"), "--json"])
    assert status == 0
    report = json.loads(capsys.readouterr().out)
    rows = report["candidates"]
    assert [(row["backbone"], row["quantize"]) for row in rows] == [
        ("tiny", "int8"), ("tiny", "float16"), ("deep", "int8"), ("deep", "float16")
    ]  # fmt: skip
    splits = [
        read_split_file(tmp_path / "out" / f"{row['name']}.split.csv") for row in rows
    ]
    assert all(split == splits[0] for split in splits)
    assert read_split_file(report["split_file"]) == splits[0]
    tests = [name for name, split in splits[0].items() if split == "test"]
    depths = {"tiny": tiny.DEPTH, "deep": with_depths(tiny.deep_backbone()).depth}
    for row in rows:
        assert row["num_test"] == len(tests) >= 12  # 30 % of 60
        assert row["parameters_trained"] == 3 * (depths[row["backbone"]] + 1)
        assert row["latency_ms"] > 0
        assert row["size_bytes"] == Path(row["model"]).stat().st_size
        assert (row["accuracy_int8"] is None) == (row["quantize"] == "float16")
    assert rows[0]["macs"] == 16 * 16 * 8 * 27 + 3 * 8
    assert rows[0]["parameters_frozen"] == 8 * 27 + 8 == rows[1]["parameters_frozen"]
    assert rows[0]["macs"] == rows[1]["macs"] < rows[2]["macs"]


def test_compare_figures_are_those_of_the_written_files(
    arguments, photos, tmp_path, capsys
):
    assert main([*arguments("tiny"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["candidates"]
    splits = read_split_file(tmp_path / "out" / f"{row['name']}.split.csv")
    with Classifier(row["model"]) as classifier:
        wrong = [
            name
            for name, split in splits.items()
            if split == "test"
            and classifier.classify(photos / name)[0].label != name.split("/")[0]
        ]
    assert sorted(row["misclassified"]) == sorted(wrong)
    assert row["accuracy"] == pytest.approx(1 - len(wrong) / row["num_test"])
    low, high = row["accuracy_interval_95"]
    assert low < row["accuracy"] <= high


def test_compare_trains_only_what_is_new(arguments, tmp_path, capsys):
    assert main([*arguments("tiny"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["candidates"][0]
    times = Path(first["model"]).stat().st_mtime_ns
    assert main([*arguments("tiny", "deep"), "--json"]) == 0
    output = capsys.readouterr()
    again = json.loads(output.out)["candidates"][0]
    assert "tiny-discriminant-1-views-int8: finished before." in output.err
    assert Path(first["model"]).stat().st_mtime_ns == times
    for row in (first, again):  # measured anew
        low, middle, high = (row.pop(f"latency_{n}ms") for n in ("p10_", "", "p90_"))
        assert 0 < low <= middle <= high
    assert first == again


@pytest.mark.parametrize(
    "change", ["seed", "model", "other model", "pictures", "background", "backbone"]
)
def test_compare_trains_again_what_has_changed(arguments, tmp_path, capsys, change):
    options = {}
    (tmp_path / "b").mkdir()
    backbone = tmp_path / "b" / "copy.tflite"
    backbone.write_bytes(tiny.backbone_file())
    pictures = tiny.write_folder(tmp_path / "own", 8)
    options = {"architectures": backbone, "image_dir": pictures}
    assert main([*arguments(**options), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["candidates"][0]
    if change == "seed":
        options["seed"] = 5
    elif change == "model":
        Path(row["model"]).unlink()
    elif change == "other model":  # of other settings, by a run that was killed
        Path(row["model"]).write_bytes(tiny.backbone_file())
    elif change == "background":
        (pictures / "_background").mkdir()
        shutil.copy(pictures / "red" / "000.png", pictures / "_background")
    elif change == "pictures":
        (pictures / "red" / "000.png").unlink()
    else:
        backbone.write_bytes(tiny.deep_backbone_file())
    assert main([*arguments(**options), "--json"]) == 0
    assert "finished before" not in capsys.readouterr().err


def test_compare_takes_up_where_it_was_killed(arguments, tmp_path):
    command = [sys.executable, "-m", "edgeclf.choosing.compare"]
    command += [*arguments("tiny", "deep"), "--views=1,2,3"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    done = tmp_path / "out" / "tiny-discriminant-1-views-int8.outcome.json"
    for _ in range(600):
        if done.exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "out" / "comparison.html").exists()
    finished = len(list((tmp_path / "out").glob("*.outcome.json")))
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("finished before.") == finished >= 1
    assert len(ended.stdout.split("\n\n")[0].splitlines()) == 7


def test_compare_lets_one_run_at_a_time_use_a_folder(arguments, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    descriptor = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        assert files.lock(descriptor)
        assert main(arguments("tiny")) == 1
    finally:
        os.close(descriptor)
    assert "another comparison is being made in it." in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_compare_goes_on_after_a_candidate_that_fails(arguments, tmp_path, capsys):
    assert main(arguments("broken", "tiny")) == 1
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    _, broken, fine = output.out.splitlines()[:3]
    assert broken.split()[:4] == ["1", "broken", "failed:", "broken"]
    assert "broken cannot be used as a backbone." in broken
    assert fine.startswith("2  tiny")
    assert "Recommended: tiny-discriminant-1-views-int8" in output.out
    assert "\nTrain it on more pictures: edgeclf retrain --image_dir " in output.out
    with (tmp_path / "out" / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["error"]
    assert rows[0]["accuracy"] == ""
    assert 0 < float(rows[1]["accuracy_low_95"]) < float(rows[1]["accuracy"])


def test_compare_leaves_out_a_broken_link_as_retrain_does(arguments, tmp_path, capsys):
    photos = tiny.write_folder(tmp_path / "photos", 10)
    (photos / "red" / "broken.png").symlink_to("nowhere")
    assert main([*arguments("tiny", image_dir=photos), "--json"]) == 0
    assert "broken.png" in capsys.readouterr().err


def test_compare_json_is_one_line_whatever_stdout_can_write(
    arguments, tmp_path, monkeypatch
):
    photos = tiny.write_folder(tmp_path / "café 🌷", 6)
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main([*arguments("broken", image_dir=photos), "--json"]) == 1
    (line,) = stdout.buffer.getvalue().splitlines()
    assert json.loads(line)["image_dir"] == str(photos)


def test_compare_when_all_fail_says_so(arguments, capsys):
    assert main(arguments("broken")) == 1
    assert "No recommendation: every candidate failed." in capsys.readouterr().out


def test_compare_takes_a_given_split(arguments, tmp_path, capsys):
    table = tmp_path / "given.csv"
    lines = ["file,split"]
    for color in tiny.COLORS:
        for number in range(20):
            ending = "jpg" if number % 2 else "png"
            split = "test" if number < 3 else "train"
            lines.append(f"{color}/{number:03}.{ending},{split}")
    table.write_text("\n".join(lines) + "\n")
    assert main([*arguments("tiny", "deep", split_file=table), "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["num_test"] for row in rows] == ["9", "9"]
    assert main(arguments("tiny", split_file=table)) == 0
    assert "\nTrain it: edgeclf retrain --image_dir " in capsys.readouterr().out


def test_compare_writes_a_page_with_table_and_plots(arguments, tmp_path):
    assert main(arguments("tiny", "broken")) == 1
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "http:" not in page
    assert "https:" not in page
    assert 'class="error"' in page
    start, end = page.index("<svg"), page.index("</svg>") + 6
    drawing = ET.fromstring(page[start:end])  # noqa: S314 - our own
    titles = [element.text for element in drawing.iter() if element.tag == "title"]
    assert titles[0] == "accuracy against milliseconds for one picture"
    assert len(titles) == 2
    assert titles[1].startswith("tiny-discriminant-1-views-int8: milliseconds ")
    numbers = [element for element in drawing.iter() if element.tag == "text"]
    assert "1" in [element.text for element in numbers]
    assert "recommended" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_latency_ms": 0}, "Expected a positive max_latency_ms. Received: 0"),
        ({"significance": 0}, "Expected significance above 0 and at most 1"),
        ({"max_size_mb": "nan"}, "Expected a positive max_size_mb"),
        ({"solvers": "magic"}, "expected one of "),
        ({"views": "1,x"}, "--views"),
        ({"views": "0"}, "Expected a positive views"),
        ({"testing_percentage": 0}, "Expected testing_percentage above 0"),
        ({"architectures": "mobilenet_v9"}, "Expected a backbone's name"),
        ({"architectures": ","}, "expected at least one value"),
        ({"resize": "fancy"}, "invalid choice: 'fancy'"),
    ],
)
def test_compare_refuses_wrong_options_before_any_work(
    arguments, tmp_path, capsys, options, message
):
    with pytest.raises(SystemExit) as ended:
        main(arguments("tiny", **options))
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_compare_without_pictures_is_a_sentence(arguments, tmp_path, capsys):
    assert main(arguments("tiny", image_dir=tmp_path / "nowhere")) == 1
    assert "which does not exist" in capsys.readouterr().err


def test_compare_says_when_nothing_fits_the_budget(arguments, capsys):
    assert main(arguments("tiny", max_size_mb=0.0001)) == 1
    output = capsys.readouterr().out
    assert "No candidate fits --max_size_mb 0.0001: the quickest, tiny-" in output
    assert main([*arguments("tiny", max_size_mb=0.0001), "--csv"]) == 1
    assert "error: No candidate fits --max_size_mb 0.0001" in capsys.readouterr().err


def test_candidates_of_one_file_name_keep_their_own_names():
    candidates = list_candidates(
        ["a/model.tflite", "b/model.tflite", "a/model.tflite", "keras/vgg16"],
        [1, 8, 8],
        ["regression"],
        ["int8"],
    )
    names = [candidate.name for candidate in candidates]
    assert len(names) == len(set(names)) == 6
    assert names[-1] == "keras_vgg16-regression-8-views-int8"
    assert all("/" not in name for name in names)


def test_recommend_takes_the_simpler_of_two_that_cannot_be_told_apart():
    large = outcome("large", range(8), macs=900)
    small = outcome("small", range(4, 14), macs=100)  # 4 only it, 6 only the large one
    choice = recommend([large, small], Budget())
    assert choice.chosen is small
    assert choice.best is large
    assert choice.p_value == mcnemar(6, 4) > 0.5
    first, second = choice.sentences()
    assert "large has 92.0%, which may be chance (McNemar's test, p = 0.75)" in first
    assert "9.0 times the multiplications" in first
    assert second == (
        "On 100 test pictures differences below 6.0 points are never sure (p < 0.05)."
    )


def test_recommendation_on_a_handful_of_pictures_says_that_none_is_sure():
    small = outcome("small", [1], num_test=4)
    choice = recommend([small], Budget())
    assert choice.sentences()[1] == (
        "On 4 test pictures no difference is ever sure (p < 0.05)."
    )


def test_recommend_keeps_the_better_one_where_chance_is_no_explanation():
    large = outcome("large", range(8), macs=900)
    small = outcome("small", range(13), macs=100)  # the same 8, and 5 more: p = 0.0625
    choice = recommend([small, large], Budget())
    assert choice.chosen is large
    assert choice.sentences()[0].endswith(
        ": none is more accurate, and those that are simpler lie behind by one "
        "standard error or more (McNemar's test)."
    )
    assert recommend([small, large], Budget(), significance=0.05).chosen is small


def test_recommend_prefers_the_better_of_two_that_cost_the_same():
    worse = outcome("worse", range(9))
    better = outcome("better", range(8), loss=0.9)
    also = dataclasses.replace(better, cross_entropy=0.1)
    assert recommend([worse, better, also], Budget()).chosen is also


def test_recommend_weighs_only_what_fits_the_budget():
    large = outcome("large", [], macs=900, latency=9.0, size=9_000_000)
    middle = outcome("middle", range(30), macs=500, latency=4.0, size=4_000_000)
    small = outcome("small", range(60), macs=100, latency=1.0, size=1_000_000)
    candidates = [large, middle, small]
    assert recommend(candidates, Budget()).chosen is large
    assert recommend(candidates, Budget(max_latency_ms=4)).chosen is middle
    assert recommend(candidates, Budget(max_size_mb=3.9)).chosen is small
    first, second, _ = recommend(candidates, Budget(max_latency_ms=4)).sentences()
    assert first.startswith(
        "Recommended: middle, 70.0% right: none within --max_latency_ms 4 is more "
        "accurate, and those that are simpler lie behind by "
    )
    assert second == (
        "That is 30.0 points below the best over the budget, large (100.0%, 9.00 ms, "
        "9.00 MB)."
    )
    tight = Budget(max_latency_ms=0.5, max_size_mb=4)
    assert recommend(candidates, tight) is None
    assert explain_misfit(candidates, tight) == (
        "No candidate fits --max_latency_ms 0.5 and --max_size_mb 4: the quickest, "
        "small, takes 1.00 ms, the smallest, small, has 1.00 MB."
    )


def test_recommend_names_no_test_that_was_not_made():
    large = outcome("large", range(5), macs=900, latency=9.0)
    small = outcome("small", range(9), macs=100, latency=2.0)
    choice = recommend([large, small], Budget(max_latency_ms=3))
    first, second, _ = choice.sentences()
    assert first == (
        "Recommended: small, 91.0% right: the only candidate within --max_latency_ms "
        "3, weighed against no other."
    )
    assert second.startswith("That is 4.0 points below the best over the budget, large")
    assert choice.describe()["p_value"] is None
    assert choice.describe()["best_over_budget"] == "large"
    best = outcome("best", [], macs=50)
    assert "McNemar" not in recommend([best, small], Budget()).sentences()[0]


def test_a_limit_among_the_timings_is_a_close_call():
    near = outcome("near", [], latency=4.9)
    near = dataclasses.replace(near, latency_p10_ms=4.5, latency_p90_ms=6.0)
    far = dataclasses.replace(near, latency_p90_ms=4.95)
    assert Budget(max_latency_ms=5).close_calls([near, far]) == [near]
    assert Budget(max_size_mb=5).close_calls([near, far]) == []


def test_compare_says_when_the_latency_is_a_close_call(arguments, monkeypatch, capsys):
    """By a clock that is read twice an inference: each of five times comes as often."""
    steps, readings = itertools.cycle([0.001, 0.002, 0.003, 0.004, 0.005]), [0.0]

    def perf_counter():
        readings.append(readings[-1] + next(steps))
        return readings[-1]

    monkeypatch.setattr(time, "perf_counter", perf_counter)
    said = {}
    counts = {}
    for limit in (6, 3.5):
        before = len(readings)
        assert main(arguments("tiny", max_latency_ms=limit)) == 0
        counts[limit] = len(readings) - before
        said[limit] = capsys.readouterr().out
    assert counts == {6: 2 * ROUNDS * RUNS, 3.5: 2 * (ROUNDS + MORE_ROUNDS) * RUNS}
    assert "close call" not in said[6]
    assert said[3.5].count("A close call: --max_latency_ms 3.5 lies between the f") == 1
    assert "tiny-discriminant-1-views-int8 (1.00-5.00 ms). Repeat" in said[3.5]


# Source: scipy.stats.binomtest(fewer, fewer + more).pvalue
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0, 0, 1.0), (5, 0, 0.0625), (0, 6, 0.03125), (9, 2, 0.0654296875), (4, 4, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(first, second, expected):
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(3000, 2000) < 1e-40


def test_smallest_difference_is_six_pictures():
    assert smallest_difference(60) == pytest.approx(0.1)
    assert smallest_difference(3) == 2.0  # of three pictures none


def test_table_leaves_out_what_is_the_same_for_all():
    text = as_text([outcome("one", [1]), outcome("another", [])])
    head, first, second = text.splitlines()
    assert "solver" not in head
    assert "macro-F1" not in head
    assert first.split()[:3] == ["1", "one", "99.0"]
    assert second.index("100.0") + 5 == first.index("99.0") + 4


def tag_outcome(name, targets, given, **changes):
    """A model of tags, from the tags that test pictures have and are given."""
    missed, wrong = (targets & ~given).sum(axis=1), (given & ~targets).sum(axis=1)
    rows = np.flatnonzero(missed + wrong)
    hits = (targets & given).sum()
    figures = TagFigures(
        0.5,
        float(2 * hits / (targets.sum() + given.sum())),
        (0.1, 0.9),
        int(targets.sum()),
        tuple(missed[rows].tolist()),
        tuple(wrong[rows].tolist()),
    )
    plain = outcome(name, rows.tolist(), num_test=len(targets), **changes)
    return dataclasses.replace(plain, tags=figures, accuracy_interval_95=None)


def drawn_tags(source, targets, share):
    """Tags as a model gives them that errs in a share of the pairs."""
    return targets ^ (source.random(targets.shape) < share)


def test_the_test_of_tags_has_the_p_value_of_pictures_drawn_again():
    source = np.random.default_rng(0)
    targets = source.random((300, 6)) < 0.3
    first, second = (drawn_tags(source, targets, share) for share in (0.10, 0.12))
    p_value = paired_f1(*(tag_outcome("m", targets, g) for g in (first, second)))

    def f1(given, rows):
        hits = (targets & given)[rows].sum()
        return 2 * hits / (targets[rows].sum() + given[rows].sum())

    draws = source.integers(300, size=(4000, 300))
    gains = np.array([f1(first, rows) - f1(second, rows) for rows in draws])
    score = (f1(first, slice(None)) - f1(second, slice(None))) / gains.std()
    expected = 2 * (1 - 0.5 * (1 + math.erf(abs(score) / math.sqrt(2))))
    assert p_value == pytest.approx(expected, abs=0.02)
    assert 0.02 < p_value < 0.7


def test_models_of_tags_that_err_alike_are_equal():
    targets = np.random.default_rng(1).random((50, 4)) < 0.3
    same = tag_outcome("m", targets, drawn_tags(np.random.default_rng(2), targets, 0.1))
    assert paired_f1(same, same) == 1.0
    with pytest.raises(ValueError, match=r"Expected models of tags. Received: one of"):
        paired_f1(same, outcome("classes", []))


def test_of_models_of_tags_the_simplest_that_is_not_worse_is_recommended():
    source = np.random.default_rng(3)
    targets = source.random((300, 6)) < 0.3
    good = drawn_tags(source, targets, 0.05)
    nearly = good.copy()
    nearly[:2] ^= True
    good[5] ^= True
    models = [
        tag_outcome("large", targets, good, macs=400),
        tag_outcome("small", targets, nearly, macs=100),
        tag_outcome("tiny", targets, drawn_tags(source, targets, 0.2), macs=10),
    ]
    choice = recommend(models, Budget())
    assert choice.best is models[0]
    assert choice.chosen is models[1]
    told = choice.sentences()
    assert told[0].startswith("Recommended: small, micro-F1 ")
    assert "paired test of micro-F1, p = " in told[0]
    assert told[-1].startswith("On 300 test pictures a micro-F1 of ")
    assert choice.describe()["smallest_difference"] is None


def test_backbones_are_compared_on_tags(tmp_path, arguments, capsys):
    rows = tag_data.write_pictures(tmp_path / "pictures", 84)
    tag_data.write_table(tmp_path / "tags.csv", rows)
    settings = {
        "image_dir": tmp_path / "pictures",
        "tags_csv": tmp_path / "tags.csv",
        "keywords": "blue,red",
        "solvers": "auto",
    }
    line = arguments("tiny", "deep", **settings)
    assert main(line) == 0
    text = capsys.readouterr().out
    head, first, second = text.splitlines()[:3]
    for title in ("mAP %", "accuracy %", "micro-F1 %", "loss", "trained", "frozen"):
        assert title in head
    assert "tiny" in first
    assert "deep" in second
    assert "Of tags accuracy is binary accuracy" in text
    again = text.splitlines()[-1]
    assert f"--tags_csv {tmp_path / 'tags.csv'}" in again
    assert "--keywords blue,red" in again

    # Nothing is trained again; the figures are those of the files.
    assert main([*line, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("finished before") == 2
    report = json.loads(captured.out)
    small, large = report["candidates"]
    metrics = json.loads(
        (tmp_path / "out" / f"{small['name']}.metrics.json").read_text("utf-8")
    )
    for name in ("mean_average_precision", "micro_f1", "accuracy"):
        assert small[name] == metrics[name]
    assert small["cross_entropy"] == metrics["binary_cross_entropy"]
    assert small["parameters_trained"] == 2 * (tiny.DEPTH + 1)
    assert small["parameters_frozen"] == 3 * 3 * 3 * tiny.DEPTH + tiny.DEPTH
    assert large["parameters_frozen"] > small["parameters_frozen"]
    assert sum(small["missed"]) + sum(small["wrong"]) == pytest.approx(
        (1 - small["accuracy"]) * small["num_test"] * 2
    )

    # Another table is another comparison.
    tag_data.write_table(tmp_path / "tags.csv", [*rows[:-1], "083.png,red"])
    assert main(line) == 0
    assert "finished before" not in capsys.readouterr().err
