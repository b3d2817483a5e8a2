"""Pictures that have several tags each, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.folders import Example


@dataclass(frozen=True)
class TaggedPictures:
    """Pictures and their tags, whatever they were read from.

    Attributes:
        examples: The pictures, sorted by name; their `label` is empty.
        labels: The tags, in code point order.
        targets: Which picture has which tag, bool `(n, tags)`.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    targets: NDArray[np.bool_]
