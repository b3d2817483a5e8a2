"""Pictures beside where the model looked, as cards."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeclf.report.figures import percent, plural
from edgeclf.report.layout import (
    LONG,
    MOST,
    Section,
    file_name,
    folded,
    heading,
    label,
    meter,
    paragraph,
    unlisted,
)
from edgeclf.report.markup import Child, Markup, element, join


class Thumbnails(NamedTuple):
    """Small copies of a picture, for the page.

    Attributes:
        picture: JPEG.
        heat_map: JPEG of where the evidence for the predicted class lies, or None.
    """

    picture: bytes
    heat_map: bytes | None = None


def pictures_section(
    report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]
) -> Section | None:
    """Return the worst mistakes and the most doubtful pictures."""
    pictures = report.get("pictures") or {}
    worst, doubtful = pictures.get("worst") or [], pictures.get("doubtful") or []
    content: list[Child] = []
    if worst:
        content += [
            heading("Worst mistakes"),
            paragraph(
                "Named wrongly, and most surely so. Either the model saw something that"
                " misled it, or the picture lies in the wrong folder."
            ),
            gallery(worst, thumbnails),
        ]
    if doubtful:
        content += [
            heading("Most doubtful"),
            paragraph(
                f"{'Of the others, those' if worst else 'Those'} whose best two classes"
                " are closest together. More pictures like these would teach the model"
                " most."
            ),
            gallery(doubtful, thumbnails),
        ]
    if not content:
        return None
    shown = [thumbnails[item["file"]] for item in (*worst, *doubtful)
             if item["file"] in thumbnails]  # fmt: skip
    legend = None
    if any(thumbnail.heat_map for thumbnail in shown):
        legend = paragraph(
            "The second picture of each pair shows where the evidence for the given"
            " name lies: black is none, yellow is most.",
            kind="soft",
        )
    return Section("pictures", "Pictures to look at", join(legend, *content))


def mislabelled_section(
    report: Mapping[str, Any], thumbnails: Mapping[str, Thumbnails]
) -> Section | None:
    """Return the pictures that probably lie in the wrong folder."""
    entries = report.get("mislabelled") or []
    if not entries:
        return None
    words = paragraph(
        f"{plural(len(entries), 'picture')} that models trained without them would"
        " put into another class. Look at each: move it, delete it, or leave it if its"
        " class is right."
    )
    cards = [
        _card(
            entry["file"], thumbnails,
            ["in ", label(entry["label"]), ", looks like ", label(entry["suggested"])],
            entry.get("confidence"),
        )
        for entry in entries[:MOST]
    ]  # fmt: skip
    first = element("ul", cards[: 2 * LONG], class_="cards")
    rest = None
    if len(cards) > 2 * LONG:
        hidden = element("ul", cards[2 * LONG :], class_="cards")
        rest = folded(f"{len(cards) - 2 * LONG} more", hidden)
    content = join(words, first, rest, unlisted(len(entries)))
    return Section("mislabelled", "Probably in the wrong class", content)


def gallery(
    entries: Sequence[Mapping[str, Any]], thumbnails: Mapping[str, Thumbnails]
) -> Markup:
    """Return labelled pictures as cards: what each is and what it was taken for."""
    return element(
        "ul",
        [_card(entry["file"], thumbnails, _verdict(entry), entry.get("score"),
               "two" if entry["label"] != entry["predicted"] else "one",
               _other_score(entry)) for entry in entries],
        class_="cards",
    )  # fmt: skip


def _verdict(entry: Mapping[str, Any]) -> list[Child]:
    if entry["label"] == entry["predicted"]:
        return [label(entry["label"]), ", named right"]
    return [label(entry["label"]), " taken for ", label(entry["predicted"])]


def _other_score(entry: Mapping[str, Any]) -> str | None:
    """Return what the true class got, where it is not the predicted one."""
    if entry["label"] == entry["predicted"] or entry.get("label_score") is None:
        return None
    return f"true class {percent(entry['label_score'])}"


def _card(
    file: str,
    thumbnails: Mapping[str, Thumbnails],
    verdict: Sequence[Child],
    score: float | None,
    kind: str = "two",
    note: str | None = None,
) -> Markup:
    scored = None
    if score is not None:
        scored = element(
            "p", meter(score, kind), element("span", percent(score), class_="figure"),
            element("span", note, class_="soft") if note else None, class_="score",
        )  # fmt: skip
    return card(file, thumbnails, verdict, scored)


def card(
    file: str,
    thumbnails: Mapping[str, Thumbnails],
    verdict: Sequence[Child],
    details: Child,
) -> Markup:
    """Return a picture with what is to be said of it.

    Args:
        file: Its name.
        thumbnails: By name.
        verdict: In a line.
        details: What stands below.
    """
    thumbnail = thumbnails.get(file)
    images: list[Child] = []
    if thumbnail is not None:
        images.append(_image(thumbnail.picture, f"The picture {file}"))
        if thumbnail.heat_map:
            images.append(_image(thumbnail.heat_map, f"The evidence in {file}"))
    return element(
        "li",
        element("div", images, class_="pair") if images else None,
        element("p", verdict, class_="verdict"),
        details,
        element("p", file_name(file), class_="soft"),
        class_="card",
    )


def _image(content: bytes, words: str) -> Markup:
    address = "data:image/jpeg;base64," + b64encode(content).decode()
    return element("img", src=address, alt=words)
