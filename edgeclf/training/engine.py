"""The engine that bottlenecks are computed on."""

from __future__ import annotations

from edgeclf.engines.engine import Engine
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.config import RetrainConfig
from edgeclf.zoo.backbone import Backbone


def extractor_of(
    config: RetrainConfig, backbone: Backbone, cache: BottleneckCache
) -> BottleneckExtractor:
    """Return what computes bottlenecks, where the settings say.

    Args:
        config: Settings.
        backbone: What the pictures go through.
        cache: Where bottlenecks are kept.

    Raises:
        MissingExtraError: Ray is wanted and not installed.
    """
    return BottleneckExtractor(
        backbone,
        cache,
        resize=config.resize,
        num_workers=config.num_workers,
        engine=_engine(config),
    )


def _engine(config: RetrainConfig) -> Engine | None:
    if config.engine != "ray":
        return None
    from edgeclf.engines.ray_engine import RayEngine  # most go without

    return RayEngine(config.address)
