"""The folder that collected pictures go to: nothing twice, nothing lost, resumable.

```
photos/
    Gzhel/wikimedia-12345.jpg    -> named after its source and what that calls it
    manifest.csv                 -> origin and licence of each
    failures.csv                 -> what is not there, and why
    .collect/journal.jsonl       -> what became of each address; the next run goes on
```
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from edgeclf import files
from edgeclf.collecting.found import Found
from edgeclf.collecting.journal import PRESENT, STORED, Journal, Settled
from edgeclf.collecting.manifest import Manifest, csv_line
from edgeclf.collecting.picture import Picture, RejectedError, examine
from edgeclf.collecting.seen import Copy, Seen
from edgeclf.collecting.spool import Spool
from edgeclf.console import number_of
from edgeclf.data.tables import label_problem
from edgeclf.inputs.connection import printable
from edgeclf.inputs.paths import find_images, is_passed_over

logger = logging.getLogger("edgeclf")

FAILURES = "failures.csv"
_HIDDEN = ".collect"
_MAX_IDENTIFIER = 80
_DIGITS = 16  # of a hash in a file's name


class Store:
    """An output folder; only one process has it open.

    What a killed run has begun is finished when the folder is opened. Pictures that
    lie in its class folders without having been collected count as seen.

    Attributes:
        counts: Collected pictures by label that are still there.
        num_pictures: The same, each once whatever its labels.
        spool: Where downloads wait for their turn.

    Args:
        folder: Made if it is not there.

    Raises:
        OSError: It cannot be read or written to.
        DatasetError: Another process collects into it, or its records are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.num_pictures = 0
        hidden = folder / _HIDDEN
        hidden.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(hidden / "journal.jsonl")
        try:
            self._manifest = Manifest(folder)
            try:
                self.spool = Spool(hidden / "spool")
                files.sweep(folder)
                self._seen = Seen()
                self._settled: dict[str, Settled] = {}
                self._recover()
                self._look_around()
            except BaseException:
                self._manifest.close()
                raise
        except BaseException:
            self._journal.close()
            raise

    def settled(self, url: str) -> Settled | None:
        """Return what became of an address in this run or an earlier one."""
        return self._settled.get(url)

    def add(
        self,
        found: Found,
        labels: tuple[str, ...],
        picture: Picture,
        *,
        no_store: bool = False,
    ) -> str:
        """Take a picture from the spool into the folders of its labels if it is new.

        Args:
            found: Where it comes from.
            labels: Those of its labels that it is wanted for, one at least.
            picture: What it is.
            no_store: Only write down that it was here.

        Returns:
            `STORED`, or "duplicate" or "near-duplicate".

        Raises:
            OSError: It cannot be written.
        """
        names = () if no_store else labels
        names = tuple(self._name(found, label, picture) for label in names)
        entry = Settled(
            replace(found, labels=labels), STORED, files=names, picture=picture
        )
        if (copy := self._see(entry)) is not None:
            reason = f"{printable(found.url)} is a {copy.kind} of {copy.of}."
            self.refuse(Settled(found, copy.kind, reason))
            return copy.kind
        self._journal.add(entry)
        self._place(entry)
        return STORED

    def refuse(self, entry: Settled) -> None:
        """Write down why an address has no picture here.

        Raises:
            OSError: The disk does not take it.
            ValueError: The entry has no address.
        """
        if entry.found is None:
            raise ValueError("Expected an address. Received: none.")
        url = entry.found.url
        if self._settled.get(url) != entry:  # a further run may find nothing new
            self._journal.add(entry)
        self._settled[url] = entry
        self.spool.drop(url)

    def write_failures(self) -> Path | None:
        """Write the table of addresses without a picture; return it if it has any."""
        lines = [csv_line(("url", "label", "source", "reason", "detail"))]
        for url, entry in sorted(self._settled.items()):
            if entry.outcome != STORED and entry.found is not None:
                label, source = ";".join(entry.found.labels), entry.found.source
                cells = (url, label, source, entry.outcome, entry.reason)
                lines.append(csv_line(cells))
        path = self.folder / FAILURES
        files.write_text(path, "".join(lines))
        return path if len(lines) > 1 else None

    def close(self) -> None:
        """Let others have the folder."""
        self._manifest.close()
        self._journal.close()

    def _recover(self) -> None:
        """Take in what is known; finish what was cut short."""
        for entry in self._journal.entries:
            self._see(entry)
            if entry.found is None:
                continue
            if entry.outcome == STORED:
                self._place(entry)
            self._settled[entry.found.url] = entry

    def _place(self, entry: Settled) -> None:
        """Move a picture into place, add its rows, count it; all as far as missing."""
        found = entry.found
        if found is None:
            return
        self._settled[found.url] = entry
        if not entry.files:
            if found.url not in self._manifest.files:
                self._manifest.add(entry)
            self.counts.update(found.labels)
            self.num_pictures += 1
            return
        paths = [self.folder / name for name in entry.files]
        if self.spool.has(found.url):
            self.spool.move(found.url, paths)
        there = [path.exists() for path in paths]
        if any(there) and not self._manifest.files.issuperset(entry.files):
            self._manifest.add(entry)
        self.num_pictures += any(there)
        for name, is_there in zip(entry.files, there, strict=True):
            self.counts[name.partition("/")[0]] += is_there

    def _look_around(self) -> None:
        """Look at the pictures that lie in the class folders and are not known."""
        known = {name for entry in self._journal.entries for name in entry.files}
        paths = [
            path
            for folder in sorted(self.folder.iterdir())
            if folder.is_dir() and not is_passed_over(folder.name)
            for path in find_images(folder)
            if path.relative_to(self.folder).as_posix() not in known
        ]
        if not paths:
            return
        logger.info(
            "Looking at %s in %s that edgeclf collect has not put there, so that none "
            "comes twice.",
            number_of(len(paths), "picture"),
            self.folder,
        )
        for path in tqdm(paths, desc="looking", unit="picture", disable=None):
            name = path.relative_to(self.folder).as_posix()
            try:
                picture = examine(path.read_bytes(), name)
            except (RejectedError, OSError):
                continue
            entry = Settled(None, PRESENT, files=(name,), picture=picture)
            self._see(entry)
            self._journal.add(entry)

    def _see(self, entry: Settled) -> Copy | None:
        """Return what the entry's picture repeats; remember it if it is new."""
        known = entry.picture
        if known is None:
            return None
        url = "" if entry.found is None else printable(entry.found.url)
        name = entry.files[0] if entry.files else url
        return self._seen.add(known.digest, known.fingerprint, known.colors, name)

    def _name(self, found: Found, label: str, picture: Picture) -> str:
        """Return a path below the folder that no other file has."""
        digest = picture.digest.hex()[:_DIGITS]
        stem = f"{found.source}-{_plain(found.identifier) or digest}"
        path = self.folder / label / f"{stem}{picture.ending}"
        if os.path.lexists(path):
            path = path.with_name(f"{stem}-{digest}{picture.ending}")
        return path.relative_to(self.folder).as_posix()


def label_name_problem(label: str) -> str | None:
    """Return why a label cannot be the name of a class folder, None if it can."""
    if (problem := label_problem(label)) is not None:
        return problem
    return "a name that is passed over" if is_passed_over(label) else None


def _plain(identifier: str | None) -> str:
    """Return an identifier as a part of a file's name, "" for none.

    One that had to be changed gets a hash, so that no two become the same.
    """
    if not identifier:
        return ""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", identifier)[:_MAX_IDENTIFIER].strip("._")
    if plain == identifier:
        return plain
    content = identifier.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    return f"{plain}-{digest}" if plain else digest
