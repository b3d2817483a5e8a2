"""Ask a search engine that publishes no licences, through the package ddgs.

Only for who asks for one by name: the pictures belong to somebody, and the engines'
terms forbid programs to ask them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from edgeclf.collecting import licenses
from edgeclf.collecting.answers import address_of, text_of
from edgeclf.collecting.found import Found
from edgeclf.errors import DownloadError, MissingExtraError

logger = logging.getLogger("edgeclf")

TERMS = {
    "bing": "https://www.microsoft.com/servicesagreement",
    "google": "https://policies.google.com/terms",
}
MAX_PAGES = 50
TIMEOUT_S = 20


def search(
    engine: str,
    query: str,
    labels: tuple[str, ...],
    license_choice: str = licenses.DEFAULT,
) -> Iterator[Found]:
    """Yield the pictures that an engine finds, after a warning.

    Args:
        engine: "bing" or "google".
        query: What to look for.
        labels: Class folders of what is found.
        license_choice: As for the other searches; only "any" makes sense here.

    Raises:
        MissingExtraError: ddgs is not installed.
        DownloadError: Another licence than "any" is wanted, which no engine can
            promise; or ddgs cannot ask this engine for pictures, or nothing was found.
    """
    if license_choice != licenses.DEFAULT:
        raise DownloadError(
            f"Expected the license {licenses.DEFAULT} with {engine}, which does not "
            f"say what pictures may be used for. Received: {license_choice}."
        )
    _check_engine(engine)
    logger.warning(
        "%s says nothing of licences: most of its pictures are all rights reserved, "
        "and whether you may train on them is yours to find out. Its terms restrict "
        "requests by programs: %s",
        engine.capitalize(),
        TERMS[engine],
    )
    return _search(engine, query, labels)


def _check_engine(engine: str) -> None:
    """Refuse an engine that ddgs does not know: it would ask any other instead."""
    try:
        from ddgs.engines import ENGINES
    except ImportError as error:
        raise MissingExtraError(
            f"Searching with {engine} needs ddgs. "
            'Install it with: pip install "edgeclf[search]"'
        ) from error
    offered = sorted(ENGINES.get("images", ()))
    if engine not in offered:
        raise DownloadError(
            f"Expected an engine that ddgs can ask for pictures: {', '.join(offered)}. "
            f"Received: {engine}. Take another one, or a source that publishes "
            "licences: openverse, wikimedia, flickr."
        )


def _search(engine: str, query: str, labels: tuple[str, ...]) -> Iterator[Found]:
    addresses: set[str] = set()
    for page in range(1, MAX_PAGES + 1):
        is_new = False
        for entry in _page(engine, query, page):
            url = address_of(entry, "image")
            if url is None or url in addresses:
                continue
            addresses.add(url)
            is_new = True
            yield Found(
                url,
                labels,
                engine,
                page=address_of(entry, "url"),
                title=text_of(entry, "title"),
            )
        if not is_new:
            return


def _page(engine: str, query: str, page: int) -> list[dict[str, Any]]:
    """Return a page of results; none after the last.

    Raises:
        DownloadError: It is the first one and cannot be had.
    """
    from ddgs import DDGS
    from ddgs.exceptions import DDGSException

    try:
        found: list[dict[str, Any]] = DDGS(timeout=TIMEOUT_S).images(
            query, backend=engine, page=page, safesearch="on", max_results=None
        )
    except DDGSException as error:
        if page > 1:  # how it says that there is no more
            return []
        raise DownloadError(
            f"{engine.capitalize()} gives no pictures of {query!r}: {error}"
        ) from error
    return found
