"""Options that `compare` and `tune` share, and the `retrain` line they end in."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from edgeclf.image import RESIZE_METHODS
from edgeclf.training.config import RetrainConfig

OUTPUT_GRAPH = "model.tflite"  # what the line writes
DEFAULTS = {field.name: field.default for field in dataclasses.fields(RetrainConfig)}
SHARED = (
    "image_dir",
    "input_mean",
    "input_std",
    "split_file",
    "testing_percentage",
    "validation_percentage",
    "seed",
    "resize",
    "bottleneck_dir",
    "model_dir",
    "num_workers",
)


def joined(values: Iterable[object]) -> str:
    """Return values as `listed` takes them, for a default that help can show."""
    return ",".join(map(str, values))


def add_shared(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add the options that go into every `RetrainConfig`.

    Args:
        parser: Gets them.
        defaults: Where they differ from those of `RetrainConfig`.
    """

    def add(name: str, text: str, **settings: Any) -> None:
        settings.setdefault("default", defaults.get(name, DEFAULTS[name]))
        group.add_argument(f"--{name}", help=text, **settings)

    group = parser.add_argument_group("as for edgeclf retrain")
    mean = "of a float backbone without metadata: input = (pixel - mean) / std"
    add("input_mean", mean, type=float)
    add("input_std", mean, type=float)
    add("split_file", "CSV (file,split) to take the split from")
    add("testing_percentage", "held out for the figures", type=float)
    add("validation_percentage", "held out to choose settings", type=float)
    add("seed", "another seed, another split", type=int)
    add("resize", "resize filter", choices=RESIZE_METHODS)
    add("bottleneck_dir", "where bottlenecks are cached")
    add("model_dir", "where downloaded backbones are kept")
    add("num_workers", "threads; by default one per processor", type=int)


def retrain_line(config: RetrainConfig, names: Sequence[str]) -> str:
    """Return a command line that runs, with the settings that are not the defaults.

    Args:
        config: The settings; `OUTPUT_GRAPH` takes the place of its `output_graph`.
        names: Those to look at; `image_dir` and `output_graph` come first.
    """
    words = ["edgeclf", "retrain"]
    for name in dict.fromkeys(["image_dir", "output_graph", *names]):
        value = OUTPUT_GRAPH if name == "output_graph" else getattr(config, name)
        if value is True:
            words.append(f"--{name}")
        elif value != DEFAULTS[name]:
            text = _as_text(value)
            # Otherwise it would be taken for an option.
            own = [f"--{name}={text}"] if text[:1] == "-" else [f"--{name}", text]
            words += own
    return shlex.join(words)


def _as_text(value: object) -> str:
    """Return a number with as many digits as it has, 30 and not 30.0; lists joined."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return joined(value) if isinstance(value, tuple) else str(value)
