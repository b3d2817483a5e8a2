"""Pictures of a class as the last layer of a model file sees them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeclf.console import sentence
from edgeclf.embedder import Embedder
from edgeclf.errors import DatasetError, ImageError, ModelError
from edgeclf.inputs.paths import find_images
from edgeclf.interpreter import num_processors
from edgeclf.training.views import PLAIN, draw_variations, load_views

_T = TypeVar("_T")


class Unreadable(NamedTuple):
    """A picture that was left out, and why."""

    path: Path
    reason: str


class Pictures(NamedTuple):
    """What has been made of a folder.

    Attributes:
        bottlenecks: Of each picture and its views, the plain one first, float64
            `(pictures, views, depth)`.
        sha256: Hash of all pictures, whatever they are called.
        unreadable: Files that were left out.
    """

    bottlenecks: NDArray[np.float64]
    sha256: str
    unreadable: Sequence[Unreadable]


def find_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the pictures in a folder, at any depth, sorted.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        DatasetError: There is no picture in it.
    """
    root = Path(folder)
    if not root.exists():
        raise FileNotFoundError(
            f"Expected a folder of pictures. Received: {root}, which does not exist."
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"Expected a folder of pictures. Received: {root}, which is a file."
        )
    paths = find_images(root)
    if not paths:
        raise DatasetError(f"Expected pictures in {root}. Received: none.")
    return paths


def read_pictures(
    paths: Sequence[Path],
    model: bytes,
    *,
    views: int,
    seed: int,
    resize: str,
    num_workers: int | None = None,
    max_model_mb: int | None = None,
) -> Pictures:
    """Run pictures and their views through a model file, on all processors.

    Copies of a picture count once.

    Args:
        paths: The pictures.
        model: The file whose last layer is to learn them.
        views: How many of each, the plain one included.
        seed: Of the views.
        resize: As for `edgeclf.image.load`.
        num_workers: Threads, each with an interpreter; None for one per processor.
        max_model_mb: As for `Classifier`.

    Raises:
        ModelError: The file is damaged, or takes pictures of any size.
    """
    local = threading.local()
    opening = threading.Lock()
    seen: set[bytes] = set()

    def look(path: Path) -> tuple[bytes, NDArray[np.float64]] | Unreadable | None:
        try:
            content = path.read_bytes()
        except OSError as error:
            return Unreadable(path, error.strerror or str(error))
        digest = hashlib.sha256(content).digest()
        with opening:
            if digest in seen:
                return None
            seen.add(digest)
            if not hasattr(local, "embedder"):
                local.embedder = Embedder(
                    model, resize=resize, max_model_mb=max_model_mb
                )
        embedder: Embedder = local.embedder
        if embedder.input_size is None:
            raise ModelError("Expected a model that takes pictures of one size.")
        wanted = [PLAIN, *draw_variations(digest, seed, views - 1)]
        try:
            drawn = load_views(content, wanted, embedder.input_size, resize)
            vectors = [embedder.embed(np.ascontiguousarray(view)) for view in drawn]
        except ImageError as error:
            return Unreadable(path, sentence(error))
        return digest, np.asarray(vectors, np.float64)

    unreadable, digests, bottlenecks = [], [], []
    for result in _in_order(look, paths, num_workers or num_processors()):
        if isinstance(result, Unreadable):
            unreadable.append(result)
        elif result is not None:
            digests.append(result[0])
            bottlenecks.append(result[1])
    together = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
    stacked = np.stack(bottlenecks) if bottlenecks else np.empty((0, views, 0))
    return Pictures(stacked, together, unreadable)


def _in_order(
    look: Callable[[Path], _T], paths: Sequence[Path], num_workers: int
) -> Iterator[_T]:
    """Yield results in the order of the paths, with a progress bar."""
    bar = tqdm(total=len(paths), desc="pictures", unit="picture", disable=None)
    with bar, ThreadPoolExecutor(min(num_workers, len(paths))) as executor:
        for result in executor.map(look, paths):
            bar.update()
            yield result
