import logging

import numpy as np
import pytest

from edgeclf.training.candidates import choose
from edgeclf.training.head import FittedHead, Head, cross_entropy

CLASSES = np.arange(60) % 3
ALL = np.ones(60, bool)


def candidate(sharpness, flipped=0, noise=0.0):
    """Answers that are right but for the first few, more or less surely."""
    truth = CLASSES.copy()
    truth[:flipped] = (truth[:flipped] + 1) % 3
    source = np.random.default_rng(0)
    unseen = sharpness * np.eye(3)[truth] + source.normal(0, noise, (60, 3))
    return FittedHead.scored_by_folds(
        Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),
        unseen.astype(np.float32),
        CLASSES,
        np.zeros(60, bool),
        temperature=1.0,
        shrinkage=0.4,
    )


def test_the_clearly_better_one_is_chosen(caplog):
    caplog.set_level(logging.INFO, "edgeclf")
    heads = {"discriminant": candidate(1.0), "regression": candidate(3.0)}
    chosen = choose(heads, CLASSES, ALL)
    assert chosen.solver == "regression"
    assert [entry["solver"] for entry in chosen.candidates] == list(heads)
    for entry, head in zip(chosen.candidates, heads.values(), strict=True):
        assert entry["cross_entropy"] == cross_entropy(head.unseen, CLASSES)
        assert entry["accuracy"] == entry["macro_f1"] == 1.0
        assert entry["shrinkage"] == 0.4
    assert "Head: regression" in caplog.text


def test_the_first_stays_within_noise():
    heads = {"discriminant": candidate(2.0, 3), "other": candidate(2.02, 3, 0.5)}
    assert choose(heads, CLASSES, ALL).solver == "discriminant"


def test_a_worse_one_is_not_chosen():
    heads = {"discriminant": candidate(3.0), "prototype": candidate(3.0, 20)}
    chosen = choose(heads, CLASSES, ALL)
    assert chosen.solver == "discriminant"
    assert chosen.candidates[1]["accuracy"] == pytest.approx(40 / 60)


def test_without_a_picture_to_score_the_first_is_taken():
    empty = FittedHead.scored_by_folds(
        Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),
        np.empty((0, 3), np.float32),
        CLASSES[:0],
        np.zeros(0, bool),
        temperature=1.0,
    )
    chosen = choose({"discriminant": empty, "regression": empty}, CLASSES[:0], ALL[:0])
    assert chosen.solver == "discriminant"
    assert chosen.candidates[0]["cross_entropy"] is None


def test_pictures_that_no_head_can_know_do_not_count():
    """One head is right about all the others, and sure of the wrong class here."""
    first, second = candidate(2.0, 4), candidate(1.0)
    known = np.arange(60) >= 4
    chosen = choose({"discriminant": first, "regression": second}, CLASSES, known)
    assert chosen.solver == "discriminant"
    assert chosen.candidates[0]["accuracy"] == 1.0
    none = choose({"first": second, "second": first}, CLASSES, np.zeros(60, bool))
    assert none.solver == "first"
    assert none.candidates[1]["cross_entropy"] is None
