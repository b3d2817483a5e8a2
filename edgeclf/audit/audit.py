"""The audit: every check of a folder, those that need a model if there is one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeclf.data.checks import (
    Inspected,
    group_copies,
    inspect,
    inspect_pictures,
    report_copies,
    report_leaks,
    within_folders,
)
from edgeclf.data.findings import Finding, count_kinds, in_order
from edgeclf.data.listing import BACKGROUND, Picture, list_folder
from edgeclf.errors import DatasetError, MissingExtraError
from edgeclf.image import DEFAULT_RESIZE
from edgeclf.interpreter import num_processors

if TYPE_CHECKING:
    from edgeclf.zoo.backbone import Backbone

DEFAULT_INPUT_SIZE = (224, 224)  # (height, width) of the default backbone
NEED_A_MODEL = ("mislabelled", "near_conflicting", "near_duplicate")
OF_CLASSES = ("conflicting", "mislabelled", "near_conflicting")


@dataclass(frozen=True)
class AuditConfig:
    """What to look at, and how.

    Attributes:
        image_dir: Folder with one folder of pictures per class.
        tags: Whether the folders are tags: a picture may lie in several, one folder
            will do, and what is `OF_CLASSES` is not looked for.
        use_model: Whether to look for near-duplicates and wrong classes.
        needs_model: Whether it is an error if that is impossible for want of an extra,
            as it is if an architecture is named.
        architecture: As of `RetrainConfig`, and so are the next five.
        input_mean: Of a float backbone without metadata.
        input_std: See `input_mean`.
        bottleneck_dir: Where bottlenecks are cached.
        model_dir: Where backbones are kept.
        resize: Resize filter.
        views: Views of each picture to learn from, the plain one included.
        seed: Of the views.
        num_workers: Threads; None for one per processor.
    """

    image_dir: Path
    tags: bool = False
    use_model: bool = True
    needs_model: bool = False
    architecture: str | os.PathLike[str] | None = None
    input_mean: float | None = None
    input_std: float | None = None
    bottleneck_dir: str | os.PathLike[str] | None = None
    model_dir: str | os.PathLike[str] | None = None
    resize: str = DEFAULT_RESIZE
    views: int = 1
    seed: int = 0
    num_workers: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("views", 1), ("seed", 0), ("num_workers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(
                    f"Expected {name} of at least {least}. Received: {value}."
                )


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        counts: Pictures by class, in code point order.
        findings: In the order of their kinds.
        architecture: The backbone that was looked through; None for none.
        without_model: Why there was none; empty if there was.
        tags: Whether the folders are tags.
    """

    counts: dict[str, int]
    findings: Sequence[Finding]
    architecture: str | None
    without_model: str = ""
    tags: bool = False

    @property
    def conflicts(self) -> float:
        """Share of the pictures whose like lies in another class, in [0, 1]."""
        kinds = ("conflicting", "near_conflicting")
        files = {each.file for each in self.findings if each.kind in kinds}
        return len(files) / max(1, sum(self.counts.values()))

    @property
    def imbalance(self) -> float | None:
        """Pictures of the largest class for one of the smallest, or None."""
        sizes = [count for label, count in self.counts.items() if label != BACKGROUND]
        return max(sizes) / min(sizes) if len(sizes) > 1 else None

    def describe(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "num_pictures": sum(self.counts.values()),
            "classes": [
                {"label": label, "pictures": count}
                for label, count in self.counts.items()
            ],
            "imbalance": self.imbalance,
            "architecture": self.architecture,
            "not_checked": sorted(
                {
                    *(() if self.architecture else NEED_A_MODEL),
                    *(OF_CLASSES if self.tags else ()),
                }
            ),
            "counts": count_kinds(self.findings),
            "findings": [finding.describe() for finding in self.findings],
        }


