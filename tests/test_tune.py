"""Settings are scored on unseen pictures, halved, and weighed against noise."""

import json
import math
import shlex
import time

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf.choosing.folds import NUM_FOLDS, Folds, Scores
from edgeclf.choosing.halving import T_QUANTILE, Result, search
from edgeclf.choosing.options import retrain_line
from edgeclf.choosing.settings import DESCENT, Setting, list_settings
from edgeclf.choosing.tune import choose, explain, line_for, main
from edgeclf.errors import EdgeclfError
from edgeclf.training import RetrainConfig
from edgeclf.training.command import main as retrain_main

QUICK = ("--solvers=discriminant", "--views=1,2", "--no_descent")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    """Two classes that are each other's mirror image: mirrored views mislead."""
    folder = tmp_path_factory.mktemp("slopes")
    source = np.random.default_rng(2)
    for label in ("falling", "rising"):
        (folder / label).mkdir()
        for number in range(20):
            ramp = np.tile((np.arange(32) + source.integers(8)) % 8, (32, 1)) * 25.0
            ramp = ramp if label == "rising" else ramp[:, ::-1]
            pixels = ramp[..., np.newaxis] + source.normal(20, 12, (32, 32, 3))
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "tiny.tflite"
    path.write_bytes(tiny.backbone_file())
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("bottlenecks")


@pytest.fixture
def tune(capsys, photos, backbone, cache):
    def run(*arguments, image_dir=photos):
        status = main(
            [
                f"--image_dir={image_dir}",
                f"--architecture={backbone}",
                f"--bottleneck_dir={cache}",
                *map(str, arguments),
            ]
        )
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def folds(photos, backbone, cache):
    config = RetrainConfig(
        image_dir=photos,
        output_graph="unused.tflite",
        architecture=backbone,
        bottleneck_dir=cache,
        views=2,
    )
    return Folds(config)


def scores(*losses):
    number = len(losses)
    return Scores(np.array(losses), np.ones(number), np.full(number, 1 / number))


def test_search_finds_the_setting_that_suits_the_pictures(slopes, backbone, cache):
    config = RetrainConfig(
        image_dir=slopes,
        output_graph="unused.tflite",
        architecture=backbone,
        bottleneck_dir=cache,
        views=8,
    )
    misled, planted = Setting("discriminant", 8), Setting("discriminant", 1)
    found = search(Folds(config), [Setting("discriminant", 2), planted], misled)
    best = found.best
    assert best.setting == planted
    assert best.scores.accuracy > 0.9
    assert best.difference < -T_QUANTILE * best.standard_error
    assert all(best.scores.loss < other.scores.loss for other in found.results[1:])
    assert choose(found, misled) == planted
    (verdict,) = explain(found, misled, 40)
    assert verdict.startswith("discriminant, 1 view has a loss 0.")
    assert verdict.endswith(": more than noise. Run:")
    words = shlex.split(line_for(config, planted, misled))
    assert words[:4] == ["edgeclf", "retrain", "--image_dir", str(slopes)]
    assert words[words.index("--views") + 1] == "1"


def test_tune_prints_a_line_that_runs(tune, slopes, tmp_path, monkeypatch):
    status, out, _ = tune(*QUICK, image_dir=slopes)
    assert status == 0
    words = shlex.split(out.splitlines()[-1])
    assert words[:2] == ["edgeclf", "retrain"]
    monkeypatch.chdir(tmp_path)
    assert retrain_main(words[2:]) == 0
    assert (tmp_path / "model.tflite").exists()


def test_tune_reports_every_setting_as_json(tune):
    status, out, _ = tune(*QUICK, "--json")
    assert status == 0
    report = json.loads(out)
    tried = [(entry["solver"], entry["views"]) for entry in report["settings"]]
    assert {("discriminant", 1), ("discriminant", 2)} < set(tried)
    assert (report["best"]["solver"], report["best"]["views"]) == tried[0]
    assert (report["reference"]["solver"], report["reference"]["views"]) in tried
    assert report["is_finished"]
    assert report["num_folds"] == NUM_FOLDS


def test_tune_says_when_a_gain_is_noise(tune, tmp_path):
    """Labels drawn at random: whatever seems better is so by chance."""
    source = np.random.default_rng(0)
    for number in range(90):
        color = list(tiny.COLORS)[number % 3]
        folder = tmp_path / "nonsense" / f"class {source.integers(3)}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiny.pixels(color, number)).save(folder / f"{number}.png")
    status, out, _ = tune(
        "--solvers=discriminant,regression",
        "--views=7",
        "--no_descent",
        image_dir=tmp_path / "nonsense",
    )
    assert status == 0
    *_, verdict, line = out.splitlines()
    assert "that is noise. Keep the defaults:" in verdict or "Nothing is better" in (
        verdict
    )
    assert "--views" not in line
    assert "--solver" not in line


