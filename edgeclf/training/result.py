"""What a training run comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.training.measurements import Misclassified
from edgeclf.training.tag_measurements import Mistagged


@dataclass(frozen=True)
class RetrainResult:
    """What a run has written and measured.

    Attributes:
        model_path: The `.tflite` file.
        split_path: CSV that says which picture was in which split.
        metrics: What `--metrics_json` holds.
        misclassified: Test pictures that the file gets wrong; of tags those that miss
            one, or have one that is wrong.
    """

    model_path: Path
    split_path: Path
    metrics: Mapping[str, Any]
    misclassified: Sequence[Misclassified] | Sequence[Mistagged]
