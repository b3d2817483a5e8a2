"""Backbones: Google's hosted models, the bundled one, and any `.tflite` file."""

from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.cache import home
from edgeclf.zoo.hosted import (
    BUNDLED_ARCHITECTURE,
    DEFAULT_ARCHITECTURE,
    architectures,
)
from edgeclf.zoo.load import load_backbone

__all__ = [
    "BUNDLED_ARCHITECTURE",
    "DEFAULT_ARCHITECTURE",
    "Backbone",
    "architectures",
    "home",
    "load_backbone",
]
