"""Heads of tags: what is solved, what is chosen, and what few pictures make of it."""

import dataclasses
import logging

import numpy as np
import pytest
import tag_data
import tiny

from edgeclf.training import RetrainConfig
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.tag_calibration import common_scale, scales_and_shifts
from edgeclf.training.tag_dataset import load_tags
from edgeclf.training.tag_head import fit_tags
from edgeclf.training.tag_regression import cross_entropies, sigmoid, solve
from edgeclf.training.tag_space import Pictures
from edgeclf.training.tag_trials import TagTrials

DEPTH = 12


def tagged(count, seed, scale=2.0):
    """Bottlenecks, and three tags that depend on some of their numbers by chance."""
    source = np.random.default_rng(seed)
    points = source.normal(size=(count, DEPTH))
    weights = np.zeros((3, DEPTH))
    weights[0, :3], weights[1, 2:6], weights[2, 6] = 1.0, (1, -1, 1, -1), 2.0
    logits = scale * points @ weights.T - (0.0, 1.0, 4.0)
    targets = source.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return points.astype(np.float32), targets, logits


def everything(points, changes=None, widths=(DEPTH,)):
    return Pictures(points, np.arange(len(points)), widths, changes)


def bce(logits, targets):
    return np.mean(np.logaddexp(0, np.where(targets, -logits, logits)))


@pytest.mark.parametrize("count", [DEPTH - 2, 80])
def test_a_space_turns_points_and_heads_alike(count):
    points, _, _ = tagged(count, 0)
    changes = np.diag(np.arange(1.0, DEPTH + 1)).astype(np.float32)
    space = everything(points, changes, (4, 8)).space(1.0)
    weights = np.random.default_rng(1).normal(size=(3, space.points.shape[1]))
    head = space.head(weights, np.array([0.5, 0.0, -1.0]))
    expected = space.points @ weights.T + (0.5, 0.0, -1.0)
    np.testing.assert_allclose(head.logits(points), expected, atol=1e-4)
    gram = space.points.T @ space.points
    np.testing.assert_allclose(gram, np.diag(space.spreads), atol=1e-3 * gram.max())


def test_a_direction_that_views_change_is_a_long_way_to_go():
    points, _, _ = tagged(80, 0)
    changes = np.zeros((DEPTH, DEPTH), np.float32)
    changes[2, 2] = 5.0
    pictures = everything(points, changes)
    plain, wary = (
        pictures.space(emphasis).basis @ pictures.space(emphasis).basis.T
        for emphasis in (0.0, 1.0)
    )
    # The same step along the third number is shorter by 1 + depth: it has all changes.
    assert plain[2, 2] / wary[2, 2] == pytest.approx(1 + DEPTH, rel=1e-4)
    assert plain[3, 3] / wary[3, 3] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("count", [DEPTH - 2, 90])
def test_the_result_is_the_minimum_of_the_stated_loss(count):
    """The gradient, derived here anew, vanishes: with few pictures and with many."""
    points, targets, _ = tagged(count, 1)
    strength = 0.5
    space = everything(points).space(0.0)
    solution = solve(space, targets, strength)
    head = space.head(solution.weights, solution.bias)
    errors = 1 / (1 + np.exp(-head.logits(points).astype(np.float64))) - targets
    centred = points - points.mean(axis=0, dtype=np.float64)
    size = points.var(axis=0, dtype=np.float64).sum()
    slopes = errors.T @ centred + strength * size * head.weights
    start = np.abs((0.5 - targets).T @ centred).max()
    assert np.abs(slopes).max() < 0.01 * start
    of_mean = 1 / (1 + np.exp(-solution.bias)) - 0.5
    assert np.abs(errors.sum(axis=0) + of_mean).max() < 0.01 * count


