"""The options of `edgeclf collect --unsplash`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from edgeclf.collecting import licenses
from edgeclf.collecting.found import Found
from edgeclf.collecting.unsplash import DEFAULT_SIDE, LICENSE, find
from edgeclf.console import listed
from edgeclf.data.tag_source import (
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_TOP_KEYWORDS,
    TagSource,
)

if TYPE_CHECKING:
    from edgeclf.collecting.features import FeatureKeeper
    from edgeclf.training.config import RetrainConfig

# Settings of `retrain` that the features in the cache depend on.
_TRAINING = (
    *("architecture", "bottleneck_dir", "model_dir", "seed", "views", "resize"),
    *("input_mean", "input_std"),
)

_DEFAULTS = {"min_confidence": DEFAULT_MIN_CONFIDENCE, "seed": 0, "resize": "antialias"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell which photos, and what becomes of them."""
    tags = parser.add_argument_group("photos of the Unsplash tables")
    tags.add_argument(
        "--top_keywords",
        type=int,
        metavar="N",
        help="collect photos of the most frequent keywords, this many; "
        f"{DEFAULT_TOP_KEYWORDS} if not given",
    )
    tags.add_argument(
        "--min_confidence",
        type=float,
        metavar="P",
        default=DEFAULT_MIN_CONFIDENCE,
        help="percent that an AI service must be sure of a keyword that no user "
        "suggested",
    )
    tags.add_argument(
        "--keywords",
        type=listed(str),
        metavar="A,B",
        help="collect photos of these, whatever --top_keywords says",
    )
    tags.add_argument(
        "--synonyms", metavar="FILE", help="file that says which keywords are one"
    )
    tags.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="shorter side that the server is asked for; twice what the model takes is "
        f"best. {DEFAULT_SIDE} if not given, with --no_store twice what the backbone "
        "takes",
    )
    tags.add_argument(
        "--no_store",
        action="store_true",
        help="write no picture to the disk, but its features to the bottleneck cache; "
        "give retrain the same of the following options",
    )
    kept = parser.add_argument_group("with --no_store, as of edgeclf retrain")
    kept.add_argument("--architecture", help="backbone: zoo name or .tflite")
    kept.add_argument("--bottleneck_dir", metavar="DIR", help="where features are kept")
    kept.add_argument("--model_dir", metavar="DIR", help="where backbones are kept")
    kept.add_argument(
        "--seed", type=int, default=_DEFAULTS["seed"], help="of the views"
    )
    kept.add_argument("--views", type=int, metavar="N", help="views of each picture")
    kept.add_argument("--resize", default=_DEFAULTS["resize"], help="resize filter")
    mean = "of a float backbone without metadata: input = (pixel - mean) / std"
    kept.add_argument("--input_mean", type=float, metavar="X", help=mean)
    kept.add_argument("--input_std", type=float, metavar="X", help=mean)


def check(options: argparse.Namespace) -> None:
    """Check the options before anything begins.

    Raises:
        ValueError: One is out of its range, or has no use.
    """
    if options.unsplash is None:
        if options.no_store:
            raise ValueError("Expected --no_store only with --unsplash.")
        return
    if options.license != licenses.DEFAULT:
        raise ValueError(
            f"Expected no --license {options.license} with --unsplash: its photos are "
            f"under the {LICENSE}, which passes with {licenses.DEFAULT} only."
        )
    _source_of(options)
    if options.side is not None and options.side < 1:
        raise ValueError(
            f"Expected side of 1 or more pixels. Received: {options.side}."
        )
    if options.no_store:
        _config_of(options)


def find_by(
    options: argparse.Namespace, keeper: FeatureKeeper | None
) -> Iterator[Found]:
    """Return the photos that the options ask for.

    Args:
        options: `unsplash`, and what `add_options` adds.
        keeper: What `keeper_of` returns.
    """
    side = options.side
    if side is None:
        side = DEFAULT_SIDE if keeper is None else keeper.side
    return find(_source_of(options), side)


def keeper_of(options: argparse.Namespace) -> FeatureKeeper | None:
    """Return what keeps the features of photos; None where photos are stored.

    Raises:
        EdgeclfError, OSError: As `FeatureKeeper`.
    """
    if not options.no_store:
        return None
    # TensorFlow Lite and all of training: of no use to whoever stores pictures.
    from edgeclf.collecting.features import FeatureKeeper

    return FeatureKeeper(_config_of(options))


def retrain_line(options: argparse.Namespace, labels: Iterable[str]) -> str:
    """Return the command that trains the tags that were collected, and no others.

    By frequency `retrain` would choose among what was collected: other tags, where a
    limit has levelled the frequencies.
    """
    words = ["edgeclf", "retrain", "--unsplash", str(options.unsplash)]
    words += [
        "--image_dir",
        str(options.output),
        "--keywords",
        ",".join(sorted(labels)),
    ]
    kept = (*_TRAINING, "allow_private") if options.no_store else ()
    for name in ("min_confidence", "synonyms", *kept):
        value = getattr(options, name)
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False and value != _DEFAULTS.get(name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _source_of(options: argparse.Namespace) -> TagSource:
    return TagSource(
        unsplash=options.unsplash,
        top_keywords=options.top_keywords,
        min_confidence=options.min_confidence,
        keywords=None if options.keywords is None else tuple(options.keywords),
        synonyms=options.synonyms,
    )


def _config_of(options: argparse.Namespace) -> RetrainConfig:
    from edgeclf.training.config import RetrainConfig

    settings: dict[str, Any] = {name: getattr(options, name) for name in _TRAINING}
    return RetrainConfig(unsplash=options.unsplash, **settings)
