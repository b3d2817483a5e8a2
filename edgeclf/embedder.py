"""Turn pictures into vectors with a `.tflite` file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.graph import Graph
from edgeclf.metadata import read_model_info
from edgeclf.network import ModelSource, Network, named_errors, read_model


class Embedder:
    """Turns pictures into vectors: the bottleneck that a classifier's head reads.

    Of a file of edgeclf's own the vector is named in its record. Of another classifier
    it is the input of the last fully connected layer, of a feature extractor the
    output. Pictures are prepared as `Classifier` does, threads likewise.

    Args:
        model: Path or content of a `.tflite` file.
        num_threads: As for `Classifier`.
        resize: As for `Classifier`.
        input_mean: As for `Classifier`.
        input_std: As for `Classifier`.

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
    ) -> None:
        self._name, content = read_model(model)
        with named_errors(self._name):
            info = read_model_info(content)
            graph = Graph(content)
            recorded = info.record.get("bottleneck")
            tensor = graph.tensor_named(recorded) if recorded else graph.bottleneck()
            self._network = Network(
                graph.with_outputs([tensor]),
                info,
                num_threads=num_threads,
                resize=resize,
                input_mean=input_mean,
                input_std=input_std,
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """`(height, width)` of the model's input in pixels."""
        return self._network.input_size

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
    ) -> NDArray[np.float32]:
        """Return the vector of one picture.

        Args:
            image: As for `Classifier.classify`.
            region: As for `Classifier.classify`.
            rotation: As for `Classifier.classify`.

        Returns:
            float32 array of shape `(depth,)`.

        Raises:
            ImageError, OSError, ModelError, TypeError, ValueError: As
                `Classifier.classify`.
        """
        with named_errors(self._name):
            return self._network.run(image, region=region, rotation=rotation)

    def close(self) -> None:
        """Give the interpreter's memory back. A second call does nothing."""
        self._network.close()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
