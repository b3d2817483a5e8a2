"""Label pictures with a `.tflite` file."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.errors import LabelError, ModelError
from edgeclf.labels import UNKNOWN, Labels, check_number, given_labels
from edgeclf.model_info import ModelInfo
from edgeclf.network import (
    PROBE_SIZE,
    HoldsNetwork,
    Network,
    named_errors,
    open_network,
)
from edgeclf.results import Category
from edgeclf.scores import (
    are_probabilities,
    chosen_output,
    ends_in_probabilities,
    not_a_classifier,
    probabilities,
)
from edgeclf.tflite.source import ModelSource

if TYPE_CHECKING:
    from edgeclf.familiarity import Examination, Familiarity

logger = logging.getLogger("edgeclf")

DEFAULT_TOP_K = 5
DEFAULT_TAG_THRESHOLD = 0.5  # of multi-label models without thresholds of their own
_PROBES = (0, 128, 255)  # levels of the gray pictures that tell logits by their scores


class Classifier(HoldsNetwork):
    """Labels pictures with a TensorFlow Lite model.

    The model has one input of shape `(1, height, width, 3)` or `(height, width, 3)`,
    RGB, of float32, float16, uint8, int8 or int16. The whole picture is stretched to
    the input's size.

    - A float input gets `(pixel - mean) / std`, from the model's metadata or from
      `input_mean` and `input_std`. A model that has neither is refused.
    - An 8-bit input gets the same, quantized with the tensor's scale and zero point;
      the raw pixel (int8: less 128) when the metadata do not tell. A 16-bit input is
      quantized too, and needs the metadata or the arguments, as floats do.
    - Height and width may be dynamic: then they are `input_size`, else those of the
      metadata or of the tensor as it is stored, else the picture's own, shrunk to at
      most 512 pixels a side.

    One output holds a score for each class, in one to four dimensions of which all but
    one are 1. Of several outputs it is the one that the metadata name labels for, or
    the only one that can be meant.

    - It is dequantized with its own scale and zero point. Logits become probabilities
      by a softmax, a single one by the logistic function. What is a logit is decided
      once, when the model is opened: the graph ends in SOFTMAX or LOGISTIC, or in a
      layer, or its quantization leaves no room for logits; where none of this tells,
      gray pictures do, the scores of which sum to 1 or do not.
    - A score calibration in the metadata of other makers is applied instead.

    Refused with `ModelError`: several inputs, outputs that cannot be told apart,
    another number of channels, a batch, other dtypes, operators that the interpreter
    does not have.

    Threads may share one object: pictures are decoded at the same time, and then go
    through the interpreter one after the other.

    Args:
        model: Path or content of a `.tflite` file; a `BytesIO` may have a `name`, for
            errors to say.
        labels: Names of the classes, in the order of the output: a UTF-8 file with one
            a line, or a list. Numbers before all lines of a file, `0 cat`, are left
            out. Default: the model's own.
        num_threads: Threads of one inference. Default: one. More gain little on small
            models, and lose much when the machine does other work too.
        resize: "antialias", "bilinear" or "nearest", see `edgeclf.image.load`.
            Default: what the model was trained with, else "antialias".
        input_mean: For float models without metadata; one value, or three for R, G, B.
        input_std: See `input_mean`; both or none.
        input_size: `(height, width)` for a model of dynamic size. A fixed model takes
            only its own.
        delegate: Library of an accelerator, such as `libedgetpu.so.1`. When it cannot
            be used, one logged line says why, and the processor does the work.
        delegate_options: Options of the delegate, by name.
        sha256: Sum that the file must have, 64 hexadecimal digits: the bytes that are
            checked are the bytes that run. Default: any.
        max_model_mb: Most memory in MB that the model may take, all of it; one that
            would take more is refused before an interpreter sees it. Default: 900.

    Raises:
        FileNotFoundError: There is no such model or labels file.
        ModelError: The model is damaged, unsupported, too large or no image
            classifier, or its sum is another.
        LabelError: The number of labels is not the number of classes.
        MissingExtraError: No interpreter is installed.
        TypeError, ValueError: Another argument is outside its range, or does not fit
            the model.
    """

    def __init__(
        self,
        model: ModelSource,
        labels: Labels | None = None,
        num_threads: int | None = None,
        resize: str | None = None,
        input_mean: float | Sequence[float] | None = None,
        input_std: float | Sequence[float] | None = None,
        *,
        input_size: tuple[int, int] | None = None,
        delegate: str | None = None,
        delegate_options: Mapping[str, str] | None = None,
        sha256: str | None = None,
        max_model_mb: int | None = None,
    ) -> None:
        names, source = (None, "") if labels is None else given_labels(labels)
        self._name, content, self._info, self._network = open_network(
            model,
            outputs=lambda content, info: chosen_output(content, info, names),
            num_threads=num_threads,
            resize=resize,
            input_mean=input_mean,
            input_std=input_std,
            input_size=input_size,
            delegate=delegate,
            delegate_options=delegate_options,
            sha256=sha256,
            max_model_mb=max_model_mb,
        )
        with named_errors(self._name):
            self._num_classes = self._count_classes()
            known = ends_in_probabilities(content, self._info)
            self._is_probability = self._probed() if known is None else known
            calibration = self._info.score_calibration
            self._calibration = calibration and calibration.fitted(self._num_classes)
        if names is None:
            names, source = self._info.labels, "the file itself"
        self._labels = names
        if names is not None:
            shape = self._network.output_shapes[0]
            check_number(
                names, self._num_classes, f"{self._name} (output shape {shape})", source
            )
        elif not self._is_probability:
            logger.info(
                "%s has no labels and does not end in probabilities: it may be a "
                "feature extractor rather than a classifier.",
                self._name,
            )
        self._thresholds = self._tag_thresholds()
        self._familiarity: Familiarity | None = None  # made when it is asked for
        self._replacing = threading.Lock()
        # The interpreter holds the same bytes.
        self._content = content if self.has_reject_rule else b""
        self._open_again = partial(
            Network,
            num_threads=num_threads,
            resize=resize,
            input_mean=input_mean,
            input_std=input_std,
            input_size=input_size,
            delegate=delegate,
            delegate_options=delegate_options,
            max_model_mb=max_model_mb,
        )

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of the output; None without labels."""
        return self._labels

    @property
    def num_classes(self) -> int:
        """Number of classes, the size of the output."""
        return self._num_classes

    @property
    def resize(self) -> str:
        """The filter that pictures are resized with."""
        return self._network.resize

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels; scores then do not sum to 1."""
        return bool(self._info.record.get("multi_label", False))

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """From which score on a multi-label model gives each tag, `(num_classes,)`."""
        return np.array(self._thresholds)

    @property
    def has_reject_rule(self) -> bool:
        """Whether the file has a rule for `unknown` that asks for the distance too."""
        rule = self._info.record.get("reject") or {}
        return len(rule) > 1 and not self.multi_label

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
            score_threshold: Least score of a category, in [0, 1]. Default: what other
                makers' metadata recommend, else none; of a multi-label model each
                tag's own, unless `top_k` is given.
            allow: Only these labels.
            deny: All labels but these.
            region: `(left, top, right, bottom)` of the upright, rotated picture: floats
                in [0, 1], or ints in pixels. Default: all of it.
            rotation: 0, 90, 180 or 270 degrees clockwise, after EXIF.
            reject: Return one category, `unknown` without an index, when the model's
                own rule says that the picture is of none of its classes: by its best
                score, and by its distance to the classes where the file tells how they
                spread (the first such picture takes longer, and each one a little).
                Models without a rule ignore it.

        Returns:
            Categories by falling score; equal scores by index.

        Raises:
            ImageError: The picture is damaged, in an unknown format or too large.
            FileNotFoundError: There is no such picture.
            LabelError: `allow` or `deny` for a model without labels.
            ModelError: The model fails on it.
            TypeError: `image` is none of the types above, or `allow` or `deny` is one
                string.
            ValueError: Another argument is outside its range, or the classifier closed.
        """
        wanted = self._checked_choice(top_k, score_threshold, allow, deny)
        if reject and self.has_reject_rule:
            examined = self.examine(image, region=region, rotation=rotation)
            scores, is_unknown = examined.scores, examined.is_unknown
        else:
            scores = self.scores(image, region=region, rotation=rotation)
            is_unknown = reject and self._is_below_least(scores)
        return self._chosen(scores, wanted, top_k, score_threshold, is_unknown)

    def categories(
        self,
        scores: NDArray[np.float32],
        *,
        top_k: int | None = None,
        score_threshold: float | None = None,
        allow: Collection[str] | None = None,
        deny: Collection[str] | None = None,
        reject: bool = False,
    ) -> list[Category]:
        """Choose the labels that go with scores, the mean of several frames perhaps.

        Args:
            scores: Of shape `(num_classes,)`, as `scores` returns them.
            top_k: As for `classify`, like the rest.
            score_threshold: Likewise.
            allow: Likewise.
            deny: Likewise.
            reject: Likewise, but by the best score alone: there is no picture here to
                measure the distance of.

        Returns:
            Categories by falling score; equal scores by index.

        Raises:
            LabelError: `allow` or `deny` for a model without labels.
            TypeError, ValueError: An argument is outside its range.
        """
        wanted = self._checked_choice(top_k, score_threshold, allow, deny)
        scores = np.asarray(scores)
        if scores.shape != wanted.shape or not np.isfinite(scores).all():
            raise ValueError(
                f"Expected {self._num_classes} finite scores, one for each class. "
                f"Received: scores={scores}"
            )
        is_unknown = reject and self._is_below_least(scores)
        return self._chosen(scores, wanted, top_k, score_threshold, is_unknown)

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
            float32 array of shape `(num_classes,)`: probabilities in [0, 1]; or what
            the metadata's score calibration makes of the output, which may lie outside.

        Raises:
            ImageError, OSError, ModelError, TypeError, ValueError: As `classify`.
        """
        with named_errors(self._name):
            values, *_ = self._network.run(image, region=region, rotation=rotation)
        return self._as_scores(values)

    def examine(
        self,
        image: ImageSource,
        *,
        region: Sequence[float] | None = None,
        rotation: int = 0,
    ) -> Examination:
        """Return the scores of a picture, and how unlike all known ones it is.

        This is what `classify` decides with under `reject=True`.

        Args:
            image: As for `classify`.
            region: As for `classify`.
            rotation: As for `classify`.

        Raises:
            ImageError, OSError, ModelError, TypeError: As `classify`.
            ValueError: Likewise; or the file has no rule that knows distances.
        """
        with named_errors(self._name):
            familiarity = self._with_familiarity()
            values, bottleneck, *_ = self._network.run(
                image, region=region, rotation=rotation
            )
        return familiarity.examine(self._as_scores(values), bottleneck.reshape(-1))

    def close(self) -> None:
        """Give the interpreter's memory back. A second call does nothing.

        A picture that another thread is working on is finished first.
        """
        with self._replacing:
            super().close()

    def _as_scores(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        values = values.reshape(-1)
        if self._calibration is not None:
            return self._calibration(values)
        return values if self._is_probability else probabilities(values)

    def _with_familiarity(self) -> Familiarity:
        """Return what the file knows of its classes; from now on, read bottlenecks.

        A second output costs a picture nothing, but who does not reject need not have
        it. A thread that is working on a picture finishes it with the network it has.
        """
        with self._replacing:
            if self._familiarity is None:
                if not self.has_reject_rule:
                    raise ValueError(
                        "Expected a model with a reject rule that knows distances, as "
                        f"edgeclf retrain writes it. Received: {self._name}"
                    )
                from edgeclf.familiarity import Familiarity, with_bottleneck

                info = self._info
                familiarity = Familiarity(self._content, info, self._num_classes)
                if not self._network.is_closed:
                    content = with_bottleneck(self._content, info)
                    self._network = self._open_again(content, info)
                    familiarity.check_depth(self._network.output_shapes[1])
                    self._content = b""
                    self._familiarity = familiarity
                return familiarity
            return self._familiarity

    def _count_classes(self) -> int:
        shapes = self._network.output_shapes
        sizes = [size for size in shapes[0] if size != 1] if shapes else []
        if len(shapes) != 1 or len(sizes) > 1:
            raise not_a_classifier(shapes)
        return sizes[0] if sizes else 1

    def _probed(self) -> bool:
        """Tell whether the scores of gray pictures are probabilities."""
        for level in _PROBES:
            picture = np.full((*PROBE_SIZE, 3), level, np.uint8)
            try:
                (values,) = self._network.run(picture)
            except ModelError:  # gray has no contrast: a model may divide by it
                return False
            if not are_probabilities(values):
                return False
        return True

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

    def _is_below_least(self, scores: NDArray[np.float32]) -> bool:
        rule = self._info.record.get("reject") or {"min_score": -math.inf}
        return float(scores.max()) < float(rule["min_score"])

    def _chosen(
        self,
        scores: NDArray[np.float32],
        wanted: NDArray[np.bool_],
        top_k: int | None,
        score_threshold: float | None,
        is_unknown: bool,
    ) -> list[Category]:
        if is_unknown:
            return [Category(None, UNKNOWN, float(scores.max()))]
        if score_threshold is None:
            score_threshold = self._info.score_threshold
        # A score calibration may go below 0: without a threshold they stay too.
        least: float | NDArray[np.float32] = score_threshold or -math.inf
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

    def _checked_choice(
        self,
        top_k: int | None,
        score_threshold: float | None,
        allow: Collection[str] | None,
        deny: Collection[str] | None,
    ) -> NDArray[np.bool_]:
        """Return a mask of the classes that may be returned."""
        if top_k is not None and not (isinstance(top_k, Integral) and top_k >= 1):
            raise ValueError(
                f"Expected top_k, a whole number of at least 1. Received: top_k={top_k}"
            )
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise ValueError(
                "Expected score_threshold in [0, 1]. "
                f"Received: score_threshold={score_threshold}"
            )
        return self._wanted(allow, deny)

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
