"""The options of pictures with tags, for every command that trains on them."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from edgeclf.console import listed
from edgeclf.data.tag_source import DEFAULT_TOP_KEYWORDS, TAG_SOURCES
from edgeclf.training.config import TAG_SETTINGS, RetrainConfig

TAG_OPTIONS = (*TAG_SOURCES, *TAG_SETTINGS)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(RetrainConfig)}


def add_tag_options(parser: argparse.ArgumentParser) -> None:
    """Add where pictures with tags are read, and which tags: `TAG_OPTIONS`."""

    def add(name: str, text: str, **settings: Any) -> None:
        settings.setdefault("default", _DEFAULTS[name])
        tags.add_argument(f"--{name}", help=text, **settings)

    tags = parser.add_argument_group(
        "tags",
        "One of the first three in place of class folders: a picture then has any "
        "number of tags, and the model says each tag that reaches its own threshold.",
    )
    add(
        "unsplash",
        "folder with the Unsplash tables; pictures where the table says, or below "
        "--image_dir, called like their photo_id",
        metavar="DIR",
    )
    add(
        "tags_csv",
        "CSV with file,tag;tag of the pictures in --image_dir",
        metavar="FILE",
    )
    add("tag_folders", "folder of folders that are tags", metavar="DIR")
    add(
        "top_keywords",
        "take the most frequent tags, this many; by default "
        f"{DEFAULT_TOP_KEYWORDS} with --unsplash, else all",
        type=int,
        metavar="N",
    )
    add(
        "min_confidence",
        "percent that an AI service must be sure of a keyword of --unsplash that no "
        "user suggested",
        type=float,
        metavar="P",
    )
    add(
        "keywords",
        "take these tags, whatever --top_keywords says",
        type=_names,
        metavar="A,B",
    )
    add("synonyms", "file that says which tags are one", metavar="FILE")
    add(
        "precision",
        "share of a tag's uses that must be right: thresholds are as low as that "
        "allows; by default they are those of the best F1",
        type=float,
        metavar="P",
    )
    add(
        "allow_private",
        "let photos that edgeclf collect --no_store has not stored be fetched from "
        "private addresses",
        action="store_true",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(listed(str)(text))
