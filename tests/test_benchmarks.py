import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import (
    accuracy,
    classify,
    measure,
    mislabelled,
    served,
    soak,
    unsplash_tables,
)
from benchmarks.folds import stratified_folds
from benchmarks.label_image import PEERS
from benchmarks.loaded import INVOKE, Turns, load, take_turns
from benchmarks.measure import CommandError, Contender, Run, Spread
from edgeclf import Classifier
from edgeclf.data.tag_source import TagSource

CLASSES = {
    "Gzhel": [f"Gzhel/{number}.jpg" for number in range(13)],
    "Iznik": [f"Iznik/{number}.jpg" for number in range(7)],
    "Wzory kaszubskie": [f"Wzory kaszubskie/{number}.jpg" for number in range(5)],
}
FILES = sorted(file for files in CLASSES.values() for file in files)


def measured_fold(seed, confusion, accuracy_float):
    matrix = np.array(confusion)
    right = np.trace(matrix) / matrix.sum()
    return accuracy.Fold(
        seed, matrix.sum(), right, accuracy_float, confusion, None, None, "x", 1.0
    )


def test_accuracies_are_pooled_over_folds_and_the_worst_round_tells_what_int8_costs():
    folds = [
        measured_fold(0, [[8, 0], [2, 10]], 1.0),  # 18 of 20; 20 in float
        measured_fold(0, [[5, 0], [0, 5]], 0.9),  # 10 of 10; 9
        measured_fold(1, [[10, 0], [0, 10]], 1.0),
        measured_fold(1, [[5, 0], [0, 5]], 1.0),
    ]
    summary = accuracy.summarize(folds, 2)
    assert summary["num_pictures"] == 30
    assert summary["accuracy_int8"] == pytest.approx(58 / 60)
    assert summary["accuracy_float"] == pytest.approx(59 / 60)
    assert summary["worst_loss_points"] == pytest.approx(100 / 30)  # of round 0
    # Class 0: 28 found, 2 wrongly; class 1: 30 found of 32.
    assert summary["macro_f1_int8"] == pytest.approx((56 / 58 + 60 / 62) / 2)


def make_folds(seed=0, folds=5, validation_percentage=10):
    options = {"folds": folds, "validation_percentage": validation_percentage}
    return list(stratified_folds(CLASSES, seed=seed, **options))


def test_folds_test_every_picture_once_and_use_all_in_each():
    folds = make_folds()
    assert [sorted(splits) for splits in folds] == [FILES] * 5
    tested = [file for splits in folds for file in splits if splits[file] == "test"]
    assert sorted(tested) == FILES


def test_folds_are_stratified_and_of_one_size():
    for splits in make_folds():
        tested = [file for file, split in splits.items() if split == "test"]
        assert len(tested) == 5
        counts = Counter(file.partition("/")[0] for file in tested)
        assert counts["Gzhel"] in (2, 3)
        assert counts["Iznik"] in (1, 2)
        assert counts["Wzory kaszubskie"] == 1


def test_folds_validate_on_a_share_of_each_class():
    for splits in make_folds(validation_percentage=20):
        counts = Counter(
            (file.partition("/")[0], split) for file, split in splits.items()
        )
        assert counts["Gzhel", "validation"] == 2
        assert counts["Iznik", "validation"] == 1
        assert counts["Wzory kaszubskie", "train"] == 3
    assert all("validation" not in s.values() for s in make_folds(0, 5, 0))


def test_folds_train_on_the_only_picture_left_of_a_small_class():
    tiny = {"a": ["a/1", "a/2"], "b": ["b/1", "b/2", "b/3"]}
    for splits in stratified_folds(tiny, folds=2, validation_percentage=50, seed=0):
        assert Counter(splits[file] for file in tiny["a"]) == {"train": 1, "test": 1}


def test_folds_depend_on_the_seed_and_not_on_the_order_of_files():
    assert make_folds(seed=1) == make_folds(seed=1)
    assert make_folds(seed=1) != make_folds(seed=2)
    turned = {name: files[::-1] for name, files in reversed(CLASSES.items())}
    options = {"folds": 5, "validation_percentage": 10, "seed": 1}
    assert list(stratified_folds(turned, **options)) == make_folds(seed=1)


