"""Write the labels of pictures to stdout: text, JSON lines, CSV or hashtags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from edgeclf.errors import visible
from edgeclf.results import Category, label_of

FORMATS = ("text", "json", "csv", "hashtags")
CSV_HEADER = ("image", "rank", "index", "label", "score", "error")

Report = Callable[[str, "Sequence[Category] | None", str], None]
"""Writes one picture's result: its name, its categories, or None and the error."""


def reporter(output_format: str, several: bool) -> Report:
    """Return what writes results in one of `FORMATS`; CSV begins with its header.

    Each result is flushed: whoever reads the pipe waits for it.

    Args:
        output_format: Of text and hashtags a picture that failed has no line.
        several: Whether text and hashtags name the picture before its labels.
    """
    if output_format == "json":
        return _json_reporter()
    if output_format == "csv":
        return _csv_reporter()
    lines_of = _hashtag_line if output_format == "hashtags" else _text_lines

    def report(name: str, categories: Sequence[Category] | None, _: str) -> None:
        if categories is not None:
            header = [f"{name}:"] if several else []
            _write_lines(*header, *lines_of(categories))

    return report


def write_json_line(line: Mapping[str, object]) -> None:
    """Write one line of JSON, letters beyond ASCII as they are if stdout has them."""
    import json  # each format imports what it needs: starting is most of the time

    ascii_only = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
    text = json.dumps(line, ensure_ascii=ascii_only)
    # What JSON lets stand, and terminals obey.
    _write_lines(text.translate({c: f"\\u{c:04x}" for c in range(127, 160)}))


def _write_lines(*lines: str) -> None:
    # Escape sequences in the name of a file, or in JSON, would reach a terminal.
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    sys.stdout.flush()


def _text_lines(categories: Sequence[Category]) -> list[str]:
    return [f"{label_of(category)} {category.score:.4f}" for category in categories]


def _hashtag_line(categories: Sequence[Category]) -> list[str]:
    return [" ".join(hashtags(categories))]


def hashtags(categories: Sequence[Category]) -> list[str]:
    """Return the hashtags of labels, in order, each once.

    Two that differ in upper and lower case alone are one to those who search for them.
    A label without a letter or digit has none.
    """
    tags: dict[str, str] = {}
    for category in categories:
        if tag := hashtag(category):
            tags.setdefault(tag.casefold(), tag)
    return [*tags.values()]


def hashtag(category: Category) -> str:
    """Return `#` and the label's letters and digits; the rest becomes underscores.

    Without a letter nothing is a hashtag, neither for Telegram nor for Instagram: a
    label of numbers gets `tag_` before them. Empty where there is nothing to write.
    """
    # What may be part of an identifier stays: marks belong to letters, as in Hindi.
    kept = "".join(
        c if f"a{c}".isidentifier() and c != "_" else " " for c in label_of(category)
    )
    tag = "_".join(word for word in kept.split() if any(map(str.isalnum, word)))
    if tag and not any(map(str.isalpha, tag)) and category.label is not None:
        tag = f"tag_{tag}"
    return tag and f"#{tag}"


def _json_reporter() -> Report:
    def report(name: str, categories: Sequence[Category] | None, error: str) -> None:
        if categories is None:
            write_json_line({"image": name, "error": error})
        else:
            write_json_line({"image": name, "categories": [*map(vars, categories)]})

    return report


def _csv_reporter() -> Report:
    """Write cells as they are but for control characters, for programs to read.

    A label that begins with `=` stays that: spreadsheets are told to take text.
    """
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_HEADER)

    def report(name: str, categories: Sequence[Category] | None, error: str) -> None:
        if not categories:  # none above the threshold, or the picture is bad
            said = visible(error) or None
            writer.writerow((visible(name), None, None, None, None, said))
        for rank, category in enumerate(categories or (), 1):
            writer.writerow((visible(name), rank, *vars(category).values(), None))
        sys.stdout.flush()

    return report
