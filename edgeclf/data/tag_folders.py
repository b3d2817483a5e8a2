"""Read folders whose names are tags; a picture may lie in several of them."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

from edgeclf.data.folders import Example, read_background, read_folder
from edgeclf.data.listing import BACKGROUND
from edgeclf.data.taggings import Taggings

logger = logging.getLogger("edgeclf")


def read_tag_folders(root: Path) -> tuple[list[str], Taggings]:
    """Return the pictures below `root`, sorted, each once, and their tags.

    The folders in `root` are the tags. A picture whose bytes stand in several of them
    has all these tags, under the first of its names. In the folder `_background` are
    pictures of no tag.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        DatasetError: It holds no folder of pictures.
    """
    examples = [*read_folder(root, at_least=1), *read_background(root)]
    copies: dict[Hashable, list[Example]] = defaultdict(list)
    for example, identity in zip(examples, _identities(examples), strict=True):
        copies[identity].append(example)
    groups = sorted(copies.values(), key=lambda group: min(one.name for one in group))
    if len(groups) < len(examples):
        logger.info(
            "Files that are copies of a picture in another folder: %d.",
            len(examples) - len(groups),
        )
    taggings = Taggings()
    for position, group in enumerate(groups):
        for example in group:
            if example.label != BACKGROUND:
                taggings.add(position, example.label)
    return [min(example.name for example in group) for group in groups], taggings


def _identities(examples: Sequence[Example]) -> list[Hashable]:
    """Return what is the same for files with the same bytes.

    Only files of the same size are read, and of several links to one file the first.
    """
    files: list[Hashable] = []
    sizes: dict[int, dict[Hashable, Example]] = defaultdict(dict)
    for example in examples:
        try:
            status = example.path.stat()
        except OSError:  # said by whoever wants to read it
            files.append(example.name)
            continue
        files.append((status.st_dev, status.st_ino))
        sizes[status.st_size].setdefault(files[-1], example)
    digests: dict[Hashable, Hashable] = {}
    for same_size in sizes.values():
        if len(same_size) > 1:
            digests |= {file: _digest(one, file) for file, one in same_size.items()}
    return [digests.get(file, file) for file in files]


def _digest(example: Example, otherwise: Hashable) -> Hashable:
    """Return the SHA-256 of a file, or something else if it cannot be read."""
    try:
        return hashlib.sha256(example.read()).digest()
    except OSError:
        return otherwise
