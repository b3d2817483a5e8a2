import math

import numpy as np
import pytest

from edgeclf.evaluation.metrics import Evaluation, wilson_interval


def evaluation():
    scores = np.array(
        [[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.5, 0.0, 0.5]],
        np.float32,
    )
    return Evaluation(scores, np.array([0, 1, 1, 2]), ["a", "b", "c", "d"])


def test_accuracy_takes_the_first_of_equal_scores():
    assert evaluation().predicted.tolist() == [0, 0, 1, 0]
    assert evaluation().accuracy == 0.5


def test_confusion_matrix_has_true_classes_in_rows():
    matrix = evaluation().confusion_matrix.tolist()
    assert matrix == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]


def test_cross_entropy_is_the_mean_log_score():
    expected = -np.mean(np.log([0.7, 0.4, 0.8, 0.5]))
    assert evaluation().cross_entropy == pytest.approx(expected)


def test_a_score_of_zero_costs_a_finite_amount():
    certain = Evaluation(np.array([[1.0, 0.0]], np.float32), np.array([1]), ["a"])
    assert certain.cross_entropy == pytest.approx(-np.log(1e-7))


def test_certain_and_right_costs_nothing():
    certain = Evaluation(np.array([[1.0, 0.0]], np.float32), np.array([0]), ["a"])
    assert str(certain.cross_entropy) == "0.0"  # not -0.0


def test_description_counts_per_class():
    described = evaluation().describe(("x", "y", "z"))
    assert described["accuracy"] == 0.5
    keys = ("label", "num_test", "precision", "recall", "f1")
    third, two_thirds = pytest.approx(1 / 3), pytest.approx(2 / 3)
    assert [tuple(entry[key] for key in keys) for entry in described["per_class"]] == [
        ("x", 1, third, 1.0, 0.5),
        ("y", 2, 1.0, 0.5, two_thirds),
        ("z", 1, None, 0.0, 0.0),
    ]
    intervals = [entry["recall_interval_95"] for entry in described["per_class"]]
    assert intervals == [list(wilson_interval(*n)) for n in ((1, 1), (1, 2), (0, 1))]
    assert described["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_f1_as_scikit_learn_has_it():
    metrics = pytest.importorskip("sklearn.metrics")
    source = np.random.default_rng(4)
    scores = source.random((50, 5), np.float32)
    scores[:, 4] = 0.0
    classes = source.integers(0, 4, 50)  # the last class: neither there nor predicted
    found = Evaluation(scores, classes, ["x"] * 50)
    expected = metrics.f1_score(classes, found.predicted, average=None)
    assert found.f1 == [*map(pytest.approx, expected), None]
    assert found.macro_f1 == pytest.approx(
        metrics.f1_score(classes, found.predicted, average="macro")
    )


def test_macro_f1_is_of_classes_that_have_pictures():
    scores = np.array([[0.6, 0.4], [0.7, 0.3], [0.1, 0.9]], np.float32)
    found = Evaluation(scores, np.array([0, 0, 0]), ["a", "b", "c"])
    assert found.f1 == [0.8, None]  # the mean of what the table shows is macro-F1
    assert found.macro_f1 == 0.8


def test_wilson_interval_as_published():
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, method 3.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    for trials in range(1, 200):
        assert wilson_interval(0, trials)[0] == 0.0
        assert wilson_interval(trials, trials)[1] == 1.0


# Independent of the formula: the bounds are the shares whose own standard error, as a
# normal distribution sees it, puts the observed share 1.96 standard errors away.
@pytest.mark.parametrize("share", [0.0, 0.5, 0.885, 1.0])
def test_wilson_interval_ends_where_the_observation_is_just_possible(share):
    for bound in wilson_interval(share * 285, 285):
        if bound not in (0.0, 1.0):
            error = math.sqrt(bound * (1 - bound) / 285)
            assert abs(share - bound) / error == pytest.approx(1.96, abs=1e-3)
