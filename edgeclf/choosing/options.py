"""Options that `compare` and `tune` share, and the `retrain` line they end in."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edgeclf.training.config import RetrainConfig

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


def listed(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a converter of values with commas between them, for argparse."""

    def parse(text: str) -> list[Any]:
        values = [convert(part.strip()) for part in text.split(",") if part.strip()]
        if not values:
            raise argparse.ArgumentTypeError("expected at least one value")
        return values

    parse.__name__ = f"list of {convert.__name__}"  # what argparse calls it
    return parse


def joined(values: Iterable[object]) -> str:
    """Return values as `listed` takes them, for a default that help can show."""
    return ",".join(map(str, values))


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a converter that lets only these words pass, for argparse."""

    def parse(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(choices)}, received {text!r}"
            )
        return text

    return parse


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
    add("resize", "resize filter")
    add("bottleneck_dir", "where bottlenecks are cached")
    add("model_dir", "where downloaded backbones are kept")
    add("num_workers", "threads; by default one per processor", type=int)


def retrain_line(config: RetrainConfig, names: Sequence[str]) -> str:
    """Return a command line with the settings that are not the defaults.

    Args:
        config: The settings.
        names: Those to look at; `image_dir` comes first.
    """
    words = ["edgeclf", "retrain"]
    for name in dict.fromkeys(["image_dir", *names]):
        value = getattr(config, name)
        if value != DEFAULTS[name]:
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else value]
    return shlex.join(map(str, words))
