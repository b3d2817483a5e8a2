"""The backbone that pictures go through, as the settings ask for it."""

from __future__ import annotations

import os
from typing import Protocol

from edgeclf.zoo import load_backbone
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.depths import with_depths


class NamesBackbone(Protocol):
    """Settings that name a backbone; see `RetrainConfig` for each."""

    @property
    def architecture(self) -> str | os.PathLike[str] | None:
        """Zoo name or path; None for the default."""

    @property
    def input_mean(self) -> float | None:
        """For a float file without metadata; None for what it says."""

    @property
    def input_std(self) -> float | None:
        """See `input_mean`."""

    @property
    def model_dir(self) -> str | os.PathLike[str] | None:
        """Where hosted models are kept; None for the cache folder."""


def backbone_of(settings: NamesBackbone) -> Backbone:
    """Return the backbone, with the means of earlier maps in its bottleneck.

    Raises:
        ValueError, FileNotFoundError, ModelError, DownloadError, MissingExtraError: As
            `load_backbone`.
    """
    return with_depths(
        load_backbone(
            settings.architecture,
            input_mean=settings.input_mean,
            input_std=settings.input_std,
            folder=settings.model_dir,
        )
    )
