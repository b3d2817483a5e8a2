"""Try many settings on few pictures, the better half of them on more.

Source: K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization" (AISTATS 2016), algorithm 1. The budget is the share of the
training pictures and of gradient descent's steps.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from edgeclf.choosing.folds import NUM_FOLDS, Folds, Scores
from edgeclf.choosing.settings import Setting
from edgeclf.console import number_of
from edgeclf.errors import EdgeclfError

logger = logging.getLogger("edgeclf")

SHARES = (0.25, 0.5, 1.0)
LEAST_PICTURES = 8  # of a class, on average: a rung with fewer is left out
# 97.5 % of Student's t distribution with NUM_FOLDS - 1 degrees of freedom.
T_QUANTILE = 2.776


@dataclass(frozen=True)
class Result:
    """How a setting did, and compared with the reference on the same pictures.

    Attributes:
        setting: Which.
        share: Of the training pictures that it got as far as.
        scores: On unseen pictures.
        difference: Its cross-entropy less the reference's, nats.
        standard_error: Of that difference, from fold to fold.
    """

    setting: Setting
    share: float
    scores: Scores
    difference: float
    standard_error: float

    @property
    def is_noise(self) -> bool:
        """Whether another deal of the pictures might have turned the difference.

        Of two settings; that the best is the luckiest of many, too, is not in it.
        """
        return abs(self.difference) <= T_QUANTILE * self.standard_error

    def describe(self) -> dict[str, Any]:
        """Return plain values for JSON; no figures of one that cannot be fitted."""
        is_fitted = math.isfinite(self.scores.loss)
        figures = {
            "cross_entropy": self.scores.loss,
            "accuracy": self.scores.accuracy,
            "difference": self.difference,
            "standard_error": self.standard_error,
            "is_noise": self.is_noise,
        }
        return {
            **vars(self.setting),
            "share": self.share,
            **(figures if is_fitted else dict.fromkeys(figures)),
        }


@dataclass(frozen=True)
class Search:
    """What a search has found.

    Attributes:
        results: Of every setting that was tried, those that got furthest first, and
            among them the one with the least cross-entropy.
        is_finished: Whether the time was enough.
    """

    results: Sequence[Result]
    is_finished: bool

    @property
    def best(self) -> Result:
        """The setting with the least cross-entropy of those that got furthest."""
        return self.results[0]


def search(
    folds: Folds,
    settings: Sequence[Setting],
    reference: Setting,
    max_seconds: float = math.inf,
) -> Search:
    """Halve the settings again and again; the reference stays to the end.

    Args:
        folds: Score the settings.
        settings: What to try.
        reference: What to compare with; tried first.
        max_seconds: When to stop. Settings that were not scored on every fold by then
            count as far as they got before.

    Raises:
        EdgeclfError: The time was not enough for the reference and one setting, or
            the reference cannot be fitted.
    """
    deadline = time.monotonic() + max_seconds
    left = list(dict.fromkeys([reference, *settings]))
    shares = _shares(folds)
    furthest: dict[Setting, Result] = {}
    is_finished = True
    for number, share in enumerate(shares):
        _tell(number, shares, left, furthest)
        scores = _try(left, folds, share, deadline)
        if (reference in scores and len(scores) > 1) or not furthest:
            furthest |= _compare(scores, reference, share)
        is_finished = len(scores) == len(left)
        if not is_finished:
            break
        ranked = sorted(left, key=lambda setting: scores[setting].loss)
        kept = ranked[: math.ceil(len(left) / 2)] if number + 1 < len(shares) else left
        left = list(dict.fromkeys([reference, *kept]))
    results = sorted(furthest.values(), key=lambda r: (-r.share, r.scores.loss))
    return Search(results, is_finished)


def _shares(folds: Folds) -> list[float]:
    each = len(folds) * (NUM_FOLDS - 1) / NUM_FOLDS / folds.num_classes
    return [share for share in SHARES if share == 1 or share * each >= LEAST_PICTURES]


def _tell(
    number: int,
    shares: Sequence[float],
    left: Sequence[Setting],
    furthest: Mapping[Setting, Result],
) -> None:
    """Log how far the search is."""
    line = (
        f"Round {number + 1} of {len(shares)}: {len(left)} settings left, on "
        f"{shares[number]:.0%} of the pictures and steps"
    )
    if furthest:
        best = min((furthest[setting] for setting in left), key=_loss)
        line += (
            f"; best so far: {best.setting}, loss {best.scores.loss:.3f}, "
            f"{best.scores.accuracy:.1%} right"
        )
    logger.info("%s", line)


def _loss(result: Result) -> float:
    return result.scores.loss


def _try(
    settings: Sequence[Setting], folds: Folds, share: float, deadline: float
) -> dict[Setting, Scores]:
    """Score settings on all folds until the time is over; those not done are missing.

    One that cannot be fitted has an infinite cross-entropy.
    """
    results: dict[Setting, Scores] = {}
    bar = tqdm(
        total=len(settings) * NUM_FOLDS,
        desc=f"{number_of(len(settings), 'setting')}, {share:.0%} of the pictures",
        unit="fit",
        disable=None,
    )
    with bar:
        for setting in settings:
            rows = []
            for fold in range(NUM_FOLDS):
                if time.monotonic() > deadline:
                    return results
                try:
                    rows.append(folds.score(setting, share, fold))
                except EdgeclfError as error:
                    logger.warning("%s: %s", setting, error)
                    rows.append((math.inf, 0.0, 1))
                bar.update()
            losses, accuracies, counts = np.array(rows, np.float64).T
            results[setting] = Scores(losses, accuracies, counts / counts.sum())
    return results


def _compare(
    scores: Mapping[Setting, Scores], reference: Setting, share: float
) -> dict[Setting, Result]:
    """Return results with differences to the reference.

    Raises:
        EdgeclfError: There is nothing to compare with, or nothing to compare.
    """
    if reference not in scores or len(scores) < 2:
        raise EdgeclfError(
            "Expected time to score the defaults and one other setting. Received: too "
            "little. Raise --max_minutes."
        )
    own = scores[reference]
    if not np.isfinite(own.losses).all():
        raise EdgeclfError(
            f"Expected the defaults ({reference}) to fit these pictures, as all else "
            "is compared with them. Received: no finite figure."
        )
    return {
        setting: Result(setting, share, theirs, *_difference(theirs, own))
        for setting, theirs in scores.items()
    }


def _difference(scores: Scores, reference: Scores) -> tuple[float, float]:
    """Return the mean difference of the losses and its standard error.

    The training pictures of two folds are mostly the same ones: that is why the
    variance is divided by less than the number of folds.

    Source: C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine
    Learning 52 (2003), 3, the corrected resampled t-test.
    """
    differences = scores.losses - reference.losses
    if not np.isfinite(differences).all():
        return math.inf, 0.0
    factor = 1 / NUM_FOLDS + 1 / (NUM_FOLDS - 1)
    error = math.sqrt(factor * float(differences.var(ddof=1)))
    return scores.loss - reference.loss, error
