"""Batches of views for training in epochs, made ahead of the step that needs them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgeclf import image
from edgeclf.errors import ImageError
from edgeclf.training.views import View, decode_for

KEPT_BYTES = 1 << 29  # of decoded pictures; others are decoded in every epoch
AHEAD = 2  # batches


class ViewLoader:
    """Makes views of pictures, on all processors; decoded pictures are kept.

    Args:
        paths: The pictures.
        views: The views of each, in the order in which epochs take them.
        input_size: `(height, width)` of what is returned, in pixels.
        resize: The resize filter, as in `edgeclf.image.load`.
        num_workers: Threads.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        views: Sequence[Sequence[View]],
        input_size: tuple[int, int],
        resize: str,
        num_workers: int,
    ) -> None:
        self._paths, self._views = paths, views
        self._input_size, self._resize = input_size, resize
        self._executor = ThreadPoolExecutor(num_workers)
        self._decoded: dict[int, image.Decoded] = {}
        self._room = KEPT_BYTES
        self._lock = threading.Lock()

    def batches(
        self, batches: Sequence[NDArray[np.intp]], epoch: int = 0
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield uint8 `(n, height, width, 3)` RGB for each batch of positions.

        Args:
            batches: Positions of the pictures.
            epoch: Which of a picture's views; after the last comes the first again.

        Raises:
            ImageError: A picture cannot be decoded.
            OSError: It cannot be read.
        """
        pending: deque[list[Future[NDArray[np.uint8]]]] = deque()
        try:
            for batch in batches:
                pending.append(
                    [
                        self._executor.submit(self._load, position, epoch)
                        for position in batch.tolist()
                    ]
                )
                if len(pending) > AHEAD:
                    yield np.stack([future.result() for future in pending[0]])
                    pending.popleft()
            while pending:
                yield np.stack([future.result() for future in pending[0]])
                pending.popleft()
        finally:
            for futures in pending:
                for future in futures:
                    future.cancel()

    def close(self) -> None:
        """Wait for the threads and let the pictures go."""
        self._executor.shutdown(cancel_futures=True)
        self._decoded.clear()

    def __enter__(self) -> ViewLoader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self, position: int, epoch: int) -> NDArray[np.uint8]:
        views = self._views[position]
        with self._lock:
            decoded = self._decoded.get(position)
        if decoded is None:
            path = self._paths[position]
            try:
                decoded = decode_for(
                    path.read_bytes(), views, self._input_size, self._resize
                )
            except ImageError as error:
                raise ImageError(
                    f"Expected {path} to stay as it was while training. "
                    f"Received: {error}"
                ) from error
            self._keep(position, decoded)
        return views[epoch % len(views)].of(decoded, self._input_size, self._resize)

    def _keep(self, position: int, decoded: image.Decoded) -> None:
        width, height = decoded.image.size
        with self._lock:
            if 3 * width * height <= self._room and position not in self._decoded:
                self._room -= 3 * width * height
                self._decoded[position] = decoded
