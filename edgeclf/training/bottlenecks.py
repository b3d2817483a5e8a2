"""Turn pictures into bottlenecks, once.

What is kept per picture is the bottleneck, the range of every activation on the way
(so that quantization needs no calibration run of its own) and a fingerprint that
finds near-duplicates.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeclf.data import progress
from edgeclf.data.duplicates import FINGERPRINT_BYTES, fingerprint
from edgeclf.data.folders import Example
from edgeclf.errors import ImageError
from edgeclf.image import PREPROCESSING_VERSION
from edgeclf.interpreter import create_interpreter, num_processors
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.quantize import activation_names, floored_names
from edgeclf.training.views import PLAIN, View, load_views
from edgeclf.zoo.backbone import Backbone

BATCH_SIZE = 64  # pictures between two commits: a killed run loses these at most
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


@dataclass(frozen=True)
class Unreadable:
    """A picture that could not be used, and why."""

    example: Example
    reason: str


class BottleneckExtractor:
    """Computes and caches the features of pictures, on all processors.

    Args:
        backbone: What the pictures go through.
        cache: Where features are kept.
        resize: The resize filter, as in `edgeclf.image.load`.
        num_workers: Threads, each with an interpreter of its own; None for one per
            processor.
    """

    def __init__(
        self,
        backbone: Backbone,
        cache: BottleneckCache,
        *,
        resize: str,
        num_workers: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.activations = activation_names(backbone.content)
        self._floored = floored_names(backbone.content)
        self._cache = cache
        self._resize = resize
        self._num_workers = num_workers or num_processors()
        self._local = threading.local()
        self._cache_lock = threading.Lock()
        self._loading_lock = threading.Lock()
        settings = (
            backbone.sha256,
            backbone.input_mean,
            backbone.input_std,
            PREPROCESSING_VERSION,
            resize,
        )
        self._settings = repr(settings).encode()

    def of(self, backbone: Backbone) -> BottleneckExtractor:
        """Return an extractor for another backbone, with the same cache."""
        return BottleneckExtractor(
            backbone,
            self._cache,
            resize=self._resize,
            num_workers=self._num_workers,
        )

    def extract(
        self,
        items: Iterable[tuple[Example, View]],
        description: str,
        count: int | None = None,
    ) -> Iterator[Features | Unreadable]:
        """Yield the features of each picture, or why there are none, in order.

        A picture is read and decoded once for all of its views that stand together.

        Args:
            items: Pictures with the view of them that is wanted.
            description: What the progress bar says.
            count: How many there are, when `items` does not know its length.
        """
        count = len(items) if isinstance(items, Sequence) else count
        pictures = (
            (example, [view for _, view in pairs])
            for example, pairs in itertools.groupby(items, key=lambda item: item[0])
        )
        bar = progress.bar(total=count, desc=description, unit="picture")
        with bar, ThreadPoolExecutor(self._num_workers) as executor:
            while batch := list(itertools.islice(pictures, BATCH_SIZE)):
                fresh = []
                try:
                    for results in executor.map(self._look_up_or_compute, batch):
                        for result in results:
                            bar.update()
                            if isinstance(result, Unreadable):
                                yield result
                                continue
                            key, features, is_new = result
                            if is_new:
                                fresh.append((key, _pack(features)))
                            yield features
                finally:  # after Ctrl-C too: what is done is kept
                    with self._cache_lock:
                        self._cache.put(fresh)

    def keep(self, content: bytes, views: Sequence[View]) -> None:
        """Compute the features of views of one encoded picture into the cache.

        Raises:
            ImageError: It cannot be decoded.
        """
        digest = hashlib.sha256(content).digest()
        example = Example(Path("it"), "it", "", digest)
        results = self._found_or_computed(example, digest, content, views)
        fresh = [(key, _pack(features)) for key, features, is_new in results if is_new]
        with self._cache_lock:
            self._cache.put(fresh)

    def _look_up_or_compute(
        self, picture: tuple[Example, Sequence[View]]
    ) -> Sequence[tuple[bytes, Features, bool] | Unreadable]:
        example, views = picture
        digest, content = example.digest, b""
        try:
            if digest is None:
                content = example.read()
                digest = hashlib.sha256(content).digest()
            return self._found_or_computed(example, digest, content, views)
        except OSError as error:
            return [Unreadable(example, error.strerror or str(error))] * len(views)
        except ImageError as error:
            return [Unreadable(example, str(error))] * len(views)

    def _found_or_computed(
        self, example: Example, digest: bytes, content: bytes, views: Sequence[View]
    ) -> Sequence[tuple[bytes, Features, bool]]:
        """Return each view's key and features, and whether these are new.

        Args:
            example: The picture.
            digest: SHA-256 of its file.
            content: Its file; empty if it has not been read and need not be.
            views: Of it.

        Raises:
            ImageError: It cannot be decoded.
            OSError: It cannot be read.
        """
        keys = [
            hashlib.sha256(digest + self._settings + repr(view).encode()).digest()
            for view in views
        ]
        found = [
            self._look_up(key, digest, view)
            for key, view in zip(keys, views, strict=True)
        ]
        missing = [
            view
            for view, features in zip(views, found, strict=True)
            if features is None
        ]
        pixels: Iterator[NDArray[np.uint8]] = iter(())
        if missing:
            content = content or example.read()
            pixels = load_views(
                content, missing, self.backbone.input_size, self._resize
            )
        return [
            (key, features, False)
            if features is not None
            else (key, self._compute(digest, next(pixels), view), True)
            for key, features, view in zip(keys, found, views, strict=True)
        ]

    def _look_up(self, key: bytes, digest: bytes, view: View) -> Features | None:
        with self._cache_lock:
            entry = self._cache.get(key)
        if entry is None:
            return None
        features = _unpack(entry, digest, self.backbone.depth)
        expected = len(self.activations) if view == PLAIN else 0
        return features if len(features.lows) == expected else None

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


def _pack(features: Features) -> bytes:
    numbers = np.concatenate([features.bottleneck, features.lows, features.highs])
    return features.fingerprint.tobytes() + numbers.astype("<f4").tobytes()


def _unpack(entry: bytes, digest: bytes, depth: int) -> Features:
    numbers = np.frombuffer(entry, "<f4", offset=FINGERPRINT_BYTES).astype(np.float32)
    lows, highs = np.split(numbers[depth:], 2)
    bits = np.frombuffer(entry, np.uint8, count=FINGERPRINT_BYTES)
    return Features(digest, numbers[:depth], lows, highs, bits)


def plain(examples: Sequence[Example]) -> list[tuple[Example, View]]:
    """Pair every example with its unchanged view."""
    return [(example, PLAIN) for example in examples]
