"""Collect pictures: ask sources, download, sort out, store, count by reason."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edgeclf.collecting import licenses
from edgeclf.collecting.downloads import Downloads
from edgeclf.collecting.found import Found
from edgeclf.collecting.hosts import STOPPED
from edgeclf.collecting.journal import STORED, Settled
from edgeclf.collecting.picture import TOO_SMALL, Picture, RejectedError, examine
from edgeclf.collecting.seen import DUPLICATE, NEAR_DUPLICATE
from edgeclf.collecting.store import Store, label_name_problem
from edgeclf.collecting.web import NOT_JSON, Web
from edgeclf.console import number_of, sentence
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import PRIVATE, FetchError, printable
from edgeclf.inputs.fetch import CERTIFICATE, TOO_LARGE, UNREACHABLE

logger = logging.getLogger("edgeclf")

DEFAULT_WORKERS = 8
# Outcomes besides `STORED`, those of `Seen` and those of errors.
STORED_BEFORE, REFUSED_BEFORE = "stored before", "refused before"
SAME_ADDRESS, LIMIT_REACHED = "same address", "limit reached"
NOT_A_LABEL = "not a folder name"
OTHER_LICENSE, UNKNOWN_LICENSE = "other licence", "unknown licence"
_NO_FAILURES = frozenset(
    {STORED, STORED_BEFORE, REFUSED_BEFORE, SAME_ADDRESS, LIMIT_REACHED}
    | {DUPLICATE, NEAR_DUPLICATE, OTHER_LICENSE, UNKNOWN_LICENSE}
)
# What another run may find otherwise, even if another attempt would not.
_ASKED_AGAIN = frozenset({PRIVATE, UNREACHABLE, CERTIFICATE, STOPPED, NOT_JSON})


@dataclass(frozen=True)
class Source:
    """Where pictures are found.

    Attributes:
        name: What messages call it.
        found: Its pictures; asked for no more than are needed.
        label: The label of all of them: the source is left when that has enough. None
            if there are several.
        license_choice: What its pictures' licences must allow, one of
            `licenses.CHOICES`; unknown licences pass with "any" only.
    """

    name: str
    found: Iterable[Found]
    label: str | None = None
    license_choice: str = licenses.DEFAULT


@dataclass(frozen=True)
class Collected:
    """What became of all that was found.

    Attributes:
        outcomes: How many addresses came to what: "stored", "duplicate", "404" ...
        counts: Pictures of each label, those of earlier runs included.
        failed_sources: A sentence for each source that failed.
        failures: The table of addresses that have no picture, and why; None without
            any.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failed_sources: list[str] = field(default_factory=list)
    failures: Path | None = None

    @property
    def num_stored(self) -> int:
        """Pictures that this run has added."""
        return self.outcomes[STORED]

    @property
    def is_success(self) -> bool:
        """Whether pictures were added, were there already, or none was left to get."""
        if self.num_stored:
            return True
        if self.failed_sources or not self.counts.total():
            return False
        has_failed = bool(self.outcomes.keys() - _NO_FAILURES)
        return bool(self.outcomes[STORED_BEFORE]) or not has_failed

    def describe(self) -> dict[str, Any]:
        """Return all for JSON."""
        return {
            "stored": self.num_stored,
            "outcomes": dict(self.outcomes),
            "labels": dict(self.counts),
            "failed_sources": self.failed_sources,
            "failures": self.failures and os.fspath(self.failures),
        }


def collect(
    sources: Iterable[Source],
    output: str | os.PathLike[str],
    web: Web,
    *,
    limit: int | None = None,
    num_workers: int = DEFAULT_WORKERS,
    min_side: int = 1,
    keep: Callable[[bytes], object] | None = None,
) -> Collected:
    """Download what sources find into class folders, each picture once.

    A picture must decode, and is stored under the ending of its format; duplicates and
    near-duplicates are left out. What is kept does not depend on which server was
    quicker. A run that was stopped or killed is gone on with by calling this again.

    Args:
        sources: Asked one after the other.
        output: Folder of class folders; gets `manifest.csv` and `failures.csv` too.
        web: What fetches; it is closed when something is raised.
        limit: Pictures of each label, those of earlier runs included. Default: all.
        num_workers: Downloads at a time, 1 or more.
        min_side: Pixels that the shorter side must have.
        keep: Called with each picture that decodes, by any of the threads, in place of
            storing it; what it raises ends the run. Default: store them.

    Returns:
        What became of all. Pictures that cannot be had are counted, nothing is raised.

    Raises:
        OSError: The folder cannot be read or written to.
        DatasetError: Another process collects into it, or its records are damaged.
        ValueError: A number is out of its range.
    """
    for name, number in (
        ("limit", 1 if limit is None else limit),
        ("num_workers", num_workers),
        ("min_side", min_side),
    ):
        if number < 1:
            raise ValueError(f"Expected {name} of 1 or more. Received: {number}.")
    store = Store(Path(output))
    try:
        run = _Run(store, web, limit, num_workers, min_side, keep)
        return run(sources)
    finally:
        store.close()


