"""Label pictures with a `.tflite` file."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.errors import LabelError, ModelError
from edgeclf.metadata import ModelInfo, read_labels, read_model_info
from edgeclf.network import ModelSource, Network, named_errors, read_model
from edgeclf.results import Category

logger = logging.getLogger("edgeclf")

DEFAULT_TOP_K = 5
DEFAULT_TAG_THRESHOLD = 0.5  # of multi-label models without thresholds of their own
UNKNOWN = "unknown"
SUM_TOLERANCE = 1e-2  # of scores that are probabilities: 8-bit outputs are rounded

Labels: TypeAlias = "str | os.PathLike[str] | Sequence[str]"


class Classifier:
    """Labels pictures with a TensorFlow Lite model.

    The model has one input of shape `(1, height, width, 3)`, RGB, and one output whose
    size is the number of classes: `(1, n)`, `(1, 1, 1, n)` or `(n,)`. Both are float32,
    uint8 or int8. The whole picture is stretched to the input's size.

    - A float32 input gets `(pixel - mean) / std`, from the model's metadata, else from
      `input_mean` and `input_std`, else `(pixel - 127.5) / 127.5`, which one logged
      line says.
    - A quantized input gets the same, quantized with the tensor's scale and zero point;
      the raw pixel (int8: less 128) when the metadata do not tell.
    - The output is dequantized with its own scale and zero point. If the graph does not
      end in SOFTMAX or LOGISTIC, and the values are no probabilities, a softmax is
      applied.

    Refused with `ModelError`: several inputs or outputs, another number of channels, a
    batch, dynamic height or width, other dtypes.

    One object must not be used by two threads at a time: the interpreter holds the
    picture. Give every thread its own, made from the same bytes.

    Args:
        model: Path or content of a `.tflite` file.
        labels: Names of the classes, in the order of the output: a UTF-8 file with one
            a line, or a list. Default: the model's own.
        num_threads: Threads of one inference. Default: the interpreter's choice.
        resize: "antialias", "bilinear" or "nearest", see `edgeclf.image.load`.
            Default: what the model was trained with, else "antialias".
        input_mean: For float models without metadata; one value, or three for R, G, B.
        input_std: See `input_mean`; both or none.

    Raises:
        FileNotFoundError: There is no such model or labels file.
        ModelError: The model is damaged, unsupported or no image classifier.
        LabelError: The number of labels is not the number of classes.
        MissingExtraError: No interpreter is installed.
        ValueError: Another argument is outside its range, or does not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
        labels: Labels | None = None,
        num_threads: int | None = None,
        resize: str | None = None,
        input_mean: float | Sequence[float] | None = None,
        input_std: float | Sequence[float] | None = None,
    ) -> None:
        self._name, content = read_model(model)
        with named_errors(self._name):
            self._info = read_model_info(content)
            self._network = Network(
                content,
                self._info,
                num_threads=num_threads,
                resize=resize,
                input_mean=input_mean,
                input_std=input_std,
            )
            self._num_classes = self._count_classes()
            self._is_probability = _is_probability(content, self._info)
        self._labels = self._checked_labels(labels)
        if self._labels is None and not self._is_probability:
            logger.info(
                "%s has no labels and does not end in probabilities: it may be a "
                "feature extractor rather than a classifier.",
                self._name,
            )
        self._thresholds = self._tag_thresholds()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of the output; None without labels."""
        return self._labels

    @property
    def num_classes(self) -> int:
        """Number of classes, the size of the output."""
        return self._num_classes

    @property
    def input_size(self) -> tuple[int, int]:
        """`(height, width)` of the model's input in pixels."""
        return self._network.input_size

    @property
    def resize(self) -> str:
        """The filter that pictures are resized with."""
        return self._network.resize

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels; scores then do not sum to 1."""
        return bool(self._info.record.get("multi_label", False))

    @property
    def info(self) -> ModelInfo:
        """What the model file says about itself."""
        return self._info

    def classify(
        self,
        image: ImageSource,
        top_k: int | None = None,
        score_threshold: float | None = None,
        allow: Collection[str] | None = None,
        deny: Collection[str] | None = None,
        region: Sequence[float] | None = None,
        rotation: int = 0,
        reject: bool = False,
    ) -> list[Category]:
        """Label one picture.

        Args:
            image: Path, encoded bytes, binary file, `PIL.Image.Image` or uint8 array of
                shape `(height, width, 3)`, RGB.
            top_k: How many categories at most, the best first. Default: 5; of a
                multi-label model all tags that reach their threshold.
            score_threshold: Least score of a category, in [0, 1]. Default: none; of a
                multi-label model each tag's own, unless `top_k` is given.
            allow: Only these labels.
            deny: All labels but these.
            region: `(left, top, right, bottom)` of the upright, rotated picture: floats
                in [0, 1], or ints in pixels. Default: all of it.
            rotation: 0, 90, 180 or 270 degrees clockwise, after EXIF.
            reject: Return one category, `unknown` without an index, when the best score
                is below the model's own limit. Models without a limit ignore it.

        Returns:
            Categories by falling score; equal scores by index.

        Raises:
            ImageError: The picture is damaged, in an unknown format or too large.
            FileNotFoundError: There is no such picture.
            LabelError: `allow` or `deny` for a model without labels.
            ModelError: The model fails on it.
            TypeError: `image` is none of the types above.
            ValueError: Another argument is outside its range, or the classifier closed.
        """
        if top_k is not None and top_k < 1:
            raise ValueError(f"Expected top_k of at least 1. Received: top_k={top_k}")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise ValueError(
                "Expected score_threshold in [0, 1]. "
                f"Received: score_threshold={score_threshold}"
            )
        wanted = self._wanted(allow, deny)
        scores = self.scores(image, region=region, rotation=rotation)
        best = float(scores.max())
        if reject and best < self._least_known_score():
            return [Category(None, UNKNOWN, best)]
        least: float | NDArray[np.float32] = score_threshold or 0.0
        if self.multi_label and top_k is None:
            if score_threshold is None:
                least = self._thresholds
        elif top_k is None:
            top_k = DEFAULT_TOP_K
        order = np.argsort(-scores, kind="stable")  # ties stay in index order
        order = order[(wanted & (scores >= least))[order]][:top_k]
        return [
            Category(
                int(index), self._labels[index] if self._labels else None, float(score)
            )
            for index, score in zip(order, scores[order], strict=True)
        ]

    def scores(
        self,
        image: ImageSource,
        *,
        region: Sequence[float] | None = None,
        rotation: int = 0,
    ) -> NDArray[np.float32]:
        """Return the score of every class for one picture.

        Args:
            image: As for `classify`.
            region: As for `classify`.
            rotation: As for `classify`.

        Returns:
            float32 array of shape `(num_classes,)`, probabilities in [0, 1].

        Raises:
            ImageError, OSError, ModelError, TypeError, ValueError: As `classify`.
        """
        with named_errors(self._name):
            values = self._network.run(image, region=region, rotation=rotation)
        return values if self._is_probability else probabilities(values)

    def close(self) -> None:
        """Give the interpreter's memory back. A second call does nothing."""
        self._network.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _count_classes(self) -> int:
        shapes = self._network.output_shapes
        sizes = [size for size in shapes[0] if size != 1] if shapes else []
        if len(shapes) != 1 or len(sizes) > 1:
            raise ModelError(
                "Expected an image classifier: one output of shape (1, num_classes). "
                f"Received: outputs of shape {', '.join(map(str, shapes))}"
            )
        return sizes[0] if sizes else 1

    def _checked_labels(self, labels: Labels | None) -> tuple[str, ...] | None:
        """Return the labels, the caller's or the model's own, one for each class."""
        source = "the file itself"
        names = self._info.labels
        if isinstance(labels, (str, os.PathLike)):
            source = os.fsdecode(labels)
            names = _read_labels_file(source)
        elif labels is not None:
            source = "the list of labels"
            names = tuple(labels)
        if names is not None and len(names) != self._num_classes:
            raise LabelError(
                f"Expected {self._num_classes} labels for {self._name} "
                f"(output shape {self._network.output_shapes[0]}). "
                f"Received: {len(names)} in {source}."
            )
        return names

    def _tag_thresholds(self) -> NDArray[np.float32]:
        thresholds = self._info.record.get("thresholds")
        if thresholds is None:
            thresholds = [DEFAULT_TAG_THRESHOLD] * self._num_classes
        if len(thresholds) != self._num_classes:
            raise ModelError(
                f"{self._name}: Expected {self._num_classes} thresholds in the record. "
                f"Received: {len(thresholds)}"
            )
        return np.asarray(thresholds, np.float32)

    def _least_known_score(self) -> float:
        rule = self._info.record.get("reject")
        return float(rule["min_score"]) if rule else -math.inf

    def _wanted(
        self, allow: Collection[str] | None, deny: Collection[str] | None
    ) -> NDArray[np.bool_]:
        """Return a mask of the classes that may be returned."""
        if allow is not None and deny is not None:
            raise ValueError("Expected allow or deny, not both. Received: both")
        names = deny if allow is None else allow
        if names is None:
            return np.ones(self._num_classes, np.bool_)
        if isinstance(names, str):
            raise TypeError(f"Expected a list of labels. Received: {names!r}")
        if self._labels is None:
            raise LabelError(
                f"Expected labels to choose from, but {self._name} has none. "
                "Give them with labels=."
            )
        names = list(names)  # read twice
        unknown = [name for name in names if name not in self._labels]
        if unknown:
            raise ValueError(
                f"Expected labels of {self._name}. Received: "
                f"{', '.join(map(repr, unknown))}, which it does not have."
            )
        named = np.array([label in names for label in self._labels])
        return named if deny is None else ~named


def probabilities(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of logits; values that are probabilities stay as they are."""
    in_range = values.min() >= 0 and values.max() <= 1
    if in_range and abs(values.sum() - 1) <= SUM_TOLERANCE:
        return values
    powers: NDArray[np.float32] = np.exp(values - values.max())  # at most 1
    powers /= powers.sum()
    return powers


def _is_probability(content: bytes, info: ModelInfo) -> bool:
    """Tell whether the graph itself ends in probabilities."""
    if "multi_label" in info.record:
        return True  # a file of our own ends in SOFTMAX or LOGISTIC
    from edgeclf.graph import Graph  # needs flatbuffers, which our own files do not

    return Graph(content).output_is_probability()


def _read_labels_file(path: str) -> tuple[str, ...]:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start-up time
        text = file.read()
    try:
        return read_labels(text)
    except UnicodeDecodeError as error:
        raise LabelError(
            f"Expected {path} to be UTF-8 text with one label a line. Received: {error}"
        ) from error
