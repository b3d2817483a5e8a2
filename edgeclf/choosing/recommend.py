"""Recommend the simplest candidate that is not significantly worse than the best.

On few test pictures a difference of many points is not significant at the usual 5 %.
Taking the simpler model then would be wrong more often than right, so a difference
counts from one standard error on: by chance alone that happens in 32 % of cases.

Source: L. Breiman et al., Classification and Regression Trees (1984), 3.4.3, the rule
of one standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.choosing.outcome import Outcome

SIGNIFICANCE = 0.32  # p-value from which on a difference does not count
MCNEMAR, PAIRED = "McNemar's test", "paired test of micro-F1"
SURE = 0.05  # and the usual one, for saying what the test pictures can tell
BYTES_EACH = {"int8": 1, "float16": 2, "none": 4}  # of a weight in the file


@dataclass(frozen=True)
class Budget:
    """What the device allows.

    Attributes:
        max_latency_ms: For one inference, as measured here; None for any.
        max_size_mb: Of the file, in millions of bytes; None for any.
    """

    max_latency_ms: float | None = None
    max_size_mb: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_latency_ms", "max_size_mb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"Expected a positive {name}. Received: {value}.")

    def __bool__(self) -> bool:
        return self != Budget()

    def allows(self, outcome: Outcome) -> bool:
        """Say whether a trained candidate fits."""
        latency, size = outcome.latency_ms, outcome.size_bytes / 1e6
        is_quick = self.max_latency_ms is None or (
            latency is not None and latency <= self.max_latency_ms
        )
        return is_quick and (self.max_size_mb is None or size <= self.max_size_mb)

    def close_calls(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the trained ones that sometimes are quick enough and sometimes not."""
        limit = self.max_latency_ms
        if limit is None:
            return []
        return [
            outcome
            for outcome in outcomes
            if outcome.latency_p10_ms is not None
            and outcome.latency_p90_ms is not None
            and outcome.latency_p10_ms <= limit < outcome.latency_p90_ms
        ]

    def __str__(self) -> str:
        parts = [
            f"--{name} {value:g}"
            for name, value in vars(self).items()
            if value is not None
        ]
        return " and ".join(parts)