def test_parts_are_fitted_as_if_there_were_no_others():
    points, targets, _ = tagged(90, 2)
    space = everything(points).space(0.0)
    some = solve(space, targets, 1.0, [slice(0, 20), slice(50, None)])
    rest = dataclasses.replace(
        space, points=np.delete(space.points, np.s_[20:50], axis=0)
    )
    same = solve(rest, np.delete(targets, np.s_[20:50], axis=0), 1.0)
    np.testing.assert_allclose(some.weights, same.weights, atol=1e-3)
    np.testing.assert_allclose(some.bias, same.bias, atol=1e-3)


def test_functions_are_exact_and_do_not_overflow():
    logits = np.array([[-1e4, -2.0], [0.0, 1e4]])
    targets = np.array([[False, True], [True, False]])
    np.testing.assert_allclose(sigmoid(logits), [[0, 1 / (1 + np.e**2)], [0.5, 1]])
    expected = [[0, np.log(1 + np.e**2)], [np.log(2), 1e4]]
    np.testing.assert_allclose(cross_entropies(logits, targets), expected)
    assert sigmoid(np.float32([3.0])).dtype == np.float32


def test_a_common_scale_undoes_one():
    _, targets, logits = tagged(4000, 3)
    assert common_scale(3 * logits, targets) == pytest.approx(1 / 3, rel=0.1)
    assert common_scale(logits / 3, targets) == pytest.approx(3, rel=0.1)


def test_no_error_is_no_reason_for_boundless_confidence():
    logits = np.array([[2.0], [-2.0], [1.5], [-3.0]])
    scores = sigmoid(logits * common_scale(logits, logits > 0))
    assert np.maximum(scores, 1 - scores).mean() == pytest.approx(4 / 5, abs=0.001)


def test_scales_and_shifts_undo_those_of_each_tag():
    _, targets, logits = tagged(4000, 4)
    moved = logits * (0.5, 1.0, 2.0) + (0.0, 1.0, 0.0)
    scales, shifts = scales_and_shifts(moved, targets)
    np.testing.assert_allclose(scales, [2.0, 1.0, 0.5], rtol=0.15)
    np.testing.assert_allclose(shifts, [0.0, -1.0, 0.0], atol=0.3)


def test_few_pictures_leave_a_tag_as_it_is():
    _, targets, logits = tagged(4, 5)
    scales, shifts = scales_and_shifts(logits, targets)
    np.testing.assert_allclose(scales, 1.0, atol=0.6)
    np.testing.assert_allclose(shifts, 0.0, atol=0.3)


def test_a_tag_takes_settings_of_its_own_where_they_are_clearly_better():
    """One tag is what views change, another is drowned in what they change."""
    source = np.random.default_rng(6)
    count = 400
    points = source.normal(size=(count, DEPTH)).astype(np.float32)
    light, shown = points[:, 0] > 0, points[:, 1] > 0
    points[:, 1] *= 0.15
    points[:, 2:] *= 2.0  # noise of which views make more
    changes = np.diag([400.0, 0.0, *[30.0] * (DEPTH - 2)]).astype(np.float32)
    targets = np.stack([light, shown], axis=1)
    folds = np.arange(count) * 5 // count
    trials = TagTrials(everything(points, changes), targets, folds)
    best = trials.search()
    chosen = trials.best_by_tag(best)
    assert chosen[0].setting.emphasis < chosen[1].setting.emphasis
    of_own = np.stack([chosen[0].logits[:, 0], chosen[1].logits[:, 1]], axis=1)
    assert bce(of_own.astype(float), targets) < bce(best.logits.astype(float), targets)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("heads")
    rows = tag_data.write_pictures(home / "pictures", 84)
    tag_data.write_table(home / "tags.csv", rows)
    (home / "tiny.tflite").write_bytes(tiny.backbone_file())
    return home


