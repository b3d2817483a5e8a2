"""Write changed copies of the pictures of a folder, in the same class folders.

```
photos/red/a.jpg   ->   more/red/a_nohash_aug1.jpg, more/red/a_nohash_aug2.jpg, ...
```

`_nohash_` makes every split of edgeclf, and of tensorflow-for-poets, keep them with
their picture and with each other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice, takewhile
from pathlib import Path
from typing import NamedTuple

from edgeclf.augmenting.copies import (
    MAX_SIDE,
    STAMP,
    Changes,
    Draw,
    decode,
    encoded_copy,
    ending_of,
    is_copy_of,
    stamp_of,
)
from edgeclf.console import number_of
from edgeclf.data.duplicates import NOHASH
from edgeclf.data.splits import TRAIN, read_split_file
from edgeclf.data.stamp import begins_with, is_stamped
from edgeclf.errors import DatasetError, ImageError
from edgeclf.files import sweep, write_bytes
from edgeclf.inputs.paths import find_images
from edgeclf.interpreter import num_processors

logger = logging.getLogger("edgeclf")

_MARK = f"{NOHASH}aug"
_IS_COPY = re.compile(rf"{_MARK}\d+\.(jpg|png)$")


@dataclass(frozen=True)
class AugmentConfig:
    """What to copy, and where to.

    Attributes:
        folder: Class folders of pictures.
        output: Gets the copies, in folders of the same names; may be `folder` itself.
        copies: How many of each picture.
        changes: How far they differ from it.
        max_side: Pixels of a copy's longer side; larger pictures are scaled down.
        seed: Another seed, other copies.
        split_file: CSV of `retrain`: only pictures of its training split are copied.
        num_workers: Threads; None for one per processor.
    """

    folder: Path
    output: Path
    copies: int = 3
    changes: Changes = field(default_factory=Changes)
    max_side: int = MAX_SIDE
    seed: int = 0
    split_file: Path | None = None
    num_workers: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("copies", 1),
            ("max_side", 1),
            ("seed", 0),
            ("num_workers", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(
                    f"Expected {name} of at least {least}. Received: {value}."
                )
        folder, output = self.folder.resolve(), self.output.resolve()
        if output != folder and output.is_relative_to(folder):
            raise ValueError(
                "Expected an output apart from the pictures, or their own folder: "
                f"below it, it would be a class. Received: {self.output}."
            )


@dataclass(frozen=True)
class Augmented:
    """What was done.

    Attributes:
        num_pictures: Pictures that have copies now.
        num_written: Copies written.
        num_kept: Copies that were there already, as they should be.
        num_removed: Copies of an earlier run with more of them, removed.
        counts: Copies by folder directly below the output, in code point order.
        unreadable: Pictures left out, each with the reason.
    """

    num_pictures: int
    num_written: int
    num_kept: int
    num_removed: int
    counts: dict[str, int]
    unreadable: Sequence[str]


class _Outcome(NamedTuple):
    targets: Sequence[Path]
    num_written: int
    num_removed: int = 0
    error: str | None = None


def augment(config: AugmentConfig) -> Augmented:
    """Write the copies; those that an earlier run made of the same stay untouched.

    Copies that an earlier run made beyond their number are removed.

    Raises:
        FileNotFoundError: The folder or the split file is not there.
        DatasetError: There is no picture that can be read, or a file that is no copy
            of ours stands where one would be.
        OSError: A copy cannot be written or removed.
    """
    sources = _sources(config)
    if not sources:
        raise DatasetError(
            f"Expected pictures below {config.folder}. Received: none to copy."
        )
    parents = {path.relative_to(config.folder).parent for path, _ in sources}
    for parent in parents:
        sweep(config.output / parent)
    unreadable: list[str] = []
    written: list[Path] = []
    num_pictures = num_written = num_removed = 0
    for outcome in _progress(_outcomes(config, sources), len(sources)):
        if outcome.error is not None:
            unreadable.append(outcome.error)
            continue
        num_pictures += 1
        num_written += outcome.num_written
        num_removed += outcome.num_removed
        written += outcome.targets
    for reason in unreadable:
        logger.warning("Left out: %s", reason)
    if not written:
        raise DatasetError(
            f"Expected pictures that can be read below {config.folder}. Received: "
            f"{number_of(len(unreadable), 'file')} that cannot."
        )
    _report_others(config.output, set(written))
    folders = (path.relative_to(config.output).parts[0] for path in written)
    return Augmented(
        num_pictures,
        num_written,
        len(written) - num_written,
        num_removed,
        dict(sorted(Counter(folders).items())),
        unreadable,
    )


def _sources(config: AugmentConfig) -> list[tuple[Path, str]]:
    """Return each picture, and what the names of its copies begin with."""
    if not config.folder.is_dir():
        received = "a file" if config.folder.exists() else "no such folder"
        raise FileNotFoundError(
            f"Expected a folder of class folders at {config.folder}. "
            f"Received: {received}."
        )
    found = find_images(config.folder)
    pictures = [path for path in found if not _IS_COPY.search(path.name)]
    outside = [path for path in pictures if path.parent == config.folder]
    if outside:
        logger.warning(
            "%s in %s itself, in no class folder: left out.",
            number_of(len(outside), "picture lies", "pictures lie"),
            config.folder,
        )
    pictures = [path for path in pictures if path.parent != config.folder]
    # Of a.jpg and a.png in one folder the copies would have the same names.
    stems = Counter(_stem(path) for path in pictures)
    sources = [
        (path, path.stem if stems[_stem(path)] == 1 else path.name) for path in pictures
    ]
    if config.split_file is None:
        return sources
    splits = read_split_file(config.split_file)
    return [
        (path, prefix)
        for path, prefix in sources
        if splits.get(path.relative_to(config.folder).as_posix()) == TRAIN
    ]


def _stem(path: Path) -> tuple[Path, str]:
    return path.parent, path.stem.lower()  # some disks know no case


def _outcomes(
    config: AugmentConfig, sources: Sequence[tuple[Path, str]]
) -> Iterator[_Outcome]:
    """Work on a few pictures at a time, in order."""
    workers = config.num_workers or num_processors()
    with ThreadPoolExecutor(workers) as executor:
        waiting = iter(sources)
        running = [
            executor.submit(_copy, config, *source)
            for source in islice(waiting, 2 * workers)
        ]
        try:
            while running:
                yield running.pop(0).result()
                for source in islice(waiting, 1):
                    running.append(executor.submit(_copy, config, *source))
        finally:
            for future in running:
                future.cancel()


def _copy(config: AugmentConfig, path: Path, prefix: str) -> _Outcome:
    """Write the copies of one picture that are not there yet."""
    try:
        content = path.read_bytes()
        ending = ending_of(content, str(path))
    except (OSError, ImageError) as error:
        return _Outcome((), 0, error=_reason(path, error))
    digest = hashlib.sha256(content).digest()
    folder = config.output / path.relative_to(config.folder).parent
    draws = [
        Draw(config.changes, config.max_side, config.seed, number)
        for number in range(1, config.copies + 1)
    ]
    targets = [folder / f"{prefix}{_MARK}{draw.number}{ending}" for draw in draws]
    missing = [
        (draw, target)
        for draw, target in zip(draws, targets, strict=True)
        if not is_stamped(target, stamp_of(digest, draw))
    ]
    _check_ours(target for _, target in missing)
    if missing:
        try:
            picture = decode(content, str(path), config.max_side)
        except ImageError as error:
            return _Outcome((), 0, error=_reason(path, error))
    for draw, target in missing:
        write_bytes(target, encoded_copy(picture, ending, digest, draw))
    names = (f"{prefix}{_MARK}{n}{ending}" for n in count(config.copies + 1))
    surplus = takewhile(Path.exists, (folder / name for name in names))
    removed = [path for path in surplus if is_copy_of(path, digest)]
    for path in removed:
        path.unlink()
    return _Outcome(targets, len(missing), len(removed))


def _reason(path: Path, error: OSError | ImageError) -> str:
    if isinstance(error, ImageError):
        return str(error)
    return f"{path} cannot be read: {error.strerror}."


def _check_ours(targets: Iterable[Path]) -> None:
    for target in targets:
        if os.path.lexists(target) and not (
            target.is_file() and begins_with(target, STAMP)
        ):
            raise DatasetError(
                f"Expected no file at {target} but a copy of ours. Received: another "
                "one. Move it away, or choose another output."
            )


def _report_others(output: Path, written: Collection[Path]) -> None:
    """Count the copies of other runs, which `retrain` would read too."""
    others = [
        path
        for path in find_images(output)
        if _IS_COPY.search(path.name) and path not in written
    ]
    if others:
        logger.warning(
            "%s in %s that are not of this run: they stay, %s the first.",
            number_of(len(others), "copy", "copies"),
            output,
            others[0].name,
        )


def _progress(outcomes: Iterable[_Outcome], total: int) -> Iterable[_Outcome]:
    try:
        from tqdm import tqdm
    except ImportError:  # it belongs to the extra [train]; this works without
        return outcomes
    progress: Iterable[_Outcome] = tqdm(
        outcomes, desc="pictures", total=total, unit="", disable=None
    )
    return progress
