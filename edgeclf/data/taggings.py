"""Which picture has which keyword, and the tags that are chosen of them."""

from __future__ import annotations

import logging
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeclf.console import number_of
from edgeclf.data.synonyms import Synonyms, folded, tidy
from edgeclf.data.tables import first_few
from edgeclf.errors import DatasetError

logger = logging.getLogger("edgeclf")


class Taggings:
    """Pairs of a picture and a keyword, eight bytes each: there may be millions."""

    def __init__(self) -> None:
        self._pictures = array("i")
        self._keywords = array("i")
        self._ids: dict[str, int] = {}

    def add(self, picture: int, keyword: str) -> None:
        """Add a pair; one that is there already counts once.

        Args:
            picture: Position of the picture.
            keyword: As it is spelled; blank for none.
        """
        self._pictures.append(picture)
        self._keywords.append(self._ids.setdefault(keyword, len(self._ids)))

    @property
    def spellings(self) -> Sequence[str]:
        """Every keyword as it is spelled, each once."""
        return list(self._ids)

    @property
    def pictures(self) -> NDArray[np.int32]:
        """Position of the picture of each pair."""
        return np.array(self._pictures, np.int32)

    @property
    def keywords(self) -> NDArray[np.int32]:
        """Position in `spellings` of the keyword of each pair."""
        return np.array(self._keywords, np.int32)


@dataclass(frozen=True)
class TagChoice:
    """Which tags to take.

    Attributes:
        top: The most frequent ones, this many; None for all.
        names: These and no others, whatever `top` says; None for `top`.
        synonyms: Keywords that stand for another tag.
    """

    top: int | None
    names: tuple[str, ...] | None
    synonyms: Synonyms

    def of(
        self, taggings: Taggings, num_pictures: int, source: str
    ) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
        """Return the chosen tags in code point order, and which picture has which.

        Keywords that differ in case and blanks only are one tag, spelled as most
        pictures have it. Tags that as many pictures have are taken in code point order.

        Args:
            taggings: The keywords of the pictures.
            num_pictures: How many these are.
            source: Where they come from, for messages.

        Returns:
            The tags, and bool `(num_pictures, tags)`.

        Raises:
            DatasetError: No tag is left, or no picture has one of `names`.
        """
        labels, tags = self._merged(taggings)
        if not labels:
            raise DatasetError(
                f"Expected a tag of a picture in {source}. Received: none that counts."
            )
        pairs = np.unique(
            taggings.pictures.astype(np.int64) * len(labels) + tags[taggings.keywords]
        )
        pictures, tags = np.divmod(pairs, len(labels))
        is_tag = np.array([bool(label) for label in labels])
        counts = np.bincount(tags, minlength=len(labels)) * is_tag
        chosen = self._chosen(labels, counts, source)
        targets = np.zeros((num_pictures, len(chosen)), np.bool_)
        columns = np.full(len(labels), -1)
        for column, position in enumerate(chosen.values()):
            if position is not None:
                columns[position] = column
        kept = columns[tags] >= 0
        targets[pictures[kept], columns[tags[kept]]] = True
        _report(list(chosen), targets)
        return tuple(chosen), targets

    def _merged(self, taggings: Taggings) -> tuple[list[str], NDArray[np.int64]]:
        """Return the names of all tags, and the tag of each spelling."""
        spellings = taggings.spellings
        uses = np.bincount(taggings.keywords, minlength=len(spellings)).tolist()
        groups: dict[str, list[int]] = defaultdict(list)
        named: dict[str, str] = {}
        for position, spelling in enumerate(spellings):
            tag = self.synonyms(spelling)
            key = folded(spelling if tag is None else tag)
            groups[key].append(position)
            if tag is not None:
                named[key] = tag
        numbers = np.zeros(len(spellings), np.int64)
        labels = []
        for number, (key, members) in enumerate(groups.items()):
            numbers[members] = number
            best = min(members, key=lambda place: (-uses[place], spellings[place]))
            labels.append(named.get(key) or tidy(spellings[best]))
        return labels, numbers

    def _chosen(
        self, labels: Sequence[str], counts: NDArray[np.int64], source: str
    ) -> dict[str, int | None]:
        """Return the position of each chosen tag, None if no picture has it.

        They are in code point order.
        """
        if self.names is not None:
            return self._named(labels, counts, source)
        order = sorted(
            np.flatnonzero(counts).tolist(),
            key=lambda position: (-counts[position], labels[position]),
        )
        if not order:
            raise DatasetError(
                f"Expected a tag of a picture in {source}. Received: none that counts."
            )
        chosen = order if self.top is None else order[: self.top]
        return {
            labels[place]: place for place in sorted(chosen, key=lambda p: labels[p])
        }

    def _named(
        self, labels: Sequence[str], counts: NDArray[np.int64], source: str
    ) -> dict[str, int | None]:
        places = {
            folded(labels[place]): place for place in np.flatnonzero(counts).tolist()
        }
        wanted = sorted(
            {self.synonyms(name) or tidy(name) for name in self.names or ()}
        )
        chosen = {name: places.get(folded(name)) for name in wanted}
        missing = [name for name, place in chosen.items() if place is None]
        if len(missing) == len(chosen):
            frequent = np.argsort(-counts, kind="stable")[:5].tolist()
            raise DatasetError(
                f"Expected pictures with a tag of {first_few(missing)} in {source}. "
                f"Received: none; frequent there: "
                f"{', '.join(labels[place] for place in frequent if counts[place])}."
            )
        if missing:
            logger.warning(
                "No picture in %s has the tags: %s.", source, first_few(missing)
            )
        taken = {*chosen.values()}
        others = [place for place in places.values() if place not in taken]
        if others:
            others.sort(key=lambda place: (-counts[place], labels[place]))
            logger.info(
                "Other tags, left out: %d (%s).",
                len(others),
                first_few([labels[place] for place in others]),
            )
        return chosen


def _report(labels: Sequence[str], targets: NDArray[np.bool_]) -> None:
    counts = targets.sum(axis=0).tolist()
    logger.info(
        "%s: %s.",
        number_of(len(labels), "tag"),
        first_few(
            [f"{name} {count}" for name, count in zip(labels, counts, strict=True)]
        ),
    )
    num_without = int((~targets.any(axis=1)).sum())
    if num_without:
        logger.info(
            "Pictures that have none of these tags, kept as such: %d of %d.",
            num_without,
            len(targets),
        )
