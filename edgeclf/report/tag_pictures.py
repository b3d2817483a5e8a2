"""The pictures that miss a tag, or have one too much, as cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeclf.report.figures import decimal, percent
from edgeclf.report.layout import Section, heading, label, meter, paragraph
from edgeclf.report.markup import Child, Markup, element, join
from edgeclf.report.pictures import Thumbnails, card


def tag_pictures_section(
    report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]
) -> Section | None:
    """Return the pictures that most miss a tag, and those that have one wrongly."""
    pictures = report.get("pictures") or {}
    missed, wrong = pictures.get("missed") or [], pictures.get("wrong") or []
    content: list[Child] = []
    if missed:
        content += [
            heading("A tag is missed most"),
            paragraph(
                "Of these pictures the model is most sure that they do not have a tag"
                " which they have. Either it cannot see it, or the table is wrong."
            ),
            _gallery(missed, thumbnails, "misses"),
        ]
    if wrong:
        content += [
            heading("A tag is given wrongly"),
            paragraph(
                "The model is most sure of a tag that these pictures do not have. Or is"
                " it the table that lacks it?"
            ),
            _gallery(wrong, thumbnails, "wrongly given"),
        ]
    if not content:
        return None
    legend = None
    files = [entry["file"] for entry in (*missed, *wrong)]
    if any(thumbnails[file].heat_map for file in files if file in thumbnails):
        legend = paragraph(
            "The second picture of each pair shows where the evidence for that tag"
            " lies: black is none, yellow is most of what this picture has.",
            kind="soft",
        )
    return Section("pictures", "Pictures to look at", join(legend, *content))


def suspects_section(
    report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]
) -> Section | None:
    """Return the learned pictures whose tags are probably wrong in the data."""
    suspects = report.get("suspects") or {}
    content: list[Child] = []
    for key, title, verdict in (
        ("missed", "A tag that is probably too much", "has"),
        ("wrong", "A tag that is probably missing", "lacks"),
    ):
        if suspects.get(key):
            content.append(heading(title))
            content.append(_gallery(suspects[key], thumbnails, verdict))
    if not content:
        return None
    words = paragraph(
        "Heads that had not seen these pictures, though others of the training,"
        " disagree most with their tags. Look at each: correct the table, or leave it"
        " if it is right."
    )
    return Section("suspects", "Tags to check in the data", join(words, *content))


def _gallery(
    entries: Sequence[Mapping[str, Any]],
    thumbnails: Mapping[str, Thumbnails],
    verdict: str,
) -> Markup:
    return element(
        "ul",
        [
            card(
                entry["file"], thumbnails, [f"{verdict} ", label(entry["tag"])],
                _details(entry),
            )
            for entry in entries
        ],
        class_="cards",
    )  # fmt: skip


def _details(entry: Mapping[str, Any]) -> Child:
    """Return the score of the tag, the true tags, and those that are given."""
    note = f"given from {decimal(entry.get('threshold'))} on"
    return [
        element(
            "p", meter(entry["score"], "two"),
            element("span", percent(entry["score"]), class_="figure"),
            element("span", note, class_="soft"), class_="score",
        ),
        element("p", "Has: ", _listed((name, None) for name in entry["tags"])
                if entry["tags"] else "no tag", class_="soft"),
        element("p", "Given: ", _listed((given["label"], percent(given["score"]))
                for given in entry["given"]) if entry["given"] else "none",
                class_="soft"),
    ]  # fmt: skip


def _listed(tags: Any) -> Child:
    words: list[Child] = []
    for name, score in tags:
        words += [", " if words else None, label(name), f" {score}" if score else None]
    return words
