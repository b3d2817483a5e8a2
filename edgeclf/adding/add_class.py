"""Add a class to a model file, or pictures to one of its classes."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeclf import files
from edgeclf.adding.known_model import KnownModel
from edgeclf.adding.new_row import Discriminant, extended_row, new_row
from edgeclf.adding.pictures import Unreadable, find_pictures, read_pictures
from edgeclf.classifier import Classifier
from edgeclf.console import number_of
from edgeclf.data.listing import BACKGROUND
from edgeclf.errors import DatasetError, LabelError, ModelError
from edgeclf.labels import warn_of_unknown
from edgeclf.network import named_errors
from edgeclf.tflite.source import max_model_bytes, read_model

logger = logging.getLogger("edgeclf")

FEW_PICTURES = 3  # a warning below
NAMED_AT_MOST = 10  # unreadable pictures


@dataclass(frozen=True)
class AddClassResult:
    """What has been written, and what is to be expected of it.

    Attributes:
        model_path: The file that was written.
        backup_path: The model as it was before; None if another file was written.
        label: Of the class.
        labels: Of all classes, in the order of the output.
        extended: Whether the model knew the class already.
        num_pictures: Pictures that were learned.
        num_recognised: How many of them get the label by a row that was made without
            them; None of a single picture.
        taken_for: How many of the others go to which class.
        losses: For every other class the share of its pictures that may now get the
            label, in [0, 1], by what the file says of how they vary; empty when the
            class was known.
        num_unknown: How many of the pictures are unknown with `reject`, by a row that
            was made without them; None of a single picture, or without such a rule.
        unreadable: Pictures that were left out.
        size_bytes: Of the file.
    """

    model_path: Path
    backup_path: Path | None
    label: str
    labels: tuple[str, ...]
    extended: bool
    num_pictures: int
    num_recognised: int | None
    taken_for: Mapping[str, int]
    losses: Mapping[str, float]
    num_unknown: int | None
    unreadable: Sequence[Unreadable]
    size_bytes: int


def add_class(
    model: str | os.PathLike[str],
    images: str | os.PathLike[str],
    label: str,
    output: str | os.PathLike[str] | None = None,
    *,
    num_workers: int | None = None,
    sha256: str | None = None,
    max_model_mb: int | None = None,
) -> AddClassResult:
    """Add a class to a model, or pictures to one that it knows.

    The rows of all other classes stay as they are, as long as the new one fits the
    steps of the layer's weights. A new label is inserted where it stands by code
    point, as retraining would have it: indices of labels behind it rise by one.

    Args:
        model: A file that `edgeclf retrain` wrote.
        images: Folder of pictures of the class, at any depth.
        label: Its name.
        output: The file to write, in one step. Default: `model` itself; then what stood
            there is kept beside it with `.bak` behind its name.
        num_workers: Threads; None for one per processor.
        sha256: As for `Classifier`.
        max_model_mb: As for `Classifier`.

    Raises:
        FileNotFoundError, NotADirectoryError: There is no such model or folder.
        LabelError: The label is empty, not one line of UTF-8, or `_background`.
        DatasetError: No picture can be read, or these pictures were added before.
        ModelError: The model is damaged, or has not what this takes, or another
            process adds a class to it.
        OSError: The output cannot be written.
        MissingExtraError: A package is missing.
    """
    check_label(label)
    warn_of_unknown(label)
    source = Path(model)
    target = source if output is None else Path(output)
    with nullcontext() if target.resolve() != source.resolve() else _alone(source):
        content = read_model(source, sha256, max_model_mb)[1]
        return _add(source, content, images, label, target, num_workers, max_model_mb)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let nobody else add a class to a file in this block.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: Somebody does.
    """
    with path.open("rb") as file:
        is_alone = True
        with suppress(OSError):  # a file system without locks
            is_alone = files.lock(file.fileno())
        # Another run may have put another file in its place meanwhile.
        if not is_alone or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise ModelError(
                f"Expected a model that nobody else changes. Received: {path}, to "
                "which another process adds a class. Repeat the command when that "
                "has ended."
            )
        yield