def test_folds_refuse_less_than_two():
    with pytest.raises(ValueError, match=r"Expected 2 folds or more.*folds=1"):
        make_folds(folds=1)


def test_spread_is_median_minimum_maximum():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([4.0, 1.0]) == Spread(2.5, 1.0, 4.0)
    assert str(Spread(1494.4, 99.96, 1500)) == "1494 (100-1500)"
    assert str(Spread.of([0.1634])) == "0.163"


def test_summarize_compares_within_a_round():
    measured = {
        "slow": [Run(10, 1, 50, ""), Run(40, 1, 60, ""), Run(20, 3, 70, "")],
        "fast": [Run(5, 1, 50, ""), Run(20, 1, 50, ""), Run(8, 1, 50, "")],
    }
    slow, fast = measure.summarize(measured, "fast", {"slow": {"accuracy": 1}})
    assert slow.ratio == Spread(2, 2, 2.5)  # where the medians are as 20 to 8
    assert fast.ratio == Spread(1, 1, 1)
    assert slow.cpu_s == Spread(1, 1, 3)
    assert slow.peak_mb == Spread(60, 50, 70)
    assert (slow.notes, fast.notes) == ({"accuracy": 1}, {})


def test_print_rows_is_a_markdown_table(capsys):
    measured = {"a": [Run(1, 2, 30, "")], "b": [Run(2, 2, 30, "")]}
    measure.print_rows(measure.summarize(measured, "a", {"b": {"label": "ł"}}), "a")
    assert capsys.readouterr().out.splitlines() == [
        "|  | wall s | CPU s | peak MB | wall ÷ a | label |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 1 | 2 | 30 | 1 |  |",
        "| b | 2 | 2 | 30 | 2 | ł |",
    ]


def test_run_once_measures_a_process_and_its_children():
    program = (
        "import subprocess, sys, time; time.sleep(0.2); print('ł');"
        "subprocess.run([sys.executable, '-c', 'bytearray(b\"x\" * 150_000_000)'])"
    )
    contender = Contender("child", [sys.executable, "-X", "utf8", "-c", program])
    run = measure.run_once(contender)
    assert run.output == "ł\n"
    assert run.wall_s >= 0.2
    assert run.cpu_s > 0
    # Two copies: the bytes and the bytearray. Linux counts what the parent had at the
    # fork too, and that is all of these tests.
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert 300 < run.peak_mb < max(600, 1.1 * own_mb)


def test_run_once_says_what_failed():
    program = "import sys; print('no picture', file=sys.stderr); sys.exit(3)"
    contender = Contender("edgeclf", [sys.executable, "-c", program])
    with pytest.raises(CommandError, match=r"(?s)edgeclf: .* 3 from .*no picture"):
        measure.run_once(contender)


def test_alternate_takes_turns_after_a_warm_up(capsys):
    calls = []
    command = [sys.executable, "-S", "-c", ""]
    contenders = [
        Contender(name, command, before=lambda name=name: calls.append(name))
        for name in "ab"
    ]
    measured = measure.alternate(contenders, runs=2)
    assert "".join(calls) == "ababab"
    assert [len(runs) for runs in measured.values()] == [2, 2]
    assert "warm-up a" in capsys.readouterr().err


def test_write_json_has_rows_and_machine(tmp_path):
    path = tmp_path / "figures.json"
    rows = measure.summarize({"a": [Run(1, 2, 30, "")]}, "a")
    measure.write_json(str(path), benchmark="test", rows=rows)
    content = json.loads(path.read_text("utf-8"))
    assert content["benchmark"] == "test"
    assert content["rows"][0]["wall_s"]["median"] == 1
    assert content["machine"]["cores"] >= 1


def test_parser_refuses_no_rounds(capsys):
    with pytest.raises(SystemExit, match="2"):
        measure.parser("Title.\n\nMore.", runs=3).parse_args(["--runs", "0"])
    assert "Expected 1 or more. Received: 0." in capsys.readouterr().err


