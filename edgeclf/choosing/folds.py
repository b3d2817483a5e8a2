"""Score settings on pictures that the head has not seen, from cached bottlenecks."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeclf.choosing.settings import Setting
from edgeclf.console import errors_only
from edgeclf.data.folders import Example, read_folder
from edgeclf.data.splits import TEST, TRAIN, VALIDATION, read_split_file
from edgeclf.errors import DatasetError
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor, Unreadable
from edgeclf.training.cache import BottleneckCache, bottleneck_dir
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset, load_dataset
from edgeclf.training.features import Features
from edgeclf.training.fit import fit_head
from edgeclf.training.folds import deal_folds
from edgeclf.training.head import accuracy, cross_entropy
from edgeclf.training.views import View

logger = logging.getLogger("edgeclf")

NUM_FOLDS = 5
# Each fold is two of ten parts; one more part is what solvers choose strengths with.
_PARTS = 2 * NUM_FOLDS
_LEAST_OF_CLASS = 4  # training pictures that a class keeps, however small the share
_UNUSED = "unused"  # the split of pictures that are left out for a while


@dataclasses.dataclass(frozen=True)
class Scores:
    """What heads say of pictures that they have not seen, fold by fold.

    Attributes:
        losses: Mean cross-entropy of each fold, nats, `(folds,)`.
        accuracies: Share that is right, likewise.
        weights: Share of the pictures that each fold holds.
    """

    losses: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Cross-entropy over all pictures."""
        return float(self.losses @ self.weights)

    @property
    def accuracy(self) -> float:
        """Share of all pictures that is right."""
        return float(self.accuracies @ self.weights)


class Folds:
    """Training and validation pictures, dealt to folds; test pictures are not touched.

    Args:
        shared: Settings; `views` are the most that will be asked for.

    Raises:
        As `retrain` for the pictures and the backbone.
    """

    def __init__(self, shared: RetrainConfig) -> None:
        self._shared = shared
        found = read_folder(shared.class_dir)
        fixed = read_split_file(shared.split_file) if shared.split_file else {}
        backbone = backbone_of(shared)
        with BottleneckCache(bottleneck_dir(shared.bottleneck_dir)) as cache:
            self._extractor = _RememberingExtractor(
                backbone, cache, resize=shared.resize, num_workers=shared.num_workers
            )
            self._dataset = load_dataset(shared, found, fixed, self._extractor)
            self._rows = np.flatnonzero(self._dataset.splits != TEST)
            self._extractor.remember(
                [
                    (self._dataset.examples[row], view)
                    for row in self._rows.tolist()
                    for view in shared.draw_views(self._dataset.digests[row])
                ]
            )
        digests = [self._dataset.digests[row] for row in self._rows.tolist()]
        classes = self._dataset.classes[self._rows]
        groups = self._dataset.groups[self._rows]
        self._parts = deal_folds(classes, groups, digests, _PARTS)
        self._ranks = _rank_in_class(classes, digests)
        counts = [self._is_held_out(fold).sum() for fold in range(NUM_FOLDS)]
        if not all(counts):
            raise DatasetError(
                f"Expected enough pictures beside the test pictures to hold some out "
                f"in each of {NUM_FOLDS} folds. Received: {len(self)} of "
                f"{self.num_classes} classes in {shared.source}. Add pictures."
            )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._rows)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self._dataset.labels)

    def score(self, setting: Setting, share: float, fold: int) -> tuple[float, ...]:
        """Fit to a share of the other folds' pictures; score this fold's.

        Args:
            setting: How to fit.
            share: Of each class's training pictures, and of gradient descent's steps.
            fold: Which pictures are held out.

        Returns:
            Mean cross-entropy in nats, share that is right, number of pictures.

        Raises:
            EdgeclfError: Gradient descent ran away.
        """
        dataset, held_out = self._without(share, fold)
        config = setting.configure(self._shared, share)
        with errors_only():
            head = fit_head(config, self._extractor, dataset).head
        logits = head.logits(dataset.bottlenecks[held_out])
        classes = dataset.classes[held_out]
        return cross_entropy(logits, classes), accuracy(logits, classes), len(classes)

    def _is_held_out(self, fold: int) -> NDArray[np.bool_]:
        """Return which pictures are scored.

        Of a class whose pictures all lie in the fold none is: no head could know it.
        """
        is_in_fold = self._parts // 2 == fold
        classes = self._dataset.classes[self._rows]
        return np.asarray(is_in_fold & np.isin(classes, classes[~is_in_fold]))

    def _without(
        self, share: float, fold: int
    ) -> tuple[BottleneckDataset, NDArray[np.intp]]:
        """Return the dataset with a fold held out, and the positions to score."""
        is_held_out = self._is_held_out(fold)
        classes = self._dataset.classes[self._rows]
        known = np.unique(classes[~is_held_out])
        is_validation = ~is_held_out & (self._parts == (2 * fold + 2) % _PARTS)
        splits = np.full(len(self._dataset.splits), _UNUSED, "<U10")
        splits[self._rows] = TRAIN
        splits[self._rows[is_validation]] = VALIDATION
        splits[self._rows[is_held_out]] = TEST
        counts = np.bincount(classes, minlength=self.num_classes)
        kept = np.maximum(np.ceil(share * counts), _LEAST_OF_CLASS)[classes]
        # A class must not be left with validation pictures alone.
        is_left_out = ~is_held_out & (self._ranks >= kept)
        splits[self._rows[is_left_out]] = _UNUSED
        for label in known.tolist():
            own = self._rows[(classes == label) & ~is_held_out]
            if not (splits[own] == TRAIN).any():
                splits[own] = TRAIN
        dataset = dataclasses.replace(self._dataset, splits=splits)
        return dataset, self._rows[is_held_out]


class _RememberingExtractor(BottleneckExtractor):
    """Gives bottlenecks of views from memory: each setting asks for them again."""

    def remember(self, items: Sequence[tuple[Example, View]]) -> None:
        """Compute or read the bottlenecks of views, once."""
        self._remembered: dict[tuple[Example, View], Features | Unreadable] = {}
        results = super().extract(items, "views", len(items))
        self._remembered.update(zip(items, results, strict=True))

    def extract(
        self,
        items: Iterable[tuple[Example, View]],
        description: str,
        count: int | None = None,
    ) -> Iterator[Features | Unreadable]:
        """Yield features, of remembered views without a look at the picture."""
        remembered = getattr(self, "_remembered", {})
        if not remembered:
            yield from super().extract(items, description, count)
            return
        for is_known, some in itertools.groupby(items, key=remembered.__contains__):
            if is_known:
                yield from map(remembered.__getitem__, some)
            else:
                yield from super().extract(list(some), description)


def _rank_in_class(
    classes: NDArray[np.intp], digests: Sequence[bytes]
) -> NDArray[np.intp]:
    """Return each picture's place in its class, in the order of their hashes."""
    ranks = np.zeros(len(classes), np.intp)
    counts: dict[int, int] = {}
    for row in sorted(range(len(classes)), key=lambda row: digests[row]):
        label = int(classes[row])
        ranks[row] = counts.get(label, 0)
        counts[label] = int(ranks[row]) + 1
    return ranks