@dataclass(frozen=True)
class Recommendation:
    """A candidate, and what it is weighed against.

    Attributes:
        chosen: The candidate.
        best: The one within the budget that is most accurate, or has the highest
            micro-F1 of tags; may be the same.
        p_value: Of McNemar's test between both, of tags of `paired_f1`; None for the
            same.
        significance: From which p-value on a difference does not count.
        budget: What the device allows.
        num_others: How many others are within the budget.
        has_simpler: Whether one of them is simpler.
        over_budget: The best of those that are not, if it is better than `best`; None
            otherwise.
    """

    chosen: Outcome
    best: Outcome
    p_value: float | None
    significance: float
    budget: Budget
    num_others: int
    has_simpler: bool
    over_budget: Outcome | None

    def describe(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        over = self.over_budget
        return {
            "name": self.chosen.candidate.name,
            "best": self.best.candidate.name,
            "best_over_budget": over.candidate.name if over else None,
            "p_value": self.p_value,
            "significance": self.significance,
            "smallest_difference": None
            if self.best.tags is not None
            else smallest_difference(self.best.num_test),
        }

    def sentences(self) -> list[str]:
        """Return why, in words, and how little the test pictures can tell."""
        chosen, over = self.chosen, self.over_budget
        told = [
            f"Recommended: {chosen.candidate.name}, {_said(chosen)}{self._reason()}"
        ]
        if over is not None:
            behind = 100 * (over.merit - chosen.merit)
            told.append(
                f"That is {behind:.1f} points below the best over the budget, "
                f"{over.candidate.name} ({over.merit:.1%}, "
                f"{over.latency_ms or math.nan:.2f} ms, {over.size_bytes / 1e6:.2f} "
                "MB)."
            )
        return [*told, self._resolution()]

    def _reason(self) -> str:
        """Return what follows the name: why this one, and by which test."""
        chosen, best = self.chosen, self.best
        within = f" within {self.budget}" if self.budget else ""
        better = "more accurate" if chosen.tags is None else "better"
        test = MCNEMAR if chosen.tags is None else PAIRED
        if not self.num_others:
            return f": the only candidate{within}, weighed against no other."
        if chosen is best and not self.has_simpler:
            return f": none{within} is {better}, and none is simpler."
        if chosen is best:
            gap = "one standard error or more"
            if self.significance != SIGNIFICANCE:
                gap = f"more than chance explains at p = {self.significance:g}"
            return (
                f": none{within} is {better}, and those that are simpler lie "
                f"behind by {gap} ({test})."
            )
        return (
            f". {best.candidate.name} has {best.merit:.1%}, which may be "
            f"chance ({test}, p = {self.p_value:.2f}), and takes "
            f"{best.macs / max(chosen.macs, 1):.1f} times the multiplications and "
            f"{best.size_bytes / chosen.size_bytes:.1f} times the bytes."
        )

    def _resolution(self) -> str:
        """Return how little the test pictures can tell."""
        best = self.best
        if best.tags is not None:
            low, high = best.merit_interval_95 or (0.0, 1.0)
            return (
                f"On {best.num_test} test pictures a micro-F1 of {best.merit:.1%} may "
                f"be {low:.1%} to {high:.1%} (95 %)."
            )
        least = smallest_difference(best.num_test)
        small = "no difference is ever"
        if least <= 1:
            small = f"differences below {100 * least:.1f} points are never"
        return f"On {best.num_test} test pictures {small} sure (p < {SURE:g})."


def recommend(
    outcomes: Sequence[Outcome], budget: Budget, significance: float = SIGNIFICANCE
) -> Recommendation | None:
    """Weigh the candidates that did not fail and fit the budget; None without any.

    The best is the most accurate, or with the highest micro-F1 of tags, among equals
    that with the least cross-entropy.
    The simplest is the one with the fewest multiplications, then the fewest bytes for
    its weights; what only training costs does not count, so that among candidates of
    the same cost on the device the more accurate one is taken.

    Args:
        outcomes: Candidates measured on the same test pictures.
        budget: What the device allows.
        significance: From which p-value on a candidate counts as no worse than the
            best, in (0, 1]: of McNemar's test, of tags of `paired_f1`.
    """
    trained = [outcome for outcome in outcomes if outcome.error is None]
    fitting = [outcome for outcome in trained if budget.allows(outcome)]
    if not fitting:
        return None
    best = min(fitting, key=_merit)
    good = [o for o in fitting if _p_value(best, o) >= significance]
    chosen = min(good, key=lambda outcome: (*_complexity(outcome), *_merit(outcome)))
    leader = min(trained, key=_merit)
    return Recommendation(
        chosen,
        best,
        None if chosen is best else _p_value(best, chosen),
        significance,
        budget,
        num_others=len(fitting) - 1,
        has_simpler=min(map(_complexity, fitting)) < _complexity(best),
        over_budget=leader if leader.merit > best.merit else None,
    )


def explain_misfit(outcomes: Sequence[Outcome], budget: Budget) -> str:
    """Return why nothing can be recommended, in a sentence."""
    trained = [outcome for outcome in outcomes if outcome.error is None]
    if not trained:
        return "No recommendation: every candidate failed."
    quickest = min(trained, key=lambda outcome: outcome.latency_ms or math.inf)
    smallest = min(trained, key=lambda outcome: outcome.size_bytes)
    return (
        f"No candidate fits {budget}: the quickest, {quickest.candidate.name}, takes "
        f"{quickest.latency_ms or math.nan:.2f} ms, the smallest, "
        f"{smallest.candidate.name}, has {smallest.size_bytes / 1e6:.2f} MB."
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of two classifiers being equally good, exact and two-sided.

    Among the pictures that only one of them gets right, either is as likely.

    Source: Q. McNemar, Psychometrika 12 (1947); T. G. Dietterich, "Approximate
    Statistical Tests for Comparing Supervised Classification Learning Algorithms",
    Neural Computation 10 (1998), 3.1.

    Args:
        only_first: Pictures that the first alone gets right.
        only_second: Pictures that the second alone gets right.
    """
    differing = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(differing, count) for count in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**differing))


def smallest_difference(num_test: int) -> float:
    """Return the least difference of accuracies that can be significant, above 0.

    It is when only one of two candidates gets any picture wrong that the other does
    not. Above 1: there are too few pictures for any.
    """
    needed = 1
    while mcnemar(needed, 0) >= SURE:
        needed += 1
    return needed / num_test


def paired_f1(first: Outcome, second: Outcome) -> float:
    """Return the p-value of two models of tags having the same micro-F1, two-sided.

    With a micro-F1 of F = 2 hits / (given + true), a picture that has `h` hits more and
    `g` tags given more brings (2 h - F g) / (given + true) more of it, to first order.
    That is a mean over pictures, which are independent, and nearly normal.

    Source: G. Casella and R. L. Berger, Statistical Inference, 2nd ed., 5.5.4 (the
    delta method).

    Args:
        first: Measured on some pictures, with their tags.
        second: On the same ones.
    """
    if first.tags is None or second.tags is None:
        raise ValueError("Expected models of tags. Received: one of classes.")
    errors, others = (
        {
            name: (missed, wrong)
            for name, missed, wrong in zip(
                one.misclassified, tags.missed, tags.wrong, strict=True
            )
        }
        for one, tags in ((first, first.tags), (second, second.tags))
    )
    true = max(first.tags.num_true, 1)
    hits = true - sum(first.tags.missed)
    whole = hits + sum(first.tags.wrong) + true
    gains = []
    for name in {**errors, **others}:
        missed, wrong = errors.get(name, (0, 0))
        also_missed, also_wrong = others.get(name, (0, 0))
        more_hits = also_missed - missed
        more_given = more_hits + wrong - also_wrong
        gains.append(2 * more_hits - 2 * hits / whole * more_given)
    total = sum(gains)
    variance = sum(gain**2 for gain in gains) - total**2 / first.num_test
    if variance <= 0:  # nothing but the same everywhere
        return 1.0 if not total else 0.0
    return math.erfc(abs(total) / math.sqrt(2 * variance))


def _said(outcome: Outcome) -> str:
    if outcome.tags is None:
        return f"{outcome.accuracy:.1%} right"
    return f"micro-F1 {outcome.merit:.1%}"


def _p_value(first: Outcome, second: Outcome) -> float:
    if first.tags is not None:
        return paired_f1(first, second)
    wrong, also = set(first.misclassified), set(second.misclassified)
    return mcnemar(len(also - wrong), len(wrong - also))


def _merit(outcome: Outcome) -> tuple[float, float]:
    """Return what is smaller for a better candidate."""
    loss = outcome.cross_entropy
    return -outcome.merit, math.inf if loss is None else loss


def _complexity(outcome: Outcome) -> tuple[int, int]:
    parameters = outcome.parameters_trained + outcome.parameters_frozen
    return outcome.macs, parameters * BYTES_EACH[outcome.candidate.quantize]
