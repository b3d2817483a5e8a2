"""What a model is to know of its classes, whatever has fitted its head."""

import dataclasses
import importlib

import numpy as np
import pytest
import tiny

from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training import RetrainConfig, finetune, known, reject, retrain
from edgeclf.training.discriminant import HeldOut
from edgeclf.training.head import FineTuning, FittedHead, Head, LabelledBottlenecks
from edgeclf.training.moments import Moments
from edgeclf.training.shrinkage import Setting

COUNT, DEPTH = 120, 10


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture
def train(tmp_path, photos, monkeypatch):
    """Trains, and returns the head and what its reject rule was fitted to."""
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    fit, fit_known, seen = reject.fit, known.fit_known, {}

    def spy_on_rule(held_out, unseen, widths, background, is_new):
        seen.update(held_out=held_out, unseen=unseen, is_new=is_new)
        return fit(held_out, unseen, widths, background, is_new)

    def spy_on_head(config, extractor, dataset, fitted, background):
        tuning = FineTuning(seen.pop("tuned"), 0.5, 1, {}, {}, "", "", ())
        fitted = dataclasses.replace(fitted, fine_tuning=tuning)
        seen.update(fitted=fitted, dataset=dataset)
        return fit_known(config, extractor, dataset, fitted, background)

    monkeypatch.setattr(reject, "fit", spy_on_rule)
    module = importlib.import_module("edgeclf.training.retrain")
    monkeypatch.setattr(module, "fit_known", spy_on_head)

    def run(*, tuned=False, **changes):
        seen["tuned"] = tuned
        config = RetrainConfig(
            photos,
            tmp_path / "model.tflite",
            architecture=backbone,
            bottleneck_dir=tmp_path / "bottlenecks",
            views=1,
            no_report=True,
            **changes,
        )
        retrain(config)
        return seen

    return run


@pytest.mark.parametrize("solver", ["discriminant", "prototype", "regression"])
def test_the_rule_is_fitted_to_the_scores_of_the_head_itself(train, solver):
    seen = train(solver=solver)
    assert seen["unseen"] is seen["fitted"].unseen
    assert seen["is_new"] is None


def test_training_pictures_are_not_new_to_gradient_descent(train):
    seen = train(how_many_training_steps=20)
    dataset, head = seen["dataset"], seen["fitted"].head
    rows = np.flatnonzero(np.isin(dataset.splits, (TRAIN, VALIDATION)))
    np.testing.assert_allclose(
        seen["unseen"], head.logits(dataset.bottlenecks[rows]), rtol=1e-5
    )
    assert (seen["is_new"] == (dataset.splits[rows] == VALIDATION)).all()
    assert seen["is_new"].any()


def test_training_pictures_are_not_new_to_a_fine_tuned_backbone(train):
    seen = train(tuned=True)
    assert seen["is_new"].sum() == len(seen["dataset"].positions(VALIDATION))


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


def test_softened_scores_are_softer_for_unseen_pictures_too(monkeypatch):
    """A judge that is too sure, of 20 pictures of which it gets half wrong."""
    head = Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    unseen = np.array([[3, -3], [-1, 1]], np.float32)
    tuned = FittedHead(head, None, None, None, temperature=2.0, unseen=unseen)
    points = np.tile(np.array([[2, 0], [0, 2]], np.float32), (10, 1))
    classes = np.array([0, 1, 1, 0] * 5)
    data = LabelledBottlenecks(points, classes)

    class Best:
        extractor = None

        class dataset:  # noqa: N801
            @staticmethod
            def subset(split):
                assert split == VALIDATION
                return data

    for name in ("_fit", "_solved", "_only_train"):
        monkeypatch.setattr(finetune, name, lambda *_: tuned)
    softened = finetune._softened(None, Best, tuned)
    factor = softened.head.weights[0, 0]
    assert factor == pytest.approx(finetune.LEAST_FACTOR)
    np.testing.assert_allclose(softened.unseen, unseen * factor)
    assert softened.temperature == pytest.approx(2.0 / factor)
