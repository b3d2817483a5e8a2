"""What came of a candidate: its figures, kept in a file, or its error."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeclf import files
from edgeclf.choosing.candidates import Candidate, fingerprint_file
from edgeclf.console import sentence
from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.tflite.cost import read_cost
from edgeclf.tflite.graph import Graph
from edgeclf.training import RetrainConfig, RetrainResult, retrain
from edgeclf.training.tag_measurements import Mistagged

logger = logging.getLogger("edgeclf")


@dataclasses.dataclass(frozen=True)
class TagFigures:
    """What is measured of tags only.

    Attributes:
        mean_average_precision: Of the written file on the test pictures, in [0, 1];
            None where no tag has one.
        micro_f1: Of all pairs of picture and tag, at the tags' own thresholds.
        micro_f1_interval_95: Over pictures drawn again.
        num_true: Tags that the test pictures have, in all.
        missed: How many tags each picture of `Outcome.misclassified` is not given.
        wrong: How many it is given and has not.
    """

    mean_average_precision: float | None
    micro_f1: float
    micro_f1_interval_95: tuple[float, float] | None
    num_true: int
    missed: tuple[int, ...]
    wrong: tuple[int, ...]

    @classmethod
    def of(cls, result: RetrainResult) -> TagFigures:
        """Take them from a run on tags."""
        test = result.metrics["test"]
        mistagged = [
            wrong for wrong in result.misclassified if isinstance(wrong, Mistagged)
        ]
        return cls(
            test["mean_average_precision"],
            test["micro_f1"],
            _pair(test["micro_f1_interval_95"]),
            sum(entry["num_positive"] for entry in test["per_tag"]),
            tuple(len(entry.missed) for entry in mistagged),
            tuple(len(entry.wrong) for entry in mistagged),
        )

    @classmethod
    def read(cls, entry: dict[str, Any]) -> TagFigures:
        """Return what `dataclasses.asdict` made an entry of JSON."""
        interval = _pair(entry["micro_f1_interval_95"])
        missed, wrong = tuple(entry["missed"]), tuple(entry["wrong"])
        others = {"micro_f1_interval_95": interval, "missed": missed, "wrong": wrong}
        return cls(**{**entry, **others})


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A candidate that was trained, or one that failed.

    Attributes:
        candidate: Its settings.
        error: Why it failed; None for one that did not.
        model: Path of the written file; None for one that failed, like all that follow.
        num_test: Test pictures.
        accuracy: Of the written file on them, through `Classifier`, in [0, 1]. Of tags
            it is binary accuracy: the share of pairs of picture and tag.
        accuracy_interval_95: Its Wilson interval; None for tags, whose pairs are not
            independent.
        accuracy_float: The same before quantization.
        macro_f1: Mean F1 of the classes, in [0, 1]; None where it is not measured.
        cross_entropy: In nats; of tags binary, over all pairs.
        tags: What is measured of tags only; None for classes.
        parameters_trained: Weights and biases of the head.
        parameters_frozen: Of the backbone.
        macs: Multiply-accumulate operations for one picture.
        size_bytes: Of the file.
        training_s: Seconds from the pictures to the measured file; bottlenecks that
            were in the cache already were not computed again.
        misclassified: Names of the test pictures that the file gets wrong.
        latency_ms: Median of one inference on this machine.
        latency_p10_ms: Its 10th percentile: what a quiet machine takes.
        latency_p90_ms: Its 90th percentile; far from the median on a busy machine.
    """

    candidate: Candidate
    error: str | None = None
    model: str | None = None
    num_test: int = 0
    accuracy: float = 0.0
    accuracy_interval_95: tuple[float, float] | None = (0.0, 1.0)
    accuracy_float: float | None = None
    macro_f1: float | None = None
    cross_entropy: float | None = None
    parameters_trained: int = 0
    parameters_frozen: int = 0
    macs: int = 0
    size_bytes: int = 0
    training_s: float = 0.0
    misclassified: tuple[str, ...] = ()
    latency_ms: float | None = None
    latency_p10_ms: float | None = None
    latency_p90_ms: float | None = None
    tags: TagFigures | None = None

    @property
    def merit(self) -> float:
        """What candidates are ranked by, in [0, 1]: accuracy, or micro-F1 of tags."""
        return self.accuracy if self.tags is None else self.tags.micro_f1

    @property
    def merit_interval_95(self) -> tuple[float, float] | None:
        """The interval of that."""
        if self.tags is None:
            return self.accuracy_interval_95
        return self.tags.micro_f1_interval_95

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values for JSON, the candidate's settings first.

        Of one that failed there are the settings and the error only.
        """
        settings = dataclasses.asdict(self.candidate)
        if self.error is not None:
            return {**settings, "error": self.error}
        figures = dataclasses.asdict(self)
        del figures["candidate"], figures["error"]
        del figures["tags"]
        if self.tags is not None:
            figures |= dataclasses.asdict(self.tags)
        int8 = self.accuracy if self.candidate.quantize == "int8" else None
        return {**settings, **figures, "accuracy_int8": int8}


def train(candidate: Candidate, config: RetrainConfig) -> tuple[Outcome, Path | None]:
    """Train and measure a candidate.

    Returns:
        What came of it, and the table of its split; None if it failed.
    """
    started = time.monotonic()
    try:
        result = retrain(config)
        took = time.monotonic() - started
        return _measured(candidate, result, took), result.split_path
    except (EdgeclfError, OSError, ValueError, RuntimeError, MemoryError) as error:
        reason = sentence(error) or type(error).__name__
        logger.error("%s: %s", candidate.name, reason)
        return Outcome(candidate, error=reason), None


def _measured(candidate: Candidate, result: RetrainResult, took: float) -> Outcome:
    metrics, content = result.metrics, result.model_path.read_bytes()
    test = metrics["test"]
    if test is None:
        raise DatasetError(
            "Expected test pictures to compare on. Received: none that can be read. "
            "Raise --testing_percentage or add pictures."
        )
    cost, graph = read_cost(content), Graph(content)
    depth = graph.tensor(graph.bottleneck()).shape[-1]
    trained = len(metrics["labels"]) * (depth + 1)
    has_tags = bool(metrics.get("multi_label"))
    return Outcome(
        candidate,
        model=str(result.model_path),
        num_test=test["num"]
        if has_tags
        else sum(entry["num_test"] for entry in test["per_class"]),
        accuracy=metrics["accuracy"],
        accuracy_interval_95=_pair(test.get("accuracy_interval_95")),
        accuracy_float=metrics["accuracy_float"],
        macro_f1=test.get("macro_f1"),
        cross_entropy=test["binary_cross_entropy" if has_tags else "cross_entropy"],
        parameters_trained=trained,
        parameters_frozen=cost.parameters - trained,
        macs=cost.macs,
        size_bytes=metrics["size_bytes"],
        training_s=took,
        misclassified=tuple(wrong.name for wrong in result.misclassified),
        tags=TagFigures.of(result) if has_tags else None,
    )


def keep(outcome: Outcome, path: Path, fingerprint: str) -> None:
    """Write an outcome, so that a later run need not train the candidate again."""
    content = dataclasses.asdict(outcome)
    del content["candidate"]
    model = fingerprint_file(outcome.model)
    entry = {"fingerprint": fingerprint, "model": model, "outcome": content}
    text = json.dumps(entry, ensure_ascii=False, indent=2, sort_keys=True)
    files.write_text(path, text + "\n")


def kept(candidate: Candidate, path: Path, fingerprint: str) -> Outcome | None:
    """Return what `keep` wrote; None if that or the model is missing or another."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        if entry["fingerprint"] != fingerprint:
            return None
        values = entry["outcome"]
        values["accuracy_interval_95"] = _pair(values["accuracy_interval_95"])
        values["misclassified"] = tuple(values["misclassified"])
        if values["tags"] is not None:
            values["tags"] = TagFigures.read(values["tags"])
        outcome = Outcome(candidate, **values)
        is_whole = entry["model"] and fingerprint_file(outcome.model) == entry["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return outcome if is_whole else None
