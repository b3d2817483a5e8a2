import numpy as np
import pytest

from edgeclf.training.class_weights import macro_f1, weigh_classes
from edgeclf.training.head import FittedHead, Head, cross_entropy

COUNTS = (200, 40, 10)  # frequent, rarer, rare
CLASSES = np.repeat(np.arange(3), COUNTS)
NO_VALIDATION = np.zeros(len(CLASSES), bool)
ALL = np.ones(len(CLASSES), bool)


def fitted(seed=0, kind="balanced", noise=1.2):
    """A head whose unseen answers are the truth and noise."""
    source = np.random.default_rng(seed)
    unseen = 2 * np.eye(3)[CLASSES] + source.normal(0, noise, (len(CLASSES), 3))
    head = Head(np.eye(3, 5, dtype=np.float32), np.zeros(3, np.float32))
    return FittedHead.scored_by_folds(
        head,
        unseen.astype(np.float32),
        CLASSES,
        NO_VALIDATION,
        temperature=2.0,
        class_weights=kind,
    )


def test_none_counts_classes_by_their_pictures():
    balanced = fitted()
    plain = weigh_classes(balanced, CLASSES, NO_VALIDATION, ALL, "none")
    assert plain.class_weights == "none"
    sharpness = balanced.temperature / plain.temperature
    offset = plain.head.bias / sharpness - balanced.head.bias
    shares = np.log(np.array(COUNTS) + 1.0)
    np.testing.assert_allclose(
        offset, shares - shares.mean() + offset.mean(), atol=1e-4
    )
    np.testing.assert_allclose(plain.head.weights, balanced.head.weights * sharpness)
    expected = (balanced.unseen + offset) * sharpness
    np.testing.assert_allclose(plain.unseen, expected, rtol=1e-4, atol=1e-4)


def test_balanced_lifts_the_rare_class():
    plain = fitted(kind="none")
    balanced = weigh_classes(plain, CLASSES, NO_VALIDATION, ALL, "balanced")
    assert balanced.class_weights == "balanced"
    rare = CLASSES == 2
    assert (balanced.unseen.argmax(axis=1)[rare] == 2).mean() > (
        plain.unseen.argmax(axis=1)[rare] == 2
    ).mean()


def test_the_temperature_is_found_anew():
    changed = weigh_classes(fitted(), CLASSES, NO_VALIDATION, ALL, "none")
    loss = cross_entropy(changed.unseen, CLASSES)
    for factor in (0.8, 1.25):
        assert loss < cross_entropy(changed.unseen * np.float32(factor), CLASSES)


def test_auto_keeps_balanced_unless_macro_f1_falls():
    # Logits that hold the shares already: to add them once more is too much.
    head = weigh_classes(fitted(noise=1.0), CLASSES, NO_VALIDATION, ALL, "auto")
    scores = {
        wanted: macro_f1(
            weigh_classes(
                fitted(noise=1.0), CLASSES, NO_VALIDATION, ALL, wanted
            ).unseen.argmax(axis=1),
            CLASSES,
        )
        for wanted in ("none", "balanced")
    }
    assert head.class_weights == max(scores, key=scores.get)
    assert abs(scores["none"] - scores["balanced"]) > 0.05


def test_auto_takes_none_where_balanced_hurts():
    """Frequent pictures that look a little like the rare class."""
    head = fitted(noise=0.1)
    unseen = head.unseen.copy()
    unseen[:100, 2] = unseen[:100, 0] + 0.2
    object.__setattr__(head, "unseen", unseen)
    chosen = weigh_classes(head, CLASSES, NO_VALIDATION, ALL, "auto")
    assert chosen.class_weights == "none"


@pytest.mark.parametrize("wanted", ["auto", "none", "balanced"])
def test_classes_of_one_size_stay_as_they_are(wanted):
    classes = np.arange(30) % 3
    head = FittedHead.scored_by_folds(
        Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),
        np.eye(3, dtype=np.float32)[classes],
        classes,
        np.zeros(30, bool),
        temperature=1.0,
        class_weights="balanced",
    )
    assert (
        weigh_classes(head, classes, np.zeros(30, bool), np.ones(30, bool), wanted)
        is head
    )


def test_descent_has_no_unseen_pictures_and_stays():
    head = FittedHead(Head(np.eye(3), np.zeros(3)), None, None, None)
    assert weigh_classes(head, CLASSES, NO_VALIDATION, ALL, "balanced") is head


def test_macro_f1_is_the_mean_over_classes():
    # Class 0: 2 of 3 found, none wrongly: 0.8. Class 1: 1 found, 1 wrongly: 2 / 3.
    truth, answers = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert macro_f1(answers, truth) == pytest.approx((0.8 + 2 / 3) / 2)
    # A class that is never the true one does not count.
    assert macro_f1(np.array([2, 0]), np.array([0, 0])) == pytest.approx(2 / 3)


def test_pictures_that_no_head_can_know_do_not_count():
    """A wrong class of which every head is sure, for want of others of its class."""
    head = fitted()
    known = np.arange(len(CLASSES)) % 10 != 0
    expected = weigh_classes(head, CLASSES, NO_VALIDATION, known, "none")
    unseen = head.unseen.copy()
    unseen[~known] = 50 * np.eye(3)[(CLASSES[~known] + 1) % 3]
    object.__setattr__(head, "unseen", unseen)
    plain = weigh_classes(head, CLASSES, NO_VALIDATION, known, "none")
    assert plain.temperature == expected.temperature
    none = np.zeros(len(CLASSES), bool)
    assert weigh_classes(head, CLASSES, NO_VALIDATION, none, "auto") is head
