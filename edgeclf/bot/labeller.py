"""The model behind the bot, and the threads that pictures are decoded in."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from edgeclf.bot import texts
from edgeclf.bot.settings import TOP_K
from edgeclf.classifier import Classifier
from edgeclf.errors import EdgeclfError, ImageError
from edgeclf.results import label_of

Found = tuple[tuple[int | None, str, float], ...]

logger = logging.getLogger("edgeclf")


class UnlabelledError(Exception):
    """A picture got no labels; the sentence is for who sent it."""


class Labeller:
    """Labels pictures, several at a time.

    Args:
        classifier: Is not closed.
        name: Of the model's file.
        size_bytes: Of the model's file.
        workers: Threads.
        reject: Say when a picture is like none of the classes.
    """

    def __init__(
        self,
        classifier: Classifier,
        name: str,
        size_bytes: int,
        *,
        workers: int = 1,
        reject: bool = False,
    ) -> None:
        self._classifier = classifier
        self._reject = reject
        self._pool = ThreadPoolExecutor(workers, "decode")
        self.name = name
        self.size_bytes = size_bytes
        self.multi_label = classifier.multi_label
        self.kind = "tags" if self.multi_label else "labels"
        self.labels = classifier.labels or tuple(
            map(str, range(classifier.num_classes))
        )
        joined = "\n".join(self.labels).encode(errors="surrogateescape")
        self.fingerprint = hashlib.sha256(joined).hexdigest()[:16]
        self.input_size = classifier.input_size
        self.provenance = classifier.info.record.get("provenance") or {}

    async def label(self, content: bytes, top: int | None) -> Found:
        """Return index, label and score of the best labels.

        Args:
            content: The picture's file.
            top: How many at most. None: 3; tags: all that reach their thresholds.

        Raises:
            UnlabelledError: The picture cannot be read, or the model fails on it.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, partial(self._label, content, top)
        )

    def close(self) -> None:
        """Wait for the pictures in work, and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _label(self, content: bytes, top: int | None) -> Found:
        if not self.multi_label:
            top = min(top or TOP_K, len(self.labels))
        try:
            categories = self._classifier.classify(
                content, None if self.multi_label else top, reject=self._reject
            )
        except ImageError as error:
            raise UnlabelledError(texts.unreadable(str(error))) from error
        except EdgeclfError as error:
            logger.error("%s", error)
            raise UnlabelledError(texts.FAILED) from error
        return tuple(
            (category.index, label_of(category), category.score)
            for category in categories[:top]
        )
