"""Plain results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One class and its score.

    Attributes:
        index: Position in the model's output; None for `unknown`.
        label: Name of the class; None when the model has no labels.
        score: Probability in [0, 1].
    """

    index: int | None
    label: str | None
    score: float


def label_of(category: Category) -> str:
    """Return the label; of a model without labels the index."""
    return str(category.index) if category.label is None else category.label
