"""Choose between heads by what they say of pictures they have not seen."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.training.class_weights import macro_f1
from edgeclf.training.head import FittedHead, accuracy, cross_entropy, losses

logger = logging.getLogger("edgeclf")

NOISE = 1.0  # standard errors by which another has to be better than the first


def choose(
    candidates: Mapping[str, FittedHead],
    classes: NDArray[np.intp],
    known: NDArray[np.bool_],
) -> FittedHead:
    """Return the head with the least cross-entropy, and the figures of all.

    Cross-entropy and not accuracy decides: it tells more of few pictures. The first
    candidate stays unless another is better by more than noise: `NOISE` standard errors
    of the difference, picture by picture.

    Args:
        candidates: Heads by solver, the one to prefer first; each with `unseen`.
        classes: The true classes of the pictures in `unseen`.
        known: Which of these can tell heads apart; see `known_rows`.
    """
    classes = classes[known]
    answers = {
        name: np.asarray(fitted.unseen)[known] for name, fitted in candidates.items()
    }
    described = [
        _described(name, fitted, answers[name], classes)
        for name, fitted in candidates.items()
    ]
    names = list(candidates)
    chosen = names[0]
    for name in names[1:]:
        if len(classes) > 1 and _is_better(answers[name], answers[chosen], classes):
            chosen = name
    if len(classes):
        logger.info(
            "Head: %s (cross-entropy of unseen pictures: %s)",
            chosen,
            ", ".join(
                f"{entry['solver']} {entry['cross_entropy']:.3f}" for entry in described
            ),
        )
    return dataclasses.replace(
        candidates[chosen], solver=chosen, candidates=tuple(described)
    )


def _is_better(
    challenger: NDArray[np.float32],
    holder: NDArray[np.float32],
    classes: NDArray[np.intp],
) -> bool:
    gain = losses(holder, classes) - losses(challenger, classes)
    noise = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return float(gain.mean()) > NOISE * noise


def _described(
    name: str,
    fitted: FittedHead,
    unseen: NDArray[np.float32],
    classes: NDArray[np.intp],
) -> dict[str, Any]:
    """Return a candidate's settings and figures on unseen pictures, for JSON."""
    some = bool(len(classes))
    return {
        "solver": name,
        "cross_entropy": cross_entropy(unseen, classes) if some else None,
        "accuracy": accuracy(unseen, classes) if some else None,
        "macro_f1": macro_f1(unseen.argmax(axis=1), classes) if some else None,
        "shrinkage": fitted.shrinkage,
        "emphasis": fitted.emphasis,
        "strength": fitted.strength,
        "temperature": fitted.temperature,
    }