def test_soak_measures_from_the_first_thousand_and_few_pictures(model_file):
    for count, first in ((10, 1), (40, 2)):
        measured = list(soak.soak(model_file(), count, 16, 1))
        assert measured[0][0] == first
        assert measured[-1][0] == count
    assert 20_000 // soak.MEASUREMENTS == 1000


def peer(name, *command):
    return Contender(name, [sys.executable, *map(str, command)])


def test_children_may_compile_their_modules(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in measure.environment()
    assert "PATH" in measure.environment()


def test_ratios_compare_within_a_round():
    assert measure.ratios([10, 40, 20], [5, 20, 8]) == [2, 2, 2.5]


def test_loaded_peers_agree_with_the_classifier(model_file, picture):
    model, photo = model_file(), picture("green", "green photo.png")
    scripts = ("litert_loaded.py", "litert_compiled.py", "edgeclf_loaded.py")
    contenders = [peer(script, PEERS / script, model) for script in scripts]
    contenders.append(peer("draft", PEERS / "litert_loaded.py", model, "draft"))
    tasks = {"photo": f"label {photo}", "alone": INVOKE}
    turns = take_turns(contenders, tasks, runs=2)
    assert list(turns) == [*scripts, "draft"]
    with Classifier(model) as classifier:
        expected = classifier.scores(photo)
    for loaded in turns.values():
        assert list(loaded.scores) == ["photo"]
        assert loaded.scores["photo"] == pytest.approx(expected, abs=1e-6)
        assert [len(loaded.ms[task]) for task in tasks] == [2, 2]
        assert min(loaded.ms["photo"]) > min(loaded.ms["alone"]) > 0
        assert loaded.ready_s > 0.02
        assert 20 < loaded.peak_mb < 300


def test_a_loaded_peer_that_fails_says_why(model_file, tmp_path):
    script = PEERS / "litert_loaded.py"
    with (
        pytest.raises(CommandError, match=r"(?s)LiteRT: .* 1\n.*none.tflite"),
        load(peer("LiteRT", script, tmp_path / "none.tflite")),
    ):
        pass
    with (
        load(peer("LiteRT", script, model_file())) as loaded,
        pytest.raises(CommandError, match=r"(?s)LiteRT: .* 1\n.*none\.jpg"),
    ):
        loaded.ask(f"label {tmp_path / 'none.jpg'}")


def test_classify_prints_a_table_and_wants_one_label(capsys):
    def turns(ms, scores):
        times = {"large": ms, "small": [1, 1, 1], "alone": [1, 1, 1]}
        return Turns(0.5, 60.4, times, {"large": scores, "small": (0.1, 0.9)})

    measured = {
        classify.BASELINE: turns([10, 20, 10], (0.2, 0.8)),
        classify.EXACT: turns([30, 40, 30], (0.25, 0.75)),
    }
    classify.print_table(measured, ["red", "green"])
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith("|  | large, ms | ÷ lean script | small, ms |")
    assert rows[1].startswith(f"| {classify.EXACT} | 30 (30-40) | 3.00 | 1 | 1.00 |")
    assert rows[1].endswith("| 0.50 | 60 | green | 0.000 |")
    assert rows[0].endswith("| green | 0.050 |")
    classify.check_labels(measured)
    measured["other"] = turns([1, 1, 1], (0.6, 0.4))
    with pytest.raises(CommandError, match=r"large: .* one label .*'other': 0"):
        classify.check_labels(measured)


def test_classify_leaves_out_what_is_not_installed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(classify, "OTHERS", [classify.Peer("Other", ("x.py",), "x_y")])
    chosen = classify.contenders(tmp_path / "m.tflite", "int8", sys.executable)
    assert [contender.name for contender in chosen] == [
        each.name for each in classify.OURS
    ]
    assert "Other is left out: no x_y." in capsys.readouterr().err


def test_classify_draws_pictures_with_the_detail_of_photos(tmp_path):
    source, path = tmp_path / "source.png", tmp_path / "large.jpg"
    Image.new("RGB", (24, 24), (90, 120, 150)).save(source)
    classify.draw(source, (400, 300), path)
    with Image.open(path) as image:
        assert image.size == (400, 300)
        red, green, blue = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert (red, green, blue) == pytest.approx((90, 120, 150), abs=2)
    assert path.stat().st_size > 400 * 300 * 0.15


def test_planted_labels_are_wrong_and_as_many_as_asked_for():
    classes = np.repeat(np.arange(4), 25)
    planted, wrong = mislabelled.plant(classes, 0.1, seed=3)
    assert wrong.sum() == 10
    assert ((planted != classes) == wrong).all()
    assert set(planted) <= set(classes)
    again, _ = mislabelled.plant(classes, 0.1, seed=3)
    assert (again == planted).all()
    other, _ = mislabelled.plant(classes, 0.1, seed=4)
    assert (other != planted).any()


def test_average_precision_is_the_mean_over_the_wrong_ones():
    wrong = np.array([False, True, False, True])
    assert mislabelled.average_precision(wrong, [1, 3, 0, 2]) == 1
    assert mislabelled.average_precision(wrong, [0, 1, 2, 3]) == (1 / 2 + 2 / 4) / 2
    found = mislabelled.judge("x", wrong, [1, 0, 2, 3], [1], 0.5)
    assert (found.recall_at_planted, found.precision, found.recall) == (0.5, 1, 0.5)
    assert mislabelled.judge("x", wrong, [1, 0, 2, 3], [], 0.5).precision == 1


def test_read_generated_tables_like_a_plain_program(tmp_path: Path) -> None:
    unsplash_tables.generate(tmp_path, num_photos=300, num_rows=6000)
    command = [sys.executable, "-c", unsplash_tables.PLAIN_PROGRAM, str(tmp_path)]
    plain = subprocess.run(command, check=True, capture_output=True, text=True)

    pictures = TagSource(unsplash=tmp_path).read()

    found = (len(pictures.examples), len(pictures.labels), pictures.targets.sum())
    assert found == tuple(map(int, plain.stdout.split()))
    assert found[2] > 30


def test_who_draws_large_pictures_stays_small(tmp_path):
    source = tmp_path / "source.png"
    Image.new("RGB", (24, 24)).save(source)
    program = (
        "import sys; from os import getpid; from pathlib import Path\n"
        "from benchmarks.classify import draw\n"
        "from benchmarks.serve import resident_mib\n"
        "draw(Path(sys.argv[1]), (4000, 3000), Path(sys.argv[2]))\n"
        "print(resident_mib(getpid(), 'VmHWM'))"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "large.jpg")]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=measure.ROOT)
    assert float(done.stdout) < 60  # the picture alone has 34


