"""Say whether a picture is like those that the model was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.model_info import ModelInfo
from edgeclf.statistics import Distances, read_statistics
from edgeclf.tflite.graph import Graph

LEAST_SCORE = 1 / 512  # half a step of a score of 8 bits: 0 may be anything below


class Examination(NamedTuple):
    """What a model says of one picture.

    Attributes:
        scores: Of every class, float32 `(num_classes,)`.
        distance: To the nearest class, in standard deviations: the see
            `Distances.nearest`.
        unfamiliarity: How odd it is, by score and distance; see `RejectRule`.
        is_unknown: Whether that is beyond the model's limit.
    """

    scores: NDArray[np.float32]
    distance: float
    unfamiliarity: float
    is_unknown: bool


class RejectRule(NamedTuple):
    """How score and distance of a picture say whether its class is known.

    Two things are odd about a picture: a low best score (it lies between classes), and
    a large distance to every class (it is like nothing that was trained on). Either
    becomes the negative logarithm of the share of known pictures that are as odd: of
    surprises after the distribution of Lomax of shape 1, of distances after the normal
    one. The two are added. A model that was shown pictures of no class adds a third:
    how much nearer to those a picture is than to any class.

    Source: R. A. Fisher, "Statistical Methods for Research Workers" (1932), 21.1
    (adding the logarithms of probabilities); K. S. Lomax, "Business Failures", JASA 49
    (1954); K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples" (NeurIPS 2018), 2.1 (the distance).

    Attributes:
        min_score: Least best score, for whoever knows no distance.
        coverage: Share of known pictures that is kept.
        mean_surprise: Mean over known pictures of `surprise`, above 0.
        mean_distance: Mean over known pictures of the distance to the nearest class.
        distance_spread: Its standard deviation, above 0.
        score_weight: How much the score counts; the distance counts 1.
        max_unfamiliarity: Beyond it a picture is unknown.
        mean_lean: Mean over known pictures of the lean of `Distances.nearest`. None:
            the model has no background.
        lean_spread: Its standard deviation, above 0; None likewise.
        scales: How much wider each class lies than those that were trained together,
            at least 1: the distance to it is divided by that. None: all are 1.
    """

    min_score: float
    coverage: float
    mean_surprise: float
    mean_distance: float
    distance_spread: float
    score_weight: float
    max_unfamiliarity: float
    mean_lean: float | None = None
    lean_spread: float | None = None
    scales: tuple[float, ...] | None = None

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> RejectRule:
        """Return the rule that a record holds, as `entry` gives it."""
        values = {name: entry[name] for name in entry if name != "scales"}
        scales = entry.get("scales")
        return cls(
            **{name: float(value) for name, value in values.items()},
            scales=None if scales is None else tuple(map(float, scales)),
        )

    @staticmethod
    def surprise(score: float) -> float:
        """Return the negative natural logarithm of a best score, at least 0."""
        return -math.log(min(max(score, LEAST_SCORE), 1.0))

    def unfamiliarity(self, score: float, distance: float, lean: float = 0.0) -> float:
        """Return how odd a picture is, at least 0.

        Args:
            score: Its best score, in [0, 1].
            distance: To the nearest class: see `Distances.nearest`.
            lean: See `Distances.nearest`; of no concern without a background.
        """
        # Roots of chi-squares fall off as a normal variable does. Surprises do not: a
        # few known pictures are taken for another class, and set no limit for all.
        score_part = math.log1p(self.surprise(score) / self.mean_surprise)
        sigmas = (distance - self.mean_distance) / self.distance_spread
        value = self.score_weight * score_part - log_tail(sigmas)
        if self.mean_lean is not None and self.lean_spread is not None:
            value -= log_tail((lean - self.mean_lean) / self.lean_spread)
        return value

    def entry(self) -> dict[str, Any]:
        """Return the rule as the record holds it."""
        named = self._asdict().items()
        return {name: value for name, value in named if value is not None}


class Familiarity:
    """How the classes of a model spread, and the rule that goes with it.

    Args:
        content: The model file.
        info: What it says about itself; its record has a rule that knows distances.
        num_classes: Size of the model's output.

    Raises:
        ModelError: The statistics are missing or damaged, or of other classes.
    """

    def __init__(self, content: bytes, info: ModelInfo, num_classes: int) -> None:
        self._rule = RejectRule.from_entry(info.record["reject"])
        statistics = read_statistics(content)
        if statistics is None or len(statistics.means) != num_classes:
            count = "none" if statistics is None else str(len(statistics.means))
            raise ModelError(
                f"Expected statistics of {num_classes} classes in the model, for its "
                f"reject rule. Received: {count}. Copy the file again."
            )
        if self._rule.mean_lean is not None and statistics.background is None:
            raise ModelError(
                "Expected statistics of the background in the model, for its reject "
                "rule. Received: none. Copy the file again."
            )
        self._depth = len(statistics.variances)
        self._distances = Distances(statistics, self._rule.scales)

    def check_depth(self, shape: tuple[int, ...]) -> None:
        """Refuse a bottleneck of this shape if the statistics are of another length.

        Raises:
            ModelError: They are.
        """
        if math.prod(shape) != self._depth:
            raise ModelError(
                f"Expected a bottleneck of {self._depth} numbers, like the model's "
                f"statistics. Received: one of shape {shape}."
            )

    def examine(
        self, scores: NDArray[np.float32], bottleneck: NDArray[np.float32]
    ) -> Examination:
        """Judge a picture.

        Args:
            scores: Its scores, `(num_classes,)`.
            bottleneck: Its bottleneck, `(depth,)`.
        """
        distances, leans = self._distances.nearest(bottleneck[np.newaxis])
        distance, lean = float(distances[0]), float(leans[0])
        value = self._rule.unfamiliarity(float(scores.max()), distance, lean)
        return Examination(
            scores, distance, value, value > self._rule.max_unfamiliarity
        )


def with_bottleneck(content: bytes, info: ModelInfo) -> bytes:
    """Return a file of edgeclf's own with its bottleneck as the second output.

    Raises:
        ModelError: Its record does not name it, or it has no tensor of that name.
    """
    name = info.record.get("bottleneck")
    if not name:
        raise ModelError("Expected the record to name the bottleneck. Received: none.")
    graph = Graph(content)
    return graph.with_outputs([*graph.outputs, graph.tensor_named(name)])


def log_tail(sigmas: float) -> float:
    """Return the logarithm of the probability that a normal value is larger.

    Args:
        sigmas: Standard deviations above the mean.
    """
    if sigmas < 10:
        return math.log(math.erfc(sigmas / math.sqrt(2)) / 2)
    # Source: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions",
    # 26.2.12, the first term: right to 1 % of a sigma here.
    return -(sigmas**2) / 2 - math.log(sigmas * math.sqrt(2 * math.pi))
