"""Settings of tags' heads, tried on pictures that these have not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.interpreter import num_processors
from edgeclf.training.tag_calibration import common_scale
from edgeclf.training.tag_regression import Solution, cross_entropies, solve
from edgeclf.training.tag_space import Pictures, Space

STRENGTHS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
DEFAULT_STRENGTH = 0.01  # where the search starts
EMPHASES = (0.0, 0.1, 1.0, 10.0, 100.0)  # how much what views change counts
DEFAULT_EMPHASIS = 1.0
NOISE = 1.0  # standard errors by which a tag has to gain by a setting of its own


@dataclass(frozen=True, order=True)
class TagSetting:
    """What a head of tags is fitted with.

    Attributes:
        emphasis: How much what views change counts.
        strength: Of the L2 penalty.
    """

    emphasis: float
    strength: float


@dataclass(frozen=True)
class TagTrial:
    """What the heads of all folds say of pictures they have not seen.

    Attributes:
        setting: Theirs.
        logits: `(n, tags)`, with the scale that makes scores probabilities.
        scale: That scale, 1 / temperature.
        loss: Cross-entropy after that, over pictures and tags, in nats.
    """

    setting: TagSetting
    logits: NDArray[np.float32]
    scale: float
    loss: float


class TagTrials:
    """Trials of settings, each by folds.

    Args:
        pictures: Those to fit to and to score, a fold together with itself.
        targets: Their tags, bool `(n, tags)`.
        folds: Their folds, int `(n,)`, rising.
    """

    def __init__(
        self,
        pictures: Pictures,
        targets: NDArray[np.bool_],
        folds: NDArray[np.intp],
    ) -> None:
        self._pictures, self._targets = pictures, targets
        starts = np.flatnonzero(np.diff(folds, prepend=-1)).tolist()
        self._folds = list(zip(starts, [*starts[1:], len(folds)], strict=True))
        self.tried: dict[TagSetting, TagTrial] = {}

    def search(self) -> TagTrial:
        """Return the best trial, walking downhill from the defaults.

        The loss has one valley along each setting: a walk spares the far ends.
        """
        if not self._pictures.has_views:
            return self._best_strength(0.0, DEFAULT_STRENGTH)
        best = self._best_strength(DEFAULT_EMPHASIS, DEFAULT_STRENGTH)
        place = EMPHASES.index(DEFAULT_EMPHASIS)
        for emphases in (EMPHASES[:place][::-1], EMPHASES[place + 1 :]):
            for emphasis in emphases:
                trial = self._best_strength(emphasis, best.setting.strength)
                if trial.loss >= best.loss:
                    break
                best = trial
        return best

    def best_by_tag(self, best: TagTrial) -> list[TagTrial]:
        """Return for each tag the trial to take: the best, if none is clearly better.

        What a picture's colours say is lost where views count that light it otherwise;
        what it shows is not. So one tag may want them and another not.

        Args:
            best: The one that is best for all tags together.
        """
        held = cross_entropies(best.logits, self._targets)
        chosen = [best] * held.shape[1]
        gains = np.zeros(held.shape[1])
        for trial in self.tried.values():
            gain = held - cross_entropies(trial.logits, self._targets)
            noise = gain.std(axis=0) / len(gain) ** 0.5
            sure = gain.mean(axis=0) - NOISE * noise
            for tag in np.flatnonzero(sure > gains).tolist():
                gains[tag], chosen[tag] = sure[tag], trial
        return chosen

    def fit(
        self, chosen: Sequence[TagTrial]
    ) -> Iterable[tuple[list[int], Space, Solution]]:
        """Yield heads fitted to all pictures: their tags, and weights in a space.

        Args:
            chosen: The trial of each tag.
        """
        by_setting: dict[TagSetting, list[int]] = {}
        for tag, trial in enumerate(chosen):
            by_setting.setdefault(trial.setting, []).append(tag)
        spaces: dict[float, Space] = {}
        for setting in sorted(by_setting):
            if setting.emphasis not in spaces:  # one at a time: they are large
                spaces = {setting.emphasis: self._pictures.space(setting.emphasis)}
            space, tags = spaces[setting.emphasis], by_setting[setting]
            yield tags, space, solve(space, self._targets[:, tags], setting.strength)

    def _best_strength(self, emphasis: float, strength: float) -> TagTrial:
        space = self._pictures.space(emphasis)
        best, solutions = self._try(space, TagSetting(emphasis, strength), None)
        place = STRENGTHS.index(strength)
        for strengths in (STRENGTHS[:place][::-1], STRENGTHS[place + 1 :]):
            starts = solutions
            for other in strengths:
                trial, starts = self._try(space, TagSetting(emphasis, other), starts)
                if trial.loss >= best.loss:
                    break
                best = trial
        return best

    def _try(
        self,
        space: Space,
        setting: TagSetting,
        starts: Sequence[Solution] | None,
    ) -> tuple[TagTrial, list[Solution]]:
        """Score every fold by a head of the other folds."""
        logits = np.zeros(self._targets.shape, np.float32)

        def score(number: int) -> Solution:
            low, high = self._folds[number]
            others = [slice(0, low), slice(high, None)]
            start = None if starts is None else starts[number]
            solution = solve(space, self._targets, setting.strength, others, start)
            logits[low:high] = solution.logits(space.points[low:high])
            return solution

        # Each fold on a thread of its own writes its own rows: the same in every run.
        with ThreadPoolExecutor(num_processors()) as executor:
            solutions = list(executor.map(score, range(len(self._folds))))
        scale = common_scale(logits, self._targets)
        logits *= np.float32(scale)
        loss = float(np.mean(cross_entropies(logits, self._targets)))
        self.tried[setting] = TagTrial(setting, logits, scale, loss)
        return self.tried[setting], solutions
