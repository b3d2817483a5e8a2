"""What tuning tries: solvers, views, and gradient descent's rates and steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from edgeclf.training.config import RetrainConfig

DESCENT = "descent"  # in place of a solver


@dataclasses.dataclass(frozen=True)
class Setting:
    """One mix of settings.

    Attributes:
        solver: One of `SOLVERS`, or "descent" for mini-batch gradient descent.
        views: Of each training picture.
        learning_rate: Of gradient descent; None for a solver.
        steps: Of gradient descent; None for a solver.
    """

    solver: str
    views: int
    learning_rate: float | None = None
    steps: int | None = None

    def configure(self, shared: RetrainConfig, share: float = 1.0) -> RetrainConfig:
        """Return the settings to train with.

        Args:
            shared: All other settings.
            share: Of the steps that are taken, in (0, 1].
        """
        changes = dataclasses.replace(shared, views=self.views)
        if self.steps is None:
            return dataclasses.replace(changes, solver=self.solver)
        return dataclasses.replace(
            changes,
            learning_rate=self.learning_rate,
            how_many_training_steps=math.ceil(self.steps * share),
        )

    def __str__(self) -> str:
        views = f"{self.views} view{'s' * (self.views != 1)}"
        if self.steps is None:
            return f"{self.solver}, {views}"
        return f"{DESCENT}, {self.steps} steps of {self.learning_rate:g}, {views}"


def list_settings(
    solvers: Sequence[str],
    views: Sequence[int],
    learning_rates: Sequence[float],
    steps: Sequence[int],
) -> list[Setting]:
    """Return every mix once; gradient descent with every rate and number of steps."""
    mixes = [Setting(solver, number) for solver in solvers for number in views]
    mixes += [
        Setting(DESCENT, number, rate, count)
        for rate in learning_rates
        for count in steps
        for number in views
    ]
    return list(dict.fromkeys(mixes))


def reference(shared: RetrainConfig) -> Setting:
    """Return what `edgeclf retrain` does without options."""
    return Setting(shared.solver, shared.num_views)
