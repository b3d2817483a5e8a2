"""The settings of a discriminant, tried on pictures that it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.interpreter import num_processors
from edgeclf.training.estimate import Totals, estimate_from
from edgeclf.training.head import ROWS_AT_ONCE, LabelledBottlenecks, cross_entropy
from edgeclf.training.moments import Moments
from edgeclf.training.shrinkage import Setting, weights_and_bias
from edgeclf.training.temperature import sharpness_of

# How much of the within-class covariance is replaced by a round one.
SHRINKAGES = (0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
DEFAULT_SHRINKAGE = 0.4  # where the search starts, and without pictures to score
# How much what views change counts, besides that they are among the pictures.
EMPHASES = (0.0, 0.35, 1.0, 3.0)
DEFAULT_EMPHASIS = 0.35

DISCRIMINANT, PROTOTYPE = "discriminant", "prototype"


@dataclass(frozen=True)
class Trial:
    """What the heads of all folds say of pictures they have not seen.

    Attributes:
        setting: Theirs.
        logits: `(scored pictures, classes)`.
        sharpness: The factor that makes scores probabilities; None where no picture
            can be scored.
        loss: Cross-entropy after that.
    """

    setting: Setting
    logits: NDArray[np.float64]
    sharpness: float | None
    loss: float


class Trials:
    """Settings that have been tried; the arguments are those of `fit`."""

    def __init__(
        self,
        moments: Moments,
        scored: LabelledBottlenecks,
        folds: NDArray[np.intp],
        widths: Sequence[int],
    ) -> None:
        self._moments, self._scored, self._folds = moments, scored, folds
        self._widths = widths
        self._tried: dict[Setting, Trial] = {}
        self.totals = Totals.of(moments)

    def search(self, kinds: Sequence[str]) -> list[Trial]:
        """Return the best trial of each kind, walking downhill from the defaults.

        The loss has one valley along each setting: a walk spares the far ends.
        """
        has_views = self._moments.has_views
        start = Setting(DEFAULT_SHRINKAGE, DEFAULT_EMPHASIS if has_views else 0.0)
        prototype = Setting(1.0, 0.0)
        place = SHRINKAGES.index(start.shrinkage)
        near = [
            start,
            dataclasses.replace(start, shrinkage=SHRINKAGES[place - 1]),
            dataclasses.replace(start, shrinkage=SHRINKAGES[place + 1]),
        ]
        if DISCRIMINANT not in kinds:
            near = []
        # All at once: a fold's moments are summed up once for all of them.
        self._try([*near, prototype] if PROTOTYPE in kinds else near)
        best = {}
        if PROTOTYPE in kinds:
            best[PROTOTYPE] = self._tried[prototype]
        if DISCRIMINANT in kinds:
            first = min((self._tried[setting] for setting in near), key=_loss_of)
            best[DISCRIMINANT] = self._walk(first, "shrinkage", SHRINKAGES)
            if has_views:
                walked = self._walk(best[DISCRIMINANT], "emphasis", EMPHASES)
                best[DISCRIMINANT] = walked
        return [best[kind] for kind in kinds]

    def only(self, setting: Setting) -> Trial:
        """Return the trial of one setting."""
        self._try([setting])
        return self._tried[setting]

    def _walk(self, best: Trial, name: str, values: Sequence[float]) -> Trial:
        """Follow one setting as long as the loss falls, either way."""
        place = values.index(getattr(best.setting, name))
        for step in (-1, 1):
            while 0 <= place + step < len(values):
                setting = dataclasses.replace(
                    best.setting, **{name: values[place + step]}
                )
                if setting not in self._tried:
                    self._try([setting])
                if self._tried[setting].loss >= best.loss:
                    break
                best, place = self._tried[setting], place + step
        return best

    def _try(self, settings: Sequence[Setting]) -> None:
        """Score every fold by heads of the other folds, one for each setting."""
        moments, scored, classes = self._moments, self._scored, self._scored.classes
        logits = np.zeros((len(settings), len(classes), moments.counts.shape[1]))
        known = np.zeros(len(classes), bool)

        def score(fold: int) -> None:
            rows = np.flatnonzero(self._folds == fold)
            estimate = estimate_from(moments, fold, self.totals, np.float32)
            if estimate.present.sum() < 2:
                return
            known[rows] = estimate.present[classes[rows]]
            for number, setting in enumerate(settings):
                weights, bias = weights_and_bias(estimate, self._widths, setting)
                for some, points in _blocks(scored, rows):
                    logits[number, some] = points @ weights.T + bias

        # Each fold on a thread of its own writes its own rows: the same in every run.
        with ThreadPoolExecutor(num_processors()) as executor:
            list(executor.map(score, np.unique(self._folds).tolist()))
        for setting, answers in zip(settings, logits, strict=True):
            sharpness, loss = None, 0.0
            if known.any():
                sharpness = sharpness_of(answers[known], classes[known])
                sharpened = np.asarray(answers[known] * sharpness, np.float32)
                loss = cross_entropy(sharpened, classes[known])
            self._tried[setting] = Trial(setting, answers, sharpness, loss)


def _blocks(
    data: LabelledBottlenecks, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield some of the rows and their bottlenecks at a time."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        yield some, data.take(some).bottlenecks


def _loss_of(trial: Trial) -> float:
    return trial.loss
