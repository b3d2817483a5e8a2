"""What a run trains on, for tests of a single one of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeclf.data.folders import read_folder
from edgeclf.training import RetrainConfig
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.dataset import BottleneckDataset, load_dataset


@contextmanager
def opened(
    config: RetrainConfig,
) -> Iterator[tuple[BottleneckExtractor, BottleneckDataset]]:
    """The extractor of the backbone, open, and the pictures with their bottlenecks."""
    backbone = backbone_of(config)
    with BottleneckCache(config.bottleneck_dir) as cache:
        extractor = BottleneckExtractor(backbone, cache, resize=config.resize)
        found = read_folder(config.image_dir)
        yield extractor, load_dataset(config, found, {}, extractor)
