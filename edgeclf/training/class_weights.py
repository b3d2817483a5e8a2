"""How much a rare class counts: as much as a frequent one, or by its pictures.

The two differ by the logarithm of each class's share, added to the logits; so that
either can be had of any head after it is fitted.

Source: A. K. Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021), 3
and 4.1.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.head import FittedHead, Head
from edgeclf.training.temperature import sharpness_of

logger = logging.getLogger("edgeclf")

CLASS_WEIGHTS = ("auto", "none", "balanced")
NOISE = 2.0  # standard errors that a difference has to exceed
RESAMPLES = 200
_SEED = 0  # of the resampling; any will do


def weigh_classes(
    fitted: FittedHead,
    classes: NDArray[np.intp],
    is_validation: NDArray[np.bool_],
    known: NDArray[np.bool_],
    wanted: str,
) -> FittedHead:
    """Return the head with classes weighed as wanted.

    "auto" takes "balanced" unless the macro-F1 of unseen pictures is higher with "none"
    by more than noise: over pictures drawn again, `NOISE` standard errors. (Where users
    look for a class it is seldom as rare as among the pictures that they had.)

    Args:
        fitted: A head that says in `class_weights` how its classes are weighed.
        classes: The true classes of the pictures in `fitted.unseen`.
        is_validation: Which of them are validation pictures.
        known: Which of them can be judged by; see `known_rows`.
        wanted: One of `CLASS_WEIGHTS`.
    """
    if fitted.unseen is None or fitted.class_weights is None or not len(classes):
        return fitted
    counts = np.bincount(classes, minlength=fitted.unseen.shape[1])
    if wanted == fitted.class_weights or len(set(counts.tolist())) == 1:
        return fitted
    other = _reweighed(fitted, classes, is_validation, known, counts)
    if wanted == other.class_weights:
        return other
    if not known.any():
        return fitted
    balanced, plain = (
        (fitted, other) if fitted.class_weights == "balanced" else (other, fitted)
    )
    truth = classes[known]
    first, second = (
        np.asarray(head.unseen)[known].argmax(axis=1) for head in (balanced, plain)
    )
    gain, noise = _gain(first, second, truth)
    chosen = plain if gain < -NOISE * noise else balanced
    logger.info(
        "Class weights: %s (macro-F1 of unseen pictures %.1f %% balanced, %.1f %% by "
        "the number of pictures)",
        chosen.class_weights,
        100 * macro_f1(first, truth),
        100 * macro_f1(second, truth),
    )
    return chosen


def _reweighed(
    fitted: FittedHead,
    classes: NDArray[np.intp],
    is_validation: NDArray[np.bool_],
    known: NDArray[np.bool_],
    counts: NDArray[np.intp],
) -> FittedHead:
    """Return the head with its classes weighed the other way."""
    # One picture more: a class without any is rare, not impossible.
    shares = np.log((counts + 1) / (counts + 1).mean())
    to_balanced = fitted.class_weights == "none"
    offset = (-shares if to_balanced else shares).astype(np.float32)
    unseen = np.asarray(fitted.unseen) + offset
    sharpness = np.float32(
        sharpness_of(unseen[known].astype(np.float64), classes[known])
    )
    head = fitted.head
    scored = FittedHead.scored_by_folds(
        Head(head.weights * sharpness, (head.bias + offset) * sharpness),
        unseen * sharpness,
        classes,
        is_validation,
        temperature=(fitted.temperature or 1.0) / float(sharpness),
    )
    return dataclasses.replace(
        fitted,
        head=scored.head,
        unseen=scored.unseen,
        validation_cross_entropy=scored.validation_cross_entropy,
        validation_accuracy=scored.validation_accuracy,
        temperature=scored.temperature,
        class_weights="balanced" if to_balanced else "none",
    )


def _gain(
    first: NDArray[np.intp], second: NDArray[np.intp], classes: NDArray[np.intp]
) -> tuple[float, float]:
    """Return by how much the first has the higher macro-F1, and the standard error."""
    answers = first, second
    source = np.random.default_rng(_SEED)
    draws = []
    for _ in range(RESAMPLES):
        rows = source.integers(len(classes), size=len(classes))
        one, other = (macro_f1(answer[rows], classes[rows]) for answer in answers)
        draws.append(one - other)
    gain = macro_f1(answers[0], classes) - macro_f1(answers[1], classes)
    return gain, float(np.std(draws))


def macro_f1(predicted: NDArray[np.intp], classes: NDArray[np.intp]) -> float:
    """Return the mean F1 of the classes that there are pictures of, in [0, 1]."""
    size = int(max(predicted.max(), classes.max())) + 1
    hits = np.bincount(classes[predicted == classes], minlength=size)
    there = np.bincount(classes, minlength=size)
    said = np.bincount(predicted, minlength=size)
    present = there > 0
    return float(np.mean(2 * hits[present] / (there + said)[present]))
