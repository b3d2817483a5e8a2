"""What a source of pictures has found, before anything is downloaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """One picture somewhere on the web, where it comes from, and who may use it.

    Attributes:
        url: Address of the picture's file.
        labels: Class folders that it belongs into, at least one.
        source: Who has found it: "urls", "unsplash", "openverse", "wikimedia",
            "flickr", "bing" or "google".
        identifier: What the source calls it; None where it has no name for it.
        page: Address of the page that shows it.
        title: What its author calls it.
        author: Who has made it.
        license: Short name such as "CC BY 2.0"; None where it is not known.
        license_url: Address of the licence's text.
    """

    url: str
    labels: tuple[str, ...]
    source: str
    identifier: str | None = None
    page: str | None = None
    title: str | None = None
    author: str | None = None
    license: str | None = None
    license_url: str | None = None
