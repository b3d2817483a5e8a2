"""From which score on a picture is given a tag."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.extracted import warn_of_some

logger = logging.getLogger("edgeclf")

STEPS = 256  # of an int8 file's scores: they are multiples of 1 / 256 from 0 to 255
# How many pictures with a tag have to speak before they count as much as what the
# calibrated scores lead one to expect. Few pictures are noise.
TRUSTED = 200.0
# A threshold is half the best F1 of a tag (Lipton et al.). Below a tenth nothing is
# known of it, and the best would be to give it to every picture.
LEAST = STEPS // 10


def best_f1(
    scores: NDArray[np.floating],
    targets: NDArray[np.bool_],
    chances: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return for each tag the threshold with the highest F1 to be expected.

    What is counted among the pictures is mixed with what is to be expected of them.

    Source: Z. C. Lipton et al., "Optimal Thresholding of Classifiers to Maximize F1
    Measure" (ECML 2014), for the thresholds of calibrated scores.

    Args:
        scores: By heads that have not seen the pictures, in [0, 1], `(n, tags)`.
        targets: Their tags, bool likewise.
        chances: Likewise, how probable each tag is, where class weights have moved the
            scores. None for the scores themselves.

    Returns:
        float32 `(tags,)`, each between two scores that an int8 file can give.
    """
    columns = _columns(scores, targets, chances)
    return np.array([_Ranking(*column).best_f1() for column in columns], np.float32)


def at_precision(
    scores: NDArray[np.floating],
    targets: NDArray[np.bool_],
    precision: float,
    labels: Sequence[str],
    chances: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return for each tag the lowest threshold that holds a precision.

    Where none does it is the one with the best precision, with a warning.

    Args:
        scores: See `best_f1`.
        targets: See there.
        precision: The share of a tag's uses that is to be right, in (0, 1).
        labels: The tags' names.
        chances: See there.
    """
    thresholds, failing = [], []
    columns = _columns(scores, targets, chances)
    for label, column in zip(labels, columns, strict=True):
        threshold, held = _Ranking(*column).at_precision(precision)
        thresholds.append(threshold)
        if held < precision:
            failing.append(
                f"Tag {label}: no threshold holds a precision of {precision:g}; the "
                f"best is {held:.3f}, from a score of {threshold:.3f} on."
            )
    warn_of_some(failing, "tags")
    return np.array(thresholds, np.float32)


def _columns(
    scores: NDArray[np.floating],
    targets: NDArray[np.bool_],
    chances: NDArray[np.floating] | None,
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield each tag's scores, targets and chances."""
    chances = scores if chances is None else chances
    return zip(scores.T, targets.T, chances.T, strict=True)


class _Ranking:
    """Pictures by falling score of one tag, and what giving it to the first n costs."""

    def __init__(
        self,
        scores: NDArray[np.floating],
        targets: NDArray[np.bool_],
        chances: NDArray[np.floating],
    ) -> None:
        # An int8 file tells no two pictures of one step apart.
        steps = np.clip(np.rint(scores * STEPS), 0, STEPS - 1).astype(np.intp)
        self._steps = np.unique(steps)[::-1]
        given = np.bincount(steps, minlength=STEPS)[self._steps]
        right = np.bincount(steps, targets, minlength=STEPS)[self._steps]
        expected = np.bincount(steps, chances, minlength=STEPS)[self._steps]
        self._given, self._right = given.cumsum(), right.cumsum()
        self._expected = expected.cumsum()
        self._trust = TRUSTED / max(self._right[-1], 1.0)

    def best_f1(self) -> float:
        true = self._right + self._trust * self._expected
        counted = (1.0 + self._trust) * self._given + true[-1]
        return self._after(int(np.argmax(2 * true / counted)))

    def at_precision(self, precision: float) -> tuple[float, float]:
        """Return the threshold and the precision that it has."""
        seen = self._right / self._given
        mixed = (self._right + self._trust * self._expected) / (
            (1.0 + self._trust) * self._given
        )
        # Neither luck nor a hope is enough.
        held = np.minimum(seen, mixed)
        enough = np.flatnonzero(held >= precision)
        place = int(enough[-1]) if len(enough) else int(np.argmax(held))
        return self._after(place), float(held[place])

    def _after(self, place: int) -> float:
        """Return a threshold below a step and above the next: no score is near it."""
        step = int(self._steps[place])
        below = int(self._steps[place + 1]) if place + 1 < len(self._steps) else 0
        # Half a step off any score.
        return (max((step + below) // 2, LEAST) + 0.5) / STEPS