def _with_folders(found: Found) -> Found:
    """Return a picture with only those of its labels that can be folders."""
    labels = (label for label in found.labels if label_name_problem(label) is None)
    return replace(found, labels=tuple(labels))


def _license_problem(found: Found, choice: str) -> str | None:
    """Return what keeps a picture out that does not allow what is asked for."""
    code = licenses.code_of(found.license_url, found.license)
    if choice == licenses.DEFAULT or code in licenses.CHOICES[choice]:
        return None
    return UNKNOWN_LICENSE if code is None else OTHER_LICENSE


class _Run:
    """One run of `collect`."""

    def __init__(
        self,
        store: Store,
        web: Web,
        limit: int | None,
        num_workers: int,
        min_side: int,
        keep: Callable[[bytes], object] | None,
    ) -> None:
        self._store = store
        self._web = web
        self._limit = limit
        self._num_workers = num_workers
        self._min_side = min_side
        self._keep = keep
        self._result = Collected(counts=store.counts)
        self._asked: set[str] = set()

    def __call__(self, sources: Iterable[Source]) -> Collected:
        if known := self._store.num_pictures:
            logger.info("Already in the folder: %s.", number_of(known, "picture"))
        downloads = Downloads(
            self._find(sources),
            self._obtain,
            (FetchError, RejectedError),
            num_workers=self._num_workers,
            per_host=self._web.manners.per_host,
            places=self._places,
        )
        try:
            with tqdm(desc="collecting", unit="picture", disable=None) as bar:
                for found, result in downloads:
                    outcome = self._settle(found, result)
                    self._result.outcomes[outcome] += 1
                    bar.update(outcome == STORED)
        except BaseException:
            self._web.close()
            downloads.stop()
            with suppress(OSError):  # a full disk is what ended it, perhaps
                self._store.write_failures()
            raise
        downloads.stop()
        self._store.spool.clear()
        failures = self._store.write_failures()
        return Collected(
            self._result.outcomes,
            +self._result.counts,
            self._result.failed_sources,
            failures,
        )

    def _find(self, sources: Iterable[Source]) -> Iterator[Found]:
        """Yield what is new; count the rest."""
        for source in sources:
            try:
                for each in source.found:
                    if source.label is not None and self._places(source.label) == 0:
                        break
                    found = _with_folders(each)
                    outcome = _license_problem(found, source.license_choice)
                    outcome = outcome or self._known(found)
                    if outcome is None:
                        yield found
                    else:
                        self._result.outcomes[outcome] += 1
            except DownloadError as error:
                self._result.failed_sources.append(f"{source.name}: {sentence(error)}")
                logger.warning("%s", self._result.failed_sources[-1])

    def _known(self, found: Found) -> str | None:
        """Return what came of an address before, None if it is to be asked for."""
        if found.url in self._asked:
            return SAME_ADDRESS
        self._asked.add(found.url)
        if not found.labels:
            return NOT_A_LABEL
        entry = self._store.settled(found.url)
        if entry is None or not self._is_final(entry):
            return None
        return STORED_BEFORE if entry.outcome == STORED else REFUSED_BEFORE

    def _is_final(self, entry: Settled) -> bool:
        """Return whether an address need not be asked for again, by today's limits."""
        if entry.outcome == TOO_SMALL:
            return entry.bound is not None and entry.bound < self._min_side
        if entry.outcome == TOO_LARGE:
            return entry.bound is not None and entry.bound >= self._largest
        return entry.is_final

    @property
    def _largest(self) -> int:
        return self._web.limits.size_bytes

    def _places(self, label: str) -> int | None:
        """Return how many pictures a label lacks; None for any number."""
        if self._limit is None:
            return None
        return max(0, self._limit - self._store.counts[label])

    def _obtain(self, found: Found) -> Picture:
        """Download a picture and look into it; called by several threads."""
        content = self._store.spool.read(found.url)
        is_there = content is not None
        if content is None:
            content = self._web.get_picture(found.url)
        picture = examine(content, printable(found.url), self._min_side)
        if self._keep is not None:
            self._keep(content)
        elif not is_there:
            self._store.spool.write(found.url, content)
        return picture

    def _settle(self, found: Found, result: Picture | Exception | None) -> str:
        """Store a picture, or write down why not; return what came of it."""
        is_picture = isinstance(result, Picture)
        labels = tuple(name for name in found.labels if self._places(name) != 0)
        if result is None or (is_picture and not labels):
            self._asked.discard(found.url)  # another label may lack it
            return LIMIT_REACHED
        if isinstance(result, Picture):
            no_store = self._keep is not None
            return self._store.add(found, labels, result, no_store=no_store)
        bound = self._largest
        if isinstance(result, FetchError):
            kind = result.kind
            is_final = not result.passing and kind not in _ASKED_AGAIN
        elif isinstance(result, RejectedError):
            kind, is_final = result.kind, True
            bound = result.bound or bound
        else:
            raise result
        self._store.refuse(
            Settled(found, kind, sentence(result), is_final=is_final, bound=bound)
        )
        return kind
