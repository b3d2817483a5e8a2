"""A model in memory, with all that the pages ask of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeclf.classifier import Classifier
from edgeclf.decoder import ImageSource
from edgeclf.results import Category


class LoadedModel:
    """Labels pictures, turns them into vectors, draws where the evidence is.

    Threads may share it. What only some ask for is loaded when it is asked for.

    Args:
        path: Of the `.tflite` file.
        classifier: Of that file; it is closed with this.

    Attributes:
        path: See above.
        name: Of the file.
        size_bytes: Of the file.
        sha256: Of the file, hexadecimal.
        classifier: See above.
    """

    def __init__(self, path: Path, classifier: Classifier) -> None:
        content = path.read_bytes()
        self.path = path
        self.name = path.name
        self.size_bytes = len(content)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.classifier = classifier

    def classify(
        self, image: ImageSource, *, top_k: int | None = None, reject: bool = False
    ) -> list[Category]:
        """Label a picture, as `Classifier.classify` does."""
        return self.classifier.classify(image, top_k, reject=reject)

    def embed(self, image: ImageSource) -> NDArray[np.float32]:
        """Return a picture's bottleneck, float32 `(depth,)`, as `Embedder.embed`."""
        raise NotImplementedError

    def heat_map(self, image: ImageSource, label: str | int | None = None) -> bytes:
        """Return a PNG: the picture, and in colour what speaks for a class.

        Args:
            image: As for `Classifier.classify`.
            label: The class. Default: the best.

        Raises:
            ModelError: The model is not of a form that can be mapped.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the memory back."""
        self.classifier.close()
