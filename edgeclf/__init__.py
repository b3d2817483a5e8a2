"""Image classification on small devices: one quantized file, labels come out of it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edgeclf.errors import (
    DatasetError,
    DownloadError,
    EdgeclfError,
    ImageError,
    LabelError,
    MissingExtraError,
    ModelError,
)

if TYPE_CHECKING:
    from edgeclf.class_activation_map import ClassActivationMapper
    from edgeclf.classifier import Classifier
    from edgeclf.embedder import Embedder
    from edgeclf.results import Category

__version__ = "0.1.0"

__all__ = [
    "Category",
    "ClassActivationMapper",
    "Classifier",
    "DatasetError",
    "DownloadError",
    "EdgeclfError",
    "Embedder",
    "ImageError",
    "LabelError",
    "MissingExtraError",
    "ModelError",
    "__version__",
]


_LAZY = {
    "Category": "edgeclf.results",
    "ClassActivationMapper": "edgeclf.class_activation_map",
    "Classifier": "edgeclf.classifier",
    "Embedder": "edgeclf.embedder",
}


def __getattr__(name: str) -> object:
    """Import a class when it is first asked for.

    A command that labels nothing then starts without NumPy and Pillow.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
