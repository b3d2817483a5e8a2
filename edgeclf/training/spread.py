"""Features computed by the workers of an engine.

What goes to a worker is where pictures are and which views of them are wanted; what
comes back is what the cache keeps.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgeclf.data.folders import Example
from edgeclf.engines.engine import Engine
from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.training.features import FeatureComputer, pack
from edgeclf.training.views import View
from edgeclf.zoo.backbone import Backbone

CHUNK_SIZE = 64  # pictures that a worker is given at a time

Picture = tuple[Example, Sequence[View]]  # with the views of it that are wanted
Entry = tuple[bytes, bytes]  # of the cache


@dataclass(frozen=True)
class Absence:
    """A picture that a worker could not read.

    Attributes:
        example: The picture.
        reason: What the system said.
        node: Name of the worker's machine.
    """

    example: Example
    reason: str
    node: str


@dataclass(frozen=True)
class Computed:
    """What a worker made of a chunk.

    Attributes:
        entries: Names and contents for the cache; none of pictures that cannot be
            decoded.
        absent: Pictures that it could not read.
    """

    entries: Sequence[Entry]
    absent: Sequence[Absence]


@dataclass(frozen=True)
class FeatureWork:
    """What workers do; calling it gives the function that is called with a chunk.

    Attributes:
        backbone: What the pictures go through.
        resize: The resize filter, as in `edgeclf.image.load`.
    """

    backbone: Backbone
    resize: str

    def __call__(self) -> Callable[[Sequence[Picture]], Computed]:
        """Load what the work needs, once in a worker."""
        return partial(_compute, FeatureComputer(self.backbone, self.resize))


def computed(
    engine: Engine, computer: FeatureComputer, pictures: Sequence[Picture]
) -> Iterator[Sequence[Entry]]:
    """Yield what the cache is to keep of pictures, a chunk at a time, in any order.

    Args:
        engine: Does the work.
        computer: What would do it here; its settings are taken.
        pictures: At the same path for every worker. Those that cannot be decoded, or
            vanish, are left out.

    Raises:
        DatasetError: A worker does not find a picture that is here.
        EdgeclfError: The engine cannot be used.
    """
    anywhere = [
        (replace(example, path=example.path.absolute()), views)
        for example, views in pictures
    ]
    chunks = [
        anywhere[start : start + CHUNK_SIZE]
        for start in range(0, len(anywhere), CHUNK_SIZE)
    ]
    work = FeatureWork(computer.backbone, computer.resize)
    for result in engine.map(work, chunks):
        for absence in result.absent:
            _check_absence(absence)
        yield result.entries


def _compute(computer: FeatureComputer, chunk: Sequence[Picture]) -> Computed:
    entries: list[Entry] = []
    absent = []
    for example, views in chunk:
        try:
            content = example.read()
            digest = hashlib.sha256(content).digest()
            features = list(computer.compute(content, digest, views))
        except EdgeclfError:  # not decoded, or gone from the web: so it is elsewhere
            continue
        except OSError as error:
            reason = error.strerror or str(error)
            absent.append(Absence(example, reason, socket.gethostname()))
            continue
        keys = [computer.key(digest, view) for view in views]
        entries.extend(zip(keys, map(pack, features), strict=True))
    return Computed(entries, absent)


def _check_absence(absence: Absence) -> None:
    """Refuse to go on if a picture is missing for a worker alone."""
    path = absence.example.path
    if path.exists():
        raise DatasetError(
            "Expected the pictures under the same path on every machine of the "
            f"cluster. Received: {path}: {absence.reason}, on {absence.node}. Share "
            "the folder with that machine too, or leave out --engine."
        )
