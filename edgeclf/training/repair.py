"""Check what int8 costs, and try again by other means when it costs too much.

Counting pictures that int8 gets wrong needs thousands: one of 30 is 3 points. So what
is measured is the noise, picture by picture: how far the int8 file's logits lie from
the float head's. It is added to what heads that have not seen the picture answer to it,
as if it were a new one; and where the best class changes, the loss is the difference of
the two scores, which are calibrated. Training pictures tell as much as others then, and
the pictures of the test split stay out of it. Of tags it is the micro-F1 that counts:
what it is expected to be with the tags that are given before and after.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf import image
from edgeclf.console import number_of
from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.errors import ImageError, ModelError
from edgeclf.interpreter import create_interpreter, num_processors
from edgeclf.quantization import dequantize
from edgeclf.tflite.graph import Graph
from edgeclf.training.assemble import LOGITS
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.config import RetrainConfig
from edgeclf.training.export import export
from edgeclf.training.extracted import ExtractedPictures
from edgeclf.training.fitted_tags import FittedTags
from edgeclf.training.head import FittedHead, softmax
from edgeclf.training.tag_regression import sigmoid
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")

CHECKED = 32  # pictures of the first look, which costs 0.1 s
CHECKED_AGAIN = 400  # when the first look is worrying
MORE_CALIBRATION = 1000
SURE = 1.645  # standard errors: 95 % on one side


@dataclasses.dataclass(frozen=True)
class Int8Drop:
    """What int8 is expected to cost on new pictures.

    Attributes:
        points: Accuracy that is lost, of tags micro-F1, percentage points.
        error: Its standard error, likewise.
        num_pictures: Pictures that it was measured on.
        figure: What is lost.
    """

    points: float
    error: float
    num_pictures: int
    figure: str = "accuracy"

    def __str__(self) -> str:
        return (
            f"{self.points:.2f} +- {self.error:.2f} points of {self.figure} on "
            f"{number_of(self.num_pictures, 'picture')}"
        )


@dataclasses.dataclass(frozen=True)
class Exported:
    """The device's file without its record, and how it was come by.

    Attributes:
        graph: A `.tflite` file.
        head: "int8" or "float": the type of its last layer in an int8 model.
        drop: What int8 costs; None where it was not asked for.
        repair: "calibration_pictures", "widest_ranges" or "float_head" if one was
            needed; None otherwise.
        bottlenecks: Of some pictures, in float and by the int8 file, both `(n, depth)`;
            None of a file that computes in float.
    """

    graph: bytes
    head: str
    drop: Int8Drop | None = None
    repair: str | None = None
    bottlenecks: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def describe(self) -> dict[str, Any]:
        """Return what the metrics say of it; the drop is in percentage points."""
        return {
            "head": self.head,
            "int8_repair": self.repair,
            "int8_drop": None if self.drop is None else self.drop.points,
            "int8_drop_error": None if self.drop is None else self.drop.error,
        }


def export_repaired(
    config: RetrainConfig,
    floating: bytes,
    dataset: ExtractedPictures,
    backbone: Backbone,
    fitted: FittedHead | FittedTags,
    cache: BottleneckCache,
) -> Exported:
    """Return the classifier, repaired if int8 costs more than `config.max_int8_drop`.

    A repair is tried on suspicion, an error needs evidence: it is raised only if the
    drop of every attempt is above the limit by more than chance (`SURE`).

    Args:
        config: Settings.
        floating: Backbone and head, as `assemble` returns them.
        dataset: The pictures.
        backbone: What the head stands on.
        fitted: The head.
        cache: Keeps what the int8 file answers, for the next run.

    Raises:
        ModelError: int8 costs more than `config.max_int8_drop`, whatever is tried, or
            the graph cannot be quantized.
    """

    def attempt(changed: RetrainConfig, merging: str = "mean") -> bytes:
        return export(changed, floating, dataset, backbone, fitted.head, cache, merging)

    first = Exported(attempt(config), config.head)
    if config.quantize != "int8":
        return first
    checker = _Checker(config, dataset, backbone, fitted, cache)
    limit = config.max_int8_drop
    if limit is None:
        return checker.with_bottlenecks(first)
    drop = checker.drop(first.graph, CHECKED)
    if drop.points > limit:
        drop = checker.drop(first.graph, CHECKED_AGAIN)
    tried = [dataclasses.replace(first, drop=drop)]
    if drop.points > limit:
        logger.warning("int8 costs %s: trying to repair that", drop)
        for repair, changed, merging in _repairs(config, dataset):
            graph = attempt(changed, merging)
            drop = checker.drop(graph, CHECKED_AGAIN)
            logger.info("With %s: %s", repair.replace("_", " "), drop)
            tried.append(Exported(graph, changed.head, drop, repair))
            if drop.points <= limit:
                break
    best = min(tried, key=lambda exported: _points(exported.drop))
    _check(best, limit)
    return checker.with_bottlenecks(best)


def _repairs(
    config: RetrainConfig, dataset: ExtractedPictures
) -> Iterator[tuple[str, RetrainConfig, str]]:
    """Yield what can be tried: its name, the settings, and how ranges are merged."""
    more = dataclasses.replace(config, calibration_pictures=MORE_CALIBRATION)
    num_train = len(dataset.positions(TRAIN))
    if config.calibration_pictures < min(MORE_CALIBRATION, num_train):
        yield "calibration_pictures", more, "mean"
    yield "widest_ranges", more, "widest"
    if config.head == "int8":
        yield "float_head", dataclasses.replace(config, head="float"), "mean"


def _points(drop: Int8Drop | None) -> float:
    return drop.points if drop is not None else 0.0


def _check(best: Exported, limit: float) -> None:
    drop = best.drop
    if drop is None or drop.points <= limit:
        return
    sentence = (
        f"Expected int8 to cost at most {limit:g} points of {drop.figure} "
        f"(max_int8_drop). Received: {drop}, after every repair. Use --quantize "
        "float16, another --architecture, or a higher --max_int8_drop."
    )
    if drop.points - SURE * drop.error > limit:
        raise ModelError(sentence)
    logger.warning("%s It may be chance: the file is written.", sentence)


class _Checker:
    """Measures int8 files; the arguments are those of `export_repaired`."""

    def __init__(
        self,
        config: RetrainConfig,
        dataset: ExtractedPictures,
        backbone: Backbone,
        fitted: FittedHead | FittedTags,
        cache: BottleneckCache,
    ) -> None:
        self._config, self._dataset, self._backbone = config, dataset, backbone
        self._fitted, self._cache = fitted, cache
        held_out = dataset.positions(VALIDATION)  # scales and biases saw the others
        train = dataset.positions(TRAIN)
        source = np.random.default_rng(config.seed)
        self._rows = np.concatenate(
            [source.permutation(held_out), source.permutation(train)]
        )
        self._used = np.sort(self._rows)

    def with_bottlenecks(self, exported: Exported) -> Exported:
        """Return a file with bottlenecks of the first pictures it is looked at with."""
        rows = self._rows[:CHECKED]
        quantized, _ = self._outputs(exported.graph, rows)
        readable = np.isfinite(quantized).all(axis=1)
        floating = self._dataset.bottlenecks[rows[readable]]
        pairs = floating, quantized[readable]
        return dataclasses.replace(exported, bottlenecks=pairs)

    def drop(self, graph: bytes, num_pictures: int) -> Int8Drop:
        """Return what a file is expected to cost on new pictures."""
        rows = self._rows[:num_pictures]
        _, quantized = self._outputs(graph, rows)
        readable = np.isfinite(quantized).all(axis=1)
        rows, quantized = rows[readable], quantized[readable]
        if not len(rows):
            return Int8Drop(0.0, 0.0, 0)
        floating = self._fitted.head.logits(self._dataset.bottlenecks[rows])
        unseen = floating
        if self._fitted.unseen is not None:
            unseen = self._fitted.unseen[np.searchsorted(self._used, rows)]
            # Without others of its class in another fold a picture has no answer.
            unseen = np.where(unseen.any(axis=1, keepdims=True), unseen, floating)
        limits = _representable(Graph(graph))
        unseen, floating = unseen.clip(*limits), floating.clip(*limits)
        losses, figure = self._losses(unseen, floating, quantized)
        # No picture tells of less than itself, however alike a few are.
        error = max(float(losses.std()) / len(losses) ** 0.5, 100 / len(losses))
        return Int8Drop(float(losses.mean()), error, len(losses), figure)

    def _losses(
        self,
        unseen: NDArray[np.float32],
        floating: NDArray[np.float32],
        quantized: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], str]:
        """Return what int8 costs on each picture, percentage points, and of what."""
        if not isinstance(self._fitted, FittedTags):
            return 100 * expected_losses(unseen, floating, quantized), "accuracy"
        weighting = self._fitted.weighting
        losses = expected_tag_losses(
            unseen - weighting, floating, quantized, self._fitted.cuts - weighting
        )
        return 100 * losses, "micro-F1"

    def _outputs(
        self, graph: bytes, rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the int8 file's bottlenecks and logits, `(n, depth)`, `(n, classes)`.

        They are NaN for pictures that cannot be read.
        """
        depth = self._dataset.bottlenecks.shape[1]
        shape = (len(rows), depth + len(self._dataset.labels))
        settings = (
            "int8 outputs",
            version("ai-edge-litert"),
            image.PREPROCESSING_VERSION,
            self._config.resize,
            hashlib.sha256(graph).hexdigest(),
            [self._dataset.digests[row].hex() for row in rows.tolist()],
        )
        key = hashlib.sha256(repr(settings).encode()).digest()
        entry = self._cache.get(key)
        if entry is not None:
            values = np.frombuffer(entry, "<f4").astype(np.float32).reshape(shape)
        else:
            values = self._run(graph, rows, np.full(shape, np.nan, np.float32))
            if np.isfinite(values).all():
                self._cache.put([(key, values.astype("<f4").tobytes())])
        return values[:, :depth], values[:, depth:]

    def _run(
        self, graph: bytes, rows: NDArray[np.intp], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        parts, (*_, bottleneck) = Graph(graph), self._dataset.activations
        (source,), names = parts.inputs, (bottleneck, LOGITS)
        outputs = [parts.tensor_named(name) for name in names]
        interpreter = create_interpreter(parts.with_outputs(outputs))
        details = interpreter.get_output_details()
        with ThreadPoolExecutor(self._config.num_workers or num_processors()) as pool:
            for place, pixels in enumerate(pool.map(self._load, rows.tolist())):
                if pixels is None:
                    continue
                # `export` makes the uint8 input the pixel itself.
                interpreter.set_tensor(source, pixels[np.newaxis])
                interpreter.invoke()
                answers = [
                    dequantize(interpreter.get_tensor(output["index"]), output)
                    for output in details
                ]
                values[place] = np.concatenate([answer.ravel() for answer in answers])
        return values

    def _load(self, row: int) -> NDArray[np.uint8] | None:
        example, size = self._dataset.examples[row], self._backbone.input_size
        try:
            return image.load(
                example.read(),
                size,
                resize=self._config.resize,
                name=f"{example.path}",
            )
        except (ImageError, OSError) as error:  # it was there a moment ago
            logger.warning("Not used to check int8: %s", error)
            return None


def _representable(graph: Graph) -> tuple[float, float]:
    """Return the least and the largest logit that the file can express.

    Logits beyond are cut off there, by intent: that is no noise.
    """
    logits = graph.tensor(graph.tensor_named(LOGITS))
    if logits.dtype is None or not len(logits.scales):
        return -np.inf, np.inf
    limits = np.iinfo(logits.dtype)
    low, high = (
        np.array([limits.min, limits.max]) - logits.zero_points
    ) * logits.scales
    return float(low), float(high)


def expected_losses(
    unseen: NDArray[np.float32],
    floating: NDArray[np.float32],
    quantized: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return what int8 is expected to cost on each picture, as a new one, in [0, 1].

    Args:
        unseen: Logits of heads that have not seen the picture, `(n, num_classes)`;
            their softmax is how often each class is the true one.
        floating: Logits of the float head.
        quantized: Logits of the int8 file.
    """
    noise = quantized - floating
    scores = softmax(unseen.astype(np.float64))
    each = np.arange(len(scores))
    before, after = unseen.argmax(axis=1), (unseen + noise).argmax(axis=1)
    return np.asarray(scores[each, before] - scores[each, after])


def expected_tag_losses(
    unseen: NDArray[np.floating],
    floating: NDArray[np.float32],
    quantized: NDArray[np.float32],
    cuts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what int8 is expected to cost of the micro-F1, shared out by picture.

    With p the probability that a tag is right, and d 1 where it is given, the expected
    micro-F1 is `F = sum(a) / sum(b)`, where a picture has `a = 2 sum(p d)` and
    `b = sum(p + d)`. With int8 it is `F' = sum(a') / sum(b')`. As `sum(a - F b) = 0`,
    `F - F' = sum((a - F b) - (a' - F b')) / sum(b')`: each picture's own summand is
    its share.

    Args:
        unseen: Logits of heads that have not seen the picture, `(n, tags)`; their
            logistic function is how often each tag is right.
        floating: Logits of the float head.
        quantized: Logits of the int8 file.
        cuts: The logits from which on tags are given, `(tags,)`.

    Returns:
        Float `(n,)`; the mean is `F - F'`.
    """
    wide = unseen.astype(np.float64)
    scores = sigmoid(wide)
    before, after = wide >= cuts, wide + (quantized - floating) >= cuts

    def parts(given: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
        return 2 * (scores * given).sum(axis=1), (scores + given).sum(axis=1)

    (a, b), (a_after, b_after) = parts(before), parts(after)
    shares = (a - a_after) - a.sum() / b.sum() * (b - b_after)
    return np.asarray(shares / b_after.mean())
