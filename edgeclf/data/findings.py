"""What can be wrong with a folder of pictures, how bad it is, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
MOST_OTHERS = 20  # a thousand copies would name a million files


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: One of `SEVERITIES`: an error spoils training or its figures.
        title: What these files are.
        advice: What to do about them.
    """

    severity: str
    title: str
    advice: str


# The order in which they are told.
KINDS = {
    "unreadable": Kind(
        ERROR, "cannot be read", "Mend or replace them; retrain leaves them out."
    ),
    "conflicting": Kind(
        ERROR,
        "the same picture in several classes",
        "Keep the copy that is right; of the same bytes retrain leaves out all.",
    ),
    "duplicate": Kind(
        ERROR,
        "copies of a picture in the same class",
        "Keep one; a copy counts twice and teaches nothing.",
    ),
    "leak": Kind(
        ERROR,
        "nearly the same picture in several splits",
        "Put them into one split; the test figure is too good otherwise.",
    ),
    "too_few_classes": Kind(
        ERROR,
        "fewer than two class folders with pictures",
        "Make a folder for each class; retrain wants two or more.",
    ),
    "class_name": Kind(
        ERROR,
        "names of class folders that are no label",
        "Rename them to one line of UTF-8; retrain refuses them.",
    ),
    "mislabelled": Kind(
        WARNING,
        "probably in the wrong class",
        "Look at them, the first ones first; move those that are wrong.",
    ),
    "near_conflicting": Kind(
        WARNING,
        "nearly the same picture in several classes",
        "Look at them; one of the classes is wrong, or both are.",
    ),
    "tiny": Kind(WARNING, "too small to show anything", "Replace them."),
    "misnamed": Kind(
        WARNING,
        "another format than the name's ending says",
        "Rename them; edgeclf reads them, other programs may not.",
    ),
    "unnamed": Kind(
        WARNING,
        "pictures without a picture's ending",
        "Rename them; retrain passes them over.",
    ),
    "outside": Kind(
        WARNING,
        "pictures in no class folder",
        "Move them into a class folder; retrain passes them over.",
    ),
    "similar_names": Kind(
        WARNING,
        "names of class folders that differ by case or blanks only",
        "Make one class of them if they mean the same.",
    ),
    "empty_class": Kind(
        WARNING, "class folders without a picture", "Fill or remove them."
    ),
    "few": Kind(
        WARNING,
        "classes of few pictures",
        "Add some; a figure of so few test pictures says little.",
    ),
    "imbalance": Kind(
        WARNING,
        "classes much smaller than the largest",
        "Add pictures to them.",
    ),
    "near_duplicate": Kind(
        NOTE,
        "nearly the same as another picture of the class",
        "Nothing; retrain keeps them in one split.",
    ),
    "small": Kind(
        NOTE, "smaller than the model's input", "Nothing; they are enlarged."
    ),
    "huge": Kind(
        NOTE, "larger than any model needs", "Shrink them if training is slow."
    ),
    "rotated": Kind(
        NOTE,
        "turned by their EXIF orientation",
        "Nothing; edgeclf turns them, other programs may not.",
    ),
    "animated": Kind(NOTE, "several frames", "Nothing; the first one counts."),
    "colours": Kind(
        NOTE, "unusual colours", "Nothing; they are converted to 8-bit RGB."
    ),
    "stray": Kind(NOTE, "files that are no pictures", "Nothing; they are passed over."),
    "hidden": Kind(NOTE, "hidden files and litter", "Nothing; they are passed over."),
}
_RANKS = {kind: rank for rank, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about one file or folder.

    Attributes:
        kind: One of `KINDS`.
        file: Path relative to the dataset's folder, with forward slashes; a folder's
            ends with one.
        detail: What it is, for people.
        others: The files that it is a copy of, or is like; see `some`.
        suggested: The class that it seems to belong to, of kind "mislabelled".
        confidence: How sure that is, in [0, 1].
    """

    kind: str
    file: str
    detail: str
    others: tuple[str, ...] = ()
    suggested: str | None = None
    confidence: float | None = None

    @property
    def severity(self) -> str:
        """One of `SEVERITIES`."""
        return KINDS[self.kind].severity

    def describe(self) -> dict[str, Any]:
        """Return it as plain values for JSON; what is not known is left out."""
        entry: dict[str, Any] = {
            "file": self.file,
            "kind": self.kind,
            "severity": self.severity,
            "detail": self.detail,
        }
        if self.others:
            entry["others"] = list(self.others)
        if self.suggested is not None:
            entry |= {"suggested": self.suggested, "confidence": self.confidence}
        return entry


def some(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first `MOST_OTHERS` names."""
    return tuple(islice(names, MOST_OTHERS))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by kind and then by name; the most suspicious labels first."""
    return sorted(
        findings,
        key=lambda each: (_RANKS[each.kind], -(each.confidence or 0.0), each.file),
    )


def count_kinds(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many there are of each kind that there is, as `KINDS` is ordered."""
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}
