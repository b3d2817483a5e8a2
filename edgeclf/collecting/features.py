"""Keep what training needs of pictures that are not to be stored themselves."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from edgeclf.errors import DatasetError
from edgeclf.interpreter import num_processors
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.config import RetrainConfig
from edgeclf.training.views import PLAIN


class FeatureKeeper:
    """Puts pictures' features where `retrain` with the same settings looks for them.

    Those of the plain picture and of all views that the head is fitted to: a training
    picture need not be seen again. Any number of threads may use one.

    Args:
        config: The settings; what it says of pictures and of files is of no importance.

    Attributes:
        side: Pixels of the shorter side that pictures should have: twice the input's.

    Raises:
        OSError: The backbone cannot be read, or cannot be had.
        ModelError: It cannot be used.
        MissingExtraError: No interpreter is installed.
    """

    def __init__(self, config: RetrainConfig) -> None:
        backbone = backbone_of(config)
        self.side = 2 * max(backbone.input_size)
        self._config = config
        num_workers = config.num_workers or num_processors()
        # Downloads wait in many threads; interpreters are as many as processors.
        self._executor = ThreadPoolExecutor(num_workers)
        self._cache = BottleneckCache(bottleneck_dir(config.bottleneck_dir))
        self._extractor = BottleneckExtractor(
            backbone, self._cache, resize=config.resize, num_workers=num_workers
        )

    def keep(self, content: bytes) -> None:
        """Compute the features of an encoded picture, unless they are there already.

        Raises:
            ImageError: It cannot be decoded.
            DatasetError: The cache cannot be written: nothing of it would be kept.
        """
        views = [PLAIN, *self._config.draw_views(hashlib.sha256(content).digest())]
        self._executor.submit(self._extractor.keep, content, views).result()
        if not self._cache.is_kept:
            raise DatasetError(
                "Expected a cache that can be written, as pictures that are not "
                f"stored leave nothing else. Received: {self._cache.path}, which "
                "cannot be. Free some space, or choose another folder with "
                "--bottleneck_dir; the same command goes on then."
            )

    def close(self) -> None:
        """Close the cache."""
        self._executor.shutdown(cancel_futures=True)
        self._cache.close()

    def __enter__(self) -> FeatureKeeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
