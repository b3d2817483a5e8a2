"""What a model is to know of its classes, whatever has fitted its head."""

import dataclasses

import numpy as np
import pytest
import tiny
import training_data

from edgeclf.data.splits import TEST, VALIDATION
from edgeclf.training import RetrainConfig, finetune, reject
from edgeclf.training.discriminant import HeldOut
from edgeclf.training.fit import fit_head
from edgeclf.training.head import FineTuning, LabelledBottlenecks, softmax
from edgeclf.training.known import fit_known
from edgeclf.training.moments import Moments
from edgeclf.training.shrinkage import Setting

COUNT, DEPTH = 120, 10


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture
def configure(tmp_path, photos):
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())

    def build(**changes):
        return RetrainConfig(
            photos,
            tmp_path / "model.tflite",
            architecture=backbone,
            bottleneck_dir=tmp_path / "bottlenecks",
            validation_percentage=50,
            views=1,
            **changes,
        )

    return build


@pytest.fixture
def train(configure):
    """Returns a dataset, the head for it, and how to get that head's reject rule."""

    def run(**changes):
        config = configure(**changes)
        with training_data.opened(config) as (extractor, dataset):
            fitted = fit_head(config, extractor, dataset)
        nobody = np.empty((0, tiny.DEPTH), np.float32)

        def rule_of(head):
            return fit_known(config, extractor, dataset, head, nobody).rule

        return dataset, fitted, rule_of

    return run


def surprise(logits):
    """The mean negative logarithm of the best score, as a rule keeps it."""
    return pytest.approx(-np.log(softmax(logits).max(axis=1)).mean(), rel=1e-4)


@pytest.mark.parametrize("solver", ["discriminant", "prototype", "regression"])
def test_the_rule_is_fitted_to_the_scores_of_the_head_itself(train, solver):
    _, fitted, rule_of = train(solver=solver)
    assert rule_of(fitted).mean_surprise == surprise(fitted.unseen)


def test_training_pictures_are_not_new_to_gradient_descent(train):
    dataset, fitted, rule_of = train(how_many_training_steps=20)
    new = dataset.subset(VALIDATION)
    assert len(new) >= reject.MIN_PICTURES
    found = rule_of(fitted).mean_surprise
    assert found == surprise(new.logits(fitted.head))
    assert found != surprise(fitted.head.logits(dataset.bottlenecks))


@pytest.mark.parametrize("kept", [True, False])
def test_training_pictures_are_not_new_to_a_fine_tuned_backbone(train, kept):
    dataset, fitted, rule_of = train(solver="discriminant")
    tuning = FineTuning(kept, 0.5, 1, {}, {}, "", "", ())
    used = dataset.splits[dataset.splits != TEST]
    expected = fitted.unseen[used == VALIDATION] if kept else fitted.unseen
    rule = rule_of(dataclasses.replace(fitted, fine_tuning=tuning))
    assert rule.mean_surprise == surprise(expected)
    assert (rule != rule_of(fitted)) == kept


@pytest.mark.parametrize(("num_new", "is_heeded"), [(60, True), (5, False)])
def test_only_new_pictures_fit_the_rule_if_they_are_enough(num_new, is_heeded):
    source = np.random.default_rng(0)
    classes = np.arange(COUNT) % 2
    points = source.normal(0, 1, (COUNT, DEPTH)) + 3 * classes[:, np.newaxis]
    is_new = np.arange(COUNT) < num_new
    points[~is_new] *= 0.5
    points = points.astype(np.float32)
    folds = np.arange(COUNT) // 2 % 4
    held_out = HeldOut(
        Moments.of(points, classes, folds, 4, 2),
        LabelledBottlenecks(points, classes),
        folds,
        Setting(0.4, 0.0),
    )
    unseen = source.normal(0, 3, (COUNT, 2)).astype(np.float32)
    rules = [
        reject.fit(held_out, unseen, (DEPTH,), None, some).rule
        for some in (None, is_new)
    ]
    assert (rules[0] != rules[1]) == is_heeded


def test_softened_scores_are_softer_for_unseen_pictures_too(configure):
    """Half of the validation pictures are mixed up, which no training picture tells."""
    config = configure(solver="discriminant")
    with training_data.opened(config) as (extractor, dataset):
        mixed = dataset.positions(VALIDATION)[::2]
        classes = dataset.classes.copy()
        classes[mixed] = (classes[mixed] + 1) % len(dataset.labels)
        dataset = dataclasses.replace(dataset, classes=classes)
        tuned = fit_head(config, extractor, dataset)
        best = finetune._Trial(0.5, extractor, dataset, 1.0)
        softened = finetune._softened(config, best, tuned)
    factor = np.float32(finetune.LEAST_FACTOR)
    np.testing.assert_allclose(softened.head.weights, tuned.head.weights * factor)
    np.testing.assert_allclose(softened.head.bias, tuned.head.bias * factor)
    np.testing.assert_allclose(softened.unseen, tuned.unseen * factor)
    assert softened.temperature == pytest.approx(tuned.temperature / factor)
