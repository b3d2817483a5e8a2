"""Find the photos of the Unsplash tables that have the tags one wants."""

from __future__ import annotations

import heapq
import logging
import math
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeclf.collecting.found import Found
from edgeclf.data.tables import first_few
from edgeclf.data.tag_source import TagSource
from edgeclf.data.unsplash import UNSPLASH, read_addresses, read_keywords
from edgeclf.data.unsplash_tables import Part, parts

logger = logging.getLogger("edgeclf")

# Source: https://unsplash.com/license
LICENSE, LICENSE_URL = "Unsplash License", "https://unsplash.com/license"
DEFAULT_SIDE = 448  # twice what most backbones take
MAX_ASPECT = 4.0  # of a panorama, the shorter side becomes smaller
QUALITY = 85  # of the JPEG: what it loses is gone when the picture is made smaller
_MAX_TITLE = 200
_DETAILS = (
    "photo_url",
    "photo_aspect_ratio",
    "photo_description",
    "photographer_username",
    "photographer_first_name",
    "photographer_last_name",
)


def find(source: TagSource, side: int = DEFAULT_SIDE) -> Iterator[Found]:
    """Yield the photos that have one of the tags, in turn for every tag.

    Each photo is the next one of the tag that has had the fewest until then, so that
    whoever stops early has about as many of each. Photos of none of the tags are left
    out.

    Args:
        source: The folder of the tables, and which tags count.
        side: Pixels of the shorter side that is asked for.

    Raises:
        OSError: A file cannot be read.
        DatasetError: A table is missing or cannot be read, or no tag is left.
        ValueError: `source` is of another kind.
    """
    if source.unsplash is None:
        raise ValueError("Expected a source with unsplash. Received: another kind.")
    folder = Path(source.unsplash)
    addresses = {
        photo: address if "://" in address else ""
        for photo, address in read_addresses(folder).items()
    }
    absent = [photo for photo, address in addresses.items() if not address]
    if absent:
        logger.warning(
            "Photos without an address on the web, left out: %d (%s).",
            len(absent),
            first_few(absent),
        )
    photos = [photo for photo, address in addresses.items() if address]
    positions = {photo: position for position, photo in enumerate(photos)}
    taggings = read_keywords(folder, positions, addresses, source.min_confidence)
    labels, targets = source.choice().of(taggings, len(photos), f"{folder}")
    tagged = {photos[row] for row in np.flatnonzero(targets.any(axis=1)).tolist()}
    details = _read_details(folder, tagged)
    for row in in_turn(targets):
        photo = photos[row]
        known = details[photo]
        yield Found(
            resized(addresses[photo], side, _aspect(known["photo_aspect_ratio"])),
            tuple(labels[place] for place in np.flatnonzero(targets[row]).tolist()),
            UNSPLASH,
            photo,
            known["photo_url"] or None,
            " ".join(known["photo_description"].split())[:_MAX_TITLE] or None,
            _author(known),
            LICENSE,
            LICENSE_URL,
        )


def resized(address: str, side: int, aspect: float | None = None) -> str:
    """Return the address at which the server makes the photo smaller.

    Its proportions stay: that a model stretches pictures is the model's affair, and
    views for training are cut out of the unstretched one. Both sides are asked for as
    long as `side` at least, where it should be twice what the model takes, as when
    `edgeclf.image` lets libjpeg scale. Nothing is enlarged.

    Source: https://docs.imgix.com/apis/rendering, w, h, fit=max, fm, q.

    Args:
        address: `photo_image_url`; parameters of the same name are replaced.
        side: Pixels.
        aspect: Width by height of the photo; None where it is not known: then the
            longer side is twice `side`.
    """
    width = height = 2.0 * side
    if aspect is not None:
        aspect = min(max(aspect, 1 / MAX_ASPECT), MAX_ASPECT)
        width, height = side * max(1.0, aspect), side * max(1.0, 1 / aspect)
    wanted = {
        "w": f"{math.ceil(width)}",
        "h": f"{math.ceil(height)}",
        "fit": "max",
        "fm": "jpg",
        "q": f"{QUALITY}",
    }
    parts = urllib.parse.urlsplit(address)
    kept = [
        (name, value)
        for name, value in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        if name not in wanted
    ]
    query = urllib.parse.urlencode([*kept, *wanted.items()])
    return urllib.parse.urlunsplit(parts._replace(query=query))


def in_turn(targets: NDArray[np.bool_]) -> Iterator[int]:
    """Yield each row that has a tag once, the next of the tag with the fewest so far.

    Tags that have had as many come rarest first.

    Args:
        targets: Which row has which tag, bool `(n, tags)`.
    """
    queues = [np.flatnonzero(column).tolist() for column in targets.T]
    totals = [len(queue) for queue in queues]
    places = [0] * len(queues)
    counts = np.zeros(len(queues), np.int64)
    is_taken = np.zeros(len(targets), np.bool_)
    waiting = [(0, total, tag) for tag, total in enumerate(totals) if total]
    heapq.heapify(waiting)
    while waiting:
        count, total, tag = heapq.heappop(waiting)
        if count != counts[tag]:  # it got one with another tag
            heapq.heappush(waiting, (int(counts[tag]), total, tag))
            continue
        queue = queues[tag]
        while places[tag] < total and is_taken[queue[places[tag]]]:
            places[tag] += 1
        if places[tag] == total:
            continue
        row = queue[places[tag]]
        is_taken[row] = True
        counts += targets[row]
        heapq.heappush(waiting, (int(counts[tag]), total, tag))
        yield row


def _read_details(folder: Path, photos: set[str]) -> dict[str, dict[str, str]]:
    """Return what else the table knows of these photos, "" where it knows nothing."""
    details: dict[str, dict[str, str]] = {}
    for path in parts(folder, "photos"):
        part = Part(path)
        (photo,) = part.places(("photo_id",))
        places = {name: part.place(name) for name in _DETAILS}
        for row in part.rows():
            if row[photo] in photos and row[photo] not in details:
                details[row[photo]] = {
                    name: "" if place is None else row[place]
                    for name, place in places.items()
                }
    return details


def _aspect(text: str) -> float | None:
    try:
        aspect = float(text)
    except ValueError:
        return None
    return aspect if 0 < aspect < math.inf else None


def _author(known: Mapping[str, str]) -> str | None:
    names: Sequence[str] = (
        known["photographer_first_name"],
        known["photographer_last_name"],
    )
    name = " ".join(part for part in names if part)
    return name or known["photographer_username"] or None
