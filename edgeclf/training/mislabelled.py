"""Find pictures whose class is probably wrong, by heads that have not seen them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeclf.training import discriminant
from edgeclf.training.folds import deal_folds
from edgeclf.training.head import LabelledBottlenecks
from edgeclf.training.moments import Moments
from edgeclf.training.temperature import sharpness_of

FOLDS = 5
LEAST_CONFIDENCE = 0.9  # nine to one against the picture's own class
_LEAST_PROBABILITY = 1e-12

Views = Iterable[tuple[NDArray[np.float32], NDArray[np.intp]]]


class Pictures(Protocol):
    """Pictures with bottlenecks, such as a `BottleneckDataset`; see there."""

    @property
    def bottlenecks(self) -> NDArray[np.float32]:
        """Of each picture, float32 `(n, depth)`."""

    @property
    def classes(self) -> NDArray[np.intp]:
        """Class index of each."""

    @property
    def groups(self) -> NDArray[np.intp]:
        """A number for each: near-duplicates share one."""

    @property
    def digests(self) -> Sequence[bytes]:
        """SHA-256 of each picture's file."""


class Suspect(NamedTuple):
    """A picture that looks as if it belonged to another class.

    Attributes:
        row: Its position.
        suggested: Index of that class.
        confidence: Probability of that class where only it and the picture's own are
            asked for, in [0, 1].
    """

    row: int
    suggested: int
    confidence: float

    @property
    def sure(self) -> str:
        """The confidence as a percentage for people, who take 100% for certain."""
        return f"{self.confidence:.0%}" if self.confidence < 0.995 else "over 99%"


def find_mislabelled(
    probabilities: NDArray[np.floating],
    classes: NDArray[np.intp],
    least_confidence: float = LEAST_CONFIDENCE,
) -> list[Suspect]:
    """Rank the pictures that are probably in the wrong class, the surest first.

    The order is that of the margin of logits between the own class and the best other
    one; the confidence is its logistic function.

    Source: G. Pleiss et al., "Identifying Mislabeled Data using the Area Under the
    Margin Ranking" (NeurIPS 2020), eq. 1.

    Args:
        probabilities: Float `(n, classes)`, by heads that have not seen the picture;
            a row of NaN is passed over.
        classes: The class that each picture stands in, `(n,)`.
        least_confidence: What is less sure is no suspect.
    """
    known = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    if not len(known) or probabilities.shape[1] < 2:
        return []
    logs = np.log(np.maximum(probabilities[known], _LEAST_PROBABILITY))
    places = np.arange(len(known))
    own = logs[places, classes[known]]
    logs[places, classes[known]] = -np.inf
    suggested = logs.argmax(axis=1)
    margins = logs[places, suggested] - own
    confidence = 1.0 / (1.0 + np.exp(-margins))
    order = np.argsort(-margins, kind="stable")
    return [
        Suspect(int(known[place]), int(suggested[place]), float(confidence[place]))
        for place in order.tolist()
        if confidence[place] >= least_confidence
    ]


def out_of_fold_probabilities(
    dataset: Pictures,
    widths: Sequence[int] = (),
    *,
    views: Views = (),
    shrinkage: float | None = None,
    rounds: int = 1,
) -> NDArray[np.float64]:
    """Return what discriminants say of pictures that they have not seen.

    Near-duplicates are never on both sides, whatever the splits: every picture is
    scored. With a second round the discriminants are fitted anew, without the suspects
    of the first: wrong labels spoil what finds them.

    Source: C. Northcutt et al., "Confident Learning" (JAIR 70, 2021), 3: train again
    on what is left after pruning.

    Args:
        dataset: The pictures.
        widths: Depths of the bottleneck's parts; empty for one part.
        views: Further bottlenecks `(n, depth)` to learn from, and the rows of the
            pictures that they are of.
        shrinkage: One of `trials.SHRINKAGES`; None for the best.
        rounds: 1 or more.

    Returns:
        Float `(n, classes)`, rows sum to 1; NaN for a picture whose class has no
        others to learn from.
    """
    views = list(views)
    learnt = np.ones(len(dataset.classes), bool)
    probabilities = _score(dataset, widths, views, shrinkage, learnt)
    for _ in range(rounds - 1):
        suspects = find_mislabelled(probabilities, dataset.classes)
        learnt[:] = True
        learnt[[suspect.row for suspect in suspects]] = False
        left = np.bincount(dataset.classes[learnt], minlength=probabilities.shape[1])
        if not suspects or (left < FOLDS).any():  # too few to judge without them
            break
        probabilities = _score(dataset, widths, views, shrinkage, learnt)
    return probabilities


def _score(
    dataset: Pictures,
    widths: Sequence[int],
    views: Views,
    shrinkage: float | None,
    learnt: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Score all pictures by discriminants fitted to some."""
    bottlenecks, classes = dataset.bottlenecks, dataset.classes
    folds = deal_folds(classes, dataset.groups, dataset.digests, FOLDS)
    depth, num_classes = bottlenecks.shape[1], int(classes.max()) + 1
    moments = Moments.of(
        bottlenecks, classes, folds, FOLDS, num_classes, np.flatnonzero(learnt)
    )
    for points, rows in views:
        kept = learnt[rows]
        moments.add(points[kept], classes[rows[kept]], folds[rows[kept]])
    scored = LabelledBottlenecks(bottlenecks, classes)
    logits = discriminant.score_unseen(
        moments, scored, folds, widths or (depth,), shrinkage
    )
    if not learnt.all():  # the suspects' labels are no measure of confidence
        logits *= sharpness_of(logits[learnt], classes[learnt])
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    # A class all of whose pictures stand in one fold was not learnt by its judges.
    rest = moments.counts.sum(axis=0) - moments.counts  # (folds, classes)
    shares[rest[folds, classes] == 0] = np.nan
    return np.asarray(shares)
