"""The figures of multi-label models, by hand and as scikit-learn has them."""

import math

import numpy as np
import pytest

from edgeclf.evaluation.tag_metrics import TagEvaluation, precision_and_recall


def evaluation(targets, scores, thresholds=None):
    targets = np.array(targets, bool)
    if thresholds is None:
        thresholds = np.full(targets.shape[1], 0.5)
    return TagEvaluation(
        [f"{row}.jpg" for row in range(len(targets))],
        targets,
        np.array(scores, np.float32),
        np.array(thresholds, np.float32),
    )


def by_hand():
    """Four pictures, three tags: the second has a tie, the third no picture."""
    return evaluation(
        [[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0.9, 0.5, 0.1], [0.8, 0.25, 0.0], [0.5, 0.5, 0.75], [0.25, 0.125, 0.0]],
    )


def test_average_precision_steps_and_takes_ties_together():
    # First tag, by falling score: 1 0 1 0. Recall rises at 1/1 and at 2/3.
    # Second: the two of score 0.5 come together, one of them right: 1/2; then 2/3.
    found = by_hand().average_precision
    assert found[:2] == [
        pytest.approx(0.5 * 1 + 0.5 * 2 / 3),
        pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 3),
    ]
    assert found[2] is None  # nobody knows
    assert by_hand().mean_average_precision == pytest.approx(np.mean(found[:2]))


def test_f1_by_hand():
    # Given from 0.5 on. Tag 1: given 0 1 2, true 0 2. Tag 2: given 0 2, true 0 1.
    # Tag 3: given 2, no picture has it.
    found = by_hand()
    assert found.f1.tolist() == [pytest.approx(4 / 5), 0.5, 0.0]
    assert found.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 0) / 3)
    assert found.micro_f1 == pytest.approx(2 * 3 / (6 + 4))


def test_hamming_loss_and_subset_accuracy_by_hand():
    found = by_hand()  # wrong: 1 of picture 1; 2 of picture 2 and 3 each; none of 4
    assert found.hamming_loss == pytest.approx(4 / 12)
    assert found.accuracy == pytest.approx(8 / 12)
    assert found.subset_accuracy == 0.5  # the first and the last


def test_ranking_by_hand():
    # Picture 1: both own tags on top. 2: its own is second. 3: its own ties with
    # another, below a third. 4: no tag.
    found = by_hand().label_ranking_average_precision
    assert found == pytest.approx((1 + 1 / 2 + 1 / 3 + 1) / 4)


def test_cross_entropy_by_hand_is_finite_where_a_score_is_0_or_1():
    found = evaluation([[1, 0]], [[0.5, 0.25]])
    assert found.binary_cross_entropy == pytest.approx(
        -(math.log(0.5) + math.log(0.75)) / 2
    )
    wrong = evaluation([[1, 0]], [[0.0, 1.0]])
    assert wrong.binary_cross_entropy == pytest.approx(math.log(512))
    right = evaluation([[1, 0]], [[1.0, 0.0]])
    assert right.binary_cross_entropy == pytest.approx(-math.log(511 / 512))


def test_a_score_at_the_threshold_gives_the_tag():
    found = evaluation([[1], [0]], [[0.2], [0.1999]], [0.2])
    assert found.predicted.tolist() == [[True], [False]]


def test_nothing_true_and_nothing_given_is_free_of_nan():
    found = evaluation(np.zeros((3, 2)), np.zeros((3, 2)))
    described = found.describe(["a", "b"])
    assert described["mean_average_precision"] is None
    assert described["mean_average_precision_interval_95"] is None
    assert described["micro_f1"] == described["macro_f1"] == 0.0
    assert described["subset_accuracy"] == 1.0
    assert described["label_ranking_average_precision"] == 1.0
    assert described["per_tag"][0] == {
        "label": "a", "num_test": 3, "num_positive": 0, "average_precision": None,
        "precision": None, "recall": None, "f1": 0.0, "threshold": 0.5,
    }  # fmt: skip


def test_description_has_a_row_for_each_tag():
    first, second, third = by_hand().describe(["x", "y", "z"])["per_tag"]
    assert (first["label"], first["num_positive"], first["recall"]) == ("x", 2, 1.0)
    assert first["precision"] == pytest.approx(2 / 3)
    assert second["precision"] == second["recall"] == 0.5
    assert (third["num_positive"], third["precision"], third["recall"]) == (0, 0, None)


