"""The main job, end to end, on a real backbone of one convolution."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import tiny
import training_data
from PIL import Image, ImageFile

from edgeclf import Classifier, DatasetError, Embedder
from edgeclf.data.splits import TEST, read_split_file
from edgeclf.metadata import read_model_info
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.command import main
from edgeclf.training.measurements import measure


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "tiny.tflite"
    path.write_bytes(tiny.backbone_file())
    return path


@pytest.fixture
def configure(tmp_path, photos, backbone):
    def build(**changes):
        settings = {
            "image_dir": photos,
            "output_graph": tmp_path / "out" / "model.tflite",
            "architecture": str(backbone),
            "bottleneck_dir": tmp_path / "bottlenecks",
            "testing_percentage": 20,
            **changes,
        }
        return RetrainConfig(**settings)

    return build


@pytest.fixture
def command(tmp_path, photos, backbone):
    def run(*arguments):
        return main(
            [
                f"--image_dir={photos}",
                f"--architecture={backbone}",
                f"--bottleneck_dir={tmp_path / 'bottlenecks'}",
                f"--output_graph={tmp_path / 'model.tflite'}",
                *map(str, arguments),
            ]
        )

    return run


def test_every_colour_gets_its_own_name(configure):
    result = retrain(configure())
    with Classifier(result.model_path) as classifier:
        for color in tiny.COLORS:
            right = [
                classifier.classify(tiny.pixels(color, seed))[0].label == color
                for seed in range(100, 120)  # pictures that training never saw
            ]
            assert np.mean(right) >= 0.9


def test_metrics_hold_what_the_contract_names(configure):
    metrics = retrain(configure()).metrics
    assert metrics["labels"] == ["blue", "green", "red"]
    assert metrics["num_train"] + metrics["num_validation"] + metrics["num_test"] == 60
    for name in ("accuracy", "accuracy_int8", "accuracy_float"):
        assert 0.8 <= metrics[name] <= 1.0
    assert (
        sum(e["num_test"] for e in metrics["test"]["per_class"]) == metrics["num_test"]
    )


def test_accuracy_is_that_of_the_written_file(configure, photos):
    result = retrain(configure())
    splits = read_split_file(result.split_path)
    with Classifier(result.model_path) as classifier:
        right = [
            classifier.classify(photos / name)[0].label == name.split("/")[0]
            for name, split in splits.items()
            if split == "test"
        ]
    assert np.mean(right) == pytest.approx(result.metrics["accuracy_int8"])
    assert len(right) == result.metrics["num_test"]


def test_random_labels_are_not_learned(configure, tmp_path):
    """A figure near chance on nonsense: the figure is not made up."""
    source = np.random.default_rng(0)
    for number in range(120):
        color = list(tiny.COLORS)[number % 3]
        folder = tmp_path / "nonsense" / f"class {source.integers(3)}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiny.pixels(color, number)).save(folder / f"{number}.png")
    result = retrain(configure(image_dir=tmp_path / "nonsense", testing_percentage=50))
    assert result.metrics["accuracy_int8"] < 0.6


def test_two_runs_give_the_same_bytes_cold_and_warm(configure, tmp_path):
    first = retrain(configure())
    content = first.model_path.read_bytes()
    warm = retrain(configure(output_graph=tmp_path / "warm.tflite"))
    cold = retrain(
        configure(
            output_graph=tmp_path / "cold.tflite",
            bottleneck_dir=tmp_path / "elsewhere",
            num_workers=1,
        )
    )
    assert warm.model_path.read_bytes() == content
    assert cold.model_path.read_bytes() == content
    assert warm.metrics == cold.metrics == first.metrics


def test_a_warm_run_decodes_test_pictures_only(configure, monkeypatch):
    num_test = retrain(configure()).metrics["num_test"]
    decoded = []
    real = ImageFile.ImageFile.load_prepare  # before the pixels, not for the header
    monkeypatch.setattr(
        ImageFile.ImageFile,
        "load_prepare",
        lambda image: decoded.append(1) or real(image),
    )
    retrain(configure(no_report=True))
    assert len(decoded) == num_test


def test_the_file_carries_its_record(configure):
    result = retrain(configure(seed=3))
    info = read_model_info(result.model_path.read_bytes())
    assert info.labels == ("blue", "green", "red")
    assert info.record["preprocessing"]["resize"] == "antialias"
    provenance = info.record["provenance"]
    assert provenance["accuracy_int8"] == result.metrics["accuracy_int8"]
    assert provenance["seed"] == 3
    assert provenance["versions"]["edgeclf"]
    assert len(provenance["dataset_sha256"]) == 64


def test_the_bottleneck_can_be_read_from_the_file(configure, photos):
    path = retrain(configure()).model_path
    picture = next((photos / "red").iterdir())
    vector = Embedder(path).embed(picture)
    assert vector.shape == (tiny.DEPTH,)
    assert vector.dtype == np.float32
    assert vector.max() > 0


@pytest.mark.parametrize(
    ("quantize", "head", "input_dtype", "output_dtype"),
    [
        ("int8", "int8", "uint8", "uint8"),
        ("int8", "float", "uint8", "float32"),
        ("float16", "int8", "float32", "float32"),
        ("none", "int8", "float32", "float32"),
    ],
)
def test_types_of_the_model(configure, quantize, head, input_dtype, output_dtype):
    from edgeclf.interpreter import create_interpreter

    result = retrain(configure(quantize=quantize, head=head))
    interpreter = create_interpreter(result.model_path.read_bytes())
    assert interpreter.get_input_details()[0]["dtype"] == np.dtype(input_dtype)
    assert interpreter.get_output_details()[0]["dtype"] == np.dtype(output_dtype)
    assert (result.metrics["accuracy_int8"] is None) == (quantize != "int8")
    assert result.metrics["accuracy_float"] >= 0.8
    assert result.metrics["accuracy"] >= 0.8


def test_the_uint8_input_is_the_pixel_itself(configure):
    """Readers that know nothing of normalisation feed it raw."""
    from edgeclf.interpreter import create_interpreter

    path = retrain(configure()).model_path
    (details,) = create_interpreter(path.read_bytes()).get_input_details()
    scale, zero_point = details["quantization"]
    assert scale == pytest.approx(1 / 127.5)
    assert zero_point in (127, 128)
    with Classifier(path) as classifier:
        assert classifier.info.input_mean == (127.5,)


def test_names_with_spaces_and_letters_are_kept(configure, tmp_path):
    tiny.write_folder(tmp_path / "data", 6)
    (tmp_path / "data" / "red").rename(tmp_path / "data" / "Wycinanki łowickie")
    labels = tmp_path / "labels.txt"
    result = retrain(configure(image_dir=tmp_path / "data", output_labels=labels))
    assert labels.read_bytes() == "Wycinanki łowickie\nblue\ngreen\n".encode()
    with Classifier(result.model_path) as classifier:
        assert classifier.labels == ("Wycinanki łowickie", "blue", "green")


def test_file_names_that_are_not_utf8_are_no_obstacle(tmp_path, backbone):
    folder = tiny.write_folder(tmp_path / "data", 8)
    (folder / "red" / "000.png").rename(folder / "red" / os.fsdecode(b"caf\xe9.png"))
    (folder / "red" / os.fsdecode(b"bad\xe9.png")).write_bytes(b"x")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "edgeclf",
            "retrain",
            f"--image_dir={folder}",
            f"--architecture={backbone}",
            f"--bottleneck_dir={tmp_path / 'b'}",
            f"--output_graph={tmp_path / 'model.tflite'}",
            f"--metrics_json={tmp_path / 'm.json'}",
            "--print_misclassified_test_images",
        ],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"caf\xe9.png" in (tmp_path / "model.split.csv").read_bytes()
    assert b"bad\xe9.png" in (tmp_path / "m.json").read_bytes()


def test_unreadable_pictures_are_named_and_left_out(configure, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "data", 8)
    (folder / "red" / "text.jpg").write_text("no picture")
    (folder / "red" / "000.png").write_bytes(b"")
    result = retrain(configure(image_dir=folder))
    names = [entry["file"] for entry in result.metrics["unreadable"]]
    assert names == ["red/000.png", "red/text.jpg"]
    assert str(folder / "red" / "text.jpg") in caplog.text
    with pytest.raises(DatasetError, match=r"2 unreadable, red/000\.png, red/text"):
        retrain(configure(image_dir=folder, strict=True))


def test_copies_in_two_classes_are_all_left_out(configure, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "data", 8)
    content = (folder / "red" / "000.png").read_bytes()
    (folder / "blue" / "copy.png").write_bytes(content)
    (folder / "red" / "again.png").write_bytes(content)
    result = retrain(configure(image_dir=folder))
    assert result.metrics["conflicting"] == [
        "blue/copy.png",
        "red/000.png",
        "red/again.png",
    ]
    assert "all copies left out: blue/copy.png, red/000.png" in caplog.text


def test_a_class_of_unreadable_pictures_is_left_out(configure, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "data", 8)
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jpg").write_bytes(b"x")
    assert len(retrain(configure(image_dir=folder)).metrics["labels"]) == 3
    assert "Class broken has no usable picture: left out." in caplog.text
    for color in ("blue", "green"):
        for path in (folder / color).iterdir():
            path.write_bytes(b"x")
    with pytest.raises(DatasetError, match="at least two classes with usable"):
        retrain(configure(image_dir=folder))


def test_a_split_file_is_followed(configure, photos, tmp_path):
    names = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.*g"))
    wanted = {
        name: ("test" if number % 3 else "train") for number, name in enumerate(names)
    }
    lines = [f"{name},{split}\n" for name, split in wanted.items()]
    (tmp_path / "split.csv").write_text("file,split\n" + "".join(lines))
    result = retrain(configure(split_file=tmp_path / "split.csv"))
    assert read_split_file(result.split_path) == wanted
    assert result.metrics["num_test"] == 40
    assert result.metrics["num_validation"] == 0


def test_copies_of_a_given_test_picture_follow_it(configure, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "data", 10)
    first = retrain(configure(image_dir=folder))
    splits = read_split_file(first.split_path)
    held_out = [name for name, split in splits.items() if split == "test"]
    for name in held_out:
        path = folder / name
        (path.parent / f"copy of {path.name}").write_bytes(path.read_bytes())
    again = retrain(configure(image_dir=folder, split_file=first.split_path, seed=9))
    after = read_split_file(again.split_path)
    assert {name: after[name] for name in splits} == splits
    assert len([s for s in after.values() if s == "test"]) == 2 * len(held_out)
    assert f"does not name {len(held_out)} pictures" in caplog.text


def test_a_class_that_a_split_file_does_not_test_is_named(
    configure, photos, tmp_path, caplog
):
    names = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.*g"))
    lines = [
        f"{name},{'train' if name.startswith('red') or number % 2 else 'test'}\n"
        for number, name in enumerate(names)
    ]
    path = tmp_path / "split.csv"
    path.write_text("file,split\n" + "".join(lines))
    retrain(configure(split_file=path))
    assert "Class red (20 pictures) has no picture for test" in caplog.text


def test_a_class_without_a_training_picture_is_refused(configure, photos, tmp_path):
    names = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*.*g"))
    lines = [
        f"{name},{'test' if name.startswith('red') else 'train'}\n" for name in names
    ]
    path = tmp_path / "split.csv"
    path.write_text("file,split\n" + "".join(lines))
    with pytest.raises(DatasetError, match="a training picture of class red in"):
        retrain(configure(split_file=path))


def test_a_test_batch_is_drawn_from_all_classes(configure):
    result = retrain(configure(testing_percentage=50, test_batch_size=12))
    counts = [entry["num_test"] for entry in result.metrics["test"]["per_class"]]
    assert sum(counts) == 12
    assert min(counts) > 0


def test_a_picture_that_vanishes_before_evaluation_is_left_out(
    configure, tmp_path, caplog
):
    config = configure(image_dir=tiny.write_folder(tmp_path / "data", 12))
    model = retrain(config).model_path.read_bytes()
    with training_data.opened(config) as (_, dataset):
        gone, *others = (dataset.examples[row] for row in dataset.positions(TEST))
    gone.path.unlink()
    measured = measure(config, dataset, {"int8": model})["int8"]
    assert measured.names == [example.name for example in others]
    assert "Not measured: " in caplog.text


def test_settings_of_descent_without_descent_are_named(configure, caplog):
    retrain(configure(train_batch_size=7, eval_step_interval=3))
    assert "Without effect: --train_batch_size, --eval_step_interval." in caplog.text


def test_descent_that_diverges_is_an_error(command, capsys):
    assert command("--learning_rate=3e38", "--how_many_training_steps=50") == 1
    assert "diverged: expected a smaller learning_rate" in capsys.readouterr().err


def test_paths_may_be_path_objects(configure, backbone):
    assert retrain(configure(architecture=backbone)).metrics["architecture"] == "tiny"


def test_dots_in_the_output_name_are_kept(configure, tmp_path):
    result = retrain(configure(output_graph=tmp_path / "v1.0"))
    assert result.split_path == tmp_path / "v1.0.split.csv"


def test_a_backbone_path_that_is_not_utf8_is_no_obstacle(configure, tmp_path, backbone):
    odd = tmp_path / os.fsdecode(b"caf\xe9.tflite")
    odd.write_bytes(backbone.read_bytes())
    result = retrain(configure(architecture=odd))
    record = read_model_info(result.model_path.read_bytes()).record
    assert record["provenance"]["architecture"] == os.fsdecode(b"caf\xe9")


def test_missing_packages_are_named_with_the_line_that_installs_them():
    program = (
        "import importlib.util as u, sys; real = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'scipy' else real(n, *a)\n"
        "from edgeclf.__main__ import main; sys.exit(main(['retrain', '--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: Training needs the package scipy. Install it with: "
        'pip install "edgeclf[train]"\n'
    )


def test_nearly_equal_pictures_in_two_classes_are_named(configure, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path / "data", 12)
    picture = Image.open(folder / "red" / "000.png")
    picture.save(folder / "blue" / "resaved.jpg", quality=90)
    retrain(configure(image_dir=folder))
    assert "in several classes: blue/resaved.jpg, red/000.png" in caplog.text


@pytest.mark.parametrize("name", ["output_labels", "architecture", "metrics_json"])
def test_one_path_for_two_files_is_refused(configure, tmp_path, backbone, name):
    path = tmp_path / "both.tflite"
    path.write_bytes(backbone.read_bytes())
    with pytest.raises(ValueError, match=r"Received twice: .*both\.tflite"):
        configure(output_graph=path.with_suffix(".pb"), **{name: path})
    assert path.read_bytes() == backbone.read_bytes()


def test_labels_are_not_written_over_the_given_split(configure, tmp_path):
    path = tmp_path / "mine.csv"
    with pytest.raises(ValueError, match=r"Received twice: .*mine\.csv"):
        configure(split_file=path, output_labels=path)


def test_a_split_file_of_other_pictures_is_refused(configure, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("file,split\nroses/1.jpg,test\n")
    with pytest.raises(
        DatasetError, match=r"named like blue/000\.png. Received: roses"
    ):
        retrain(configure(split_file=path))


def test_a_picture_is_not_written_over(configure, tmp_path):
    folder = tiny.write_folder(tmp_path / "data", 8)
    picture = folder / "red" / "001.jpg"
    content = picture.read_bytes()
    with pytest.raises(DatasetError, match=r"another path to write.*001\.jpg"):
        retrain(configure(image_dir=folder, output_graph=picture))
    assert picture.read_bytes() == content


def test_a_given_split_file_beside_the_model_is_not_rewritten(configure, tmp_path):
    first = retrain(configure(output_graph=tmp_path / "m.tflite"))
    text = first.split_path.read_text().replace("file,split", "who,file,split")
    own = text.replace("\n", "\nme,")[:-3]
    first.split_path.write_text(own)
    retrain(configure(output_graph=tmp_path / "m.tflite", split_file=first.split_path))
    assert first.split_path.read_text() == own


def test_distortions_add_views(configure, tmp_path):
    from edgeclf.training.cache import BottleneckCache

    options = {"flip_left_right": True, "random_brightness": 20, "views": 9}
    result = retrain(configure(**options))
    with BottleneckCache(tmp_path / "bottlenecks") as cache:
        rows = cache._connection.execute("SELECT count(*) FROM entries").fetchone()
    # Two entries more: the corrected biases of the int8 model, and what it answers.
    fitted_to = result.metrics["num_train"] + result.metrics["num_validation"]
    assert rows[0] == 60 + 8 * fitted_to + 2
    assert result.metrics["accuracy_int8"] >= 0.8


def entries(folder):
    from edgeclf.training.cache import BottleneckCache

    with BottleneckCache(folder) as cache:
        return cache._connection.execute("SELECT count(*) FROM entries").fetchone()[0]


@pytest.mark.parametrize(("views", "expected"), [(None, 8), (1, 1), (3, 3)])
def test_every_fitted_picture_has_its_views(configure, tmp_path, views, expected):
    metrics = retrain(configure(views=views)).metrics
    fitted_to = metrics["num_train"] + metrics["num_validation"]
    assert entries(tmp_path / "bottlenecks") == 60 + (expected - 1) * fitted_to + 2
    assert metrics["views"] == expected
    assert metrics["solver"] == "discriminant"
    assert metrics["temperature"] > 0
    assert metrics["strength"] is None


def test_regression_is_fitted_to_views_too(configure, tmp_path):
    metrics = retrain(configure(solver="regression", views=2)).metrics
    fitted_to = metrics["num_train"] + metrics["num_validation"]
    assert entries(tmp_path / "bottlenecks") == 60 + fitted_to + 2
    assert metrics["accuracy_int8"] >= 0.8
    assert metrics["solver"] == "regression"
    assert metrics["strength"] > 0


def test_auto_names_every_candidate_and_takes_one(configure):
    metrics = retrain(configure(views=2)).metrics
    figures = {entry["solver"]: entry for entry in metrics["candidates"]}
    assert list(figures) == ["discriminant", "prototype", "regression"]
    assert metrics["solver"] in figures
    for entry in figures.values():
        assert 0 <= entry["cross_entropy"] < 1.1
        assert 0.5 <= entry["macro_f1"] <= 1
        assert entry["temperature"] > 0
    assert figures["prototype"]["shrinkage"] == 1
    assert figures["discriminant"]["emphasis"] is not None
    assert figures["regression"]["strength"] > 0


@pytest.mark.parametrize("solver", ["discriminant", "prototype", "regression"])
def test_a_solver_that_is_asked_for_is_taken(configure, solver):
    metrics = retrain(configure(solver=solver, views=1)).metrics
    assert metrics["solver"] == solver
    assert [entry["solver"] for entry in metrics["candidates"]] == [solver]
    assert metrics["accuracy_int8"] >= 0.8
    assert metrics["temperature"] > 0


def test_class_weights_are_recorded_and_move_the_rare_class(configure, tmp_path):
    folder = tiny.write_folder(tmp_path / "few", {"blue": 20, "green": 20, "red": 6})
    mean_scores = {}
    for wanted in ("balanced", "none"):
        changes = {"class_weights": wanted, "quantize": "none", "views": 1}
        result = retrain(configure(image_dir=folder, **changes))
        assert result.metrics["class_weights"] == wanted
        with Classifier(result.model_path) as classifier:
            gray = np.full((32, 32, 3), 110, np.uint8)
            mean_scores[wanted] = classifier.scores(gray)[2]
    assert mean_scores["balanced"] > mean_scores["none"]


def test_descent_has_no_views_unless_they_are_asked_for(configure, tmp_path):
    metrics = retrain(configure(how_many_training_steps=20)).metrics
    assert entries(tmp_path / "bottlenecks") == 60 + 2
    assert (metrics["solver"], metrics["views"]) == ("descent", 1)
    assert configure(how_many_training_steps=20, random_crop=10).num_views == 8
    assert configure(how_many_training_steps=20, views=4).num_views == 4


def test_one_picture_a_class_is_enough_for_a_head(configure, tmp_path):
    folder = tiny.write_folder(tmp_path / "data", 1)
    metrics = retrain(configure(image_dir=folder, testing_percentage=0)).metrics
    assert metrics["num_train"] == 3
    assert metrics["train_accuracy"] == 1.0
    assert metrics["validation_accuracy"] is None


def test_a_deep_backbone_reads_several_depths(configure, tmp_path, photos):
    path = tmp_path / "deep.tflite"
    path.write_bytes(tiny.deep_backbone_file())
    result = retrain(configure(architecture=path))
    assert result.metrics["accuracy_int8"] >= 0.8
    picture = next((photos / "red").iterdir())
    assert Embedder(result.model_path).embed(picture).shape == (10 + 12 + 16,)
    own = result.model_path.rename(tmp_path / "own.tflite")
    again = retrain(configure(architecture=own))
    assert again.metrics["accuracy_int8"] >= 0.8


def test_command_prints_the_figure_and_writes_the_metrics(command, tmp_path, capsys):
    assert (
        command("--metrics-json", tmp_path / "m.json", "--testing-percentage=20") == 0
    )
    printed = capsys.readouterr()
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert f"Final test accuracy = {metrics['accuracy']:.1%}" in printed.out
    assert "measured on the int8 file" in printed.out
    assert str(tmp_path / "model.tflite") in printed.out
    assert "Looking for pictures" in printed.err


def test_no_test_share_is_said(command, tmp_path, capsys):
    assert command("--testing_percentage=0", f"--metrics_json={tmp_path}/m.json") == 0
    assert "No test figure" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["accuracy_int8"] is None
    assert metrics["accuracy_float"] is None
    assert metrics["num_test"] == 0


def test_gradient_descent_writes_event_files(command, tmp_path, capsys):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="needs tensorboard to read event files",
    ).EventAccumulator
    summaries = tmp_path / "summaries"
    assert (
        command(
            "--how_many_training_steps=60",
            "--learning_rate=0.1",
            "--eval_step_interval=20",
            f"--summaries_dir={summaries}",
            "--intermediate_store_frequency=25",
            f"--intermediate_output_graphs_dir={tmp_path / 'between'}",
            "--print_misclassified_test_images",
        )
        == 0
    )
    printed = capsys.readouterr()
    assert "Step 40: train accuracy" in printed.err
    assert "Misclassified test images:" in printed.out
    for part in ("train", "validation"):
        events = accumulator(str(summaries / part)).Reload()
        for tag in ("accuracy_1", "cross_entropy_1"):
            assert [event.step for event in events.Scalars(tag)] == [0, 20, 40, 59]
    kept = sorted(path.name for path in (tmp_path / "between").iterdir())
    assert kept == ["intermediate_25.tflite", "intermediate_50.tflite"]
    with Classifier(tmp_path / "between" / kept[0]) as classifier:
        assert classifier.labels == ("blue", "green", "red")


def test_reports_of_an_earlier_model_are_named(command, tmp_path, capsys):
    assert command() == 0
    assert command("--no_report") == 0  # the same model
    assert "earlier model" not in capsys.readouterr().err
    before = (tmp_path / "model.html").read_bytes()
    assert command("--no_report", "--seed=1") == 0
    told = capsys.readouterr().err
    names = ("html", "json", "confusion.png", "curves.png")
    paths = ", ".join(str(tmp_path / f"model.{name}") for name in names)
    assert f"warning: Of an earlier model, and not written anew: {paths}.\n" in told
    assert (tmp_path / "model.html").read_bytes() == before
    assert command("--seed=2") == 0
    assert "earlier model" not in capsys.readouterr().err
    (tmp_path / "model.json").write_text("of somebody else")
    assert command("--no_report", "--seed=3") == 0
    assert "earlier model" not in capsys.readouterr().err


def test_no_mistake_is_said(command, capsys):
    assert command("--print_misclassified_test_images", "--no_report") == 0
    assert "Misclassified test images: none\n" in capsys.readouterr().out


def test_a_pb_name_becomes_the_tflite_beside_it(command, tmp_path, capsys):
    assert command(f"--output_graph={tmp_path}/retrained_graph.pb") == 0
    assert (tmp_path / "retrained_graph.tflite").exists()
    assert not (tmp_path / "retrained_graph.pb").exists()
    assert "retrained_graph.tflite instead of" in capsys.readouterr().err


def test_the_output_tensor_has_the_wanted_name(command, tmp_path):
    from edgeclf.interpreter import create_interpreter

    assert command("--final_tensor_name=my_scores") == 0
    interpreter = create_interpreter((tmp_path / "model.tflite").read_bytes())
    assert interpreter.get_output_details()[0]["name"] == "my_scores"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--testing_percentage=95"], "leave something to train on"),
        (["--learning_rate=-1"], "Expected a positive learning_rate. Received: -1.0"),
        (["--train_batch_size=0"], "or -1 for all pictures. Received: 0"),
        (["--random_brightness=101"], "random_brightness in 0-100"),
        (["--calibration_pictures=0"], "calibration_pictures of at least 1"),
        (["--final_tensor_name="], "Expected a name in final_tensor_name"),
        (["--output_graph="], "Expected a file name in output_graph"),
        (["--random_scale=nan"], "Expected a finite random_scale"),
        (["--random_crop=inf"], "Expected a finite random_crop"),
        (["--input_std=0"], "Expected a finite input_std above 0"),
        (["--intermediate_store_frequency=5"], "intermediate_output_graphs_dir"),
        (["--views=0"], "Expected a positive views. Received: 0"),
        (["--views=1", "--flip_left_right"], "Expected views of at least 2 for"),
        (["--solver=magic"], "invalid choice: 'magic'"),
        (["--class_weights=magic"], "invalid choice: 'magic'"),
        (["--max_int8_drop=-1"], "Expected max_int8_drop in 0-100. Received: -1.0"),
        (["--quantize=int4"], "invalid choice: 'int4'"),
        (["--architecture=resnet_9000"], "resnet_9000"),
        (["--no_such_option"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_ends_with_status_2(command, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        command(*arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out


def test_failures_end_with_status_1_and_lose_nothing(command, tmp_path, capsys):
    (tmp_path / "model.tflite").write_bytes(b"before")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for arguments, message in (
        ([f"--image_dir={tmp_path}/none"], "which does not exist"),
        ([f"--image_dir={tmp_path}/empty"], "Expected at least two class folders"),
        ([f"--output_graph={tmp_path}/file/m.tflite"], "file"),
        ([f"--output_graph={tmp_path}/empty"], "Received a folder"),
        ([f"--architecture={tmp_path}/no.tflite"], "no.tflite"),
        ([f"--split_file={tmp_path}/no.csv"], "no.csv"),
    ):
        assert command(*arguments) == 1
        printed = capsys.readouterr()
        assert message in printed.err
        assert "Traceback" not in printed.err
        assert "error: " in printed.err
    assert (tmp_path / "model.tflite").read_bytes() == b"before"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX limits")
def test_a_full_disk_is_a_sentence_and_keeps_the_old_model(tmp_path, photos, backbone):
    """A limit on the size of files stands for the disk: the same failing write."""
    model = tmp_path / "model.tflite"
    others = [tmp_path / "labels.txt", tmp_path / "model.split.csv"]
    for path in (model, *others):
        path.write_bytes(b"before")

    def limit():  # the table of splits still fits, the model does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "from edgeclf.__main__ import main; sys.exit(main(sys.argv[1:]))",
            "retrain",
            f"--image_dir={photos}",
            f"--architecture={backbone}",
            f"--bottleneck_dir={tmp_path / 'b'}",
            f"--output_graph={model}",
            f"--output_labels={others[0]}",
        ],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"error: {model}: File too large.\n" in done.stderr
    assert [path.read_bytes() for path in (model, *others)] == [b"before"] * 3
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


def test_of_many_tiny_classes_a_few_are_named(tmp_path, backbone, caplog):
    for number in range(14):
        folder = tmp_path / "photos" / f"class {number:02}"
        folder.mkdir(parents=True)
        color = list(tiny.COLORS)[number % 3]
        for each in range(2):
            picture = Image.fromarray(tiny.pixels(color, 7 * number + each))
            picture.save(folder / f"{each}.png")
    config = RetrainConfig(
        image_dir=tmp_path / "photos",
        output_graph=tmp_path / "model.tflite",
        architecture=backbone,
        bottleneck_dir=tmp_path / "bottlenecks",
        quantize="none",
        views=1,
    )
    retrain(config)
    told = [line for line in caplog.messages if "has no picture for" in line]
    assert len(told) == 10
    assert "And so it is with 4 more classes." in caplog.messages