def test_a_server_is_measured_with_a_model_alone(
    model_file, picture, tmp_path, monkeypatch
):
    monkeypatch.setattr(served, "WORK_DIR", tmp_path / "work")
    parser = measure.parser("Title.", runs=1)
    served.add_options(parser)
    model = model_file()
    args = parser.parse_args(["--model", str(model)])
    assert served.model_of(args) == model
    with Classifier(model) as classifier:
        labels = served.labels_of(model).read_text("utf-8").splitlines()
        assert labels == list(classifier.labels)


def test_a_server_is_measured_without_the_decor_products(tmp_path, monkeypatch):
    drawn = tmp_path / "generated" / "class 0" / "000000.jpg"
    drawn.parent.mkdir(parents=True)
    Image.new("RGB", (24, 24)).save(drawn)
    monkeypatch.setattr(served, "DECOR_DIR", tmp_path / "none")
    monkeypatch.setattr(served, "WORK_DIR", tmp_path / "work")
    monkeypatch.setattr(served, "generated", lambda count: tmp_path / "generated")
    monkeypatch.setattr(served, "pictures", lambda source: {"12 MP": source})
    commands = []
    monkeypatch.setattr(
        measure, "run_once", lambda contender: commands.append(contender.command)
    )
    parser = measure.parser("Title.", runs=1)
    served.add_options(parser)
    args = parser.parse_args(["--architecture", "backbone.tflite"])
    assert served.pictures_of(args) == {"12 MP": drawn}
    assert served.model_of(args) == tmp_path / "work" / "served" / "model.tflite"
    (command,) = commands
    assert command[command.index("--image_dir") + 1] == str(tmp_path / "generated")
    assert command[command.index("--architecture") + 1] == "backbone.tflite"