@pytest.mark.parametrize("steps", [4, 256, 1 << 20])  # few: nearly all scores tie
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn(steps, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    source = np.random.default_rng([seed, steps])
    targets = source.random((60, 6)) < source.random(6) * 0.6
    targets[:, 0], targets[:5], targets[5] = False, False, True  # no one, none, all
    targets[5, 0] = False
    scores = source.random((60, 6)) * 0.6 + 0.4 * targets * source.random((60, 6))
    scores = np.asarray(np.floor(scores * steps) / steps, np.float32)
    found = evaluation(targets, scores, np.linspace(0.3, 0.7, 6))
    given = found.predicted
    assert found.average_precision[0] is None
    assert found.average_precision[1:] == pytest.approx(
        metrics.average_precision_score(targets[:, 1:], scores[:, 1:], average=None)
    )
    assert found.mean_average_precision == pytest.approx(
        metrics.average_precision_score(targets[:, 1:], scores[:, 1:], average="macro")
    )
    for average in ("micro", "macro"):
        expected = metrics.f1_score(targets, given, average=average, zero_division=0)
        assert getattr(found, f"{average}_f1") == pytest.approx(expected)
    assert found.subset_accuracy == metrics.accuracy_score(targets, given)
    assert found.hamming_loss == pytest.approx(metrics.hamming_loss(targets, given))
    assert found.label_ranking_average_precision == pytest.approx(
        metrics.label_ranking_average_precision_score(targets, scores)
    )
    limited = np.clip(scores.astype(float), 1 / 512, 511 / 512)
    losses = [
        metrics.log_loss(targets[:, tag], limited[:, tag], labels=[0, 1])
        for tag in range(6)
    ]
    assert found.binary_cross_entropy == pytest.approx(np.mean(losses), rel=1e-6)


def test_precision_and_recall_end_with_every_picture():
    truths = np.array([True, False, True, False])
    precisions, recalls, scores = precision_and_recall(
        truths, np.array([0.5, 0.5, 0.25, 0.0], np.float32)
    )
    assert scores.tolist() == [0.5, 0.25, 0.0]
    assert recalls.tolist() == [0.5, 1.0, 1.0]
    assert precisions.tolist() == [0.5, pytest.approx(2 / 3), 0.5]


def resampled_by_repetition(found, times):
    """The same without a shortcut: every picture as often as it was drawn."""
    rows = np.repeat(np.arange(len(times)), times)
    return evaluation(found.targets[rows], found.scores[rows], found.thresholds)


def noisy(number, seed=0):
    source = np.random.default_rng(seed)
    targets = source.random((number, 4)) < [0.5, 0.3, 0.2, 0.02]
    scores = np.rint((0.35 * targets + 0.65 * source.random((number, 4))) * 16) / 16
    return evaluation(targets, scores)


def test_intervals_are_of_pictures_drawn_with_repetition():
    found = noisy(30)
    source = np.random.default_rng(0)
    times = source.multinomial(30, np.full(30, 1 / 30), 500)
    drawn = [resampled_by_repetition(found, row) for row in times]
    for figure in ("mean_average_precision", "micro_f1"):
        expected = np.percentile([getattr(one, figure) for one in drawn], [2.5, 97.5])
        assert found.intervals()[figure] == pytest.approx(expected.tolist())


def test_intervals_hold_the_figure_and_shrink_with_more_pictures():
    widths = []
    for number in (40, 4000):
        found = noisy(number)
        low, high = found.intervals()["micro_f1"]
        assert low < found.micro_f1 < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 10, rel=0.35)


def test_intervals_in_pieces_are_the_same(monkeypatch):
    whole = noisy(50).intervals()
    monkeypatch.setattr("edgeclf.evaluation.tag_metrics._AT_ONCE", 50 * 7)
    assert noisy(50).intervals() == whole


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ((np.zeros((2, 3), bool), np.zeros((2, 2))), r"shape .* = \(2, 2\)"),
        ((np.zeros((2, 2)), np.zeros((2, 2))), "Received: float64"),
        ((np.zeros((2, 2), bool), np.full((2, 2), np.nan)), "finite scores"),
    ],
)
def test_what_does_not_fit_is_refused(parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        TagEvaluation(["a", "b"], *parts, np.zeros(2, np.float32))
