"""Look at pictures through a backbone: near-duplicates and probably wrong classes.

Needs the extra `[train]`. What is computed comes from the cache of `retrain`, and is
kept there for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.duplicates import FINGERPRINT_BYTES, group_near_duplicates
from edgeclf.data.findings import Finding, some
from edgeclf.data.folders import Example
from edgeclf.data.listing import Picture
from edgeclf.training.bottlenecks import (
    BottleneckExtractor,
    plain,
)
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.features import Features
from edgeclf.training.mislabelled import (
    find_mislabelled,
    out_of_fold_probabilities,
)
from edgeclf.training.views import draw_variations
from edgeclf.zoo.backbone import Backbone

ROUNDS = 2  # the second learns without the suspects of the first


@dataclass(frozen=True)
class Seen:
    """Pictures as the backbone sees them; see `BottleneckDataset`.

    Attributes:
        names: Of the pictures that could be read.
        labels: Names of the classes.
        classes: Class index of each picture, int `(n,)`.
        groups: For each the first of its near-duplicates, int `(n,)`.
        digests: SHA-256 of each picture's file.
        bottlenecks: float32 `(n, depth)`.
        views: Bottlenecks of further views, and the pictures they are of.
    """

    names: Sequence[str]
    labels: Sequence[str]
    classes: NDArray[np.intp]
    groups: NDArray[np.intp]
    digests: Sequence[bytes]
    bottlenecks: NDArray[np.float32]
    views: Sequence[tuple[NDArray[np.float32], NDArray[np.intp]]] = ()

    @property
    def near_duplicates(self) -> list[NDArray[np.intp]]:
        """Positions of pictures that are nearly the same, group by group."""
        order = np.argsort(self.groups, kind="stable")
        starts = np.flatnonzero(np.diff(self.groups[order], prepend=-1))
        return [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]


def see(
    pictures: Sequence[Picture],
    backbone: Backbone,
    folder: str | os.PathLike[str] | None,
    *,
    resize: str,
    views: int = 1,
    seed: int = 0,
    num_workers: int | None = None,
) -> Seen:
    """Compute the bottlenecks of pictures, or take them from the cache.

    Args:
        pictures: At least one; those that cannot be read are left out.
        backbone: What they go through.
        folder: Where bottlenecks are cached; None for the cache of `retrain`.
        resize: Resize filter, as in `edgeclf.image.load`.
        views: Views of each picture to learn from, the plain one included.
        seed: Of the views.
        num_workers: Threads; None for one per processor.
    """
    examples = [Example(*picture) for picture in pictures]
    with BottleneckCache(bottleneck_dir(folder)) as cache:
        extractor = BottleneckExtractor(
            backbone, cache, resize=resize, num_workers=num_workers
        )
        kept: list[Example] = []
        digests: list[bytes] = []
        bottlenecks = np.empty((len(examples), backbone.depth), np.float32)
        prints = np.empty((len(examples), FINGERPRINT_BYTES), np.uint8)
        results = extractor.extract(plain(examples), "bottlenecks")
        for example, result in zip(examples, results, strict=True):
            if isinstance(result, Features):
                bottlenecks[len(kept)] = result.bottleneck
                prints[len(kept)] = result.fingerprint
                kept.append(example)
                digests.append(result.digest)
        bottlenecks, prints = bottlenecks[: len(kept)], prints[: len(kept)]
        items = [
            (example, view)
            for example, digest in zip(kept, digests, strict=True)
            for view in draw_variations(digest, seed, views - 1)
        ]
        owners = np.repeat(np.arange(len(kept)), views - 1)
        varied = list(extractor.extract(items, "views")) if items else []
    names = [example.name for example in kept]
    labels = sorted({example.label for example in kept})
    indices = {label: index for index, label in enumerate(labels)}
    readable = [
        (result.bottleneck, owner)
        for result, owner in zip(varied, owners.tolist(), strict=True)
        if isinstance(result, Features)
    ]
    return Seen(
        names,
        labels,
        np.array([indices[example.label] for example in kept], np.intp),
        group_near_duplicates(names, prints, bottlenecks[:, -backbone.final_depth :]),
        digests,
        bottlenecks,
        [(np.stack([b for b, _ in readable]), np.array([o for _, o in readable]))]
        if readable
        else [],
    )


def report_near_duplicates(
    seen: Seen, groups: Iterable[Sequence[int]]
) -> Iterator[Finding]:
    """Yield a finding for each picture that is nearly the same as another one.

    Args:
        seen: The pictures.
        groups: Positions of those that are nearly the same.
    """
    labels = seen.classes.tolist()
    for members in groups:
        if len({labels[row] for row in members}) == 1:
            first = seen.names[members[0]]
            for row in members[1:]:
                yield Finding(
                    "near_duplicate", seen.names[row], "nearly the same", (first,)
                )
            continue
        for row in members:
            others = (o for o in members if labels[o] != labels[row])
            yield Finding(
                "near_conflicting",
                seen.names[row],
                "nearly the same",
                some(seen.names[other] for other in others),
            )


def report_mislabelled(seen: Seen, widths: Sequence[int]) -> Iterator[Finding]:
    """Yield a finding for each picture that is probably in the wrong class.

    Args:
        seen: The pictures, without those of which a copy stands in another class.
        widths: Depths of the bottleneck's parts.
    """
    if len(seen.labels) < 2:
        return
    probabilities = out_of_fold_probabilities(
        seen, widths, views=seen.views, rounds=ROUNDS
    )
    for suspect in find_mislabelled(probabilities, seen.classes):
        label = seen.labels[suspect.suggested]
        yield Finding(
            "mislabelled",
            seen.names[suspect.row],
            f"more like {label}, {suspect.sure} sure",
            suggested=label,
            confidence=round(suspect.confidence, 4),
        )
