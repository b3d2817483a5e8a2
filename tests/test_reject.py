"""Unknown: the rule, how it is fitted, and what a file does with it."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import model_files as models
import numpy as np
import pytest
import tiny
from PIL import Image
from scipy.stats import norm

from edgeclf import Category, Classifier, DatasetError, Embedder, ModelError
from edgeclf.familiarity import RejectRule, log_tail
from edgeclf.label_image import main
from edgeclf.metadata import read_model_info
from edgeclf.statistics import (
    STATISTICS_NAME,
    Distances,
    Statistics,
    read_statistics,
)
from edgeclf.tflite.attached_files import AttachedFiles, packed_files
from edgeclf.training import RetrainConfig, reject, retrain
from edgeclf.training.command import main as retrain_command
from edgeclf.training.covariance import Covariance, main_factors
from edgeclf.training.moments import Moments
from edgeclf.training.shrinkage import Setting, shrunk_covariance
from edgeclf.training.write_metadata import with_statistics

RULE = RejectRule(0.5, 0.95, 0.1, 30.0, 5.0, 0.5, 6.0)


def strange(seed: int) -> np.ndarray:
    """A picture such as no class has, uint8 (30, 40, 3): white, yellow or magenta."""
    color = [(255, 255, 255), (255, 255, 0), (255, 0, 255)][seed % 3]
    noise = np.random.default_rng(seed).normal(0, 9, (30, 40, 3))
    return np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "deep.tflite"
    path.write_bytes(tiny.deep_backbone_file())
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 20)


def configure(photos: Path, backbone: Path, folder: Path, **changes: object):
    settings = {
        "image_dir": photos,
        "output_graph": folder / "model.tflite",
        "architecture": str(backbone),
        "bottleneck_dir": folder / "bottlenecks",
        "views": 2,
        **changes,
    }
    return RetrainConfig(**settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(photos: Path, backbone: Path, tmp_path_factory: pytest.TempPathFactory):
    return retrain(configure(photos, backbone, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def model(trained) -> Path:
    return trained.model_path


@pytest.mark.parametrize("sigmas", [-40.0, -3.0, 0.0, 2.5, 9.99, 10.0, 40.0, 1e30])
def test_log_tail_is_that_of_the_normal_distribution(sigmas: float) -> None:
    assert log_tail(sigmas) == pytest.approx(norm.logsf(sigmas), rel=5e-4, abs=1e-12)


def test_unfamiliarity_rises_with_distance_and_falls_with_the_score() -> None:
    values = [RULE.unfamiliarity(0.9, distance) for distance in (10, 30, 40, 99, 1e9)]
    assert values == sorted(set(values))
    values = [RULE.unfamiliarity(score, 30.0) for score in (1.0, 0.9, 0.4, 0.01)]
    assert values == sorted(set(values))
    # By hand: half of ln(1 - ln(0.9) / 0.1), and -ln(1/2) at the mean distance.
    assert RULE.unfamiliarity(0.9, 30.0) == pytest.approx(0.35970 + 0.69315, abs=1e-4)
    assert RULE.unfamiliarity(0.0, math.inf) == math.inf


def test_auroc_counts_pairs() -> None:
    source = np.random.default_rng(0)
    known = source.integers(0, 9, 50).astype(float)
    unknown = source.integers(3, 12, 40).astype(float)
    pairs = [(b > a) + (a == b) / 2 for a in known for b in unknown]
    assert reject.auroc(known, unknown) == pytest.approx(np.mean(pairs))


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    return np.exp(-source.exponential(0.1, count)), source.normal(30, 4, count)


def test_rule_keeps_the_share_of_new_pictures_that_is_asked_for() -> None:
    rule = reject.fit_rule(*draw(3000, 0), coverage=0.9)
    values = reject.unfamiliarity(rule, *draw(3000, 1))
    assert np.mean(values <= rule.max_unfamiliarity) == pytest.approx(0.9, abs=0.02)
    scores, _ = draw(3000, 1)
    assert np.mean(scores >= rule.min_score) == pytest.approx(0.9, abs=0.02)
    assert rule.coverage == 0.9


def test_few_pictures_are_all_kept() -> None:
    scores, distances = draw(10, 0)
    rule = reject.fit_rule(scores, distances)
    values = reject.unfamiliarity(rule, scores, distances)
    assert values.max() == rule.max_unfamiliarity


def test_background_adds_a_third_oddness() -> None:
    scores, distances = draw(3000, 0)
    source = np.random.default_rng(2)
    rule = reject.fit_rule(scores, distances, source.normal(-50, 10, 3000))
    new = reject.unfamiliarity(rule, *draw(3000, 1), source.normal(-50, 10, 3000))
    assert np.mean(new <= rule.max_unfamiliarity) == pytest.approx(0.95, abs=0.02)
    near = reject.unfamiliarity(rule, *draw(500, 3), source.normal(20, 10, 500))
    assert np.mean(near > rule.max_unfamiliarity) > 0.99
    assert set(rule.entry()) == set(RejectRule._fields[:-1])
    assert set(reject.fit_rule(scores, distances).entry()) == set(
        RejectRule._fields[:-3]
    )


def test_equal_pictures_have_a_rule_too() -> None:
    rule = reject.fit_rule(np.ones(30), np.zeros(30))
    assert all(map(math.isfinite, rule.entry().values()))
    assert rule.mean_surprise > 0
    assert rule.distance_spread > 0
    assert rule.unfamiliarity(1.0, 0.0) <= rule.max_unfamiliarity


def covariance_of(matrix: np.ndarray, units: np.ndarray) -> Covariance:
    empty = np.zeros((0, len(matrix)))
    return Covariance(empty, np.zeros(0), np.diag(matrix), units, matrix.__matmul__)


def test_main_factors_find_factors_that_are_there() -> None:
    source = np.random.default_rng(0)
    units = np.where(np.arange(60) < 30, 1e-4, 10.0)
    factors = source.normal(0, 0.7, (4, 60)) * np.sqrt(units)
    matrix = np.diag(units) + factors.T @ factors
    variances, found, near = main_factors(covariance_of(matrix, units), 4)
    rebuilt = np.diag(variances) + found.T @ found
    scale = np.sqrt(np.outer(units, units))
    np.testing.assert_allclose(rebuilt / scale, matrix / scale, atol=0.02)
    np.testing.assert_allclose(np.diag(rebuilt), np.diag(matrix), rtol=1e-9)
    again, *_ = main_factors(covariance_of(matrix * 1.01, units), 4, near)
    np.testing.assert_allclose(again, variances * 1.01, rtol=0.01)


def test_main_factors_of_any_matrix_leave_variances() -> None:
    source = np.random.default_rng(1)
    for depth, samples in ((2, 1), (5, 2), (30, 3), (30, 300)):
        rows = source.normal(size=(samples, depth)) * source.uniform(0, 9, depth)
        matrix = rows.T @ rows / samples + 1e-3 * np.eye(depth)
        variances, factors, _ = main_factors(covariance_of(matrix, np.ones(depth)))
        assert (variances > 0).all()
        assert factors.shape == (min(24, depth - 1), depth)
        total = variances + np.square(factors).sum(axis=0)
        np.testing.assert_allclose(total, np.diag(matrix), rtol=1e-9)


@pytest.mark.parametrize("count", [30, 300])  # fewer than numbers in one, and more
def test_shrunk_covariance_is_that_of_the_other_folds(count: int) -> None:
    source = np.random.default_rng(0)
    points = source.normal(2, 1, (count, 50)).astype(np.float32)
    classes, folds = np.arange(count) % 3, np.arange(count) // 3 % 4
    moments = Moments(4, 3, 50)
    for fold in range(4):
        rows = folds == fold
        moments.add(points[rows], classes[rows], folds[rows])
    result = shrunk_covariance(moments, (50,), Setting(0.3, 0.0), 2)
    kept = folds != 2
    wide, own = points[kept].astype(float), classes[kept]
    means = np.array([wide[own == label].mean(axis=0) for label in range(3)])
    within = (wide - means[own]).T @ (wide - means[own]) / len(wide)
    expected = 0.7 * within + 0.3 * np.mean(np.diag(within)) * np.eye(50)
    np.testing.assert_allclose(result.times(np.eye(50)), expected, atol=1e-6)
    np.testing.assert_allclose(result.diagonal, np.diag(expected), atol=1e-6)
    np.testing.assert_allclose(result.means, means, atol=1e-6)
    np.testing.assert_array_equal(result.counts, np.bincount(own))


def test_known_pictures_keep_their_label_and_strangers_are_unknown(model: Path) -> None:
    with Classifier(model) as classifier:
        answers = [
            classifier.classify(tiny.pixels(color, seed), reject=True)[0].label == color
            for color in tiny.COLORS
            for seed in range(100, 120)  # pictures that training never saw
        ]
        assert np.mean(answers) >= 0.85
        for seed in range(10):
            best = float(classifier.scores(strange(seed)).max())
            answer = classifier.classify(strange(seed), reject=True, top_k=2)
            assert answer == [Category(None, "unknown", best)]
            assert classifier.classify(strange(seed))[0].label in tiny.COLORS


def test_examination_is_what_embedder_and_statistics_say(trained) -> None:
    content = trained.model_path.read_bytes()
    statistics = read_statistics(content)
    assert statistics is not None
    entry = read_model_info(content).record["reject"]
    tested = [entry["num_test"] for entry in trained.metrics["test"]["per_class"]]
    assert list(statistics.counts) == [20 - count for count in tested]
    with Classifier(content) as classifier, Embedder(content) as embedder:
        for picture in (tiny.pixels("red", 3), strange(0)):
            scores = classifier.scores(picture)
            vector = embedder.embed(picture)
            distance = float(Distances(statistics).nearest(vector[np.newaxis])[0][0])
            value = RejectRule(**entry).unfamiliarity(float(scores.max()), distance)
            examined = classifier.examine(picture)
            np.testing.assert_array_equal(examined.scores, scores)
            np.testing.assert_array_equal(classifier.scores(picture), scores)
            assert examined.distance == pytest.approx(distance)
            assert examined.unfamiliarity == pytest.approx(value)
            assert examined.is_unknown == (value > entry["max_unfamiliarity"])
        region = classifier.examine(picture, region=(0.0, 0.0, 0.5, 0.5), rotation=90)
        np.testing.assert_array_equal(
            region.scores,
            classifier.scores(picture, region=(0.0, 0.0, 0.5, 0.5), rotation=90),
        )


def test_categories_reject_by_the_score_alone(model: Path) -> None:
    with Classifier(model) as classifier:
        least = classifier.info.record["reject"]["min_score"]
        scores = np.array([least, 0.0, 0.0], np.float32)
        assert len(classifier.categories(scores * 1.01, reject=True)) == 3
        (unknown,) = classifier.categories(scores * 0.99, reject=True)
        assert unknown.label == "unknown"


def test_threads_share_a_classifier_that_begins_to_reject(model: Path) -> None:
    pictures = [tiny.pixels("red", 1), strange(1), tiny.pixels("blue", 2)] * 6
    with Classifier(model) as one, Classifier(model) as shared:
        expected = [one.classify(picture, reject=True) for picture in pictures]
        plain = [one.classify(picture) for picture in pictures]
        with ThreadPoolExecutor(6) as executor:
            both = executor.map(
                lambda picture: (
                    shared.classify(picture),
                    shared.classify(picture, reject=True),
                ),
                pictures,
            )
            assert list(both) == list(zip(plain, expected, strict=True))


def test_closed_classifier_stays_closed(model: Path) -> None:
    classifier = Classifier(model)
    classifier.close()
    with pytest.raises(ValueError, match="This model is closed"):
        classifier.classify(strange(0), reject=True)
    with Classifier(model) as classifier:
        classifier.examine(strange(0))
    with pytest.raises(ValueError, match="This model is closed"):
        classifier.examine(strange(0))


def test_file_without_distances_cannot_be_examined() -> None:
    content = models.own(entry=models.record(reject={"min_score": 0.2}))
    classifier = Classifier(content)
    assert not classifier.has_reject_rule
    with pytest.raises(ValueError, match="reject rule that knows distances"):
        classifier.examine(strange(0))


def spread(classes: int = 3, depth: int = 3) -> Statistics:
    return Statistics(
        np.zeros((classes, depth), np.float32),
        np.ones(classes, np.float32),
        np.ones(depth, np.float32),
        np.zeros((0, depth), np.float32),
    )


def ruled(statistics: Statistics | None, **changes: object) -> bytes:
    content = models.own(entry=models.record(reject=RULE.entry(), **changes))
    return content if statistics is None else with_statistics(content, statistics)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (ruled(None), r"Expected statistics of 3 classes.*Received: none\. Copy"),
        (ruled(spread(2)), r"Expected statistics of 3 classes.*Received: 2\."),
        (ruled(spread(3, 5)), r"Expected a bottleneck of 5 numbers.*Received: one of"),
        (ruled(spread(), bottleneck=None), "to name the bottleneck. Received: none"),
        (ruled(spread(), bottleneck="x"), "Expected a tensor named x"),
        (
            with_statistics(
                models.own(
                    entry=models.record(
                        reject=RULE._replace(mean_lean=0.0, lean_spread=1.0).entry()
                    )
                ),
                spread(),
            ),
            "Expected statistics of the background in the model",
        ),
    ],
)
def test_rules_without_what_they_need_are_refused(
    content: bytes, sentence: str
) -> None:
    classifier = Classifier(content)
    assert len(classifier.classify(strange(0))) == 3  # of no concern without reject
    for _ in range(2):
        with pytest.raises(ModelError, match=f"the model: .*{sentence}"):
            classifier.classify(strange(0), reject=True)


def test_multi_label_models_know_no_distance() -> None:
    content = ruled(spread(), multi_label=True, thresholds=[0.0, 0.0, 0.0])
    classifier = Classifier(content)
    assert not classifier.has_reject_rule
    best = float(classifier.scores(strange(0)).max())
    answer = classifier.classify(strange(0), reject=True)
    assert (answer[0].label == "unknown") == (best < RULE.min_score)


def test_metrics_say_what_the_rule_does_to_test_pictures(trained, photos: Path) -> None:
    metrics = trained.metrics
    table = trained.split_path.read_text().splitlines()
    tested = [line.rpartition(",")[0] for line in table if line.endswith(",test")]
    with Classifier(trained.model_path) as classifier:
        answers = [classifier.classify(photos / name, reject=True) for name in tested]
    kept = [
        answer[0].label == name.split("/")[0]
        for name, answer in zip(tested, answers, strict=True)
        if answer[0].label != "unknown"
    ]
    assert metrics["reject"] == {
        "coverage": pytest.approx(len(kept) / len(tested)),
        "accuracy": pytest.approx(np.mean(kept)),
        "background_rejected": None,
        "num_background_measured": 0,
    }
    assert metrics["num_background"] == 0


@pytest.mark.parametrize(
    "changes",
    [{"solver": "regression"}, {"how_many_training_steps": 30}, {"quantize": "none"}],
)
def test_every_solver_has_a_rule(
    photos: Path, backbone: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    result = retrain(configure(photos, backbone, tmp_path, **changes))
    assert result.metrics["reject"]["coverage"] >= 0.5
    with Classifier(result.model_path) as classifier:
        assert classifier.classify(strange(0), reject=True)[0].label == "unknown"


def test_pictures_that_are_nearly_alike_are_known_to_the_int8_file(
    tmp_path: Path, backbone: Path
) -> None:
    """As of a camera that stands still: int8 adds more noise than there is."""
    source = np.random.default_rng(0)
    for color in tiny.COLORS:
        still = tiny.pixels(color, 0)
        (tmp_path / "photos" / color).mkdir(parents=True)
        for number in range(20):
            pixels = still.copy()
            pixels[tuple(source.integers(0, 30, (2, 20)))] ^= 1
            path = tmp_path / "photos" / color / f"{number}.png"
            Image.fromarray(pixels).save(path)
    for limit in (1.0, None):
        config = configure(
            tmp_path / "photos", backbone, tmp_path, views=1, max_int8_drop=limit
        )
        assert retrain(config).metrics["reject"]["coverage"] >= 0.8


def test_a_class_folder_named_unknown_is_warned_of(
    backbone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = tiny.write_folder(tmp_path / "photos", 4)
    (photos / "red").rename(photos / "unknown")
    retrain(configure(photos, backbone, tmp_path))
    assert caplog.text.count("named unknown cannot be told from a rejection") == 1


def test_noise_of_the_file_widens_the_rule() -> None:
    source = np.random.default_rng(0)
    statistics = spread(3, 50)._replace(background=np.full(50, 3.0, np.float32))
    rule = RULE._replace(mean_lean=-5.0, lean_spread=2.0)
    known = reject.Known(statistics, rule)
    floating = source.normal(0, 0.1, (400, 50)).astype(np.float32)
    noisy = floating + source.normal(0, 0.5, (400, 50)).astype(np.float32)
    wide = reject.as_measured(known, (floating, noisy)).rule
    assert wide is not None
    lengths = [np.linalg.norm(points, axis=1) for points in (noisy, floating)]
    shift = lengths[0] - lengths[1]
    assert wide.mean_distance == pytest.approx(30 + shift.mean(), rel=1e-3)
    assert wide.distance_spread**2 == pytest.approx(25 + shift.var(), rel=1e-3)
    assert wide.lean_spread is not None
    assert wide.lean_spread > 2
    assert reject.as_measured(known, None) == known
    assert reject.as_measured(known, (floating[:0], noisy[:0])) == known


def test_few_pictures_have_statistics_and_no_rule(
    backbone: Path, tmp_path: Path
) -> None:
    photos = tiny.write_folder(tmp_path / "photos", 4)
    result = retrain(configure(photos, backbone, tmp_path))
    content = result.model_path.read_bytes()
    assert read_model_info(content).record["reject"] is None
    assert result.metrics["reject"] is None
    assert read_statistics(content) is not None
    answer = Classifier(content).classify(strange(0), reject=True)
    assert answer[0].label in tiny.COLORS


def write_background(photos: Path, count: int) -> None:
    folder = photos / "_background"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(count):
        place = folder / ("deeper" if seed % 3 else "")
        Image.fromarray(strange(seed)).save(place / f"{seed}.png")


def test_background_is_no_class_and_trains_no_head(
    backbone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = tiny.write_folder(tmp_path / "photos", 12)
    plain = retrain(configure(photos, backbone, tmp_path))
    content = plain.model_path.read_bytes()
    write_background(photos, 9)
    Image.fromarray(tiny.pixels("red", 0)).save(photos / "_background" / "known.png")
    (photos / "_background" / "broken.png").write_bytes(b"no picture")
    caplog.set_level("INFO", "edgeclf")
    result = retrain(configure(photos, backbone, tmp_path))
    metrics = result.metrics
    assert metrics["labels"] == ["blue", "green", "red"]
    assert metrics["num_background"] == 9
    assert metrics["reject"]["num_background_measured"] == 4
    assert metrics["reject"]["background_rejected"] == 1.0
    for name in ("num_train", "num_validation", "num_test", "accuracy"):
        assert metrics[name] == plain.metrics[name]
    assert (
        "9 pictures of no class: 5 to fit the rule for unknown, 4 to meas"
        in caplog.text
    )
    assert "known.png: it stands in a class too" in caplog.text
    assert "broken.png: " in caplog.text
    with Classifier(result.model_path) as classifier:
        assert "mean_lean" in classifier.info.record["reject"]
        assert classifier.examine(strange(50)).is_unknown
        assert not classifier.examine(photos / "blue" / "000.png").is_unknown
    ours = result.model_path.read_bytes()
    size = AttachedFiles(content).flatbuffer_size()
    assert ours[:size] == content[:size]  # the same network
    assert "_background" not in result.split_path.read_text()


def test_background_does_not_make_a_dataset(backbone: Path, tmp_path: Path) -> None:
    photos = tiny.write_folder(tmp_path / "photos", {"red": 12})
    write_background(photos, 3)
    with pytest.raises(DatasetError, match=r"at least two class folders.*one: red"):
        retrain(configure(photos, backbone, tmp_path))


def test_model_is_not_written_over_a_background_picture(
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tiny.write_folder(tmp_path / "photos", 6)
    write_background(photos, 1)
    picture = photos / "_background" / "0.png"
    before = picture.read_bytes()
    arguments = [f"--image_dir={photos}", f"--architecture={backbone}"]
    arguments += [f"--output_graph={picture}", f"--bottleneck_dir={tmp_path / 'b'}"]
    assert retrain_command(arguments) == 1
    assert "another path to write than a picture's" in capsys.readouterr().err
    assert picture.read_bytes() == before


def test_label_image_says_unknown_with_one_and_several_workers(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.png")
        known = tiny.pixels("green", 100 + number)
        Image.fromarray(strange(number) if number % 2 else known).save(paths[-1])
    outputs = []
    for workers in ("1", "3"):
        arguments = ["--model", str(model), "--reject", "--json", "--workers", workers]
        assert main([*arguments, "--image", *map(str, paths)]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        outputs.append(captured.out)
    assert outputs[0] == outputs[1]
    for number, line in enumerate(outputs[0].splitlines()):
        categories = json.loads(line)["categories"]
        if number % 2:
            assert [entry["label"] for entry in categories] == ["unknown"]
            assert categories[0]["index"] is None
        else:
            assert categories[0]["label"] == "green"


def test_label_image_refuses_a_damaged_rule_before_any_picture(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = model.read_bytes()
    attached = AttachedFiles(content)
    parts = {name: attached.read(name) for name in attached.names}
    parts[STATISTICS_NAME] = b"nothing of use"
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(content[: attached.flatbuffer_size()] + packed_files(parts))
    picture = tmp_path / "0.png"
    Image.fromarray(tiny.pixels("green", 100)).save(picture)
    arguments = ["--model", str(broken), "--image", str(picture)]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--reject", "--workers", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("error: ") == 1
    assert captured.err.startswith(f"error: {broken}: The attached file")


def test_retrain_says_what_reject_would_keep(
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tiny.write_folder(tmp_path / "photos", 10)
    write_background(photos, 4)
    arguments = [f"--image_dir={photos}", f"--architecture={backbone}", "--views=1"]
    arguments += [f"--output_graph={tmp_path / 'm.tflite'}"]
    arguments += [f"--bottleneck_dir={tmp_path / 'b'}"]
    assert retrain_command(arguments) == 0
    assert re.search(
        r"\nWith --reject it keeps \d+\.\d% of these pictures, of which \d+\.\d% are "
        r"right, and rejects \d+\.\d% of 2 pictures of no class\n",
        capsys.readouterr().out,
    )
