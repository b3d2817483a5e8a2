"""Say where in a picture the evidence for a class lies.

A classifier that ends in a linear layer on the mean over a feature map can be read in
the other order: the layer first, at every place of the map, the mean afterwards. What
every place adds to the class's logit is then known exactly. Source: B. Zhou, A. Khosla,
A. Lapedriza, A. Oliva and A. Torralba, "Learning Deep Features for Discriminative
Localization", 2016, equation 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.errors import LabelError
from edgeclf.labels import Labels, check_number, given_labels
from edgeclf.linear_head import find_linear_head
from edgeclf.model_info import ModelInfo
from edgeclf.network import HoldsNetwork, named_errors, open_network
from edgeclf.scores import scores_output
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.source import ModelSource


class ClassActivationMapper(HoldsNetwork):
    """Maps the evidence for a class over a picture.

    The model is a classifier whose logits are a linear layer (FULLY_CONNECTED, or
    CONV_2D on one pixel) of the mean over a feature map (MEAN or AVERAGE_POOL_2D over
    all of it) or the means over several, float or quantized: edgeclf's own files, and
    other makers' of that form.
    Pictures are prepared as `Classifier` does, threads likewise.

    Args:
        model: Path or content of a `.tflite` file.
        labels: As for `Classifier`: of several outputs, their number tells which.
        num_threads: As for `Classifier`.
        resize: As for `Classifier`.
        input_mean: As for `Classifier`.
        input_std: As for `Classifier`.
        input_size: As for `Classifier`.
        delegate: As for `Classifier`.
        delegate_options: As for `Classifier`.
        sha256: As for `Classifier`.
        max_model_mb: As for `Classifier`.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The model is damaged, unsupported, or not of that form.
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
        names, place = (None, "") if labels is None else given_labels(labels)

        def feature_map(content: bytes, info: ModelInfo) -> list[int]:
            graph = Graph(content)
            output = scores_output(graph, info, info.labels if names is None else names)
            self._head = find_linear_head(graph, output)
            return list(self._head.feature_maps)

        self._name, _, info, self._network = open_network(
            model,
            outputs=feature_map,
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
        if names is None:
            names, place = info.labels, "the file itself"
        if names is not None:
            check_number(names, self.num_classes, self._name, place)
        self._labels = names

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes in the order of the output; None without labels."""
        return self._labels

    @property
    def num_classes(self) -> int:
        """Number of classes, the size of the output."""
        return len(self._head.bias)

    @property
    def bias(self) -> NDArray[np.float32]:
        """What is added to the evidence of all places, `(num_classes,)`."""
        return self._head.bias

    def map(
        self,
        image: ImageSource,
        label: str | int | None = None,
        *,
        region: Sequence[float] | None = None,
        rotation: int = 0,
    ) -> NDArray[np.float32]:
        """Return what every place of a picture adds to the logit of a class.

        The sum over all places and `bias[label]` is the logit: exactly for a float
        model, to within the rounding of its layers for a quantized one.

        Args:
            image: As for `Classifier.classify`.
            label: A class, by name or index. Default: the one with the highest logit.
            region: As for `Classifier.classify`.
            rotation: As for `Classifier.classify`.

        Returns:
            float32 array `(rows, columns)` of the feature map, which covers the picture
            (or its region) from edge to edge; of several maps, of the finest, over
            whose places what coarser ones add is spread. Negative where a place speaks
            against the class.

        Raises:
            LabelError: A name for a model without labels.
            ImageError, OSError, ModelError, TypeError, ValueError: As
                `Classifier.classify`.
        """
        index = None if label is None else self._index(label)
        with named_errors(self._name):
            maps = self._network.run(image, region=region, rotation=rotation)
        features = [part[0] / (part.shape[1] * part.shape[2]) for part in maps]
        ends = np.cumsum([part.shape[2] for part in features])[:-1]
        if index is None:
            means = np.concatenate([part.sum(axis=(0, 1)) for part in features])
            index = int((self._head.weights @ means + self._head.bias).argmax())
        weights = np.split(self._head.weights[index], ends)
        evidence = [part @ row for part, row in zip(features, weights, strict=True)]
        rows, columns = np.max([part.shape for part in evidence], axis=0).tolist()
        return np.asarray(
            sum(_spread(part, rows, columns) for part in evidence), np.float32
        )

    def _index(self, label: str | int) -> int:
        if isinstance(label, str):
            if self._labels is None:
                raise LabelError(
                    f"Expected the index of a class: {self._name} has no labels. "
                    f"Received: label={label!r}"
                )
            if label not in self._labels:
                raise ValueError(
                    f"Expected a label of {self._name}. Received: label={label!r}, "
                    "which it does not have."
                )
            return self._labels.index(label)
        if not isinstance(label, Integral) or not 0 <= label < self.num_classes:
            raise ValueError(
                f"Expected the index of one of {self.num_classes} classes. "
                f"Received: label={label}"
            )
        return int(label)


def _spread(
    evidence: NDArray[np.float32], rows: int, columns: int
) -> NDArray[np.float32]:
    """Divide each place's evidence among the places of a finer map that it covers."""
    if evidence.shape == (rows, columns):
        return evidence
    down = _shares(evidence.shape[0], rows)
    across = _shares(evidence.shape[1], columns)
    return np.asarray(down.T @ evidence @ across, np.float32)


def _shares(coarse: int, fine: int) -> NDArray[np.float64]:
    """Return what share of each coarse interval lies in each fine one; rows sum to 1.

    Both divide the same line evenly: `(coarse, fine)`.
    """
    starts, ends = np.arange(coarse)[:, np.newaxis] / coarse, np.arange(fine) / fine
    overlap = np.minimum(starts + 1 / coarse, ends + 1 / fine) - np.maximum(
        starts, ends
    )
    return np.asarray(overlap.clip(0) * coarse)


def relative(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return evidence as a share of the most there is in this picture.

    Args:
        evidence: As `ClassActivationMapper.map` returns it.

    Returns:
        float32, same shape, in [0, 1]: 0 where there is none or some against the class,
        1 at the strongest place. All 0 when nothing speaks for the class.
    """
    most = max(float(evidence.max()), np.finfo(np.float32).tiny)
    return np.asarray(evidence.clip(0) / most, np.float32)
