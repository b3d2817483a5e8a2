"""Pictures with several tags each, as bottlenecks with targets and splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.extracted import ExtractedPictures


@dataclass(frozen=True, kw_only=True)
class TagDataset(ExtractedPictures):
    """Pictures with tags, in order, with all that training needs of them.

    Attributes:
        targets: Which picture has which tag, bool `(n, tags)`; a row may be all False.
    """

    targets: NDArray[np.bool_]

    def _kinds(self, row: int) -> Sequence[int]:
        """Return the picture's tags; what has none stands for itself."""
        return np.flatnonzero(self.targets[row]).tolist() or [len(self.labels)]

    def _said_of(self, row: int) -> str:
        tags = [self.labels[tag] for tag in np.flatnonzero(self.targets[row])]
        return json.dumps(tags, ensure_ascii=False)
