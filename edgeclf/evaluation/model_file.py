"""What a report says of the model file itself: size, weights, latency."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf import __version__
from edgeclf.benchmark.timings import processor, time_inferences
from edgeclf.classifier import Classifier
from edgeclf.interpreter import num_processors
from edgeclf.tflite.graph import Graph

RUNS = 30  # inferences that are timed
_KINDS = {"uint8": "int8", "float32": "float"}
_PACKAGES = ("ai-edge-litert", "tflite-runtime", "numpy", "pillow")
# What a model's provenance says that a report repeats.
_PROVENANCE = (
    "architecture",
    "solver",
    "fine_tuned",
    "class_weights",
    "views",
    "strength",
    "shrinkage",
    "temperature",
    "head",
    "num_background",
    "seed",
    "dataset_sha256",
    "backbone_sha256",
    "backbone_source",
)


def describe_model(
    content: bytes, path: Path, classifier: Classifier
) -> dict[str, Any]:
    """Return what is known of a model file, for JSON.

    Args:
        content: The file.
        path: Where it is, or will be.
        classifier: The same, opened.
    """
    weights = count_weights(content)
    provenance = classifier.info.record.get("provenance") or {}
    return {
        "file": path.name,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "quantize": quantized_to(weights),
        "input_size": list(classifier.input_size) if classifier.input_size else None,
        "labels": list(classifier.labels or ()),
        "parameters": sum(weights.values()) or None,
        **{name: provenance.get(name) for name in _PROVENANCE},
    }


def count_weights(content: bytes) -> Counter[str]:
    """Return how many weights and biases a model has, by the type they are stored in.

    Constants that are no numbers of the network, such as shapes, do not count: they are
    whole numbers without a scale. (Of a file for an EdgeTPU nothing is seen.)

    Args:
        content: The model file.

    Raises:
        ModelError: It is damaged.
    """
    graph = Graph(content)
    indices = {
        index
        for operator in graph.operators()
        for index in operator.inputs
        if index >= 0
    }
    counts: Counter[str] = Counter()
    for index in sorted(indices):
        tensor = graph.tensor(index)
        if not tensor.data or tensor.dtype is None:
            continue
        if np.issubdtype(tensor.dtype, np.floating) or len(tensor.scales):
            counts[tensor.dtype.name] += len(tensor.data) // tensor.dtype.itemsize
    return counts


def quantized_to(weights: Mapping[str, int]) -> str:
    """Return "int8", "float16" or "float": the type of most weights."""
    if not weights:
        return "int8"  # compiled for an EdgeTPU, which knows nothing else
    name = max(sorted(weights), key=lambda name: weights[name])
    return _KINDS.get(name, name)


def measure_latency(
    content: bytes, settings: Mapping[str, Any], runs: int = RUNS
) -> dict[str, Any]:
    """Time inferences, without reading the picture, for JSON.

    Args:
        content: The model file.
        settings: Arguments of `Classifier` besides it and its labels.
        runs: How many.
    """
    times = time_inferences(content, settings, runs)
    return {
        "median_ms": float(np.median(times)),
        "p90_ms": float(np.percentile(times, 90)),
        "num_threads": settings.get("num_threads") or 1,
        "machine": f"{processor()}, {num_processors()} processors",
    }


def versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"edgeclf": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
