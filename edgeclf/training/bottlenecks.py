"""Turn pictures into bottlenecks, once.

What is kept per picture is the bottleneck, the range of every activation on the way
(so that quantization needs no calibration run of its own) and a fingerprint that
finds near-duplicates.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edgeclf.data import progress
from edgeclf.data.folders import Example
from edgeclf.engines.engine import Engine
from edgeclf.errors import DatasetError, ImageError
from edgeclf.interpreter import num_processors
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.features import FeatureComputer, Features, pack, unpack
from edgeclf.training.spread import Picture, computed
from edgeclf.training.views import PLAIN, View
from edgeclf.zoo.backbone import Backbone

BATCH_SIZE = 64  # pictures between two commits: a killed run loses these at most
# Views that are listed before an engine computes them: 100 MB of descriptions at most,
# and minutes of work, beside which the seconds that its workers take to start are few.
VIEWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Unreadable:
    """A picture that could not be used, and why."""

    example: Example
    reason: str


class BottleneckExtractor:
    """Computes and caches the features of pictures, on all processors.

    With an engine its workers compute them: this process looks into the cache, has
    what is missing computed, and keeps what comes back as it comes.

    Args:
        backbone: What the pictures go through.
        cache: Where features are kept.
        resize: The resize filter, as in `edgeclf.image.load`.
        num_workers: Threads, each with an interpreter of its own; None for one per
            processor.
        engine: Where the work is done; None for here.
    """

    def __init__(
        self,
        backbone: Backbone,
        cache: BottleneckCache,
        *,
        resize: str,
        num_workers: int | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.backbone = backbone
        self._computer = FeatureComputer(backbone, resize)
        self.activations = self._computer.activations
        self._cache = cache
        self._num_workers = num_workers or num_processors()
        self._engine = engine
        self._cache_lock = threading.Lock()

    def of(self, backbone: Backbone) -> BottleneckExtractor:
        """Return an extractor for another backbone, with the same cache."""
        return BottleneckExtractor(
            backbone,
            self._cache,
            resize=self._computer.resize,
            num_workers=self._num_workers,
            engine=self._engine,
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

        Raises:
            DatasetError: A worker of the engine does not find a picture that is here,
                or the cache cannot keep what it computes.
            EdgeclfError: The engine cannot be used.
        """
        count = len(items) if isinstance(items, Sequence) else count
        pictures: Iterator[Picture] = (
            (example, [view for _, view in pairs])
            for example, pairs in itertools.groupby(items, key=lambda item: item[0])
        )
        if self._engine is not None:
            pictures = self._computed_on(self._engine, pictures, description)
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
                                fresh.append((key, pack(features)))
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
        fresh = [(key, pack(features)) for key, features, is_new in results if is_new]
        with self._cache_lock:
            self._cache.put(fresh)

    def _look_up_or_compute(
        self, picture: Picture
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
        keys = [self._computer.key(digest, view) for view in views]
        found = [
            self._look_up(key, digest, view)
            for key, view in zip(keys, views, strict=True)
        ]
        missing = [
            view
            for view, features in zip(views, found, strict=True)
            if features is None
        ]
        computed: Iterator[Features] = iter(())
        if missing:
            content = content or example.read()
            computed = self._computer.compute(content, digest, missing)
        return [
            (key, features, False)
            if features is not None
            else (key, next(computed), True)
            for key, features in zip(keys, found, strict=True)
        ]

    def _look_up(self, key: bytes, digest: bytes, view: View) -> Features | None:
        with self._cache_lock:
            entry = self._cache.get(key)
        if entry is None:
            return None
        features = unpack(entry, digest, self.backbone.depth)
        expected = len(self.activations) if view == PLAIN else 0
        return features if len(features.lows) == expected else None

    def _computed_on(
        self,
        engine: Engine,
        pictures: Iterator[Picture],
        description: str,
    ) -> Iterator[Picture]:
        """Yield the same pictures, when the cache has what an engine computes of them.

        Those that it cannot read or decode are not there: whoever looks finds out why.
        """
        while batch := list(_until(VIEWS_AT_ONCE, pictures)):
            with ThreadPoolExecutor(self._num_workers) as executor:
                looked = list(executor.map(self._without_cached, batch))
            missing = [picture for picture, _ in looked if picture[1]]
            count = sum(len(views) for _, views in missing)
            bar = progress.bar(
                total=count, desc=f"{description}, workers", unit="picture"
            )
            with bar:
                for entries in computed(engine, self._computer, missing):
                    with self._cache_lock:
                        self._cache.put(entries)
                        self._check_kept()
                    bar.update(len(entries))
            for (example, views), (_, digest) in zip(batch, looked, strict=True):
                yield replace(example, digest=digest), views

    def _without_cached(self, picture: Picture) -> tuple[Picture, bytes | None]:
        """Return a picture with those views that the cache has not, and its digest."""
        example, views = picture
        try:
            digest = example.digest or hashlib.sha256(example.read()).digest()
        except OSError:  # whoever reads it again says so
            return (example, ()), None
        missing = [
            view
            for view in views
            if self._look_up(self._computer.key(digest, view), digest, view) is None
        ]
        return (example, missing), digest

    def _check_kept(self) -> None:
        if not self._cache.is_kept:
            raise DatasetError(
                "Expected a bottleneck cache that can be written, for what the workers "
                f"of the engine compute. Received: {self._cache.path}, see above. "
                "Choose another folder with --bottleneck_dir; the same command goes on."
            )


def _until(most: int, pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Take pictures until they have so many views together."""
    while most > 0 and (picture := next(pictures, None)) is not None:
        most -= len(picture[1])
        yield picture


def plain(examples: Sequence[Example]) -> list[tuple[Example, View]]:
    """Pair every example with its unchanged view."""
    return [(example, PLAIN) for example in examples]
