"""Read a file that says which tags mean the same.

```
# what follows a number sign is a remark
human: person, people
car: automobile, vehicle
vehicle: truck              ← a truck is a vehicle, which is a car: a tag "car"
```
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeclf.errors import DatasetError

# Labels are lines of text, and shown on terminals, which control characters steer.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


def tidy(name: str) -> str:
    """Return a tag without blanks around it, and one where there are several.

    Control characters count as blanks.
    """
    return " ".join(name.translate(_CONTROLS).split())


def folded(name: str) -> str:
    """Return what two spellings of one tag have in common.

    Upper and lower case, blanks around and several blanks within, and how an accent
    is composed make no other tag.
    """
    return unicodedata.normalize("NFC", tidy(name)).casefold()


@dataclass(frozen=True)
class Synonyms:
    """Which tag a keyword stands for.

    Attributes:
        tags: The tag, spelled as it is to be, by folded keyword; the tag's own name
            is one of the keywords.
    """

    tags: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str | None:
        """Return the tag of a keyword; None if the file does not mention it."""
        return self.tags.get(folded(name))


def read_synonyms(path: str | os.PathLike[str]) -> Synonyms:
    """Read lines of the form `tag: synonym, synonym`.

    A synonym that has synonyms itself passes them on. The lines of one tag add up.

    Raises:
        OSError: The file cannot be read.
        DatasetError: It is not UTF-8, a line has another form, a synonym belongs to two
            tags, or tags are synonyms of one another in a circle.
    """
    path = Path(path)
    spelled: dict[str, str] = {}  # tags, by folded name
    above: dict[str, str] = {}  # folded tag, by folded synonym
    for number, tag, synonyms in _lines(path):
        spelled.setdefault(folded(tag), tag)
        for synonym in synonyms:
            if folded(synonym) == folded(tag):
                continue
            first = above.setdefault(folded(synonym), folded(tag))
            if first != folded(tag):
                raise DatasetError(
                    f"Expected every synonym under one tag in {path}. Received: "
                    f"{synonym!r} under {spelled[first]!r} and, in line {number}, "
                    f"under {tag!r}. Remove it from one of them."
                )
    tops = {name: _top(name, above, path) for name in [*spelled, *above]}
    return Synonyms({name: spelled[top] for name, top in tops.items()})


def _lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the number, the tag and the synonyms of each line that has any."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"Expected UTF-8 in {path}. Received: {error.reason} at offset "
            f"{error.start}. Save it again as UTF-8."
        ) from error
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        tag, colon, rest = text.partition(":")
        tag = tidy(tag)
        synonyms = [tidy(name) for name in rest.split(",")]
        if not colon or not tag or not all(synonyms):
            raise DatasetError(
                f"Expected lines of the form 'tag: synonym, synonym' in {path}. "
                f"Received: {line.strip()[:80]!r} in line {number}."
            )
        yield number, tag, synonyms


def _top(name: str, above: Mapping[str, str], path: Path) -> str:
    """Return the folded tag at the end of a chain of synonyms."""
    chain = [name]
    while chain[-1] in above:
        chain.append(above[chain[-1]])
        if chain[-1] in chain[:-1]:
            circle = chain[chain.index(chain[-1]) :]
            raise DatasetError(
                f"Expected one tag at the end of each chain of synonyms in {path}. "
                f"Received a circle: {' → '.join(circle)}. Remove one of these lines."
            )
    return chain[-1]