def test_tune_does_not_look_at_test_pictures(tune, tmp_path):
    folder = tiny.write_folder(tmp_path / "photos", 10)
    held_out = [folder / color / "000.png" for color in tiny.COLORS]
    table = tmp_path / "split.csv"
    lines = [
        f"{path.relative_to(folder).as_posix()},"
        + ("test" if path in held_out else "train")
        for path in sorted(folder.rglob("*.*"))
    ]
    table.write_text("\n".join(["file,split", *lines]) + "\n")
    reports = []
    for _ in range(2):
        _, out, _ = tune(*QUICK, f"--split_file={table}", "--json", image_dir=folder)
        reports.append(json.loads(out))
        for number, path in enumerate(held_out):
            Image.fromarray(tiny.pixels("red", 900 + number)).save(path)
    assert reports[0]["num_pictures"] == 27
    assert reports[0]["settings"] == reports[1]["settings"]


def test_tune_reads_no_picture_twice(tune, monkeypatch):
    arguments = (*QUICK, "--json")
    first = json.loads(tune(*arguments)[1])
    opened = []
    real_open = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *args, **kwargs: opened.append(1) or real_open(*args)
    )
    again = json.loads(tune(*arguments)[1])
    assert not opened
    for report in (first, again):
        del report["seconds"]
    assert first == again


def test_tune_tries_gradient_descent(tune):
    status, out, _ = tune(
        "--solvers=discriminant",
        "--views=1",
        "--learning-rates=0.3,0.000001",
        "--steps=60",
        "--json",
    )
    assert status == 0
    losses = {
        entry["learning_rate"]: entry["cross_entropy"]
        for entry in json.loads(out)["settings"]
    }
    assert losses[0.3] < losses[1e-6] == pytest.approx(math.log(3), abs=0.02)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_tune_goes_on_when_gradient_descent_runs_away(tune):
    status, out, err = tune(
        *QUICK[:1], "--views=1", "--learning_rates=1e300", "--steps=400"
    )
    assert status == 0
    assert "descent, 400 steps of 1e+300, 1 view: Gradient descent diverged" in err
    assert any("failed" in line for line in out.splitlines())
    assert "inf" not in out
    report = tune(
        *QUICK[:1], "--views=1", "--learning_rates=1e300", "--steps=400", "--json"
    )[1]
    (failed,) = [
        entry
        for entry in json.loads(report, parse_constant=pytest.fail)["settings"]
        if entry["solver"] == DESCENT
    ]
    assert failed["cross_entropy"] is None


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--solvers=magic", "expected one of "),
        ("--views=0", "Expected a positive views"),
        ("--learning_rates=-1", "Expected a positive learning_rate"),
        ("--steps=0", "Expected a positive how_many_training_steps"),
        ("--max_minutes=0", "Expected positive max_minutes. Received: 0"),
        ("--tags_csv=tags.csv", "of tags nothing is to be tuned"),
    ],
)
def test_tune_refuses_wrong_options(capsys, tmp_path, argument, message):
    with pytest.raises(SystemExit) as ended:
        main([f"--image_dir={tmp_path / 'nowhere'}", argument])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_tune_says_when_the_time_is_too_short(tune):
    status, out, err = tune(*QUICK, "--max_minutes=1e-9")
    assert (status, out) == (1, "")
    assert "Raise --max_minutes." in err


