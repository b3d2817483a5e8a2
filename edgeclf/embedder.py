"""Turn pictures into vectors with a `.tflite` file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.model_info import ModelInfo
from edgeclf.network import HoldsNetwork, named_errors, open_network
from edgeclf.scores import scores_output
from edgeclf.tflite.graph import Graph
from edgeclf.tflite.source import ModelSource


class Embedder(HoldsNetwork):
    """Turns pictures into vectors: the bottleneck that a classifier's head reads.

    Of a file of edgeclf's own the vector is named in its record. Of another classifier
    it is the input of the last fully connected layer, of a feature extractor the
    output. Of several outputs that have none in common it is that of the scores.
    Pictures are prepared as `Classifier` does; threads may share it likewise.

    Args:
        model: Path or content of a `.tflite` file.
        num_threads: As for `Classifier`, like all that follow.
        resize: See there.
        input_mean: See there.
        input_std: See there.
        input_size: See there.
        delegate: See there.
        delegate_options: See there.
        sha256: See there.
        max_model_mb: See there.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The model is damaged or unsupported.
        MissingExtraError: No interpreter is installed.
        ValueError: Another argument is outside its range, or does not fit the model.
    """

    def __init__(
        self,
        model: ModelSource,
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
        self._name, _, _, self._network = open_network(
            model,
            outputs=_bottleneck,
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

    @property
    def depth(self) -> int:
        """Length of the vectors."""
        return math.prod(self._network.output_shapes[0])

    def embed(
        self,
        image: ImageSource,
        *,
        region: Sequence[float] | None = None,
        rotation: int = 0,
        normalize: bool = False,
    ) -> NDArray[np.float32]:
        """Return the vector of one picture.

        Args:
            image: As for `Classifier.classify`.
            region: As for `Classifier.classify`.
            rotation: As for `Classifier.classify`.
            normalize: Whether to divide the vector by its length, so that the product
                of two is their cosine similarity. Zeros stay zeros.

        Returns:
            float32 array of shape `(depth,)`.

        Raises:
            ImageError, OSError, ModelError, TypeError, ValueError: As
                `Classifier.classify`.
        """
        with named_errors(self._name):
            (vector,) = self._network.run(image, region=region, rotation=rotation)
        vector = vector.reshape(-1)
        return _normalized(vector) if normalize else vector


def cosine_similarity(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> float | NDArray[np.float32]:
    """Return the cosine of the angle between vectors: 1 for the same direction.

    Args:
        first: Shape `(depth,)`, or `(n, depth)` for several.
        second: Likewise `(depth,)` or `(m, depth)`.

    Returns:
        A float in [-1, 1]; for several vectors a float32 array of shape `(n,)`, `(m,)`
        or `(n, m)`: each of `first` with each of `second`. 0 where a vector is zero.

    Raises:
        ValueError: They are of another number of dimensions, or of unlike depth.
    """
    first, second = np.asarray(first), np.asarray(second)
    if not (first.ndim in (1, 2) and second.ndim in (1, 2)) or (
        first.shape[-1] != second.shape[-1]
    ):
        raise ValueError(
            "Expected vectors of shape (depth,) or (n, depth), of the same depth. "
            f"Received: shapes {first.shape} and {second.shape}"
        )
    cosines = np.asarray(_normalized(first) @ _normalized(second).T)
    cosines = cosines.clip(-1, 1)  # rounding may lead beyond
    return cosines if cosines.ndim else float(cosines)


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each vector by its length; zeros stay zeros."""
    wide = vectors.astype(np.float64)  # squares of large values would overflow
    lengths = np.sqrt(np.square(wide).sum(-1, keepdims=True))
    return np.divide(wide, np.where(lengths, lengths, 1)).astype(np.float32)


def _bottleneck(content: bytes, info: ModelInfo) -> list[int]:
    graph = Graph(content)
    recorded = info.record.get("bottleneck")
    if recorded:
        return [graph.tensor_named(recorded)]
    bottlenecks = {graph.bottleneck(output) for output in graph.outputs}
    if len(bottlenecks) == 1:
        return list(bottlenecks)
    return [graph.bottleneck(scores_output(graph, info, info.labels))]