def _add(
    source: Path,
    content: bytes,
    images: str | os.PathLike[str],
    label: str,
    target: Path,
    num_workers: int | None,
    max_model_mb: int | None,
) -> AddClassResult:
    files.check_writable(target)
    paths = find_pictures(images)
    if target.exists() and target.resolve() in {path.resolve() for path in paths}:
        raise DatasetError(
            f"Expected another path to write than a picture's. Received: {target}."
        )
    with named_errors(str(source)):
        known = KnownModel(content, max_model_bytes(max_model_mb))
        place = known.labels.index(label) if label in known.labels else None
        pictures = read_pictures(
            paths,
            content,
            views=known.views,
            seed=known.seed,
            resize=known.resize,
            num_workers=num_workers,
            max_model_mb=max_model_mb,
        )
        _report_unreadable(pictures.unreadable)
        count = len(pictures.bottlenecks)
        if not count:
            raise DatasetError(
                f"Expected readable pictures in {images}. Received: {len(paths)} "
                f"files, of the first: {pictures.unreadable[0].reason}"
            )
        known.check_new(label, pictures)
        discriminant = Discriminant(known.weights, known.bias, known.statistics)
        if place is None:
            row = new_row(discriminant, pictures.bottlenecks)
            rival = known.rival(row.left_out)
            if rival is not None:
                logger.warning(
                    "The model knows %d of %d pictures as %s already: it will hardly "
                    "tell %s from that.",
                    rival[1],
                    count,
                    rival[0],
                    label,
                )
        else:
            row = extended_row(discriminant, place, pictures.bottlenecks)
        changed, num_unknown = known.with_row(label, row, pictures)
        with Classifier(
            changed, max_model_mb=max_model_mb
        ) as classifier:  # before anything is replaced
            classifier.scores(np.zeros((16, 16, 3), np.uint8))
            labels = classifier.labels or ()
    if count < FEW_PICTURES:
        logger.warning(
            "%s is learned from %s only: more show what they have in common.",
            label,
            number_of(count, "picture"),
        )
    backup = None
    if target.resolve() == source.resolve():
        backup = source.with_name(f"{source.name}.bak")
        _write_durably(backup, content)
    _write_durably(target, changed)
    losses = [] if row.losses is None else row.losses.tolist()
    left_out = row.left_out
    missed = left_out.rivals[left_out.margins <= 0].tolist() if count > 1 else []
    return AddClassResult(
        target,
        backup,
        label,
        labels,
        place is not None,
        count,
        count - len(missed) if count > 1 else None,
        dict(Counter(known.labels[rival] for rival in missed).most_common()),
        dict(zip(known.labels, losses, strict=False)),
        num_unknown if count > 1 else None,
        pictures.unreadable,
        len(changed),
    )


def check_label(label: str) -> None:
    """Refuse a name that a file with one UTF-8 label a line cannot hold.

    Raises:
        LabelError: It is empty, not one line, or not UTF-8; or it is `_background`.
    """
    if label == BACKGROUND:
        raise LabelError(
            f"Expected the label of a class. Received: {label}, which is the folder of "
            "pictures of no class for retrain."
        )
    try:
        label.encode()
    except UnicodeEncodeError:
        is_label = False
    else:
        is_label = label.splitlines() == [label] and not label.isspace()
    if not is_label:
        raise LabelError(
            f"Expected a label to be one line of UTF-8. Received: {label!r}."
        )


def _report_unreadable(unreadable: Sequence[Unreadable]) -> None:
    for entry in unreadable[:NAMED_AT_MOST]:
        logger.warning("Left out %s: %s", entry.path, entry.reason)
    if len(unreadable) > NAMED_AT_MOST:
        more = len(unreadable) - NAMED_AT_MOST
        logger.warning("Left out %d more that cannot be read.", more)


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file in one step; a power cut leaves the old one or the new one."""
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    files.sync_folder(path.resolve().parent)
