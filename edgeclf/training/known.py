"""What a model is to know of its classes: fitted to what the head has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeclf.data.splits import TRAIN, VALIDATION
from edgeclf.training import reject
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.config import RetrainConfig
from edgeclf.training.dataset import BottleneckDataset
from edgeclf.training.fit import plain_discriminant
from edgeclf.training.head import FittedHead


def fit_known(
    config: RetrainConfig,
    extractor: BottleneckExtractor,
    dataset: BottleneckDataset,
    fitted: FittedHead,
    background: NDArray[np.float32],
) -> reject.Known:
    """Return the classes' statistics and the reject rule for a head.

    Distances are those of discriminants, whatever has fitted the head; scores are its
    own. The training pictures are not new to gradient descent, nor to a fine-tuned
    backbone: there the rule is fitted to the validation pictures if they are enough.

    Args:
        config: Settings.
        extractor: Knows the bottleneck's parts.
        dataset: The pictures.
        fitted: The head.
        background: Bottlenecks of strangers, `(n, depth)`; may be empty.
    """
    held_out = fitted.held_out
    if held_out is None:
        held_out = plain_discriminant(config, extractor, dataset).held_out
    if held_out is None:
        raise RuntimeError("A discriminant is always fitted by folds.")
    unseen = fitted.unseen
    if unseen is None:
        unseen = held_out.scored.logits(fitted.head)
    tuned = fitted.fine_tuning is not None and fitted.fine_tuning.kept
    used = dataset.splits[np.isin(dataset.splits, (TRAIN, VALIDATION))]
    backbone = extractor.backbone
    return reject.fit(
        held_out,
        unseen,
        backbone.widths or (backbone.depth,),
        background,
        used == VALIDATION if tuned or fitted.unseen is None else None,
    )
