"""The features of a view of a picture, and what computes them.

The same on every engine: see `edgeclf.training.bottlenecks` and
`edgeclf.training.spread`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.duplicates import FINGERPRINT_BYTES, fingerprint
from edgeclf.image import PREPROCESSING_VERSION
from edgeclf.interpreter import create_interpreter
from edgeclf.training.quantize import activation_names, floored_names
from edgeclf.training.views import PLAIN, View, load_views
from edgeclf.zoo.backbone import Backbone

_NO_FINGERPRINT = np.zeros(FINGERPRINT_BYTES, np.uint8)


@dataclass(frozen=True)
class Features:
    """What is known of one view of one picture.

    Attributes:
        digest: SHA-256 of the picture's file.
        bottleneck: float32 `(depth,)`.
        lows: Minimum of the input and of every activation, float32; of the plain view
            only, empty for others.
        highs: Their maxima, same shape.
        fingerprint: 256-bit difference hash, uint8 `(32,)`; zeros for other views.
    """

    digest: bytes
    bottleneck: NDArray[np.float32]
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    fingerprint: NDArray[np.uint8]


class FeatureComputer:
    """Runs a backbone on views of pictures; threads may share one.

    Args:
        backbone: What the pictures go through.
        resize: The resize filter, as in `edgeclf.image.load`.

    Attributes:
        backbone: The same.
        resize: The same.
        activations: Names of the backbone's input and activations, in graph order.
    """

    def __init__(self, backbone: Backbone, resize: str) -> None:
        self.backbone = backbone
        self.resize = resize
        self.activations = activation_names(backbone.content)
        self._floored = floored_names(backbone.content)
        self._local = threading.local()
        self._loading_lock = threading.Lock()
        settings = (
            backbone.sha256,
            backbone.input_mean,
            backbone.input_std,
            PREPROCESSING_VERSION,
            resize,
        )
        self._settings = repr(settings).encode()

    def key(self, digest: bytes, view: View) -> bytes:
        """Return the name of a view's features in the cache, 32 bytes.

        Args:
            digest: SHA-256 of the picture's file.
            view: Of the picture.
        """
        return hashlib.sha256(digest + self._settings + repr(view).encode()).digest()

    def compute(
        self, content: bytes, digest: bytes, views: Sequence[View]
    ) -> Iterator[Features]:
        """Return the features of views of an encoded picture, decoded once for all.

        Args:
            content: The picture's file.
            digest: Its SHA-256.
            views: Of it.

        Raises:
            ImageError: It cannot be decoded.
        """
        size = self.backbone.input_size
        pictures = load_views(content, views, size, self.resize)
        return (
            self._compute(digest, pixels, view)
            for pixels, view in zip(pictures, views, strict=True)
        )

    def _compute(
        self, digest: bytes, pixels: NDArray[np.uint8], view: View
    ) -> Features:
        name = "run_plain" if view == PLAIN else "run_view"
        if not hasattr(self._local, name):
            activations = self.activations if view == PLAIN else ()
            with self._loading_lock:  # loading changes the filter of warnings
                reader = _ActivationReader(self.backbone, activations, self._floored)
            setattr(self._local, name, reader)
        bottleneck, lows, highs = getattr(self._local, name)(pixels)
        bits = fingerprint(pixels) if view == PLAIN else _NO_FINGERPRINT
        return Features(digest, bottleneck, lows, highs, bits)


class _ActivationReader:
    """Runs the backbone and reads some activations; for one thread.

    Without any to read it is quicker: the interpreter need not keep them.
    """

    def __init__(
        self, backbone: Backbone, activations: Sequence[str], floored: Set[str]
    ) -> None:
        self._backbone = backbone
        self._interpreter = create_interpreter(
            backbone.content, num_threads=1, preserve_all_tensors=bool(activations)
        )
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        details = self._interpreter.get_tensor_details()
        by_name = {entry["name"]: int(entry["index"]) for entry in details}
        self._indices = [by_name[name] for name in activations]
        # What ends in ReLU is 0 somewhere, as far as scales care: no need to look.
        self._is_floored = [name in floored for name in activations]

    def __call__(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        inputs = self._backbone.normalise(pixels)
        self._interpreter.set_tensor(self._input, inputs)
        self._interpreter.invoke()
        lows = np.empty(len(self._indices), np.float32)
        highs = np.empty_like(lows)
        for position, index in enumerate(self._indices):
            values = self._interpreter.tensor(index)()  # no copy: 10 MB a picture
            highs[position] = values.max()
            lows[position] = 0.0 if self._is_floored[position] else values.min()
        output = self._interpreter.get_output_details()[0]["index"]
        return self._interpreter.get_tensor(output).reshape(-1).copy(), lows, highs


def pack(features: Features) -> bytes:
    """Return features as the cache keeps them, without the digest."""
    numbers = np.concatenate([features.bottleneck, features.lows, features.highs])
    return features.fingerprint.tobytes() + numbers.astype("<f4").tobytes()


def unpack(entry: bytes, digest: bytes, depth: int) -> Features:
    """Return what `pack` was given.

    Args:
        entry: What it returned.
        digest: SHA-256 of the picture's file.
        depth: Length of the bottleneck.
    """
    numbers = np.frombuffer(entry, "<f4", offset=FINGERPRINT_BYTES).astype(np.float32)
    lows, highs = np.split(numbers[depth:], 2)
    bits = np.frombuffer(entry, np.uint8, count=FINGERPRINT_BYTES)
    return Features(digest, numbers[:depth], lows, highs, bits)