def test_search_says_each_round_what_is_left_and_best(folds, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("edgeclf.choosing.halving.LEAST_PICTURES", 4)
    reference = Setting("discriminant", 1)
    others = [Setting("prototype", 1), Setting(DESCENT, 1, 1e-6, 4)]
    search(folds, others, reference)
    first, second = (line for line in caplog.messages if line.startswith("Round "))
    assert first == "Round 1 of 2: 3 settings left, on 50% of the pictures and steps"
    assert second.startswith("Round 2 of 2: 2 settings left, on 100% of the ")
    assert "; best so far: prototype, 1 view, loss 0." in second


def test_search_halves_and_keeps_the_reference(folds):
    reference = Setting(DESCENT, 1, 1e-6, 4)  # knows nothing: the worst of all
    others = list_settings(["discriminant", "regression"], [1, 2], [], [])
    found = search(folds, others, reference)
    assert found.is_finished
    shares = {result.setting: result.share for result in found.results}
    assert set(shares) == {reference, *others}
    assert shares[reference] == 1
    assert found.best.setting != reference
    # 36 pictures of 3 classes: a quarter would be fewer than 8 of a class
    assert sorted(set(shares.values())) in ([1.0], [0.5, 1.0])


@pytest.mark.slow
def test_search_ends_in_time_with_what_it_has(folds):
    quick, reference = Setting("discriminant", 1), Setting("discriminant", 2)
    started = time.monotonic()
    search(folds, [quick], reference)
    enough = 2 * (time.monotonic() - started) + 1
    slow = [Setting(DESCENT, 1, rate / 1000, 100_000) for rate in range(1, 60)]
    found = search(folds, [quick, *slow], reference, enough)
    assert not found.is_finished
    tried = {result.setting for result in found.results}
    assert {quick, reference} <= tried
    assert len(tried) < 20


def test_folds_hold_every_picture_out_once(folds):
    rows = [folds._without(1.0, fold) for fold in range(NUM_FOLDS)]
    held_out = np.concatenate([positions for _, positions in rows])
    assert len(held_out) == len(folds) == len(set(held_out.tolist()))
    for dataset, positions in rows:
        used = np.concatenate(
            [dataset.positions("train"), dataset.positions("validation")]
        )
        assert not set(used.tolist()) & set(positions.tolist())
        assert set(dataset.classes[dataset.positions("train")]) == {0, 1, 2}
    few, _ = folds._without(0.5, 0)
    assert len(few.positions("train")) < len(rows[0][0].positions("train"))


def test_a_class_of_one_picture_is_trained_on_and_never_held_out(
    tmp_path, backbone, cache
):
    folder = tiny.write_folder(tmp_path / "p", {"blue": 10, "green": 10, "red": 1})
    config = RetrainConfig(
        image_dir=folder,
        output_graph="unused.tflite",
        architecture=backbone,
        bottleneck_dir=cache,
        testing_percentage=0,
        views=1,
    )
    folds = Folds(config)
    for fold in range(NUM_FOLDS):
        dataset, held_out = folds._without(0.25, fold)
        assert 2 not in dataset.classes[held_out]
        assert 2 in dataset.classes[dataset.positions("train")]
        for solver in ("discriminant", "regression"):
            assert math.isfinite(folds.score(Setting(solver, 1), 1.0, fold)[0])


def test_a_difference_is_noise_when_folds_disagree():
    reference = scores(0.5, 0.6, 0.4, 0.5, 0.5)
    steady = scores(0.4, 0.5, 0.3, 0.4, 0.41)
    shaky = scores(0.1, 0.9, 0.2, 0.4, 0.4)
    from edgeclf.choosing.halving import _difference

    difference, error = _difference(steady, reference)
    assert difference == pytest.approx(-0.098)
    # variance of (-0.1, -0.1, -0.1, -0.1, -0.09) is 2e-5; times 1/5 + 1/4
    assert error == pytest.approx(math.sqrt(2e-5 * 0.45))
    setting = Setting("discriminant", 1)
    assert not Result(setting, 1.0, steady, difference, error).is_noise
    assert Result(setting, 1.0, shaky, *_difference(shaky, reference)).is_noise


def test_search_without_a_finite_reference_is_a_sentence(folds):
    away = Setting(DESCENT, 1, 1e300, 400)
    with pytest.raises(EdgeclfError, match="Expected the defaults"):
        search(folds, [Setting("discriminant", 1)], away)


def test_retrain_line_quotes_and_leaves_out_defaults():
    config = RetrainConfig(
        image_dir="my photos", output_graph="x.tflite", views=4, learning_rate=0.25
    )
    line = retrain_line(config, ["views", "learning_rate", "seed", "solver"])
    assert line == (
        "edgeclf retrain --image_dir 'my photos' --output_graph model.tflite "
        "--views 4 --learning_rate 0.25"
    )


def test_retrain_line_keeps_all_digits_and_names_with_dashes():
    config = RetrainConfig(
        image_dir="-p",
        output_graph="x.tflite",
        learning_rate=0.012345678,
        input_std=30.0,
    )
    assert retrain_line(config, ["learning_rate", "input_std"]) == (
        "edgeclf retrain --image_dir=-p --output_graph model.tflite "
        "--learning_rate 0.012345678 --input_std 30"
    )


def test_tune_with_too_few_pictures_says_so(tune, tmp_path):
    folder = tiny.write_folder(tmp_path / "few", 2)
    status, out, err = tune(*QUICK, image_dir=folder)
    assert (status, out) == (1, "")
    assert "Expected enough pictures beside the test pictures" in err
