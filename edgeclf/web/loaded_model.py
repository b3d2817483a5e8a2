"""A model in memory, with all that the pages ask of it."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edgeclf.classifier import Classifier
from edgeclf.console import errors_only
from edgeclf.decoder import ImageSource
from edgeclf.labelling.workers import named
from edgeclf.labels import Labels
from edgeclf.results import Category
from edgeclf.tflite.source import read_model

if TYPE_CHECKING:
    from edgeclf.class_activation_map import ClassActivationMapper
    from edgeclf.embedder import Embedder


class LoadedModel:
    """Labels pictures, turns them into vectors, draws where the evidence is.

    Threads may share it. What only some ask for is loaded when it is asked for. What
    becomes of the file on the disk meanwhile changes nothing: it is read once.

    Args:
        path: Of the `.tflite` file.
        labels: As for `Classifier`.
        arguments: Of the classifier besides, as `labelling.arguments.model_arguments`
            returns it.

    Attributes:
        path: See above.
        name: Of the file.
        content: Of the file.
        sha256: Of the file, hexadecimal.
        classifier: Of the file; it is closed with this.

    Raises:
        EdgeclfError, OSError, TypeError, ValueError: As `Classifier`.
    """

    def __init__(
        self,
        path: Path,
        labels: Labels | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        # Bytes of a name that are not UTF-8 cannot be in an answer.
        self.name = path.name.encode("utf-8", "replace").decode()
        self._arguments = dict(arguments or {})
        # The interpreter holds the same bytes: they are in memory once.
        max_model_mb = self._arguments.get("max_model_mb")
        _, self.content = read_model(path, max_model_mb=max_model_mb)
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        source = cast("io.BytesIO", named(self.content, str(path)))
        self.classifier = Classifier(source, labels, **self._arguments)
        self._loading = threading.Lock()
        self._embedder: Embedder | None = None
        self._mapper: ClassActivationMapper | None = None

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return len(self.content)

    def classify(
        self,
        image: ImageSource,
        *,
        top_k: int | None = None,
        score_threshold: float | None = None,
        reject: bool = False,
    ) -> list[Category]:
        """Label a picture, as `Classifier.classify` does."""
        return self.classifier.classify(image, top_k, score_threshold, reject=reject)

    def embed(self, image: ImageSource) -> NDArray[np.float32]:
        """Return a picture's bottleneck, float32 `(depth,)`, as `Embedder.embed`."""
        return self._loaded_embedder().embed(image)

    def heat_map(self, image: ImageSource, label: str | int | None = None) -> bytes:
        """Return a PNG: the picture, and in colour what speaks for a class.

        Args:
            image: As for `Classifier.classify`.
            label: The class. Default: the best.

        Raises:
            ModelError: The model is not of a form that can be mapped.
            ImageError, OSError, ModelError, TypeError, ValueError: As
                `ClassActivationMapper.map`.
        """
        from edgeclf.drawing import overlay

        mapper = self._loaded_mapper()
        evidence = mapper.map(image, label)
        # Every class is among them: the best is the first, a given one may be the last.
        categories = self.classifier.classify(
            image, self.classifier.num_classes, score_threshold=0
        )
        shown = [each for each in categories if label in (None, each.label, each.index)]
        file = io.BytesIO()
        overlay(image, evidence, shown[0] if shown else None).save(file, "PNG")
        return file.getvalue()

    def close(self) -> None:
        """Give the memory back."""
        with self._loading:
            for part in (self.classifier, self._embedder, self._mapper):
                if part is not None:
                    part.close()

    def _loaded_embedder(self) -> Embedder:
        with self._loading:
            if self._embedder is None:
                from edgeclf.embedder import Embedder

                with errors_only():  # the classifier has said it already
                    self._embedder = Embedder(self.content, **self._arguments)
            return self._embedder

    def _loaded_mapper(self) -> ClassActivationMapper:
        with self._loading:
            if self._mapper is None:
                from edgeclf.class_activation_map import ClassActivationMapper

                with errors_only():
                    self._mapper = ClassActivationMapper(
                        self.content, self.classifier.labels, **self._arguments
                    )
            return self._mapper