def audit(config: AuditConfig, splits: Mapping[str, str] | None = None) -> Audit:
    """Check every file of a folder of class folders.

    Without the extra `[train]` the checks that need a model are left out, unless the
    settings say that they are needed.

    Args:
        config: What to look at.
        splits: Split by file name; pictures that are alike should share one.

    Raises:
        DatasetError: `splits` names none of the pictures.
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is a file.
        ModelError: The backbone cannot be read or cut.
        DownloadError: The backbone that was asked for cannot be had.
        MissingExtraError: An extra is missing, and the model is needed.
        OSError: It cannot be read.
    """
    listing = list_folder(config.image_dir)
    _check_named(listing.pictures, splits or {}, config)
    backbone, reason = None, "--no_model"
    if config.use_model and not any(map(_can_be_read, listing.pictures)):
        reason = "there is no picture that can be read"
    elif config.use_model:
        try:
            backbone, reason = _load_backbone(config), ""
        except MissingExtraError as error:
            if config.needs_model or config.architecture is not None:
                raise
            reason = str(error)
    inspected = inspect_pictures(
        listing.pictures,
        backbone.input_size if backbone else DEFAULT_INPUT_SIZE,
        config.num_workers or num_processors(),
        lambda results: _progress(results, len(listing.pictures)),
    )
    one_will_do = config.tags and listing.counts.keys() - {BACKGROUND}
    findings = [
        each
        for each in listing.findings
        if not (one_will_do and each.kind == "too_few_classes")
    ]
    for each in inspected:
        findings += each.findings
    copies = group_copies(listing.pictures, inspected)
    alike: dict[str, set[str]] = {}
    _join(alike, ([listing.pictures[row].name for row in group] for group in copies))
    if config.tags:
        labels = [picture.label for picture in listing.pictures]
        copies = within_folders(copies, labels)
    findings += report_copies(listing.pictures, copies)
    if backbone:
        findings += _look(config, backbone, listing.pictures, inspected, copies, alike)
    if splits:
        groups = {min(names): sorted(names) for names in alike.values()}
        findings += report_leaks(groups.values(), splits)
    return Audit(
        listing.counts,
        in_order(findings),
        backbone.name if backbone else None,
        reason,
        config.tags,
    )


def _check_named(
    pictures: Sequence[Picture], splits: Mapping[str, str], config: AuditConfig
) -> None:
    """Refuse a table of another folder."""
    names = [picture.name for picture in pictures]
    if splits and names and splits.keys().isdisjoint(names):
        raise DatasetError(
            f"Expected pictures of {config.image_dir} in the table of splits, named "
            f"like {names[0]}. Received: {', '.join(list(splits)[:3])}."
        )


def _can_be_read(picture: Picture) -> bool:
    return inspect(picture, DEFAULT_INPUT_SIZE).size is not None


def _load_backbone(config: AuditConfig) -> Backbone:
    from edgeclf.training import retrain  # noqa: F401  # says what is missing
    from edgeclf.training.backbone import backbone_of

    return backbone_of(config)


def _look(
    config: AuditConfig,
    backbone: Backbone,
    listed: Sequence[Picture],
    inspected: Sequence[Inspected],
    copies: Iterable[Sequence[int]],
    alike: dict[str, set[str]],
) -> Iterable[Finding]:
    """Return what the backbone sees; note in `alike` which pictures are alike."""
    from edgeclf.audit import similar

    told = {finding.file for finding in report_copies(listed, copies)}
    pictures = [
        picture
        for picture, each in zip(listed, inspected, strict=True)
        if each.size is not None
        and picture.label != BACKGROUND
        and picture.name not in told
    ]
    if not pictures:
        return []
    seen = similar.see(
        pictures,
        backbone,
        config.bottleneck_dir,
        resize=config.resize,
        views=1 if config.tags else config.views,
        seed=config.seed,
        num_workers=config.num_workers,
    )
    near = [rows.tolist() for rows in seen.near_duplicates]
    _join(alike, ([seen.names[row] for row in rows] for rows in near))
    if config.tags:
        near = within_folders(near, seen.classes.tolist())
        return similar.report_near_duplicates(seen, near)
    return [
        *similar.report_near_duplicates(seen, near),
        *similar.report_mislabelled(seen, backbone.widths),
    ]


def _join(alike: dict[str, set[str]], groups: Iterable[Sequence[str]]) -> None:
    """Merge groups of names into those that are there."""
    for names in groups:
        members = set(names).union(*(alike.get(name, ()) for name in names))
        for name in members:
            alike[name] = members


def _progress(results: Iterable[Inspected], count: int) -> Iterable[Inspected]:
    try:
        from tqdm import tqdm
    except ImportError:  # it belongs to the extra [train]; this works without
        return results
    progress: Iterable[Inspected] = tqdm(
        results, total=count, desc="checking", unit="picture", disable=None
    )
    return progress