@pytest.fixture
def fit(home):
    def run(change=None, **settings):
        config = RetrainConfig(
            tags_csv=home / "tags.csv",
            image_dir=home / "pictures",
            architecture=home / "tiny.tflite",
            bottleneck_dir=home / "bottlenecks",
            output_graph=home / "unused.tflite",
            **{"views": 1, "testing_percentage": 25, **settings},
        )
        with BottleneckCache(config.bottleneck_dir) as cache:
            extractor = BottleneckExtractor(
                backbone_of(config), cache, resize=config.resize
            )
            dataset = load_tags(config, config.tag_source.read(), {}, extractor)
            if change is not None:
                targets, labels = change(dataset)
                dataset = dataclasses.replace(dataset, targets=targets, labels=labels)
            return fit_tags(config, extractor, dataset), dataset

    return run


def test_tags_are_found_on_pictures_that_no_head_has_seen(fit):
    fitted, dataset = fit(views=3)
    test = dataset.positions("test")
    scores = sigmoid(fitted.head.logits(dataset.bottlenecks[test]))
    right = (scores >= fitted.thresholds) == dataset.targets[test]
    assert right.mean() > 0.9
    assert fitted.solver == "regression"
    assert {entry["emphasis"] for entry in fitted.candidates} > {0.1, 1.0}
    used = np.flatnonzero(dataset.splits != "test")
    assert fitted.unseen.shape == (len(used), 3)
    seen = fitted.head.logits(dataset.bottlenecks[used])
    # Heads of other folds say nearly the same, picture by picture.
    assert np.corrcoef(fitted.unseen.ravel(), seen.ravel())[0, 1] > 0.9


def test_the_same_pictures_give_the_same_head(fit):
    first, second = fit(views=2)[0], fit(views=2)[0]
    assert first.head.weights.tobytes() == second.head.weights.tobytes()
    assert first.head.bias.tobytes() == second.head.bias.tobytes()
    assert first.thresholds.tobytes() == second.thresholds.tobytes()


def test_tags_that_all_some_or_hardly_any_pictures_have_stay_sensible(fit):
    def change(dataset):
        train = dataset.positions("train")
        rare = np.zeros((len(dataset.targets), 2), np.bool_)
        rare[train[0], 0] = rare[train[[1, 7, 11]], 1] = True
        always = np.ones((len(dataset.targets), 1), np.bool_)
        twin = dataset.targets[:, :1]
        parts = [dataset.targets, rare, always, twin]
        return np.concatenate(parts, axis=1), (*dataset.labels, *"rsat")

    fitted, dataset = fit(change)
    for values in (fitted.head.weights, fitted.head.bias, fitted.unseen):
        assert np.isfinite(values).all()
    assert ((fitted.thresholds > 0) & (fitted.thresholds < 1)).all()
    scores = sigmoid(fitted.head.logits(dataset.bottlenecks))
    given = scores >= fitted.thresholds
    assert given[:, 5].all()  # the tag that every picture has
    assert given[:, 3:5].mean() < 0.3  # and the rare ones
    np.testing.assert_allclose(scores[:, 0], scores[:, 6], atol=1e-3)  # of twins
    # The others are learned as well as without these.
    test = dataset.positions("test")
    assert (given == dataset.targets)[test, :3].mean() > 0.9


def test_balanced_tags_score_one_half_where_they_are_as_likely_as_not(fit):
    plain, dataset = fit()
    balanced, _ = fit(class_weights="balanced")
    counts = dataset.targets[dataset.splits != "test"].sum(axis=0)
    total = (dataset.splits != "test").sum()
    odds = np.log((counts + 0.5) / (total - counts + 0.5))
    moved = plain.unseen - balanced.unseen
    np.testing.assert_allclose(moved, np.tile(odds, (total, 1)), atol=1e-4)
    assert (plain.class_weights, balanced.class_weights) == ("none", "balanced")


def test_settings_of_gradient_descent_are_said_to_be_without_effect(fit, caplog):
    with caplog.at_level(logging.WARNING, logger="edgeclf"):
        fit(train_batch_size=7)
    assert "Without effect: --train_batch_size." in caplog.text
